/* The last bytes of a stream. */
#pragma once

#include "base/str.h"

struct ring {
    char *mem;
    size_t cap, start, len;
};

void ring_init(struct ring *r, size_t cap);
void ring_done(struct ring *r);
void ring_add(struct ring *r, const void *data, size_t len); /* the oldest bytes make room */
/* The content, oldest first, in up to two parts; borrowed until the next ring_add. */
void ring_view(const struct ring *r, struct cm_str parts[2]);
