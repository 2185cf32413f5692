/* Connections that begin in the workspace and end here, over one SSH session: to the key agent of
 * this machine, and to addresses for which the workspace listens (-R). Belongs to the thread that
 * runs the session. */
#pragma once

#include <libssh/libssh.h>
#include <poll.h>

#include "base/arena.h"
#include "net/dial/resolve.h"

#define FORWARDS_MAX      64 /* connections at a time; more are refused */
#define FORWARD_RULES_MAX 64

/* "Listen there, connect here". */
struct forward_rule {
    uint16_t port; /* of the workspace's loopback; never 0 */
    const char *host;
    uint16_t local_port;
    struct cm_addr to; /* of host and local_port */
};
/* "port:host:port", as far as it can be read without asking for names: to is left empty. */
CM_MUST_USE enum cm_code forward_rule_parse(struct cm_arena *a, const char *text,
                                            struct forward_rule *ret, struct cm_err *err);
/* Looks up each host; turns the loop meanwhile. */
CM_MUST_USE enum cm_code forward_rules_resolve(struct cm_loop *loop, struct forward_rule *v,
                                               size_t n, struct cm_err *err);

struct forwards;
struct forwards *forwards_new(ssh_session session);
/* Before the session is freed. NULL is fine. */
void forwards_free(struct forwards *f);
/* Has the workspace listen. r is borrowed while f lives. Blocks for the answer. */
CM_MUST_USE enum cm_code forwards_listen(struct forwards *f, const struct forward_rule *r,
                                         struct cm_err *err);
/* A channel joined to the unix socket at path, for a request to open one; NULL: refuse it. */
ssh_channel forwards_open(struct forwards *f, const char *path);
/* What to poll for: at most FORWARDS_MAX entries. */
size_t forwards_poll(struct forwards *f, struct pollfd *fds);
/* Takes new connections and moves what can be moved without waiting. Before any poll. */
void forwards_pass(struct forwards *f);
