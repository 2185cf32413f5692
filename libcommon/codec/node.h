/* Free-form JSON and YAML as a read-only tree.
 *
 * For input whose shape no field table describes (terraform's output, config files). Everything
 * lives in the arena given to the parser. Getters accept NULL for "absent", so that lookups chain:
 *
 *   cm_json_str(cm_json_get(cm_json_get(root, "values"), "id"))
 *
 * Not thread-safe while parsing, immutable afterwards. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum cm_json_type {
    CM_JSON_ABSENT, /* what a NULL node is */
    CM_JSON_NULL,
    CM_JSON_BOOL,
    CM_JSON_NUMBER,
    CM_JSON_STRING,
    CM_JSON_ARRAY,
    CM_JSON_OBJECT,
};

struct cm_json;

struct cm_json_limits {
    size_t bytes;   /* of text */
    size_t nodes;   /* values in all */
    unsigned depth; /* of nesting; 256 at most */
};
/* A request body: 16 MiB, 200,000 values, 64 levels. */
extern const struct cm_json_limits cm_json_body_limits;
/* A file written by a trusted program: 256 MiB, 8 million values, 128 levels. */
extern const struct cm_json_limits cm_json_file_limits;

/* Parses the first value of text; what follows it is ignored. CM_TOO_LARGE over a limit; CM_INVALID
 * for broken JSON, broken UTF-8, and for \u0000, which no text of ours can hold. limits NULL:
 * cm_json_body_limits. */
CM_MUST_USE enum cm_code cm_json_parse(struct cm_arena *a, struct cm_str text,
                                       const struct cm_json_limits *limits,
                                       const struct cm_json **ret, struct cm_err *err);

/* The same for text that may hold nothing behind the value but white space. */
CM_MUST_USE enum cm_code cm_json_parse_whole(struct cm_arena *a, struct cm_str text,
                                             const struct cm_json_limits *limits,
                                             const struct cm_json **ret, struct cm_err *err);

enum cm_json_type cm_json_type(const struct cm_json *n);
const char *cm_json_type_name(enum cm_json_type type);      /* "an object", "a number", ... */
static inline bool cm_json_is_null(const struct cm_json *n) /* also when absent */
{
    return cm_json_type(n) <= CM_JSON_NULL;
}

/* Members of an object: exact key, the last of duplicates; NULL when absent or when n is no object.
 */
const struct cm_json *cm_json_get(const struct cm_json *n, const char *key);
const struct cm_json *cm_json_get_str(const struct cm_json *n, struct cm_str key);
/* Elements of an array or members of an object, in the order of the text. */
size_t cm_json_count(const struct cm_json *n);
const struct cm_json *cm_json_at(const struct cm_json *n, size_t i); /* NULL past the end */
struct cm_str cm_json_key(const struct cm_json *member);             /* of a member of an object */

/* Values; false (and *ret untouched) when the node is of another type. */
CM_MUST_USE bool cm_json_to_str(const struct cm_json *n, struct cm_str *ret);
CM_MUST_USE bool cm_json_to_bool(const struct cm_json *n, bool *ret);
CM_MUST_USE bool cm_json_to_f64(const struct cm_json *n, double *ret);
CM_MUST_USE bool cm_json_to_i64(const struct cm_json *n,
                                int64_t *ret); /* also false for a fraction */
/* Integers are exact up to 64 bits. The same with a fallback: "", false, 0. */
struct cm_str cm_json_str(const struct cm_json *n);
bool cm_json_bool(const struct cm_json *n);
int64_t cm_json_i64(const struct cm_json *n);

/* A scalar as people write it: a string as it is, a number or bool as its text (in YAML, exactly as
 * in the file); "" for null; false for an array or object. */
CM_MUST_USE bool cm_json_scalar_text(const struct cm_json *n, struct cm_str *ret);
/* As compact JSON. */
void cm_json_write(struct cm_buf *out, const struct cm_json *n);
