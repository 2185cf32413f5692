/* Log lines on their way to coderd: a bounded queue for each source, sent in batches.
 *
 * A line is queued, grouped for a second, and kept until coderd has confirmed it; each has a
 * number, so that a batch that is sent twice changes nothing twice. When coderd says that the agent
 * has used up its space, or when the queue overflows while there is no connection, no more is
 * taken. Lives on one loop. */
#pragma once

#include "base/str.h"
#include "base/time.h"
#include "base/uuid.h"
#include "loop/loop.h"

#define LOGS_QUEUE_MAX ((size_t)1024 * 1024)
#define LOGS_BATCH_MAX                                                                             \
    ((size_t)512 * 1024) /* must fit into one RPC message together with its framing */
#define LOGS_BATCH_LINES 2048
#define LOGS_LINE_COST   21 /* what a line counts besides its text */
#define LOGS_SOURCES_MAX 256

struct cm_rpc_client;
struct logs;

struct logs *logs_new(struct cm_loop *loop, struct cm_rpc_client *rpc); /* both borrowed */
void logs_free(struct logs *l);                                         /* nothing more is sent */

/* Takes one line, without its line break. Bytes that are not UTF-8, and NUL, become visible marks.
 * level: trace, debug, info, warn, error. */
void logs_add(struct logs *l, struct cm_uuid source, const char *level, struct cm_time at,
              struct cm_str text);
/* Sends now what waits. */
void logs_flush(struct logs *l);
bool logs_empty(const struct logs *l); /* everything was confirmed, or is not wanted */
/* Calls fn once when that is so: now, or later. The last one who asks is told. */
void logs_when_empty(struct logs *l, void (*fn)(void *ctx), void *ctx);
