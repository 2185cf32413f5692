/* Contexts of nng: each waits for a request, holds it, sends its answer. nng's threads enter at
 * on_aio, take notes and pass the work to the pool. */
#include <nng/nng.h>

#include "net/rpc/server_impl.h"
#include "obs/log.h"

/* nng lets go of a context at the end of the call, when the operation may be over and done with on
 * another thread; its socket must not be closed meanwhile. */
static void nng_enter(struct rpc_work *w, void (*op)(nng_ctx ctx, nng_aio *aio))
{
    struct cm_rpc_server *s = w->server;
    nng_ctx ctx = w->ctx;
    pthread_mutex_lock(&s->lock);
    s->n_inside++;
    pthread_mutex_unlock(&s->lock);
    op(ctx, w->aio);
    pthread_mutex_lock(&s->lock);
    s->n_inside--;
    pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->lock);
}

static void work_close(struct rpc_work *w)
{
    struct cm_rpc_server *s = w->server;
    pthread_mutex_lock(&s->lock);
    w->closed = true;
    pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->lock);
}

/* Waits for a request, unless the server stops. */
static void work_receive(struct rpc_work *w)
{
    struct cm_rpc_server *s = w->server;
    pthread_mutex_lock(&s->lock);
    bool stopping = s->stopping;
    if (!stopping)
        w->state = WORK_RECEIVING;
    pthread_mutex_unlock(&s->lock);
    if (stopping)
        work_close(w);
    else
        nng_enter(w, nng_ctx_recv);
}

/* The reply is out, or was lost with its connection. */
static void work_next(struct rpc_work *w)
{
    struct cm_rpc_server *s = w->server;
    uint32_t id = w->pipe;
    rpc_request_done(w);
    pthread_mutex_lock(&s->lock);
    struct rpc_pipe *p = cm_map_get(s->pipes, rpc_pipe_key(&id));
    if (p) {
        p->unanswered--;
        p->last_seen = cm_monotonic_now();
    }
    s->n_running--;
    if (w->admitted)
        s->n_admitted--;
    w->admitted = false;
    rpc_caller_unref(s, CM_TAKE(w->caller));
    pthread_mutex_unlock(&s->lock);
    work_receive(w);
}

/* Under the lock. False: too many of this connection. */
static bool note_request(struct rpc_work *w)
{
    struct cm_rpc_server *s = w->server;
    struct rpc_pipe *p = cm_map_get(s->pipes, rpc_pipe_key(&w->pipe));
    w->state = WORK_RUNNING;
    w->is_unix = p && p->is_unix;
    w->address[0] = '\0';
    s->requests++;
    s->n_running++;
    if (!p)
        return true;
    memcpy(w->address, p->address, sizeof(w->address));
    w->caller = rpc_caller_ref(p->caller);
    p->last_seen = w->arrived;
    return ++p->unanswered <= s->cfg.per_pipe_max;
}

static void take_request(struct rpc_work *w)
{
    struct cm_rpc_server *s = w->server;
    struct cm_err err;
    w->msg = nng_aio_get_msg(w->aio);
    w->pipe = (uint32_t)nng_pipe_id(nng_msg_get_pipe(w->msg));
    w->arrived = cm_monotonic_now();
    w->task = (struct cm_task){.work = rpc_work_task};
    pthread_mutex_lock(&s->lock);
    bool aborting = s->aborting, draining = s->draining;
    bool ok = aborting || note_request(w);
    enum rpc_admission admit = RPC_ADMIT_NEVER;
    struct rpc_caller *caller = w->caller;
    /* Its connection has gone already: nobody waits, and it would count for nobody. */
    bool gone = !aborting && !caller;
    if (ok && !gone && !aborting && !draining)
        admit = rpc_caller_admit(w);
    w->admitted = admit != RPC_ADMIT_NEVER;
    if (w->admitted)
        s->n_admitted++;
    bool cut = gone || (!w->admitted && !aborting && !draining && rpc_caller_refused(w));
    pthread_mutex_unlock(&s->lock);
    if (cut) {
        /* Without an answer: nng 1.5 loses the memory of one that meets the close. */
        nng_pipe_close((nng_pipe){.id = w->pipe});
        work_next(w);
        return;
    }
    if (aborting) {
        rpc_request_done(w);
        work_close(w);
    } else if (draining) {
        rpc_reply_early(w, CM_UNAVAILABLE, "the server is stopping");
    } else if (!ok) {
        rpc_reply_early(w, CM_RATE_LIMITED, "too many requests of this connection are unanswered");
    } else if (admit == RPC_ADMIT_NEVER) {
        rpc_reply_early(w, CM_RATE_LIMITED, "too many requests of this caller are unanswered");
    } else if (admit == RPC_ADMIT_LATER) {
        rpc_top_up(s);
    } else if (cm_pool_submit(s->cfg.pool, &w->task, &err) != CM_OK) {
        rpc_caller_leave(s, caller);
        rpc_reply_early(w, CM_UNAVAILABLE, err.text);
    }
}

static void on_aio(void *arg)
{
    struct rpc_work *w = arg;
    int rv = nng_aio_result(w->aio);
    switch (w->state) {
    case WORK_RECEIVING:
        if (rv == 0)
            take_request(w);
        else if (rv == NNG_ECLOSED || rv == NNG_ECANCELED)
            work_close(w);
        else
            work_receive(w);
        return;
    case WORK_SENDING:
        if (rv != 0)
            nng_msg_free(nng_aio_get_msg(w->aio));
        work_next(w);
        return;
    case WORK_UNSET:
    case WORK_WAITING:
    case WORK_RUNNING:
    case WORK_PARKED:
    case WORK_DUE:
        break;
    }
    cm_assert(!"an nng context completed while it had nothing to do");
}

void rpc_work_send(struct rpc_work *w, nng_msg *msg)
{
    struct cm_rpc_server *s = w->server;
    pthread_mutex_lock(&s->lock);
    w->state = WORK_SENDING;
    pthread_mutex_unlock(&s->lock);
    nng_aio_set_msg(w->aio, msg);
    nng_enter(w, nng_ctx_send);
}

void rpc_work_free(struct rpc_work *w)
{
    if (!w)
        return;
    if (w->aio)
        nng_aio_free(w->aio); /* waits for its callback */
    if (w->has_ctx)
        nng_ctx_close(w->ctx);
    cm_free(w);
}

enum cm_code rpc_work_start(struct cm_rpc_server *s, struct cm_err *err)
{
    struct rpc_work *w = cm_xcalloc(1, sizeof(*w));
    w->server = s;
    int rv = nng_ctx_open(&w->ctx, s->sock);
    w->has_ctx = rv == 0;
    if (rv == 0)
        rv = nng_aio_alloc(&w->aio, on_aio, w);
    if (rv != 0) {
        rpc_work_free(w);
        return cm_rpc_nng_err(err, rv, "open a context of the RPC socket");
    }
    pthread_mutex_lock(&s->lock);
    bool stopping = s->stopping;
    if (!stopping) {
        w->state = WORK_RECEIVING;
        cm_list_push(&s->works, &w->link);
        s->n_works++;
    }
    pthread_mutex_unlock(&s->lock);
    if (stopping)
        rpc_work_free(w);
    else
        nng_enter(w, nng_ctx_recv);
    return CM_OK;
}

/* They are not given back: the number follows the highest that was ever parked at once. */
void rpc_top_up(struct cm_rpc_server *s)
{
    pthread_mutex_lock(&s->lock);
    bool need = !s->stopping && s->n_works < s->cfg.contexts + s->n_parked + s->n_waiting;
    pthread_mutex_unlock(&s->lock);
    struct cm_err err;
    if (need && rpc_work_start(s, &err) != CM_OK)
        CM_WARN("rpc: no further context, so parked requests hold up others", CM_F_ERR(&err));
}
