/* Chunks of an evbuffer that several buffers hold parts of, so that cutting a large chunk into
 * frames, or frames out of one, copies nothing. */
#pragma once

#include "base/defs.h"

struct evbuffer;
struct share;

/* Below this copying is cheaper, and keeping a large chunk for a small part of it would cost
 * memory. */
#define SHARE_MIN ((size_t)8 * 1024)

/* Takes the first chunk, of len bytes, out of b. */
struct share *share_take(struct evbuffer *b, size_t len);
void share_unref(struct share *s);
/* Appends bytes of the chunk: by reference when they are a fair part of it, else a copy. s may be
 * NULL: a copy. */
void share_append(struct share *s, struct evbuffer *out, const void *data, size_t len);
/* Cuts b's first chunk into pieces of at most max, which then can be moved one by one. */
void share_split_first(struct evbuffer *b, size_t max);
