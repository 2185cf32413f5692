/* One request on a pool thread: from bytes to the handler and back. */
#include "base/secret.h"
#include "net/rpc/server_impl.h"
#include "obs/log.h"

/* nng's own send may not fail for want of memory: nothing could be said to the caller. */
static nng_msg *msg_of(const ProtobufCMessage *m)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    nng_msg *msg = NULL;
    cm_assert(nng_msg_alloc(&msg, n) == 0);
    protobuf_c_message_pack(m, nng_msg_body(msg));
    return msg;
}

void rpc_reply_early(struct rpc_work *w, enum cm_code code, const char *text)
{
    Coder__Rpc__V1__ReplyBody body = CODER__RPC__V1__REPLY_BODY__INIT;
    Coder__Rpc__V1__Reply r = CODER__RPC__V1__REPLY__INIT;
    body.code = cm_rpc_code_to_wire(code);
    body.error = (char *)(uintptr_t)text;
    r.version = CODER__RPC__V1__WIRE_VERSION__WIRE_1;
    r.body = &body;
    rpc_work_send(w, msg_of(&r.base));
}

static void seal_body(struct rpc_work *w, Coder__Rpc__V1__Reply *r, const uint8_t *secret)
{
    struct cm_arena *a = w->rq.arena;
    size_t n = coder__rpc__v1__reply_body__get_packed_size(r->body);
    uint8_t *bytes = cm_arena_alloc(a, n + 1);
    coder__rpc__v1__reply_body__pack(r->body, bytes);
    struct cm_seal_box *box = CM_NEW(a, struct cm_seal_box);
    CM_AUTOBUF struct cm_buf aad = CM_BUF_INIT(256);
    cm_seal_aad(&aad, CM_SEAL_REPLY, w->method_name, w->rq.id);
    cm_seal(secret, cm_buf_view(&aad), bytes, n, bytes, box);
    r->body = NULL;
    r->has_sealed_body = r->has_seal_salt = r->has_seal_tag = 1;
    r->sealed_body = (ProtobufCBinaryData){n, bytes};
    r->seal_salt = (ProtobufCBinaryData){sizeof(box->salt), box->salt};
    r->seal_tag = (ProtobufCBinaryData){sizeof(box->tag), box->tag};
}

void rpc_reply(struct rpc_work *w, unsigned wire_code, const char *text,
               const ProtobufCMessage *payload, const uint8_t *body_secret)
{
    struct cm_arena *a = w->rq.arena;
    Coder__Rpc__V1__ReplyBody body = CODER__RPC__V1__REPLY_BODY__INIT;
    Coder__Rpc__V1__Reply r = CODER__RPC__V1__REPLY__INIT;
    struct cm_err err;
    struct cm_str bytes = CM_STR_NONE;
    body.code = wire_code;
    body.error = (char *)(uintptr_t)text;
    if (payload && cm_rpc_pack(a, payload, &bytes, &err) != CM_OK) {
        CM_ERROR("rpc: reply not sent", CM_F_STR(method, w->method_name), CM_F_ERR(&err));
        body.code = CODER__RPC__V1__REPLY_CODE__REPLY_TOO_LARGE;
        body.error = err.text;
    } else if (payload) {
        body.has_payload = 1;
        body.payload = (ProtobufCBinaryData){bytes.len, (uint8_t *)(uintptr_t)bytes.ptr};
    }
    r.version = CODER__RPC__V1__WIRE_VERSION__WIRE_1;
    r.request_id = cm_rpc_uuid(a, w->rq.id);
    r.body = &body;
    if (body_secret)
        seal_body(w, &r, body_secret);
    rpc_work_send(w, msg_of(&r.base));
}

void rpc_reply_err(struct rpc_work *w, enum cm_code code, const struct cm_err *err,
                   const uint8_t *body_secret)
{
    unsigned wire = cm_rpc_code_to_wire(code);
    bool internal = wire == CODER__RPC__V1__REPLY_CODE__REPLY_INTERNAL;
    if (internal)
        CM_ERROR("rpc: request failed", CM_F_STR(method, w->method_name),
                 CM_F_CSTR(client, w->address), CM_F_UUID(request_id, w->rq.id), CM_F_ERR(err));
    rpc_reply(w, wire, internal ? "internal error; the server's log has the cause" : err->text,
              NULL, body_secret);
}

void rpc_request_done(struct rpc_work *w)
{
    cm_arena_free(w->rq.arena);
    nng_msg_free(w->msg);
    memset(&w->rq, 0, sizeof(w->rq));
    w->msg = NULL;
    w->ticket = NULL;
    w->method = NULL;
    w->method_name = CM_STR_NONE;
    w->request = w->reply = NULL;
}

static const uint8_t *secret_of(const struct rpc_work *w)
{
    return w->ticket && w->ticket->has_secret ? w->ticket->secret : NULL;
}

static void refuse(struct rpc_work *w, enum cm_code code, const struct cm_err *err)
{
    struct cm_rpc_server *s = w->server;
    pthread_mutex_lock(&s->lock);
    s->refused++;
    pthread_mutex_unlock(&s->lock);
    CM_DEBUG("rpc: request refused", CM_F_STR(method, w->method_name),
             CM_F_CSTR(client, w->address), CM_F_ERR(err));
    rpc_reply_err(w, code, err, secret_of(w));
}

/* The ticket says who calls. Failing, all that the caller learns is to say Hello again. */
static bool open_ticket(struct rpc_work *w, const Coder__Rpc__V1__Envelope *e)
{
    struct cm_rpc_key keys[RPC_KEYS_MAX];
    struct cm_err err;
    size_t n = rpc_keys_copy(w->server, keys);
    enum cm_code code = cm_rpc_ticket_open(w->rq.arena, keys, n,
                                           e->has_ticket ? cm_rpc_str(e->ticket) : CM_STR_NONE,
                                           cm_time_now(), &w->ticket, &err);
    cm_secret_wipe(keys, sizeof(keys));
    if (code == CM_OK) {
        w->rq.who = &w->ticket->identity;
        rpc_caller_known(w, w->ticket->identity.subject_id);
        return true;
    }
    CM_DEBUG("rpc: no ticket", CM_F_CSTR(client, w->address), CM_F_ERR(&err));
    rpc_reply(w, CODER__RPC__V1__REPLY_CODE__REPLY_TICKET, "say Hello again", NULL, NULL);
    return false;
}

static enum cm_code unseal(struct rpc_work *w, const Coder__Rpc__V1__Envelope *e,
                           struct cm_str *ret, struct cm_err *err)
{
    *ret = e->has_payload ? cm_rpc_str(e->payload) : CM_STR_NONE;
    const uint8_t *secret = secret_of(w);
    if (!secret)
        return CM_OK;
    struct cm_seal_box box;
    if (!e->has_payload || e->seal_salt.len != sizeof(box.salt) ||
        e->seal_tag.len != sizeof(box.tag))
        return cm_err_set(err, CM_DENIED, "this session's payloads must be sealed");
    memcpy(box.salt, e->seal_salt.data, sizeof(box.salt));
    memcpy(box.tag, e->seal_tag.data, sizeof(box.tag));
    CM_AUTOBUF struct cm_buf aad = CM_BUF_INIT(256);
    cm_seal_aad(&aad, CM_SEAL_REQUEST, w->method_name, w->rq.id);
    return cm_seal_open(secret, &box, cm_buf_view(&aad), e->payload.data, e->payload.len,
                        e->payload.data, err);
}

static enum cm_code find_method(struct rpc_work *w, const struct cm_rpc_method **ret,
                                struct cm_err *err)
{
    const struct cm_rpc_method *m = cm_map_get(w->server->methods, w->method_name);
    if (!m)
        return cm_err_set(err, CM_UNIMPLEMENTED, "this server does not know the method %.*s",
                          CM_STR_ARG(w->method_name));
    if (!(m->kinds & CM_RPC_KIND_BIT(w->rq.who->kind)))
        return cm_err_set(err, CM_DENIED, "the method %s is not for this kind of caller", m->name);
    *ret = m;
    return CM_OK;
}

static void *new_message(struct cm_arena *a, const ProtobufCMessageDescriptor *d)
{
    void *m = cm_arena_alloc(a, d->sizeof_message);
    protobuf_c_message_init(d, m);
    return m;
}

static void run_handler(struct rpc_work *w, void *thread_ctx)
{
    struct cm_err err = {.code = CM_OK};
    w->rq.thread_ctx = thread_ctx;
    enum cm_code code = w->method->handler(&w->rq, w->request, w->reply, &err);
    if (rpc_park_settle(w))
        return; /* it may run on another thread already */
    if (code == CM_OK)
        rpc_reply(w, CODER__RPC__V1__REPLY_CODE__REPLY_OK, NULL, w->reply, secret_of(w));
    else
        rpc_reply_err(w, code, &err, secret_of(w));
}

static void ping(struct rpc_work *w)
{
    Coder__Rpc__V1__PingReply r = CODER__RPC__V1__PING_REPLY__INIT;
    rpc_reply(w, CODER__RPC__V1__REPLY_CODE__REPLY_OK, NULL, &r.base, secret_of(w));
}

static enum cm_code check_call(struct rpc_work *w, const Coder__Rpc__V1__Envelope *e,
                               void *thread_ctx, struct cm_str *ret_payload, struct cm_err *err)
{
    const struct cm_rpc_server_config *cfg = &w->server->cfg;
    if (unseal(w, e, ret_payload, err) != CM_OK)
        return CM_DENIED;
    return cfg->check ? cfg->check(cfg->app, thread_ctx, w->rq.who, err) : CM_OK;
}

static void call(struct rpc_work *w, const Coder__Rpc__V1__Envelope *e, void *thread_ctx)
{
    struct cm_err err = {.code = CM_OK};
    struct cm_str payload;
    const struct cm_rpc_method *m = NULL;
    ProtobufCMessage *request = NULL;
    if (!open_ticket(w, e))
        return;
    enum cm_code code = check_call(w, e, thread_ctx, &payload, &err);
    if (code == CM_OK && cm_str_eq_c(w->method_name, "rpc.Ping")) {
        ping(w);
        return;
    }
    if (code == CM_OK)
        code = find_method(w, &m, &err);
    if (code == CM_OK)
        code = cm_rpc_unpack(w->rq.arena, m->request, payload, &request, &err);
    if (code != CM_OK) {
        refuse(w, code, &err);
        return;
    }
    w->method = m;
    w->request = request;
    w->reply = new_message(w->rq.arena, m->reply);
    run_handler(w, thread_ctx);
}

/* How long the caller waits, less what the answer needs on its way. */
static cm_usec patience(const Coder__Rpc__V1__Envelope *e)
{
    cm_usec d = e->has_deadline_us ? e->deadline_us : CM_RPC_WAIT_MAX;
    d -= CM_MIN(d / 10, CM_SECOND);
    return CM_MIN(d, CM_RPC_WAIT_MAX);
}

static void begin(struct rpc_work *w, void *thread_ctx)
{
    struct cm_rpc_server *s = w->server;
    struct cm_err err;
    ProtobufCMessage *m = NULL;
    w->rq = (struct cm_rpc_request){.arena = cm_arena_new(),
                                    .app = s->cfg.app,
                                    .thread_ctx = thread_ctx,
                                    .wake = CM_RPC_FIRST,
                                    .address = cm_str(w->address)};
    if (cm_rpc_unpack(w->rq.arena, &coder__rpc__v1__envelope__descriptor,
                      cm_str_n(nng_msg_body(w->msg), nng_msg_len(w->msg)), &m, &err) != CM_OK) {
        refuse(w, CM_INVALID, &err);
        return;
    }
    const Coder__Rpc__V1__Envelope *e = (const Coder__Rpc__V1__Envelope *)m;
    w->method_name = cm_str(e->method);
    if (e->version != CODER__RPC__V1__WIRE_VERSION__WIRE_1) {
        cm_err_set(&err, CM_UNIMPLEMENTED,
                   "the request has the wire version %u, but this server speaks 1 only",
                   e->version);
        refuse(w, CM_UNIMPLEMENTED, &err);
    } else if (!cm_rpc_get_uuid(e->request_id, &w->rq.id) ||
               w->method_name.len > CM_RPC_METHOD_MAX || !cm_str_is_utf8(w->method_name)) {
        w->method_name = CM_STR_NONE;
        cm_err_set(&err, CM_INVALID, "the request's id has not 16 bytes, or its method has over %d",
                   CM_RPC_METHOD_MAX);
        refuse(w, CM_INVALID, &err);
    } else {
        w->rq.deadline = w->arrived + patience(e);
        if (cm_monotonic_now() > w->rq.deadline)
            rpc_reply_early(w, CM_TIMEOUT,
                            "the server was too busy to look at the request in time");
        else if (cm_str_eq_c(w->method_name, "rpc.Hello"))
            rpc_hello(w, e->has_payload ? cm_rpc_str(e->payload) : CM_STR_NONE);
        else
            call(w, e, thread_ctx);
    }
}

void rpc_work_task(struct cm_task *t, void *thread_ctx)
{
    struct rpc_work *w = cm_container_of(t, struct rpc_work, task);
    /* Once it is answered or parked, the work may be another's. */
    struct cm_rpc_server *s = w->server;
    struct rpc_caller *c = w->caller;
    if (w->method)
        run_handler(w, thread_ctx);
    else
        begin(w, thread_ctx);
    rpc_caller_leave(s, c);
}
