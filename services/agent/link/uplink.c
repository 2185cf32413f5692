#include "link/uplink.h"

#include "agent_tunnel.pb-c.h"
#include "base/enc.h"
#include "base/list.h"
#include "base/random.h"
#include "base/secret.h"
#include "net/dial/http_client.h"
#include "obs/log.h"
#include "ports/ports.h"

#define BACKOFF_MIN  (100 * CM_MSEC)
#define BACKOFF_MAX  (10 * CM_SECOND)
#define DIAL_TIMEOUT (30 * CM_SECOND)
#define PORTS_CACHE  CM_SECOND
#define HEADERS_MAX  32

struct tunnel {
    struct cm_link link;
    struct uplink *u;
    struct cm_tunnel *t;
    bool draining;
};

struct uplink {
    struct uplink_config cfg;
    char *token;
    struct cm_link tunnels;
    struct cm_httpc_call *call;
    struct cm_timer retry;
    cm_usec backoff;
    bool stopping;
    enum cm_code last_error; /* the same one is logged once */
    struct listening_port *ports;
    size_t n_ports;
    cm_usec ports_at;
};

static bool is_connected(const struct uplink *u)
{
    CM_LIST_EACH(l, &u->tunnels)
    if (!cm_container_of(l, struct tunnel, link)->draining)
        return true;
    return false;
}

/* What comes in. */

static void list_ports(struct uplink *u, struct cm_tunnel_call *call)
{
    struct cm_err err;
    if (!u->ports_at || cm_monotonic_now() - u->ports_at >= PORTS_CACHE) {
        if (!u->ports)
            u->ports = cm_xcalloc(PORTS_MAX, sizeof(*u->ports));
        if (ports_list(u->ports, PORTS_MAX, &u->n_ports, &err) != CM_OK) {
            cm_tunnel_call_refuse(call, &err);
            return;
        }
        u->ports_at = cm_monotonic_now();
    }
    CM_AUTO(cm_arena) a = cm_arena_new();
    static char tcp[] = "tcp";
    Coder__Agent__V1__ListeningPorts m = CODER__AGENT__V1__LISTENING_PORTS__INIT;
    m.ports = CM_NEW_ARRAY(a, Coder__Agent__V1__ListeningPort *, u->n_ports);
    for (; m.n_ports < u->n_ports; m.n_ports++) {
        Coder__Agent__V1__ListeningPort *p = CM_NEW(a, Coder__Agent__V1__ListeningPort);
        coder__agent__v1__listening_port__init(p);
        p->port = u->ports[m.n_ports].port;
        p->process_name = u->ports[m.n_ports].process;
        p->network = tcp;
        m.ports[m.n_ports] = p;
    }
    size_t n = coder__agent__v1__listening_ports__get_packed_size(&m);
    uint8_t *packed = cm_arena_alloc(a, n + 1);
    coder__agent__v1__listening_ports__pack(&m, packed);
    cm_tunnel_call_respond(call, 200, "application/x-protobuf", cm_str_n(packed, n));
}

static void not_found(struct cm_tunnel_call *call)
{
    struct cm_err err;
    cm_err_set(&err, CM_NOT_FOUND, "the agent has nothing of that name");
    cm_tunnel_call_refuse(call, &err);
}

static void on_request(struct uplink *u, struct cm_tunnel_call *call)
{
    struct cm_str method = cm_tunnel_call_method(call), path = cm_tunnel_call_path(call);
    if (cm_str_eq_c(method, "GET") && cm_str_eq_c(path, "/listening-ports")) {
        list_ports(u, call);
    } else if (cm_str_eq_c(method, "POST") && cm_str_eq_c(path, "/manifest-changed")) {
        cm_tunnel_call_respond(call, 204, NULL, CM_STR_NONE);
        u->cfg.manifest_changed(u->cfg.cb_ctx);
    } else {
        not_found(call);
    }
}

static void on_call(void *ctx, struct cm_tunnel_call *call)
{
    struct tunnel *tn = ctx;
    struct uplink *u = tn->u;
    struct cm_str protocol = cm_tunnel_call_protocol(call), path = cm_tunnel_call_path(call);
    if (!protocol.len) {
        on_request(u, call);
        return;
    }
    if (cm_str_eq_c(protocol, CM_SESSION_PROTOCOL)) {
        cm_session_server_call(u->cfg.sessions, call);
        return;
    }
    /* coderd itself is the end of these: it has checked who asks. SSH comes in sessions only. */
    enum cm_kind kind = cm_kind_parse(protocol);
    CM_AUTOBUF struct cm_buf arg = CM_BUF_INIT(CM_TUNNEL_PATH_MAX);
    if (kind == CM_KIND_SSH || kind == CM_KIND_UNSET || path.len < 1 ||
        !cm_percent_decode(&arg, cm_str_sub(path, 1, path.len), false))
        not_found(call);
    else
        services_accept(u->cfg.services, call, kind, cm_buf_view(&arg));
}

/* Keeping it up. */

static void retry_later(struct uplink *u)
{
    if (u->stopping)
        return;
    cm_timer_start(&u->retry,
                   u->backoff / 2 + (cm_usec)cm_random_below((uint64_t)u->backoff / 2 + 1));
    u->backoff = CM_MIN(u->backoff * 2, BACKOFF_MAX);
}

static void on_draining(void *ctx, struct cm_tunnel *t)
{
    (void)t;
    struct tunnel *tn = ctx;
    tn->draining = true;
    tn->u->backoff = BACKOFF_MIN;
    uplink_start(tn->u);
}

static void on_closed(void *ctx, struct cm_tunnel *t, const struct cm_err *why)
{
    struct tunnel *tn = ctx;
    struct uplink *u = tn->u;
    if (why->code != CM_END)
        CM_INFO("the tunnel to coderd is gone", CM_F_ERR(why));
    cm_tunnel_free(t);
    cm_list_unlink(&tn->link);
    cm_free(tn);
    if (!is_connected(u) && !u->call)
        retry_later(u);
}

static void on_answer(void *ctx, struct cm_httpc_answer *answer, const struct cm_err *err)
{
    CM_AUTO(cm_httpc_answer) owned = answer;
    struct uplink *u = ctx;
    u->call = NULL;
    struct cm_err why = {0};
    if (!owned)
        why = *err;
    else if (owned->status != 101 || !owned->stream)
        cm_err_set(&why, owned->status == 401 ? CM_UNAUTHENTICATED : CM_PROTOCOL,
                   "coderd answers the tunnel's request with %d %.*s%s", owned->status,
                   CM_STR_ARG(owned->reason),
                   owned->status == 200 ? ": something on the way does not pass upgrades on" : "");
    if (why.code != CM_OK) {
        if (why.code != u->last_error)
            CM_WARN("no tunnel to coderd yet", CM_F_ERR(&why));
        u->last_error = why.code;
        retry_later(u);
        return;
    }
    struct tunnel *tn = cm_xcalloc(1, sizeof(*tn));
    tn->u = u;
    struct cm_tunnel_config cfg = {
        .call = on_call, .draining = on_draining, .closed = on_closed, .ctx = tn};
    tn->t = cm_tunnel_server_new(CM_TAKE(owned->stream), &cfg);
    cm_list_push(&u->tunnels, &tn->link);
    u->backoff = BACKOFF_MIN;
    u->last_error = CM_OK;
    CM_INFO("the tunnel to coderd is up");
}

static void on_retry(void *ctx)
{
    uplink_start(ctx);
}

void uplink_start(struct uplink *u)
{
    if (u->call || u->stopping || is_connected(u))
        return;
    cm_timer_stop(&u->retry);
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_str base = cm_str(u->cfg.ctx->opt->url);
    while (base.len && base.ptr[base.len - 1] == '/')
        base.len--;
    struct cm_httpc_header headers[HEADERS_MAX] = {
        {CM_STR("Coder-Session-Token"), cm_str(u->token)}};
    size_t n = 1;
    for (size_t i = 0; i < u->cfg.n_headers && n < HEADERS_MAX; i++)
        headers[n++] = u->cfg.headers[i];
    struct cm_httpc_req q = {
        .url = cm_arena_fmt(a, "%.*s/api/v2/workspaceagents/me/tunnel", CM_STR_ARG(base)),
        .headers = headers,
        .n_headers = n,
        .upgrade = "coder-tunnel",
        .timeout = DIAL_TIMEOUT,
    };
    u->call = cm_httpc_start(u->cfg.http, &q, on_answer, u);
}

void uplink_drain(struct uplink *u)
{
    u->stopping = true;
    cm_timer_stop(&u->retry);
    cm_httpc_cancel(u->call);
    u->call = NULL;
    CM_LIST_EACH(l, &u->tunnels)
    cm_tunnel_drain(cm_container_of(l, struct tunnel, link)->t);
}

struct uplink *uplink_new(const struct uplink_config *cfg)
{
    struct uplink *u = cm_xcalloc(1, sizeof(*u));
    u->cfg = *cfg;
    u->token = cm_str_xdup(cfg->token);
    u->backoff = BACKOFF_MIN;
    cm_list_init(&u->tunnels);
    cm_timer_init(&u->retry, cfg->ctx->loop, on_retry, u);
    return u;
}

void uplink_free(struct uplink *u)
{
    if (!u)
        return;
    u->stopping = true;
    cm_httpc_cancel(u->call);
    cm_timer_done(&u->retry);
    CM_LIST_EACH(l, &u->tunnels)
    {
        struct tunnel *tn = cm_container_of(l, struct tunnel, link);
        cm_tunnel_free(tn->t);
        cm_free(tn);
    }
    cm_secret_wipe(u->token, strlen(u->token));
    cm_free(u->token);
    cm_free(u->ports);
    cm_free(u);
}
