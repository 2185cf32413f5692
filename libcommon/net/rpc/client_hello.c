/* The client's Hello: token, unix socket or handshake; then the session's ticket. */
#include "base/secret.h"
#include "base/version.h"
#include "net/rpc/client_impl.h"

#define HELLO_MAX      (20 * CM_SECOND)
#define HANDSHAKES_MAX 5

void rpc_hello_reset(struct cm_rpc_client *c)
{
    c->introduced = c->greeting = false;
    c->handshakes = 0;
    cm_psk_free(CM_TAKE(c->psk));
    cm_free(CM_TAKE(c->ticket));
    c->ticket_len = 0;
    c->has_secret = false;
    cm_secret_wipe(c->secret, sizeof(c->secret));
}

static void give_up(struct cm_rpc_client *c, enum cm_code code, const struct cm_err *why)
{
    struct cm_err err = *why;
    bool refused = code == CM_UNAUTHENTICATED || code == CM_DENIED || code == CM_PRECONDITION ||
                   code == CM_UNIMPLEMENTED || code == CM_INVALID;
    cm_err_wrap(&err, "%.*s", CM_STR_ARG(c->cfg.url));
    rpc_client_drop(c, &err, refused);
}

static void welcome(struct cm_rpc_client *c, const Coder__Rpc__V1__HelloReply *r)
{
    struct cm_err err;
    if (!r->has_ticket || r->ticket.len == 0 || r->ticket.len > 16384 || !r->has_api_version ||
        r->api_version < c->cfg.api_min || r->api_version > c->cfg.api_max) {
        cm_err_set(&err, CM_PROTOCOL, "the server's answer to Hello makes no sense");
        give_up(c, CM_PROTOCOL, &err);
        return;
    }
    cm_free(c->ticket);
    c->ticket = cm_xmalloc(r->ticket.len);
    memcpy(c->ticket, r->ticket.data, r->ticket.len);
    c->ticket_len = r->ticket.len;
    c->api_version = r->api_version;
    c->heartbeat_every = CM_RPC_HEARTBEAT;
    if (r->has_heartbeat_us && r->heartbeat_us >= CM_SECOND && r->heartbeat_us <= CM_MINUTE)
        c->heartbeat_every = r->heartbeat_us;
    c->introduced = true;
    c->ticket_at = cm_monotonic_now();
    c->ticket_serial++;
    c->handshakes = 0;
    c->greeting = false;
    rpc_client_ready(c);
}

static Coder__Rpc__V1__CallerInfo *caller_info(struct cm_rpc_client *c, struct cm_arena *a)
{
    Coder__Rpc__V1__CallerInfo *m = CM_NEW(a, Coder__Rpc__V1__CallerInfo);
    coder__rpc__v1__caller_info__init(m);
    m->kind = (Coder__Rpc__V1__CallerKind)c->cfg.kind;
    m->name = cm_arena_cstr(a, c->cfg.name);
    m->program_version = cm_arena_cstr(a, c->cfg.program_version);
    m->api_min = c->cfg.api_min;
    m->api_max = c->cfg.api_max;
    m->n_tags = c->cfg.n_tags;
    m->tags = CM_NEW_ARRAY(a, Coder__Rpc__V1__Tag *, m->n_tags + 1);
    for (size_t i = 0; i < m->n_tags; i++) {
        m->tags[i] = CM_NEW(a, Coder__Rpc__V1__Tag);
        coder__rpc__v1__tag__init(m->tags[i]);
        m->tags[i]->name = cm_arena_cstr(a, c->cfg.tags[i].name);
        m->tags[i]->value = cm_arena_cstr(a, c->cfg.tags[i].value);
    }
    return m;
}

static void hello_done(struct rpc_call *call, enum cm_code code, struct cm_str payload,
                       const struct cm_err *why);

static struct rpc_call *hello_call(struct cm_rpc_client *c)
{
    const struct cm_rpc_call_opts opts = {.deadline = HELLO_MAX};
    struct rpc_call *call = rpc_call_new(c, "rpc.Hello", &opts, hello_done);
    call->hello = true;
    return call;
}

static void say(struct rpc_call *call, const Coder__Rpc__V1__HelloRequest *m)
{
    rpc_call_set_payload(call, &m->base);
    rpc_call_start(call);
}

static void plain_hello(struct cm_rpc_client *c)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    Coder__Rpc__V1__HelloRequest m = CODER__RPC__V1__HELLO_REQUEST__INIT;
    m.caller = caller_info(c, a);
    if (c->cfg.kind == CM_RPC_AGENT)
        m.agent_token = c->token;
    else if (c->cfg.kind == CM_RPC_PROXY)
        m.proxy_token = c->token;
    say(hello_call(c), &m);
}

/* The last step carries who we are, sealed and bound to this very request. */
static void seal_caller(struct cm_rpc_client *c, struct rpc_call *call, struct cm_arena *a,
                        Coder__Rpc__V1__Handshake *h)
{
    Coder__Rpc__V1__CallerInfo *info = caller_info(c, a);
    struct cm_seal_box *box = CM_NEW(a, struct cm_seal_box);
    CM_AUTOBUF struct cm_buf aad = CM_BUF_INIT(256);
    size_t n = coder__rpc__v1__caller_info__get_packed_size(info);
    uint8_t *bytes = cm_arena_alloc(a, n + 1);
    coder__rpc__v1__caller_info__pack(info, bytes);
    cm_psk_secret(c->psk, c->secret);
    c->has_secret = call->sealed = true;
    memcpy(call->secret, c->secret, sizeof(call->secret));
    cm_seal_aad(&aad, CM_SEAL_HELLO, cm_str(call->method), call->request_id);
    cm_seal(c->secret, cm_buf_view(&aad), bytes, n, bytes, box);
    h->has_caller = h->has_seal_salt = h->has_seal_tag = 1;
    h->caller = (ProtobufCBinaryData){n, bytes};
    h->seal_salt = (ProtobufCBinaryData){sizeof(box->salt), box->salt};
    h->seal_tag = (ProtobufCBinaryData){sizeof(box->tag), box->tag};
}

static void handshake_step(struct cm_rpc_client *c, unsigned step, ProtobufCBinaryData id,
                           struct cm_str in)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(CM_PSK_FLIGHT_MAX);
    struct cm_err err;
    if (cm_psk_step(c->psk, in, &out, NULL, &err) != CM_OK) {
        /* The server proved nothing: it may be somebody else. */
        give_up(c, CM_UNAUTHENTICATED, &err);
        return;
    }
    struct rpc_call *call = hello_call(c);
    Coder__Rpc__V1__HelloRequest m = CODER__RPC__V1__HELLO_REQUEST__INIT;
    Coder__Rpc__V1__Handshake h = CODER__RPC__V1__HANDSHAKE__INIT;
    h.step = step;
    h.has_id = id.len > 0;
    h.id = id;
    h.data = cm_rpc_bytes(a, cm_buf_view(&out));
    if (cm_psk_is_done(c->psk))
        seal_caller(c, call, a, &h);
    m.handshake = &h;
    say(call, &m);
}

static void handshake_start(struct cm_rpc_client *c)
{
    struct cm_err err;
    cm_psk_free(CM_TAKE(c->psk));
    c->has_secret = false;
    if (++c->handshakes > HANDSHAKES_MAX) {
        cm_err_set(&err, CM_UNAVAILABLE,
                   "the handshake's steps went to different replicas %d times: let the balancer "
                   "keep a connection on "
                   "one of them",
                   HANDSHAKES_MAX);
        give_up(c, CM_UNAVAILABLE, &err);
        return;
    }
    if (cm_psk_client_new(c->cfg.psk_name, c->cfg.psk_key, &c->psk, &err) != CM_OK) {
        give_up(c, CM_INVALID, &err);
        return;
    }
    handshake_step(c, 1, (ProtobufCBinaryData){0, NULL}, CM_STR_NONE);
}

void rpc_hello_start(struct cm_rpc_client *c)
{
    if (c->greeting || !c->pipe)
        return;
    c->greeting = true;
    if (c->cfg.kind == CM_RPC_EXTERNAL)
        handshake_start(c);
    else
        plain_hello(c);
}

void rpc_ticket_refused(struct cm_rpc_client *c)
{
    struct cm_err err;
    if (c->introduced && cm_monotonic_now() - c->ticket_at < CM_SECOND) {
        cm_err_set(&err, CM_UNAVAILABLE,
                   "the server refuses the ticket that it has just given: do all replicas share "
                   "one database and clock?");
        give_up(c, CM_UNAVAILABLE, &err);
        return;
    }
    c->introduced = false;
    rpc_hello_start(c);
}

static void hello_done(struct rpc_call *call, enum cm_code code, struct cm_str payload,
                       const struct cm_err *why)
{
    struct cm_rpc_client *c = call->client;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_err err;
    ProtobufCMessage *m = NULL;
    if (!c->greeting)
        return; /* the connection is gone already */
    if (call->wire_code == CODER__RPC__V1__REPLY_CODE__REPLY_HANDSHAKE && c->psk) {
        handshake_start(c);
        return;
    }
    if (code == CM_OK) {
        code = cm_rpc_unpack(a, &coder__rpc__v1__hello_reply__descriptor, payload, &m, &err);
        why = &err;
    }
    if (code != CM_OK) {
        give_up(c, code, why);
        return;
    }
    const Coder__Rpc__V1__HelloReply *r = (const Coder__Rpc__V1__HelloReply *)m;
    if (r->has_handshake_data && c->psk && !cm_psk_is_done(c->psk))
        handshake_step(c, 2, r->handshake_id, cm_rpc_str(r->handshake_data));
    else
        welcome(c, r);
}
