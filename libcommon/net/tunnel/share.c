#include "net/tunnel/share.h"

#include <stdatomic.h>

#include <event2/buffer.h>

#define FAIR_PART 4 /* what is referred to is at least a quarter of what is kept */

struct share {
    struct evbuffer *buf;
    size_t len;
    _Atomic(unsigned) refs; /* buffers may end up on another loop */
};

struct share *share_take(struct evbuffer *b, size_t len)
{
    struct share *s = cm_xcalloc(1, sizeof(*s));
    s->buf = evbuffer_new();
    cm_assert(s->buf && evbuffer_remove_buffer(b, s->buf, len) == (int)len);
    s->len = len;
    s->refs = 1;
    return s;
}

void share_unref(struct share *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    evbuffer_free(s->buf);
    cm_free(s);
}

static void on_reference_gone(const void *data, size_t len, void *arg)
{
    (void)data;
    (void)len;
    share_unref(arg);
}

void share_append(struct share *s, struct evbuffer *out, const void *data, size_t len)
{
    if (!s || len < SHARE_MIN || len * FAIR_PART < s->len) {
        evbuffer_add(out, data, len);
        return;
    }
    atomic_fetch_add(&s->refs, 1);
    cm_assert(evbuffer_add_reference(out, data, len, on_reference_gone, s) == 0);
}

void share_split_first(struct evbuffer *b, size_t max)
{
    struct evbuffer_iovec v;
    if (evbuffer_peek(b, -1, NULL, &v, 1) < 1 || v.iov_len <= max)
        return;
    struct share *s = share_take(b, v.iov_len);
    struct evbuffer *pieces = evbuffer_new();
    cm_assert(pieces);
    for (size_t off = 0, n; off < v.iov_len; off += n) {
        n = CM_MIN(max, v.iov_len - off);
        atomic_fetch_add(&s->refs, 1);
        cm_assert(
            evbuffer_add_reference(pieces, (char *)v.iov_base + off, n, on_reference_gone, s) == 0);
    }
    evbuffer_prepend_buffer(b, pieces);
    evbuffer_free(pieces);
    share_unref(s);
}
