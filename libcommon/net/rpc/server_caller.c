/* What one caller may have in work. A connection is a caller of its own until a ticket shows whose
 * it is; from then on all connections of that caller count together. All under the server's lock.
 */
#include "net/rpc/server_impl.h"
#include "obs/log.h"

struct rpc_caller *rpc_caller_new(void)
{
    struct rpc_caller *c = cm_xcalloc(1, sizeof(*c));
    c->refs = 1;
    cm_list_init(&c->waiting);
    return c;
}

struct rpc_caller *rpc_caller_ref(struct rpc_caller *c)
{
    c->refs++;
    return c;
}

static struct cm_str key_of(const struct rpc_caller *c)
{
    return cm_str_n(c->id.b, sizeof(c->id.b));
}

void rpc_caller_unref(struct cm_rpc_server *s, struct rpc_caller *c)
{
    if (!c || --c->refs)
        return;
    cm_assert(c->running == 0 && cm_list_empty(&c->waiting));
    if (c->known)
        cm_map_remove(s->callers, key_of(c));
    cm_free(c);
}

static struct rpc_caller *find_ref(struct cm_rpc_server *s, struct cm_uuid id)
{
    struct rpc_caller *c = cm_map_get(s->callers, cm_str_n(id.b, sizeof(id.b)));
    if (c)
        return rpc_caller_ref(c);
    c = rpc_caller_new();
    c->known = true;
    c->id = id;
    cm_map_put(s->callers, key_of(c), c);
    return c;
}

void rpc_caller_known(struct rpc_work *w, struct cm_uuid id)
{
    struct cm_rpc_server *s = w->server;
    /* Neither changes while a request counts for it. */
    if (w->caller->known && cm_uuid_eq(w->caller->id, id))
        return;
    pthread_mutex_lock(&s->lock);
    uint32_t pipe = w->pipe;
    struct rpc_pipe *p = cm_map_get(s->pipes, cm_str_n(&pipe, sizeof(pipe)));
    if (p) {
        struct rpc_caller *before = p->caller;
        p->caller = find_ref(s, id);
        rpc_caller_unref(s, before);
    }
    pthread_mutex_unlock(&s->lock);
}

static bool is_full(const struct cm_rpc_server *s, const struct rpc_caller *c)
{
    return s->cfg.caller_running_max && c->running >= s->cfg.caller_running_max;
}

static void enter(struct cm_rpc_server *s, struct rpc_work *w)
{
    s->n_tasks++;
    rpc_caller_ref(w->caller)->running++;
}

static void wait(struct cm_rpc_server *s, struct rpc_work *w)
{
    w->state = WORK_WAITING;
    cm_list_push(&w->caller->waiting, &w->wait);
    w->caller->n_waiting++;
    s->n_waiting++;
}

enum rpc_admission rpc_caller_admit(struct rpc_work *w)
{
    struct cm_rpc_server *s = w->server;
    if (!is_full(s, w->caller)) {
        enter(s, w);
        return RPC_ADMIT_NOW;
    }
    if (w->caller->n_waiting >= s->cfg.caller_waiting_max || s->n_waiting >= s->cfg.parked_max)
        return RPC_ADMIT_NEVER;
    wait(s, w);
    return RPC_ADMIT_LATER;
}

bool rpc_caller_refused(struct rpc_work *w)
{
    struct rpc_caller *c = w->caller;
    unsigned max = w->server->cfg.caller_refused_max;
    if (w->arrived - c->refused_since > CM_SECOND) {
        c->refused_since = w->arrived;
        c->refused = 0;
    }
    if (++c->refused == max)
        CM_WARN("rpc: cutting off a caller that asks without end", CM_F_CSTR(client, w->address),
                CM_F_UUID(caller, c->id));
    return c->refused >= max;
}

void rpc_caller_submit(struct rpc_work *w)
{
    struct cm_rpc_server *s = w->server;
    if (is_full(s, w->caller)) {
        wait(s, w);
        return;
    }
    enter(s, w);
    rpc_hand_over(s, w);
}

void rpc_caller_leave(struct cm_rpc_server *s, struct rpc_caller *c)
{
    pthread_mutex_lock(&s->lock);
    s->n_tasks--;
    c->running--;
    struct cm_link *l = is_full(s, c) ? NULL : cm_list_pop(&c->waiting);
    if (l) {
        struct rpc_work *w = cm_container_of(l, struct rpc_work, wait);
        c->n_waiting--;
        s->n_waiting--;
        enter(s, w);
        rpc_hand_over(s, w);
    }
    rpc_caller_unref(s, c);
    pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->lock);
}
