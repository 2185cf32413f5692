/* Streams that only measure: echo for round trips, speed for throughput. */
#pragma once

#include "net/stream.h"

struct measures;

struct measures *measures_new(struct cm_loop *loop);
void measures_free(struct measures *m);
/* Take the stream. Echo sends back what comes. */
void measure_echo(struct measures *m, struct cm_stream *s);
/* down: sends until the peer is gone, 30 s at most. Otherwise reads all that comes and then ends.
 */
void measure_speed(struct measures *m, struct cm_stream *s, bool down);
