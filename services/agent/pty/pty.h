/* Web terminals: a terminal by an id of its own, that outlives the connections that show it.
 *
 * Whoever attaches gets what the terminal last printed (64 KiB), then what it prints. Several may
 * attach at once; all may type. Five minutes after the last one has gone, the terminal ends. The
 * wire format is in proto/rpc/agent_tunnel.proto. */
#pragma once

#include "base/uuid.h"
#include "context.h"
#include "net/stream.h"
#include "stats/stats.h"

struct ptys;

struct ptys *ptys_new(const struct agent_context *ctx, struct agent_counters *counters);
void ptys_free(struct ptys *p); /* hangs up on all */

struct pty_request {
    struct cm_uuid id;
    unsigned height, width;
    struct cm_str command; /* empty: a login shell */
};
/* Parses "<id>?height=..&width=..&command=...": decoded, from outside. text is borrowed by *ret. */
CM_MUST_USE enum cm_code pty_request_parse(struct cm_str text, struct pty_request *ret,
                                           struct cm_err *err);

/* Makes the terminal unless it exists, so that attaching cannot fail any more. */
CM_MUST_USE enum cm_code ptys_prepare(struct ptys *p, const struct pty_request *rq,
                                      struct cm_err *err);
/* Takes the stream. */
void ptys_attach(struct ptys *p, const struct pty_request *rq, struct cm_stream *stream);
