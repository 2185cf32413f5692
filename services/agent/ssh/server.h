/* The agent's side of SSH: each connection gets a child process (ssh/child.h), whose bytes are
 * passed through and whose sessions are counted. */
#pragma once

#include "context.h"
#include "net/stream.h"
#include "stats/stats.h"

struct ssh_server;

struct ssh_server *ssh_server_new(const struct agent_context *ctx, struct agent_counters *counters);
/* Ends what is left, at once. */
void ssh_server_free(struct ssh_server *s);
/* Takes the stream; on failure it is closed. */
CM_MUST_USE enum cm_code ssh_server_accept(struct ssh_server *s, struct cm_stream *stream,
                                           struct cm_err *err);
/* May another connection be taken? */
CM_MUST_USE enum cm_code ssh_server_check(const struct ssh_server *s, struct cm_err *err);
/* No new connections; done when the last one has ended, or grace is over. Never inside this call.
 */
void ssh_server_stop(struct ssh_server *s, cm_usec grace, void (*done)(void *ctx), void *ctx);
