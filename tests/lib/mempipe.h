/* For tests: two streams in memory that are the ends of one connection, which can be slowed,
 * silenced and broken. */
#pragma once

#include "net/stream.h"

struct mempipe;

/* Freed when both ends are closed. chunk: bytes that move per turn and direction; 0: all. */
struct mempipe *mempipe_new(struct cm_loop *loop, size_t chunk, struct cm_stream *ret_ends[2]);
/* Breaks it: what has not been delivered is lost, both ends fail on the next turn. */
void mempipe_cut(struct mempipe *p);
/* Breaks it as soon as n bytes more, both directions together, have been delivered. */
void mempipe_cut_after(struct mempipe *p, size_t n);
/* Nothing moves any more, and nobody is told. */
void mempipe_silence(struct mempipe *p, bool silent);
size_t mempipe_delivered(const struct mempipe *p);
/* What end i (of ret_ends) has sent and not got through yet. */
struct evbuffer *mempipe_pending(struct mempipe *p, int i);
/* Pipes of this process that are not freed yet. */
size_t mempipe_alive(void);
