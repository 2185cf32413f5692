/* Listeners, connections and contexts. nng's threads enter at on_aio and on_pipe; they only take
 * notes and pass work to the pool. */
#include "net/rpc/server.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>

#include "base/enc.h"
#include "base/random.h"
#include "base/secret.h"
#include "net/rpc/front_impl.h"
#include "net/rpc/server_impl.h"
#include "obs/log.h"

static struct cm_str pipe_key(const uint32_t *id)
{
    return cm_str_n(id, sizeof(*id));
}

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
    struct rpc_pipe *p = cm_map_get(s->pipes, pipe_key(&id));
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
    struct rpc_pipe *p = cm_map_get(s->pipes, pipe_key(&w->pipe));
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

static void work_free(struct rpc_work *w)
{
    if (!w)
        return;
    if (w->aio)
        nng_aio_free(w->aio); /* waits for its callback */
    if (w->has_ctx)
        nng_ctx_close(w->ctx);
    cm_free(w);
}

static enum cm_code work_start(struct cm_rpc_server *s, struct cm_err *err)
{
    struct rpc_work *w = cm_xcalloc(1, sizeof(*w));
    w->server = s;
    int rv = nng_ctx_open(&w->ctx, s->sock);
    w->has_ctx = rv == 0;
    if (rv == 0)
        rv = nng_aio_alloc(&w->aio, on_aio, w);
    if (rv != 0) {
        work_free(w);
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
        work_free(w);
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
    if (need && work_start(s, &err) != CM_OK)
        CM_WARN("rpc: no further context, so parked requests hold up others", CM_F_ERR(&err));
}

size_t rpc_keys_copy(struct cm_rpc_server *s, struct cm_rpc_key out[RPC_KEYS_MAX])
{
    pthread_mutex_lock(&s->lock);
    size_t n = s->n_keys;
    memcpy(out, s->keys, n * sizeof(*out));
    pthread_mutex_unlock(&s->lock);
    return n;
}

void cm_rpc_server_set_keys(struct cm_rpc_server *s, const struct cm_rpc_key *keys, size_t n_keys)
{
    cm_assert(n_keys > 0);
    pthread_mutex_lock(&s->lock);
    s->n_keys = CM_MIN(n_keys, (size_t)RPC_KEYS_MAX);
    memcpy(s->keys, keys, s->n_keys * sizeof(*keys));
    pthread_mutex_unlock(&s->lock);
}

/* Connections. */

static bool has_secret(struct cm_rpc_server *s, nng_pipe np)
{
    char *got = NULL;
    if (nng_pipe_get_string(np, NNG_OPT_WS_REQUEST_HEADER RPC_HEADER_SECRET, &got) != 0)
        return false;
    bool ok = cm_secret_str_eq(cm_str(got), cm_str(s->secret));
    nng_strfree(got);
    return ok;
}

static void note_address(struct rpc_pipe *p, nng_pipe np)
{
    char *got = NULL;
    if (nng_pipe_get_string(np, NNG_OPT_WS_REQUEST_HEADER RPC_HEADER_ADDRESS, &got) != 0)
        return;
    p->is_unix = strcmp(got, RPC_ADDRESS_UNIX) == 0;
    if (!p->is_unix)
        memcpy(p->address, got, CM_MIN(strlen(got), sizeof(p->address) - 1));
    nng_strfree(got);
}

/* Under the lock. */
static void pipe_free(struct cm_rpc_server *s, struct rpc_pipe *p)
{
    if (p)
        rpc_caller_unref(s, p->caller);
    cm_free(p);
}

static void pipe_add(struct cm_rpc_server *s, nng_pipe np)
{
    uint32_t id = (uint32_t)nng_pipe_id(np);
    if (!has_secret(s, np)) {
        /* A process of this machine that found the port by itself. */
        nng_pipe_close(np);
        pthread_mutex_lock(&s->lock);
        s->refused++;
        pthread_mutex_unlock(&s->lock);
        CM_WARN("rpc: connection to the private port without its secret refused");
        return;
    }
    struct rpc_pipe *p = cm_xcalloc(1, sizeof(*p));
    p->id = id;
    p->last_seen = cm_monotonic_now();
    p->caller = rpc_caller_new();
    note_address(p, np);
    pthread_mutex_lock(&s->lock);
    pipe_free(s, cm_map_put(s->pipes, pipe_key(&id), p));
    pthread_mutex_unlock(&s->lock);
}

static void pipe_remove(struct cm_rpc_server *s, nng_pipe np)
{
    uint32_t id = (uint32_t)nng_pipe_id(np);
    pthread_mutex_lock(&s->lock);
    pipe_free(s, cm_map_remove(s->pipes, pipe_key(&id)));
    pthread_mutex_unlock(&s->lock);
    rpc_park_wake_all(s, id, CM_RPC_GONE);
}

static void on_pipe(nng_pipe np, nng_pipe_ev ev, void *arg)
{
    if (ev == NNG_PIPE_EV_ADD_PRE)
        pipe_add(arg, np);
    else if (ev == NNG_PIPE_EV_REM_POST)
        pipe_remove(arg, np);
}

/* Drops connections that have been silent for three heartbeats, and forgets refused Hellos and
 * unfinished handshakes. */
static void on_sweep(void *arg)
{
    struct cm_rpc_server *s = arg;
    uint32_t silent[64];
    size_t n = 0;
    cm_usec now = cm_monotonic_now(), limit = now - 3 * s->cfg.heartbeat;
    rpc_handshakes_expire(s, now);
    pthread_mutex_lock(&s->lock);
    size_t it = 0;
    struct cm_str key;
    void *v;
    while (n < CM_COUNT_OF(silent) && cm_map_next(s->pipes, &it, &key, &v)) {
        const struct rpc_pipe *p = v;
        if (p->unanswered == 0 && p->last_seen < limit)
            silent[n++] = p->id;
    }
    struct cm_map *failures = s->failures, *proofs = s->proofs;
    s->failures = cm_map_new();
    s->proofs = cm_map_new();
    pthread_mutex_unlock(&s->lock);
    cm_map_free(failures);
    cm_map_free(proofs);
    for (size_t i = 0; i < n; i++) {
        CM_DEBUG("rpc: connection dropped, no heartbeat", CM_F_INT(pipe, silent[i]));
        nng_pipe_close((nng_pipe){.id = silent[i]});
    }
    cm_timer_start(&s->sweep, s->cfg.heartbeat);
}

/* Life. */

static enum cm_code method_add(struct cm_rpc_server *s, const struct cm_rpc_method *m,
                               struct cm_err *err)
{
    if (m->kinds == 0 || !m->request || !m->reply || !m->handler ||
        strlen(m->name) > CM_RPC_METHOD_MAX || strncmp(m->name, "rpc.", 4) == 0)
        return cm_err_set(err, CM_INVALID,
                          "RPC method %s: a column of its row is unset, or its name is not allowed",
                          m->name);
    if (cm_map_put(s->methods, cm_str(m->name), (void *)(uintptr_t)m))
        return cm_err_set(err, CM_INVALID, "RPC method %s is in the tables twice", m->name);
    return CM_OK;
}

static enum cm_code methods_add(struct cm_rpc_server *s, struct cm_err *err)
{
    for (size_t i = 0; i < s->cfg.n_tables; i++)
        for (const struct cm_rpc_method *m = s->cfg.tables[i]; m->name; m++)
            if (method_add(s, m, err) != CM_OK)
                return CM_INVALID;
    return CM_OK;
}

static enum cm_code socket_open(struct cm_rpc_server *s, struct cm_err *err)
{
    int rv = nng_rep0_open(&s->sock);
    s->has_sock = rv == 0;
    if (rv == 0)
        rv = nng_socket_set_size(s->sock, NNG_OPT_RECVMAXSZ, CM_RPC_MESSAGE_MAX);
    if (rv == 0)
        rv = nng_pipe_notify(s->sock, NNG_PIPE_EV_ADD_PRE, on_pipe, s);
    if (rv == 0)
        rv = nng_pipe_notify(s->sock, NNG_PIPE_EV_REM_POST, on_pipe, s);
    if (rv != 0)
        return cm_rpc_nng_err(err, rv, "open the RPC socket");
    for (unsigned i = 0; i < s->cfg.contexts; i++)
        if (work_start(s, err) != CM_OK)
            return err ? err->code : CM_IO;
    return CM_OK;
}

enum cm_code cm_rpc_server_new(const struct cm_rpc_server_config *cfg,
                               const struct cm_rpc_key *keys, size_t n_keys,
                               struct cm_rpc_server **ret, struct cm_err *err)
{
    cm_assert(cfg->loop && cfg->pool && cfg->hello && n_keys > 0 && cfg->contexts > 0);
    cm_assert(cfg->psk || cfg->api[CM_RPC_EXTERNAL].max == 0);
    CM_AUTO(cm_rpc_server) s = cm_xcalloc(1, sizeof(*s));
    s->cfg = *cfg;
    if (!s->cfg.per_pipe_max)
        s->cfg.per_pipe_max = 64;
    if (!s->cfg.caller_waiting_max)
        s->cfg.caller_waiting_max = 16;
    /* A client of ours asks again after a quarter of a second: this is 250 requests too many. */
    if (!s->cfg.caller_refused_max)
        s->cfg.caller_refused_max = 1000;
    if (!s->cfg.ticket_life)
        s->cfg.ticket_life = CM_HOUR;
    if (!s->cfg.heartbeat)
        s->cfg.heartbeat = CM_RPC_HEARTBEAT;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->idle, NULL);
    cm_list_init(&s->works);
    cm_list_init(&s->parked);
    cm_list_init(&s->due);
    cm_list_init(&s->handshakes);
    s->methods = cm_map_new();
    s->pipes = cm_map_new();
    s->tokens = cm_map_new();
    s->callers = cm_map_new();
    s->failures = cm_map_new();
    s->proofs = cm_map_new();
    uint64_t first;
    cm_random_bytes(&first, sizeof(first));
    s->next_token = first | 1;
    cm_random_alnum(s->secret, sizeof(s->secret) - 1);
    cm_timer_init(&s->sweep, cfg->loop, on_sweep, s);
    cm_timer_init(&s->tick, cfg->loop, rpc_park_tick, s);
    cm_rpc_server_set_keys(s, keys, n_keys);
    if (methods_add(s, err) != CM_OK || socket_open(s, err) != CM_OK)
        return err ? err->code : CM_INVALID;
    cm_timer_start(&s->sweep, s->cfg.heartbeat);
    *ret = CM_TAKE(s);
    return CM_OK;
}

enum cm_code cm_rpc_server_listen_private(struct cm_rpc_server *s, struct cm_rpc_private *ret,
                                          struct cm_err *err)
{
    if (s->private_port.port) {
        *ret = s->private_port;
        return CM_OK;
    }
    const char *loopback = cm_rpc_loopback();
    CM_AUTOFREE char *url = cm_xasprintf("ws://%s:0" CM_RPC_PATH, loopback);
    int port = 0;
    int rv = nng_listener_create(&s->private_listener, s->sock, url);
    if (rv == 0)
        rv = nng_listener_start(s->private_listener, 0);
    if (rv == 0)
        rv = nng_listener_get_int(s->private_listener, NNG_OPT_TCP_BOUND_PORT, &port);
    if (rv != 0)
        return cm_rpc_nng_err(err, rv, url);
    s->private_port.port = (uint16_t)port;
    s->private_port.v6 = loopback[0] == '[';
    memcpy(s->private_port.secret, s->secret, sizeof(s->secret));
    *ret = s->private_port;
    return CM_OK;
}

void cm_rpc_server_drain(struct cm_rpc_server *s)
{
    pthread_mutex_lock(&s->lock);
    s->draining = true;
    pthread_mutex_unlock(&s->lock);
    rpc_unix_deafen(s->unix_socket);
    rpc_park_wake_all(s, 0, CM_RPC_DEADLINE);
}

unsigned cm_rpc_server_busy(struct cm_rpc_server *s)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = s->n_admitted;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static bool at_rest(struct cm_rpc_server *s)
{
    if (s->n_inside || s->n_tasks)
        return false;
    CM_LIST_EACH(l, &s->works)
    {
        const struct rpc_work *w = cm_container_of(l, struct rpc_work, link);
        if (!w->closed && w->state != WORK_RECEIVING)
            return false;
    }
    return true;
}

/* Whatever is in work is answered, and each context that receives takes one more request at most.
 * Then no thread is inside nng any more, which must be so before its socket is closed: a send that
 * comes too late finds its locks gone. */
static void come_to_rest(struct cm_rpc_server *s)
{
    pthread_mutex_lock(&s->lock);
    while (!at_rest(s)) {
        /* Without the timer nobody else looks after what the pool had no room for. */
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1;
        pthread_cond_timedwait(&s->idle, &s->lock, &until);
        pthread_mutex_unlock(&s->lock);
        rpc_park_resubmit(s);
        pthread_mutex_lock(&s->lock);
    }
    s->aborting = true;
    pthread_mutex_unlock(&s->lock);
    CM_LIST_EACH(l, &s->works)
    nng_aio_stop(cm_container_of(l, struct rpc_work, link)->aio);
}

void cm_rpc_server_free(struct cm_rpc_server *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = s->draining = true;
    pthread_mutex_unlock(&s->lock);
    cm_timer_done(&s->sweep);
    cm_timer_done(&s->tick);
    rpc_park_wake_all(s, 0, CM_RPC_DEADLINE);
    come_to_rest(s);
    rpc_unix_free(s->unix_socket);
    if (s->has_sock)
        nng_close(s->sock);
    for (struct cm_link *l; (l = cm_list_pop(&s->works));) {
        struct rpc_work *w = cm_container_of(l, struct rpc_work, link);
        w->has_ctx = false; /* closed with the socket */
        work_free(w);
    }
    rpc_handshakes_expire(s, INT64_MAX);
    size_t it = 0;
    struct cm_str key;
    void *p;
    while (s->pipes && cm_map_next(s->pipes, &it, &key, &p))
        pipe_free(s, p);
    cm_map_free(s->pipes);
    cm_map_free(s->callers);
    cm_map_free(s->methods);
    cm_map_free(s->tokens);
    cm_map_free(s->failures);
    cm_map_free(s->proofs);
    pthread_cond_destroy(&s->idle);
    pthread_mutex_destroy(&s->lock);
    cm_secret_wipe(s, sizeof(*s));
    cm_free(s);
}

void cm_rpc_server_stats(struct cm_rpc_server *s, struct cm_rpc_stats *ret)
{
    pthread_mutex_lock(&s->lock);
    *ret = (struct cm_rpc_stats){s->requests,
                                 s->refused,
                                 s->n_running - s->n_parked,
                                 s->n_parked,
                                 (unsigned)cm_map_count(s->pipes),
                                 (unsigned)cm_map_count(s->callers)};
    pthread_mutex_unlock(&s->lock);
}
