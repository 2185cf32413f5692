/* Calls and their way over the wire. */
#include "base/random.h"
#include "base/secret.h"
#include "net/rpc/client_impl.h"

/* Before a call is sent again that the server had no room for. */
#define BUSY_WAIT (250 * CM_MSEC)

/* Exchanges. */

static void exchange_free(struct rpc_exchange *x)
{
    nng_msg *unsent = x->sending ? nng_aio_get_msg(x->aio) : NULL;
    if (unsent)
        nng_msg_free(unsent);
    nng_aio_free(x->aio);
    nng_ctx_close(x->ctx);
    nng_msg_free(x->reply);
    rpc_client_unref(x->client);
    cm_free(x);
}

static void on_reply(struct rpc_call *call, int rv, struct cm_str bytes);

static void exchange_done(void *arg)
{
    struct rpc_exchange *x = arg;
    struct rpc_call *call = x->call;
    if (call) {
        call->x = NULL;
        struct cm_str bytes = CM_STR_NONE;
        if (x->reply)
            bytes = cm_str_n(nng_msg_body(x->reply), nng_msg_len(x->reply));
        on_reply(call, x->rv, bytes);
    }
    exchange_free(x);
}

static void on_aio(void *arg)
{
    struct rpc_exchange *x = arg;
    int rv = nng_aio_result(x->aio);
    if (rv == 0 && x->sending) {
        x->sending = false;
        nng_ctx_recv(x->ctx, x->aio);
        return;
    }
    if (rv == 0)
        x->reply = nng_aio_get_msg(x->aio);
    x->rv = rv;
    x->posted = true;
    cm_loop_post(x->client->cfg.loop, exchange_done, x);
}

static int exchange_start(struct rpc_call *call, nng_msg *msg)
{
    struct rpc_exchange *x = cm_xcalloc(1, sizeof(*x));
    int rv = nng_ctx_open(&x->ctx, call->client->sock);
    if (rv == 0) {
        rv = nng_aio_alloc(&x->aio, on_aio, x);
        if (rv != 0)
            nng_ctx_close(x->ctx);
    }
    if (rv != 0) {
        cm_free(x);
        nng_msg_free(msg);
        return rv;
    }
    x->client = rpc_client_ref(call->client);
    x->call = call;
    call->x = x;
    x->sending = true;
    nng_aio_set_msg(x->aio, msg);
    nng_ctx_send(x->ctx, x->aio);
    return 0;
}

/* Takes the call off the wire. An answer that still comes is dropped. */
static void abandon(struct rpc_call *call)
{
    struct rpc_exchange *x = call->x;
    if (!x)
        return;
    call->x = NULL;
    x->call = NULL;
    /* Waits for the callback; a receive that it began too late for the stop ends without one. */
    nng_aio_stop(x->aio);
    if (!x->posted)
        exchange_free(x);
}

/* Calls. */

static void call_free(struct rpc_call *call)
{
    abandon(call);
    cm_list_unlink(&call->link);
    call->client->n_calls--;
    cm_timer_done(&call->timer);
    if (call->payload)
        cm_secret_wipe(call->payload, call->payload_len);
    cm_secret_wipe(call->secret, sizeof(call->secret));
    cm_free(call->payload);
    cm_free(call->method);
    cm_free(call);
}

/* Ends one; the call is gone afterwards. */
static void finish(struct rpc_call *call, enum cm_code code, struct cm_str payload,
                   const struct cm_err *err)
{
    struct cm_rpc_client *c = rpc_client_ref(call->client);
    /* Out of every list first: the callback may begin, cancel or end others. */
    abandon(call);
    cm_list_unlink(&call->link);
    cm_timer_stop(&call->timer);
    call->done(call, code, payload, err);
    call_free(call);
    rpc_client_unref(c);
}

static void fail(struct rpc_call *call, enum cm_code code, struct cm_err *err)
{
    cm_err_wrap(err, "%s", call->method);
    finish(call, code, CM_STR_NONE, err);
}

static void on_timer(void *arg)
{
    struct rpc_call *call = arg;
    struct cm_rpc_client *c = call->client;
    struct cm_err err = call->err;
    cm_usec now = cm_monotonic_now();
    if (call->failed) {
        fail(call, call->failed, &err);
        return;
    }
    if (call->pausing && now < call->deadline) {
        call->pausing = false;
        cm_timer_start(&call->timer, call->deadline - now);
        rpc_call_start(call);
        return;
    }
    if (c->state != CM_RPC_READY && !call->hello) {
        err = c->err;
        err.code = CM_UNAVAILABLE;
    } else {
        cm_err_set(&err, CM_TIMEOUT, "no answer within %lld ms",
                   (long long)((call->deadline - call->started) / CM_MSEC));
    }
    fail(call, err.code, &err);
}

struct rpc_call *rpc_call_new(struct cm_rpc_client *c, const char *method,
                              const struct cm_rpc_call_opts *opts, rpc_raw_fn done)
{
    struct rpc_call *call = cm_xcalloc(1, sizeof(*call));
    call->client = c;
    call->id = ++c->next_id;
    call->method = cm_xstrdup(method);
    call->request_id = cm_uuid_is_nil(opts->request_id) ? cm_uuid_random() : opts->request_id;
    call->started = cm_monotonic_now();
    call->deadline = call->started + opts->deadline;
    call->once = opts->once;
    call->done = done;
    cm_timer_init(&call->timer, c->cfg.loop, on_timer, call);
    cm_timer_start(&call->timer, opts->deadline);
    cm_list_push(&c->calls, &call->link);
    c->n_calls++;
    return call;
}

static void fail_soon(struct rpc_call *call, enum cm_code code)
{
    call->failed = code;
    cm_timer_start(&call->timer, 0);
}

void rpc_call_set_payload(struct rpc_call *call, const ProtobufCMessage *m)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    if (n > CM_RPC_PAYLOAD_MAX) {
        fail_soon(call, cm_err_set(&call->err, CM_TOO_LARGE,
                                   "the request has %zu bytes, but may have %zu at most", n,
                                   CM_RPC_PAYLOAD_MAX));
        return;
    }
    call->payload = cm_xmalloc(n + 1);
    call->payload_len = n;
    protobuf_c_message_pack(m, (uint8_t *)call->payload);
}

static nng_msg *envelope(struct rpc_call *call)
{
    const struct cm_rpc_client *c = call->client;
    CM_AUTO(cm_arena) a = cm_arena_new();
    Coder__Rpc__V1__Envelope e = CODER__RPC__V1__ENVELOPE__INIT;
    struct cm_seal_box box;
    uint8_t *sealed = NULL;
    e.version = CODER__RPC__V1__WIRE_VERSION__WIRE_1;
    e.method = call->method;
    e.request_id = cm_rpc_uuid(a, call->request_id);
    e.has_deadline_us = e.has_payload = 1;
    e.deadline_us = CM_MAX(call->deadline - cm_monotonic_now(), CM_MSEC);
    e.payload = (ProtobufCBinaryData){call->payload_len, (uint8_t *)call->payload};
    if (!call->hello) {
        call->ticket_serial = c->ticket_serial;
        e.has_ticket = 1;
        e.ticket = (ProtobufCBinaryData){c->ticket_len, (uint8_t *)c->ticket};
    }
    if (!call->hello)
        call->sealed = c->has_secret;
    if (!call->hello && c->has_secret) {
        memcpy(call->secret, c->secret, sizeof(call->secret));
        CM_AUTOBUF struct cm_buf aad = CM_BUF_INIT(256);
        cm_seal_aad(&aad, CM_SEAL_REQUEST, cm_str(call->method), call->request_id);
        sealed = cm_arena_alloc(a, call->payload_len + 1);
        cm_seal(c->secret, cm_buf_view(&aad), call->payload, call->payload_len, sealed, &box);
        e.payload.data = sealed;
        e.has_seal_salt = e.has_seal_tag = 1;
        e.seal_salt = (ProtobufCBinaryData){sizeof(box.salt), box.salt};
        e.seal_tag = (ProtobufCBinaryData){sizeof(box.tag), box.tag};
    }
    nng_msg *msg = NULL;
    cm_assert(nng_msg_alloc(&msg, coder__rpc__v1__envelope__get_packed_size(&e)) == 0);
    coder__rpc__v1__envelope__pack(&e, nng_msg_body(msg));
    return msg;
}

static void transmit(struct rpc_call *call)
{
    int rv = exchange_start(call, envelope(call));
    if (rv != 0)
        fail_soon(call, cm_rpc_nng_err(&call->err, rv, "send"));
}

void rpc_call_start(struct rpc_call *call)
{
    const struct cm_rpc_client *c = call->client;
    if (call->failed || call->pausing || call->x)
        return;
    if (c->pipe && (call->hello || c->introduced))
        transmit(call);
}

void rpc_calls_flush(struct cm_rpc_client *c)
{
    CM_LIST_EACH(l, &c->calls)
    rpc_call_start(cm_container_of(l, struct rpc_call, link));
}

/* Ends the calls for which pick is true. Callbacks may change the list, so it starts over each
 * time. */
static void fail_all(struct cm_rpc_client *c, const struct cm_err *why,
                     bool (*pick)(const struct rpc_call *))
{
    uint64_t last = c->next_id; /* those that callbacks make meanwhile are not meant */
    for (bool again = true; again;) {
        again = false;
        CM_LIST_EACH(l, &c->calls)
        {
            struct rpc_call *call = cm_container_of(l, struct rpc_call, link);
            if (call->id > last || !pick(call))
                continue;
            struct cm_err err = *why;
            fail(call, err.code, &err);
            again = true;
            break;
        }
    }
}

static bool only_once(const struct rpc_call *call)
{
    return call->once || call->hello || call->ping;
}

static bool is_lost(const struct rpc_call *call)
{
    return call->x && only_once(call);
}

static bool any(const struct rpc_call *call)
{
    (void)call;
    return true;
}

void rpc_calls_take_back(struct cm_rpc_client *c, const struct cm_err *why)
{
    fail_all(c, why, is_lost);
    CM_LIST_EACH(l, &c->calls)
    abandon(cm_container_of(l, struct rpc_call, link));
}

void rpc_calls_fail(struct cm_rpc_client *c, const struct cm_err *why)
{
    fail_all(c, why, any);
}

void rpc_calls_free(struct cm_rpc_client *c)
{
    while (!cm_list_empty(&c->calls))
        call_free(cm_container_of(c->calls.next, struct rpc_call, link));
}

/* Answers. */

static void pause_call(struct rpc_call *call)
{
    cm_usec wait = BUSY_WAIT / 2 + (cm_usec)cm_random_below(BUSY_WAIT);
    call->pausing = true;
    cm_timer_start(&call->timer, CM_MIN(wait, call->deadline - cm_monotonic_now()));
}

static void finish_with_body(struct rpc_call *call, const Coder__Rpc__V1__ReplyBody *body)
{
    enum cm_code code = cm_rpc_code_from_wire(body->code);
    struct cm_err err;
    call->wire_code = body->code;
    if (code == CM_OK) {
        finish(call, CM_OK, body->has_payload ? cm_rpc_str(body->payload) : CM_STR_NONE, NULL);
        return;
    }
    cm_err_set(&err, code, "%.*s", CM_ERR_TEXT_MAX / 2,
               body->error ? body->error : "refused without a reason");
    fail(call, code, &err);
}

/* Answers that any replica may give without having looked into the request. True when it was one.
 */
static bool early_answer(struct rpc_call *call, const Coder__Rpc__V1__Reply *r)
{
    struct cm_rpc_client *c = call->client;
    if (!r->body || call->hello)
        return false;
    if (r->body->code == CODER__RPC__V1__REPLY_CODE__REPLY_TICKET) {
        /* All calls wait for a new one, this one too; unless it has come already. */
        if (call->ticket_serial == c->ticket_serial)
            rpc_ticket_refused(c);
        else
            rpc_call_start(call);
        return true;
    }
    bool busy = r->body->code == CODER__RPC__V1__REPLY_CODE__REPLY_UNAVAILABLE ||
                r->body->code == CODER__RPC__V1__REPLY_CODE__REPLY_RATE_LIMITED;
    /* Without an id of the request: nobody has read it. */
    if (!busy || r->request_id.len != 0 || only_once(call))
        return false;
    pause_call(call);
    return true;
}

static enum cm_code open_body(struct rpc_call *call, struct cm_arena *a, Coder__Rpc__V1__Reply *r,
                              struct cm_err *err)
{
    struct cm_seal_box box;
    ProtobufCMessage *body = NULL;
    if (r->seal_salt.len != sizeof(box.salt) || r->seal_tag.len != sizeof(box.tag))
        return cm_err_set(err, CM_PROTOCOL, "the answer's seal is incomplete");
    memcpy(box.salt, r->seal_salt.data, sizeof(box.salt));
    memcpy(box.tag, r->seal_tag.data, sizeof(box.tag));
    CM_AUTOBUF struct cm_buf aad = CM_BUF_INIT(256);
    cm_seal_aad(&aad, CM_SEAL_REPLY, cm_str(call->method), call->request_id);
    if (cm_seal_open(call->secret, &box, cm_buf_view(&aad), r->sealed_body.data, r->sealed_body.len,
                     r->sealed_body.data, err) != CM_OK)
        return cm_err_set(err, CM_PROTOCOL, "the answer was altered on its way");
    if (cm_rpc_unpack(a, &coder__rpc__v1__reply_body__descriptor, cm_rpc_str(r->sealed_body), &body,
                      err) != CM_OK)
        return CM_PROTOCOL;
    r->body = (Coder__Rpc__V1__ReplyBody *)body;
    return CM_OK;
}

static enum cm_code check_reply(struct rpc_call *call, struct cm_arena *a, Coder__Rpc__V1__Reply *r,
                                struct cm_err *err)
{
    struct cm_uuid id;
    if (r->request_id.len &&
        (!cm_rpc_get_uuid(r->request_id, &id) || !cm_uuid_eq(id, call->request_id)))
        return cm_err_set(err, CM_PROTOCOL, "the answer is to another request");
    /* The last answer of a handshake is sealed under the secret that it has just made. */
    if (r->has_sealed_body && call->sealed)
        return open_body(call, a, r, err);
    if (!r->body)
        return cm_err_set(err, CM_PROTOCOL, "the answer is empty");
    /* Whoever is on the way may refuse, but not in the server's name. A handshake is refused before
     * there is a secret. */
    if (call->sealed && (!call->hello || r->body->code == CODER__RPC__V1__REPLY_CODE__REPLY_OK))
        return cm_err_set(err, CM_PROTOCOL, "the answer is not sealed (code %u)", r->body->code);
    return CM_OK;
}

static void on_reply(struct rpc_call *call, int rv, struct cm_str bytes)
{
    struct cm_rpc_client *c = call->client;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_err err;
    ProtobufCMessage *m = NULL;
    if (rv != 0) {
        if (!only_once(call))
            return; /* sent again with the next connection */
        cm_rpc_nng_err(&err, rv, "the connection broke before the answer came");
        fail(call, CM_UNAVAILABLE, &err);
        return;
    }
    c->last_heard = cm_monotonic_now();
    enum cm_code code = cm_rpc_unpack(a, &coder__rpc__v1__reply__descriptor, bytes, &m, &err);
    Coder__Rpc__V1__Reply *r = (Coder__Rpc__V1__Reply *)m;
    if (code == CM_OK && early_answer(call, r))
        return;
    if (code == CM_OK)
        code = check_reply(call, a, r, &err);
    if (code != CM_OK)
        fail(call, code, &err);
    else
        finish_with_body(call, r->body);
}

/* The public face. */

static void typed_done(struct rpc_call *call, enum cm_code code, struct cm_str payload,
                       const struct cm_err *why)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_err err;
    ProtobufCMessage *m = NULL;
    if (code == CM_OK) {
        code = cm_rpc_unpack(a, call->reply, payload, &m, &err);
        why = code == CM_OK ? NULL : &err;
    }
    call->fn(call->ctx, code, m, why);
}

uint64_t cm_rpc_call(struct cm_rpc_client *c, const char *method, const ProtobufCMessage *request,
                     const ProtobufCMessageDescriptor *reply, const struct cm_rpc_call_opts *opts,
                     cm_rpc_reply_fn fn, void *ctx)
{
    CM_ON_LOOP(c->cfg.loop);
    struct rpc_call *call = rpc_call_new(c, method, opts, typed_done);
    uint64_t id = call->id;
    call->reply = reply;
    call->fn = fn;
    call->ctx = ctx;
    if (c->n_calls > RPC_CALLS_MAX)
        fail_soon(call, cm_err_set(&call->err, CM_UNAVAILABLE,
                                   "%d calls are waiting for answers already", RPC_CALLS_MAX));
    else
        rpc_call_set_payload(call, request);
    rpc_call_start(call);
    return id;
}

void cm_rpc_cancel(struct cm_rpc_client *c, uint64_t id)
{
    CM_ON_LOOP(c->cfg.loop);
    CM_LIST_EACH(l, &c->calls)
    {
        struct rpc_call *call = cm_container_of(l, struct rpc_call, link);
        if (call->id == id) {
            call_free(call);
            return;
        }
    }
}
