#include "pty/ring.h"

void ring_init(struct ring *r, size_t cap)
{
    *r = (struct ring){.mem = cm_xmalloc(cap), .cap = cap};
}

void ring_done(struct ring *r)
{
    cm_free(r->mem);
    *r = (struct ring){0};
}

void ring_add(struct ring *r, const void *data, size_t len)
{
    const char *p = data;
    if (len > r->cap) {
        p += len - r->cap;
        len = r->cap;
    }
    size_t end = (r->start + r->len) % r->cap;
    size_t first = CM_MIN(len, r->cap - end);
    memcpy(r->mem + end, p, first);
    memcpy(r->mem, p + first, len - first);
    r->len += len;
    if (r->len > r->cap) {
        r->start = (r->start + r->len - r->cap) % r->cap;
        r->len = r->cap;
    }
}

void ring_view(const struct ring *r, struct cm_str parts[2])
{
    size_t first = CM_MIN(r->len, r->cap - r->start);
    parts[0] = cm_str_n(r->mem + r->start, first);
    parts[1] = cm_str_n(r->mem, r->len - first);
}
