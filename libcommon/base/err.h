/* Errors are values: a code that drives behaviour, and a sentence for people.
 *
 * A function that can fail for more than one reason returns enum cm_code and takes struct cm_err
 * *err last. The origin calls cm_err_set; each layer on the way may add one clause with
 * cm_err_wrap. Whoever stops the error from travelling logs it, once. struct cm_err lives on the
 * caller's stack; there is nothing to free. */
#pragma once

#include "base/defs.h"

/* One row per code: its name, and the HTTP status that it becomes at the edge. */
#define CM_CODES(X)                                                                                \
    X(OK, 200)                                                                                     \
    X(INVALID, 400) /* input that breaks a rule; the text names field, value, form */              \
    X(UNAUTHENTICATED, 401)                                                                        \
    X(DENIED, 403)                                                                                 \
    X(NOT_FOUND, 404)                                                                              \
    X(CONFLICT, 409) /* exists already, or is in a state that forbids it */                        \
    X(GONE, 410)                                                                                   \
    X(PRECONDITION, 412)                                                                           \
    X(TOO_LARGE, 413) /* a size from outside over its limit */                                     \
    X(TOO_EARLY, 425)                                                                              \
    X(RATE_LIMITED, 429)                                                                           \
    X(INTERNAL, 500)                                                                               \
    X(UNIMPLEMENTED, 501)                                                                          \
    X(UNAVAILABLE, 503) /* try again later: a peer is down, a queue is full */                     \
    X(TIMEOUT, 504)                                                                                \
    X(IO, 500)       /* a system call failed; errno is kept */                                     \
    X(PROTOCOL, 502) /* a peer broke its protocol */                                               \
    X(CANCELED, 499)                                                                               \
    X(END, 500) /* end of stream */

enum cm_code {
#define CM_CODE_ENUM(name, http) CM_##name,
    CM_CODES(CM_CODE_ENUM)
#undef CM_CODE_ENUM
};

#define CM_ERR_TEXT_MAX 512

struct cm_err {
    enum cm_code code;
    int sys_errno;    /* errno at the origin, or 0 */
    const char *file; /* origin; static string */
    int line;
    char text[CM_ERR_TEXT_MAX]; /* cut when longer */
};

/* Sets *err (may be NULL) and yields code, so that `return cm_err_set(err, CM_INVALID, "...", ...)`
 * works. */
#define cm_err_set(err, code, ...) cm_err_set_at((err), (code), 0, __FILE__, __LINE__, __VA_ARGS__)
/* The same with the text of errno appended: "open /x: No such file or directory". */
#define cm_err_errno(err, code, ...)                                                               \
    cm_err_set_at((err), (code), errno, __FILE__, __LINE__, __VA_ARGS__)
enum cm_code cm_err_set_at(struct cm_err *err, enum cm_code code, int sys_errno, const char *file,
                           int line, const char *fmt, ...) CM_PRINTF(6, 7);

/* Puts "clause: " before the text and keeps the code. Yields the code; CM_INTERNAL when err is
 * NULL, since the code is then known to the caller alone. */
enum cm_code cm_err_wrap(struct cm_err *err, const char *fmt, ...) CM_PRINTF(2, 3);

const char *cm_code_name(enum cm_code code);
int cm_code_http_status(enum cm_code code);
enum cm_code cm_code_of_http_status(int status); /* of an answer that is no success */
