#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_EACH_OWN_BLOCK 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_EACH_OWN_BLOCK 1
#endif
#endif
#ifndef ARENA_EACH_OWN_BLOCK
#define ARENA_EACH_OWN_BLOCK 0
#endif

#define CHUNK_FIRST 4096
#define CHUNK_MAX   (256 * 1024)

struct chunk {
    struct chunk *next;
    size_t size, used;
    _Alignas(16) unsigned char data[];
};

struct deferred {
    struct deferred *next;
    void (*fn)(void *);
    void *ptr;
};

struct cm_arena {
    struct chunk *chunks;
    struct deferred *deferred;
    size_t next_size;
};

struct cm_arena *cm_arena_new(void)
{
    struct cm_arena *a = cm_xcalloc(1, sizeof(*a));
    a->next_size = CHUNK_FIRST;
    return a;
}

void cm_arena_free(struct cm_arena *a)
{
    if (!a)
        return;
    for (struct deferred *d = a->deferred; d; d = d->next)
        d->fn(d->ptr);
    for (struct chunk *c = a->chunks, *next; c; c = next) {
        next = c->next;
        cm_free(c);
    }
    cm_free(a);
}

size_t cm_arena_size(const struct cm_arena *a)
{
    size_t n = sizeof(*a);
    for (const struct chunk *c = a->chunks; c; c = c->next)
        n += sizeof(*c) + c->size;
    return n;
}

static struct chunk *chunk_add(struct cm_arena *a, size_t size)
{
    size_t bytes;
    cm_assert(!__builtin_add_overflow(size, sizeof(struct chunk), &bytes));
    struct chunk *c = cm_xmalloc(bytes);
    c->size = size;
    c->used = 0;
    c->next = a->chunks;
    a->chunks = c;
    return c;
}

void *cm_arena_alloc(struct cm_arena *a, size_t n)
{
    cm_assert(n < SIZE_MAX / 2);
    size_t need = ARENA_EACH_OWN_BLOCK ? n : (n + 15) & ~(size_t)15;
    struct chunk *c = ARENA_EACH_OWN_BLOCK ? chunk_add(a, n ? n : 1) : a->chunks;
    if (!c || c->size - c->used < need) {
        if (need > a->next_size / 2) {
            /* A big block gets a chunk of its own behind the current one, which stays in use. */
            struct chunk *big = chunk_add(a, need);
            if (c) {
                a->chunks = c;
                big->next = c->next;
                c->next = big;
            }
            big->used = need;
            memset(big->data, 0, need);
            return big->data;
        }
        c = chunk_add(a, a->next_size);
        a->next_size = CM_MIN(a->next_size * 2, (size_t)CHUNK_MAX);
    }
    void *p = c->data + c->used;
    c->used += need;
    memset(p, 0, need);
    return p;
}

void *cm_arena_array(struct cm_arena *a, size_t n, size_t size)
{
    size_t bytes;
    cm_assert(!__builtin_mul_overflow(n, size, &bytes));
    return cm_arena_alloc(a, bytes);
}

char *cm_arena_cstr(struct cm_arena *a, struct cm_str s)
{
    char *p = cm_arena_alloc(a, s.len + 1);
    if (s.len)
        memcpy(p, s.ptr, s.len);
    return p;
}

struct cm_str cm_arena_str(struct cm_arena *a, struct cm_str s)
{
    return (struct cm_str){cm_arena_cstr(a, s), s.len};
}

char *cm_arena_vprintf(struct cm_arena *a, const char *fmt, va_list ap)
{
    va_list measure;
    va_copy(measure, ap);
    int n = vsnprintf(NULL, 0, fmt, measure);
    va_end(measure);
    cm_assert(n >= 0);
    char *p = cm_arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    return p;
}

char *cm_arena_printf(struct cm_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *p = cm_arena_vprintf(a, fmt, ap);
    va_end(ap);
    return p;
}

struct cm_str cm_arena_fmt(struct cm_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *p = cm_arena_vprintf(a, fmt, ap);
    va_end(ap);
    return cm_str(p);
}

void cm_arena_defer(struct cm_arena *a, void (*fn)(void *), void *ptr)
{
    struct deferred *d = cm_arena_alloc(a, sizeof(*d));
    d->fn = fn;
    d->ptr = ptr;
    d->next = a->deferred;
    a->deferred = d;
}
