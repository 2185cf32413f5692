/* Calls of worker threads: carried to the loop, awaited here. */
#include <pthread.h>

#include "net/rpc/client_impl.h"

/* On the waiting thread's stack, which the loop may use until done is set. */
struct waiter {
    struct cm_rpc_client *client;
    const char *method;
    const ProtobufCMessage *request;
    const ProtobufCMessageDescriptor *reply;
    const struct cm_rpc_call_opts *opts;
    struct cm_arena *arena;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done;
    enum cm_code code;
    const void *result;
    struct cm_err err;
};

static void finish(struct waiter *w, enum cm_code code)
{
    pthread_mutex_lock(&w->lock);
    w->code = code;
    w->done = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

static void on_done(struct rpc_call *call, enum cm_code code, struct cm_str payload,
                    const struct cm_err *why)
{
    struct waiter *w = call->ctx;
    ProtobufCMessage *m = NULL;
    if (code == CM_OK)
        code = cm_rpc_unpack(w->arena, w->reply, payload, &m, &w->err);
    else
        w->err = *why;
    w->result = m;
    finish(w, code);
}

static void begin(void *arg)
{
    struct waiter *w = arg;
    struct cm_rpc_client *c = w->client;
    if (c->closed || c->n_calls >= RPC_CALLS_MAX) {
        finish(w, cm_err_set(&w->err, c->closed ? CM_CANCELED : CM_UNAVAILABLE, "%s: %s", w->method,
                             c->closed ? "the program ends"
                                       : "too many calls are waiting for answers already"));
    } else {
        struct rpc_call *call = rpc_call_new(c, w->method, w->opts, on_done);
        call->ctx = w;
        rpc_call_set_payload(call, w->request);
        rpc_call_start(call);
    }
    rpc_client_unref(c);
}

enum cm_code cm_rpc_call_wait(struct cm_rpc_client *c, const char *method,
                              const ProtobufCMessage *request,
                              const ProtobufCMessageDescriptor *reply,
                              const struct cm_rpc_call_opts *opts, struct cm_arena *a,
                              const void **ret, struct cm_err *err)
{
    struct waiter w = {.client = rpc_client_ref(c),
                       .method = method,
                       .request = request,
                       .reply = reply,
                       .opts = opts,
                       .arena = a};
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.wake, NULL);
    cm_loop_post(c->cfg.loop, begin, &w);
    pthread_mutex_lock(&w.lock);
    /* The call's own deadline ends this, or the end of the client. */
    while (!w.done)
        pthread_cond_wait(&w.wake, &w.lock);
    pthread_mutex_unlock(&w.lock);
    pthread_cond_destroy(&w.wake);
    pthread_mutex_destroy(&w.lock);
    if (w.code == CM_OK)
        *ret = w.result;
    else if (err)
        *err = w.err;
    return w.code;
}
