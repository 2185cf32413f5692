/* What the agent does with a stream that somebody opens to it, in a client's session or straight in
 * the tunnel. */
#pragma once

#include "context.h"
#include "net/session/ticket.h"
#include "net/tunnel/tunnel.h"
#include "pty/pty.h"
#include "ssh/server.h"

struct services;

struct services_config {
    const struct agent_context *ctx;
    struct agent_counters *counters;
    struct ssh_server *ssh;
    struct ptys *ptys;
};

struct services *services_new(const struct services_config *cfg, struct cm_err *err);
void services_free(struct services *s); /* ends what runs */
/* Answers the call, now or later. arg is borrowed for this call. */
void services_accept(struct services *s, struct cm_tunnel_call *call, enum cm_kind kind,
                     struct cm_str arg);
