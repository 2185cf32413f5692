/* The agent's end of sessions: checks tickets, finds or makes carriers, and hands out streams. */
#include "net/session/session.h"

#include <openssl/ssl.h>

#include "base/enc.h"
#include "base/map.h"
#include "base/secret.h"
#include "net/session/carrier.h"
#include "net/session/tls.h"

#define MAX_SESSIONS   128
#define IDLE_TIMEOUT   CM_MINUTE
#define HANDSHAKE_TIME (30 * CM_SECOND)

struct cm_session_server {
    struct cm_loop *loop;
    struct cm_session_server_config cfg;
    struct cm_ticket_public keys[CM_TICKET_KEYS_MAX];
    size_t n_keys;
    struct cm_map *sessions; /* by the 16 bytes of the carrier's id */
};

struct session {
    struct cm_session_server *server;
    struct cm_uuid id;
    struct cm_carrier *carrier; /* owned by the tunnel's transport */
    struct cm_tunnel *tunnel;
    struct cm_ticket ticket; /* of the latest path */
    bool up;
    struct cm_timer handshake;
};

static struct cm_str key_of(const struct cm_uuid *id)
{
    return cm_str_n(id->b, sizeof(id->b));
}

static void session_free(struct session *x)
{
    cm_map_remove(x->server->sessions, key_of(&x->id));
    cm_timer_done(&x->handshake);
    cm_tunnel_free(x->tunnel);
    cm_free(x);
}

static void on_closed(void *ctx, struct cm_tunnel *t, const struct cm_err *why)
{
    (void)t;
    (void)why;
    session_free(ctx);
}

static void on_handshake_time(void *ctx)
{
    session_free(ctx);
}

static void on_up(void *ctx, struct cm_stream *tls)
{
    (void)tls;
    struct session *x = ctx;
    x->up = true;
    cm_timer_stop(&x->handshake);
}

static enum cm_code may_open(const struct session *x, enum cm_kind kind, struct cm_str protocol,
                             struct cm_err *err)
{
    if (kind == CM_KIND_UNSET)
        return cm_err_set(err, CM_UNIMPLEMENTED, "no such kind of stream: %.*s",
                          (int)CM_MIN(protocol.len, 32u), protocol.ptr);
    if (!(x->ticket.kinds & cm_kind_bit(kind)))
        return cm_err_set(err, CM_DENIED, "the ticket does not allow %s streams",
                          cm_kind_name(kind));
    return CM_OK;
}

static void on_call(void *ctx, struct cm_tunnel_call *call)
{
    struct session *x = ctx;
    struct cm_err err;
    struct cm_str path = cm_tunnel_call_path(call), protocol = cm_tunnel_call_protocol(call);
    if (protocol.len == 0) {
        cm_err_set(&err, CM_NOT_FOUND, "a session has streams only");
        cm_tunnel_call_refuse(call, &err);
        return;
    }
    enum cm_kind kind = cm_kind_parse(protocol);
    CM_AUTOBUF struct cm_buf arg = CM_BUF_INIT(CM_TUNNEL_PATH_MAX);
    cm_buf_cstr(&arg, "");
    if (may_open(x, kind, protocol, &err) != CM_OK) {
        cm_tunnel_call_refuse(call, &err);
    } else if (path.len == 0 || path.ptr[0] != '/' ||
               !cm_percent_decode(&arg, cm_str_sub(path, 1, path.len - 1), false)) {
        cm_err_set(&err, CM_INVALID, "the path of a stream is / and its percent-encoded argument");
        cm_tunnel_call_refuse(call, &err);
    } else {
        x->server->cfg.accept(x->server->cfg.ctx, call, kind, cm_buf_view(&arg), &x->ticket);
    }
}

static enum cm_code session_new(struct cm_session_server *s, struct cm_uuid id,
                                const struct cm_ticket *ticket, struct session **ret,
                                struct cm_err *err)
{
    struct session *x = cm_xcalloc(1, sizeof(*x));
    struct ssl_st *ssl = NULL;
    x->ticket = *ticket;
    if (cm_session_identity_ssl(s->cfg.id, x->ticket.client_cert_sha256, &ssl, err) != CM_OK) {
        cm_free(x);
        return err->code;
    }
    x->server = s;
    x->id = id;
    const struct cm_carrier_config cc = {
        .id = id,
        .linger = s->cfg.linger,
        .ping_interval = -1,
        .idle_timeout = s->cfg.idle_timeout,
    };
    x->carrier = cm_carrier_new(s->loop, &cc);
    const struct cm_tunnel_config tc = {
        .ping_interval = -1,
        .max_streams = s->cfg.max_streams,
        .call = on_call,
        .closed = on_closed,
        .ctx = x,
    };
    x->tunnel = cm_tunnel_server_new(
        cm_tls_stream_new(cm_carrier_stream(x->carrier), ssl, true, on_up, x), &tc);
    cm_timer_init(&x->handshake, s->loop, on_handshake_time, x);
    cm_timer_start(&x->handshake, HANDSHAKE_TIME);
    cm_map_put(s->sessions, key_of(&id), x);
    *ret = x;
    return CM_OK;
}

/* The session that a path is for: one that runs, whose owner comes back, or a new one. */
static enum cm_code find(struct cm_session_server *s, struct cm_uuid id, uint64_t offset,
                         struct cm_str text, struct session **ret, struct cm_err *err)
{
    struct cm_ticket t;
    if (cm_ticket_verify(text, s->keys, s->n_keys, &s->cfg.agent_id, cm_time_now(), &t, err) !=
        CM_OK)
        return err->code;
    struct session *x = cm_map_get(s->sessions, key_of(&id));
    if (!x) {
        if (offset)
            return cm_err_set(err, CM_GONE,
                              "the agent no longer has this session; it may have restarted");
        if (cm_map_count(s->sessions) >= s->cfg.max_sessions)
            return cm_err_set(err, CM_UNAVAILABLE,
                              "the agent already has %u sessions, the most it takes",
                              s->cfg.max_sessions);
        return session_new(s, id, &t, ret, err);
    }
    if (!cm_secret_eq(t.client_cert_sha256, x->ticket.client_cert_sha256, CM_SHA256_LEN) ||
        !cm_uuid_eq(t.user_id, x->ticket.user_id))
        return cm_err_set(err, CM_DENIED, "this session is somebody else's");
    if (!cm_carrier_can_resume(x->carrier, offset))
        return cm_err_set(err, CM_GONE, "the agent no longer has the bytes from offset %llu on",
                          (unsigned long long)offset);
    x->ticket = t;
    *ret = x;
    return CM_OK;
}

void cm_session_server_call(struct cm_session_server *s, struct cm_tunnel_call *call)
{
    CM_ON_LOOP(s->loop);
    struct cm_err err;
    struct cm_uuid id;
    uint64_t offset;
    struct session *x = NULL;
    if (!cm_session_path_parse(cm_tunnel_call_path(call), &id, &offset)) {
        cm_err_set(&err, CM_INVALID, "the path of a session is /<carrier>?offset=<n>");
        cm_tunnel_call_refuse(call, &err);
    } else if (find(s, id, offset, cm_tunnel_call_header(call, CM_SESSION_TICKET_HEADER), &x,
                    &err) != CM_OK) {
        cm_tunnel_call_refuse(call, &err);
    } else {
        cm_carrier_attach_agent(x->carrier, cm_tunnel_call_accept(call), offset);
    }
}

enum cm_code cm_session_server_path(struct cm_session_server *s, struct cm_stream *path,
                                    struct cm_uuid carrier, uint64_t offset, struct cm_str ticket,
                                    struct cm_err *err)
{
    CM_ON_LOOP(s->loop);
    struct session *x = NULL;
    if (find(s, carrier, offset, ticket, &x, err) != CM_OK) {
        cm_stream_close(path);
        return err->code;
    }
    cm_carrier_attach_agent(x->carrier, path, offset);
    return CM_OK;
}

struct cm_session_server *cm_session_server_new(struct cm_loop *loop,
                                                const struct cm_session_server_config *cfg)
{
    CM_ON_LOOP(loop);
    struct cm_session_server *s = cm_xcalloc(1, sizeof(*s));
    s->loop = loop;
    s->cfg = *cfg;
    s->cfg.max_sessions = cfg->max_sessions ? cfg->max_sessions : MAX_SESSIONS;
    s->cfg.idle_timeout = cfg->idle_timeout ? cfg->idle_timeout : IDLE_TIMEOUT;
    s->sessions = cm_map_new();
    return s;
}

void cm_session_server_free(struct cm_session_server *s)
{
    if (!s)
        return;
    CM_ON_LOOP(s->loop);
    size_t it = 0;
    void *x;
    struct cm_str key;
    while (cm_map_next(s->sessions, &it, &key, &x)) {
        session_free(x);
        it = 0; /* the map has changed */
    }
    cm_map_free(s->sessions);
    cm_free(s);
}

void cm_session_server_set_keys(struct cm_session_server *s, const struct cm_ticket_public *keys,
                                size_t n)
{
    CM_ON_LOOP(s->loop);
    s->n_keys = CM_MIN(n, (size_t)CM_TICKET_KEYS_MAX);
    memcpy(s->keys, keys, s->n_keys * sizeof(*keys));
}

size_t cm_session_server_count(const struct cm_session_server *s)
{
    return cm_map_count(s->sessions);
}
