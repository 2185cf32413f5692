#include "base/buf.h"

#include <stdio.h>
#include <string.h>

void cm_buf_init(struct cm_buf *b, size_t max)
{
    *b = CM_BUF_INIT(max);
}

static void drop_memory(struct cm_buf *b)
{
    if (b->wipe && b->ptr)
        explicit_bzero(b->ptr, b->cap);
    cm_free(b->ptr);
    b->ptr = NULL;
    b->cap = 0;
}

void cm_buf_done(struct cm_buf *b)
{
    drop_memory(b);
    b->len = 0;
}

void cm_buf_reset(struct cm_buf *b)
{
    if (b->wipe && b->ptr)
        explicit_bzero(b->ptr, b->len);
    b->len = 0;
    b->failed = false;
    if (b->ptr)
        b->ptr[0] = '\0';
}

char *cm_buf_reserve(struct cm_buf *b, size_t n)
{
    if (b->failed)
        return NULL;
    if (n > b->max || b->len > b->max - n) {
        b->failed = true;
        return NULL;
    }
    size_t need = b->len + n + 1;
    if (need > b->cap) {
        size_t cap = b->cap ? b->cap : 64;
        while (cap < need)
            cap += cap / 2 + 16;
        if (b->wipe) {
            char *p = cm_xmalloc(cap);
            if (b->len)
                memcpy(p, b->ptr, b->len);
            drop_memory(b);
            b->ptr = p;
        } else {
            b->ptr = cm_xrealloc_array(b->ptr, cap, 1);
        }
        b->cap = cap;
    }
    return b->ptr + b->len;
}

void cm_buf_commit(struct cm_buf *b, size_t n)
{
    cm_assert(b->cap - b->len > n);
    b->len += n;
    b->ptr[b->len] = '\0';
}

void cm_buf_append(struct cm_buf *b, const void *data, size_t len)
{
    char *p = cm_buf_reserve(b, len);
    if (!p)
        return;
    if (len)
        memcpy(p, data, len);
    cm_buf_commit(b, len);
}

void cm_buf_cstr(struct cm_buf *b, const char *s)
{
    cm_buf_append(b, s, strlen(s));
}

void cm_buf_char(struct cm_buf *b, char c)
{
    cm_buf_append(b, &c, 1);
}

void cm_buf_fill(struct cm_buf *b, struct cm_str text, const struct cm_str *marks,
                 const struct cm_str *texts, size_t n)
{
    while (text.len) {
        size_t i = 0;
        while (i < n && !cm_str_starts(text, marks[i]))
            i++;
        if (i < n) {
            cm_buf_str(b, texts[i]);
            text = cm_str_sub(text, marks[i].len, text.len);
        } else {
            cm_buf_char(b, text.ptr[0]);
            text = cm_str_sub(text, 1, text.len);
        }
    }
}

void cm_buf_printf(struct cm_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    cm_assert(n >= 0);
    char *p = cm_buf_reserve(b, (size_t)n);
    if (!p)
        return;
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    cm_buf_commit(b, (size_t)n);
}

void cm_buf_i64(struct cm_buf *b, int64_t v)
{
    char digits[20]; /* 19 digits and a sign */
    size_t at = sizeof(digits);
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do {
        digits[--at] = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (v < 0)
        digits[--at] = '-';
    cm_buf_append(b, digits + at, sizeof(digits) - at);
}

void cm_buf_drop_front(struct cm_buf *b, size_t n)
{
    cm_assert(n <= b->len);
    if (n == 0)
        return;
    memmove(b->ptr, b->ptr + n, b->len - n);
    b->len -= n;
    b->ptr[b->len] = '\0';
}

char *cm_buf_take(struct cm_buf *b)
{
    char *p = b->ptr ? b->ptr : cm_xstrdup("");
    b->ptr = NULL;
    b->len = b->cap = 0;
    return p;
}

enum cm_code cm_buf_check(const struct cm_buf *b, const char *what, struct cm_err *err)
{
    if (!b->failed)
        return CM_OK;
    return cm_err_set(err, CM_TOO_LARGE, "%s is larger than %zu bytes", what, b->max);
}
