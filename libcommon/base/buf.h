/* A growing byte buffer with a maximum and a sticky error: append freely, check once at the end.
 *
 * Embedded (init/done) or on the stack with CM_AUTOBUF. The content is always followed by a NUL
 * byte that does not count, so that text can be handed to C functions. Not thread-safe. */
#pragma once

#include <stdarg.h>

#include "base/defs.h"
#include "base/err.h"
#include "base/str.h"

struct cm_buf {
    char *ptr;
    size_t len, cap;
    size_t max; /* bytes; appending past it sets failed and changes nothing */
    bool failed;
    bool wipe; /* secrets: memory is wiped on growth and free */
};

#define CM_AUTOBUF CM_CLEANUP(cm_buf_done)

void cm_buf_init(struct cm_buf *b, size_t max);
#define CM_BUF_INIT(max_) ((struct cm_buf){.max = (max_)})
void cm_buf_done(struct cm_buf *b);
void cm_buf_reset(struct cm_buf *b); /* empties, keeps memory, clears failed */

void cm_buf_append(struct cm_buf *b, const void *data, size_t len);
static inline void cm_buf_str(struct cm_buf *b, struct cm_str s)
{
    cm_buf_append(b, s.ptr, s.len);
}
void cm_buf_cstr(struct cm_buf *b, const char *s);
void cm_buf_char(struct cm_buf *b, char c);
void cm_buf_printf(struct cm_buf *b, const char *fmt, ...) CM_PRINTF(2, 3);
void cm_buf_i64(struct cm_buf *b, int64_t v);
/* Appends text with texts[i] wherever it has marks[i]; a mark inside one of the texts stays. */
void cm_buf_fill(struct cm_buf *b, struct cm_str text, const struct cm_str *marks,
                 const struct cm_str *texts, size_t n);
/* Makes room for n bytes behind the content and returns it, or NULL (failed set). Then
 * cm_buf_commit(n'). */
char *cm_buf_reserve(struct cm_buf *b, size_t n);
void cm_buf_commit(struct cm_buf *b, size_t n);
void cm_buf_drop_front(struct cm_buf *b, size_t n);

static inline struct cm_str cm_buf_view(const struct cm_buf *b)
{
    return (struct cm_str){b->ptr ? b->ptr : "", b->len};
}
/* Owned, terminated; the buffer is empty afterwards. */
char *cm_buf_take(struct cm_buf *b);
/* CM_OK, or CM_TOO_LARGE with "<what> is larger than N bytes". */
CM_MUST_USE enum cm_code cm_buf_check(const struct cm_buf *b, const char *what, struct cm_err *err);
