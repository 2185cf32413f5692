/* JSON bodies by field table (codec/fields.h): text into structs, structs into text.
 *
 * Decoding follows the reference's habits: the first JSON value counts and what follows is ignored,
 * keys match without regard to case, the last duplicate wins, unknown keys are ignored, null means
 * absent. What breaks a rule of the table is collected, so that a form shows all its mistakes at
 * once.
 *
 * Encoding writes straight from the table into the buffer and cannot fail but by the buffer's
 * maximum, which is sticky (cm_buf_check). */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "codec/fields.h"
#include "codec/node.h"

/* Limits where a field gives none. */
#define CM_JSON_STR_MAX  ((size_t)64 << 10) /* bytes of a string */
#define CM_JSON_LIST_MAX ((size_t)4096)     /* elements of a list or map */

#define CM_VIOLATIONS_MAX 32 /* more are not collected */

struct cm_violation {
    struct cm_str field;  /* JSON key */
    struct cm_str detail; /* a sentence for people */
};

/* In the arena of the decoded message. */
struct cm_violations {
    struct cm_violation *v;
    size_t n;
};

/* Adds one, for rules that a handler checks itself. field is copied. */
void cm_violations_add(struct cm_violations *vs, struct cm_arena *a, struct cm_str field,
                       const char *fmt, ...) CM_PRINTF(4, 5);

/* Decodes a request into a new struct of the message, which lives in the arena with all it points
 * to. CM_INVALID with violations->n == 0: not JSON; with n > 0: rules of the table are broken.
 * CM_TOO_LARGE over cm_json_body_limits. violations may be NULL. */
CM_MUST_USE enum cm_code cm_json_decode(const struct cm_message *msg, struct cm_arena *a,
                                        struct cm_str text, void **ret,
                                        struct cm_violations *violations, struct cm_err *err);

/* For answers of a server, which may be newer: only types are checked, an unknown enum text reads
 * as unset. */
CM_MUST_USE enum cm_code cm_json_decode_answer(const struct cm_message *msg, struct cm_arena *a,
                                               struct cm_str text, void **ret, struct cm_err *err);
/* The same for a bare list: an array of n structs. null reads as an empty list. */
CM_MUST_USE enum cm_code cm_json_decode_answer_list(const struct cm_message *msg,
                                                    struct cm_arena *a, struct cm_str text,
                                                    void **ret, size_t *ret_n, struct cm_err *err);

/* Appends the value as JSON, without a newline. value: a struct of msg; NULL shows as null. */
void cm_json_encode(struct cm_buf *buf, const struct cm_message *msg, const void *value);
/* Appends an array of n structs that lie side by side. */
void cm_json_encode_list(struct cm_buf *buf, const struct cm_message *msg, const void *values,
                         size_t n);

/* Appends a quoted string. < > & are written as \u00xx, broken UTF-8 as U+FFFD. */
void cm_json_write_str(struct cm_buf *buf, struct cm_str s);
