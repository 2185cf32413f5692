/* Requests that wait. All under the server's lock: a parked work belongs to its list, and whoever
 * takes it off the list wakes it, once. */
#include "net/rpc/server_impl.h"

#define TICK (250 * CM_MSEC)

static struct cm_str token_key(const uint64_t *token)
{
    return cm_str_n(token, sizeof(*token));
}

static void start_tick(void *server)
{
    struct cm_rpc_server *s = server;
    cm_timer_start(&s->tick, TICK);
}

/* Under the lock. The tick runs only while somebody waits. */
static void want_tick(struct cm_rpc_server *s)
{
    if (s->tick_wanted || s->stopping)
        return;
    s->tick_wanted = true;
    cm_loop_post(s->cfg.loop, start_tick, s);
}

void rpc_hand_over(struct cm_rpc_server *s, struct rpc_work *w)
{
    w->state = WORK_RUNNING;
    w->rq.wake = w->wake;
    w->task = (struct cm_task){.work = rpc_work_task};
    if (cm_pool_submit(s->cfg.pool, &w->task, NULL) == CM_OK)
        return;
    w->state = WORK_DUE;
    cm_list_push(&s->due, &w->wait);
    want_tick(s);
}

/* Under the lock; the work's token is still set. */
static void wake(struct cm_rpc_server *s, struct rpc_work *w, enum cm_rpc_wake why)
{
    cm_map_remove(s->tokens, token_key(&w->token));
    w->token = 0;
    w->wake = why;
    if (w->state != WORK_PARKED) {
        w->woken = true; /* its handler has not returned yet: rpc_park_settle goes on */
        return;
    }
    cm_list_unlink(&w->wait);
    s->n_parked--;
    rpc_caller_submit(w);
}

uint64_t cm_rpc_park(struct cm_rpc_request *rq)
{
    struct rpc_work *w = cm_container_of(rq, struct rpc_work, rq);
    struct cm_rpc_server *s = w->server;
    uint64_t token = 0;
    pthread_mutex_lock(&s->lock);
    cm_assert(w->token == 0 && !w->woken); /* once per run */
    bool last = rq->wake == CM_RPC_DEADLINE || rq->wake == CM_RPC_GONE;
    if (!last && !s->draining && s->n_parked < s->cfg.parked_max) {
        token = w->token = s->next_token;
        s->next_token += 2; /* odd, so never 0 */
        cm_map_put(s->tokens, token_key(&token), w);
    }
    pthread_mutex_unlock(&s->lock);
    return token;
}

bool rpc_park_settle(struct rpc_work *w)
{
    struct cm_rpc_server *s = w->server;
    pthread_mutex_lock(&s->lock);
    bool parked = w->token != 0 || w->woken;
    if (parked && !w->woken) {
        uint32_t id = w->pipe;
        if (!cm_map_get(s->pipes, cm_str_n(&id, sizeof(id)))) {
            wake(s, w, CM_RPC_GONE);
        } else if (s->draining) {
            wake(s, w, CM_RPC_DEADLINE);
        } else {
            w->state = WORK_PARKED;
            s->n_parked++;
            cm_list_push(&s->parked, &w->wait);
            want_tick(s);
        }
    }
    if (w->woken) {
        w->woken = false;
        rpc_caller_submit(w);
    }
    pthread_mutex_unlock(&s->lock);
    if (parked)
        rpc_top_up(s);
    return parked;
}

void cm_rpc_resume(struct cm_rpc_server *s, uint64_t token)
{
    pthread_mutex_lock(&s->lock);
    struct rpc_work *w = token ? cm_map_get(s->tokens, token_key(&token)) : NULL;
    if (w)
        wake(s, w, CM_RPC_RESUMED);
    pthread_mutex_unlock(&s->lock);
}

void rpc_park_wake_all(struct cm_rpc_server *s, uint32_t pipe, enum cm_rpc_wake why)
{
    pthread_mutex_lock(&s->lock);
    CM_LIST_EACH(l, &s->parked)
    {
        struct rpc_work *w = cm_container_of(l, struct rpc_work, wait);
        if (pipe == 0 || w->pipe == pipe)
            wake(s, w, why);
    }
    pthread_mutex_unlock(&s->lock);
}

void rpc_park_resubmit(struct cm_rpc_server *s)
{
    pthread_mutex_lock(&s->lock);
    struct cm_link again;
    cm_list_init(&again);
    for (struct cm_link *l; (l = cm_list_pop(&s->due));)
        cm_list_push(&again, l);
    for (struct cm_link *l; (l = cm_list_pop(&again));)
        rpc_hand_over(s, cm_container_of(l, struct rpc_work, wait));
    pthread_mutex_unlock(&s->lock);
}

void rpc_park_tick(void *server)
{
    struct cm_rpc_server *s = server;
    cm_usec now = cm_monotonic_now();
    rpc_park_resubmit(s);
    pthread_mutex_lock(&s->lock);
    CM_LIST_EACH(l, &s->parked)
    {
        struct rpc_work *w = cm_container_of(l, struct rpc_work, wait);
        if (w->rq.deadline <= now)
            wake(s, w, CM_RPC_DEADLINE);
    }
    s->tick_wanted = !cm_list_empty(&s->parked) || !cm_list_empty(&s->due);
    if (s->tick_wanted)
        cm_timer_start(&s->tick, TICK);
    pthread_mutex_unlock(&s->lock);
}
