/* The agent's tunnel to coderd: dialled by us, kept up, the HTTP/2 server on it. When coderd asks
 * us to move, another is opened beside the old one, whose streams run on. */
#pragma once

#include "context.h"
#include "link/services.h"
#include "net/session/session.h"

struct cm_httpc;
struct uplink;

struct uplink_config {
    const struct agent_context *ctx;
    struct cm_httpc *http;
    struct services *services;
    struct cm_session_server *sessions;
    struct cm_str token;                   /* copied, wiped */
    const struct cm_httpc_header *headers; /* extra ones of the options; borrowed */
    size_t n_headers;
    void (*manifest_changed)(void *ctx);
    void *cb_ctx;
};

struct uplink *uplink_new(const struct uplink_config *cfg);
/* Leaves at once. */
void uplink_free(struct uplink *u);
/* Begins to connect, or hurries it. */
void uplink_start(struct uplink *u);
/* Takes no new streams. */
void uplink_drain(struct uplink *u);
