/* A session with an agent: tickets, paths through the deployment, and taking another path when one
 * is lost. Lives on the session's loop (cm_sdk_loop), which the caller turns. */
#pragma once

#include "cli.h"
#include "net/session/session.h"

struct remote_link;

/* kinds: bits of cm_kind_bit, all that will be opened. The first ticket is fetched here, blocking,
 * so that what the server has to say is an ordinary error. */
CM_MUST_USE enum cm_code remote_link_new(struct cli *cli, struct cm_uuid agent, uint32_t kinds,
                                         struct remote_link **ret, struct cm_err *err);
void remote_link_free(struct remote_link *l);
CM_DEFINE_CLEANUP(remote_link, remote_link_free)
struct cm_stream *remote_link_open(struct remote_link *l, enum cm_kind kind, const char *arg);
enum cm_session_state remote_link_state(const struct remote_link *l);
/* Why the session has ended; only then. */
const struct cm_err *remote_link_err(const struct remote_link *l);
/* Says on stderr when the connection is lost and when it is back. */
void remote_link_set_chatty(struct remote_link *l, bool chatty);
/* SIGINT, SIGTERM and SIGHUP, where they are not ignored, end the program from now on: before (may
 * be NULL) runs on the loop, the agent is told, so that what runs there ends as well, and the exit
 * status is what shells make of the signal. */
void remote_link_end_by_signals(struct remote_link *l, void (*before)(void));
