/* Connections: whose they are, and which have gone silent. nng tells of them from its own threads.
 */
#include <nng/nng.h>

#include "base/secret.h"
#include "net/rpc/front_impl.h"
#include "net/rpc/server_impl.h"
#include "obs/log.h"

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

void rpc_pipe_free(struct cm_rpc_server *s, struct rpc_pipe *p)
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
    rpc_pipe_free(s, cm_map_put(s->pipes, rpc_pipe_key(&id), p));
    pthread_mutex_unlock(&s->lock);
}

static void pipe_remove(struct cm_rpc_server *s, nng_pipe np)
{
    uint32_t id = (uint32_t)nng_pipe_id(np);
    pthread_mutex_lock(&s->lock);
    rpc_pipe_free(s, cm_map_remove(s->pipes, rpc_pipe_key(&id)));
    pthread_mutex_unlock(&s->lock);
    rpc_park_wake_all(s, id, CM_RPC_GONE);
}

void rpc_pipe_event(nng_pipe np, nng_pipe_ev ev, void *arg)
{
    if (ev == NNG_PIPE_EV_ADD_PRE)
        pipe_add(arg, np);
    else if (ev == NNG_PIPE_EV_REM_POST)
        pipe_remove(arg, np);
}

void rpc_pipe_sweep(void *server)
{
    struct cm_rpc_server *s = server;
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
