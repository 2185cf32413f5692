/* The server's life: its tables, keys and listeners, and its end. */
#include "net/rpc/server.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>

#include "base/random.h"
#include "base/secret.h"
#include "net/rpc/server_impl.h"

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
        rv = nng_pipe_notify(s->sock, NNG_PIPE_EV_ADD_PRE, rpc_pipe_event, s);
    if (rv == 0)
        rv = nng_pipe_notify(s->sock, NNG_PIPE_EV_REM_POST, rpc_pipe_event, s);
    if (rv != 0)
        return cm_rpc_nng_err(err, rv, "open the RPC socket");
    for (unsigned i = 0; i < s->cfg.contexts; i++)
        if (rpc_work_start(s, err) != CM_OK)
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
    cm_timer_init(&s->sweep, cfg->loop, rpc_pipe_sweep, s);
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
        rpc_work_free(w);
    }
    rpc_handshakes_expire(s, INT64_MAX);
    size_t it = 0;
    struct cm_str key;
    void *p;
    while (s->pipes && cm_map_next(s->pipes, &it, &key, &p))
        rpc_pipe_free(s, p);
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
