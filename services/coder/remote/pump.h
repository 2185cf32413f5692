/* Bytes between a stream and two descriptors: standard input goes in, what comes out goes to
 * standard output. */
#pragma once

#include "net/stream.h"

struct pump;
/* Takes the stream; the descriptors are borrowed and become non-blocking until the end. done runs
 * once: with err when the stream broke. The input's end is a half close; the stream's end is the
 * end of all. */
struct pump *pump_new(struct cm_stream *s, int in_fd, int out_fd,
                      void (*done)(void *ctx, const struct cm_err *err), void *ctx);
void pump_free(struct pump *p);
/* Bytes so far: from standard input, and to standard output. */
void pump_count(const struct pump *p, uint64_t *ret_in, uint64_t *ret_out);
