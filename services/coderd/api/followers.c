/* One statement every few seconds asks for the keys of all streams together; who is to go is told
 * on its own loop, where it may have left meanwhile, so it is known there by a number. */
#include "api/followers.h"

#include <pthread.h>

#include "app.h"
#include "base/map.h"
#include "domain/rbac.h"
#include "loop/pool.h"
#include "obs/log.h"
#include "store/auth.h"

#define LOOK_EVERY (10 * CM_SECOND)

struct followers {
    struct coderd *app;
    struct cm_task task;
    struct cm_timer timer;
    pthread_mutex_t lock; /* guards what follows */
    struct cm_link list;
    size_t n_busy; /* of the list, those that are not there to the last */
    uint64_t last_id;
    bool closed;
};

/* On its way to a member's loop. */
struct revocation {
    struct followers *all;
    uint64_t id;
};

/* On its way to a loop. */
struct farewell {
    struct followers *all;
    struct cm_loop *loop;
};

int followers_end_code(enum followers_end why)
{
    return why == FOLLOWERS_STOPPING ? 1001 : 1008;
}

const char *followers_end_text(enum followers_end why)
{
    return why == FOLLOWERS_STOPPING ? "the server is stopping; connect again"
                                     : "the session that this began with has ended; sign in again";
}

static void revoke(void *arg)
{
    struct revocation *v = arg;
    struct followers *all = v->all;
    struct followers_member *found = NULL;
    pthread_mutex_lock(&all->lock);
    CM_LIST_EACH(l, &all->list)
    {
        struct followers_member *m = cm_container_of(l, struct followers_member, link);
        if (m->id == v->id)
            found = m;
    }
    pthread_mutex_unlock(&all->lock);
    /* It leaves on this loop only. */
    if (found)
        found->end(found, FOLLOWERS_REVOKED);
    cm_free(v);
}

/* Each key once. */
static size_t collect(struct followers *all, struct cm_arena *a, struct cm_str **ret)
{
    CM_AUTO(cm_map) seen = cm_map_new();
    size_t n = 0, it = 0;
    struct cm_str key;
    void *value;
    pthread_mutex_lock(&all->lock);
    CM_LIST_EACH(l, &all->list)
    {
        struct followers_member *m = cm_container_of(l, struct followers_member, link);
        if (m->key_id[0])
            cm_map_put(seen, cm_str(m->key_id), m);
    }
    pthread_mutex_unlock(&all->lock);
    *ret = CM_NEW_ARRAY(a, struct cm_str, cm_map_count(seen) + 1);
    while (cm_map_next(seen, &it, &key, &value))
        (*ret)[n++] = cm_arena_str(a, key);
    return n;
}

static void revoke_key(struct followers *all, struct cm_str key_id)
{
    pthread_mutex_lock(&all->lock);
    CM_LIST_EACH(l, &all->list)
    {
        struct followers_member *m = cm_container_of(l, struct followers_member, link);
        if (!cm_str_eq_c(key_id, m->key_id))
            continue;
        struct revocation *v = cm_xcalloc(1, sizeof(*v));
        *v = (struct revocation){all, m->id};
        cm_loop_post(m->loop, revoke, v);
    }
    pthread_mutex_unlock(&all->lock);
}

static void look(struct cm_task *t, void *thread_ctx)
{
    struct followers *all = cm_container_of(t, struct followers, task);
    struct worker *w = thread_ctx;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_str *keys = NULL, *gone = NULL;
    struct cm_err err;
    size_t n_gone = 0, n = collect(all, a, &keys);
    /* A database that is away ends nobody's stream. */
    if (n && store_auth_keys_gone(w->db, a, keys, n, &gone, &n_gone, &err) != CM_OK) {
        CM_WARN("cannot look whether open streams may go on", CM_F_ERR(&err));
        return;
    }
    for (size_t i = 0; i < n_gone; i++)
        revoke_key(all, gone[i]);
}

static void look_again(struct cm_task *t)
{
    struct followers *all = cm_container_of(t, struct followers, task);
    if (all->closed)
        return; /* maybe the timer has gone as well */
    cm_timer_start(&all->timer, LOOK_EVERY);
}

static void on_time(void *ctx)
{
    struct followers *all = ctx;
    struct cm_err err;
    all->task = (struct cm_task){.work = look, .done = look_again, .home = all->app->loops[0]};
    if (cm_pool_submit(all->app->workers, &all->task, &err) != CM_OK)
        cm_timer_start(&all->timer, CM_SECOND);
}

struct followers *followers_new(struct coderd *app)
{
    struct followers *all = cm_xcalloc(1, sizeof(*all));
    all->app = app;
    pthread_mutex_init(&all->lock, NULL);
    cm_list_init(&all->list);
    cm_timer_init(&all->timer, app->loops[0], on_time, all);
    cm_timer_start(&all->timer, LOOK_EVERY);
    return all;
}

void followers_of_key(struct followers_member *m, const struct subject *who)
{
    if (!who)
        return;
    cm_assert(who->key_id.len < sizeof(m->key_id));
    memcpy(m->key_id, who->key_id.ptr, who->key_id.len);
}

bool followers_join(struct followers *all, struct followers_member *m)
{
    pthread_mutex_lock(&all->lock);
    bool closed = all->closed;
    m->id = ++all->last_id;
    if (!closed) {
        cm_list_push(&all->list, &m->link);
        all->n_busy += !m->to_the_last;
    }
    pthread_mutex_unlock(&all->lock);
    return !closed;
}

void followers_leave(struct followers *all, struct followers_member *m)
{
    pthread_mutex_lock(&all->lock);
    if (m->link.next)
        all->n_busy -= !m->to_the_last;
    cm_list_unlink(&m->link);
    pthread_mutex_unlock(&all->lock);
}

/* They leave on this loop only, so that none goes while the others are told. */
static void say_farewell(void *arg)
{
    struct farewell *f = arg;
    struct followers *all = f->all;
    size_t n = 0;
    pthread_mutex_lock(&all->lock);
    struct followers_member **mine = cm_xcalloc(all->n_busy + 1, sizeof(*mine));
    CM_LIST_EACH(l, &all->list)
    {
        struct followers_member *m = cm_container_of(l, struct followers_member, link);
        if (m->loop == f->loop && !m->to_the_last)
            mine[n++] = m;
    }
    pthread_mutex_unlock(&all->lock);
    for (size_t i = 0; i < n; i++)
        mine[i]->end(mine[i], FOLLOWERS_STOPPING);
    cm_free(mine);
    cm_free(f);
}

void followers_drain(struct followers *all)
{
    cm_timer_stop(&all->timer);
    pthread_mutex_lock(&all->lock);
    all->closed = true;
    pthread_mutex_unlock(&all->lock);
    for (size_t i = 0; i < all->app->n_loops; i++) {
        struct farewell *f = cm_xcalloc(1, sizeof(*f));
        *f = (struct farewell){all, all->app->loops[i]};
        cm_loop_post(f->loop, say_farewell, f);
    }
}

size_t followers_busy(struct followers *all)
{
    pthread_mutex_lock(&all->lock);
    size_t n = all->n_busy;
    pthread_mutex_unlock(&all->lock);
    return n;
}

void followers_close(struct followers *all)
{
    if (!all)
        return;
    cm_timer_done(&all->timer);
    pthread_mutex_lock(&all->lock);
    all->closed = true;
    pthread_mutex_unlock(&all->lock);
    /* No other thread is left that could touch the list. */
    while (!cm_list_empty(&all->list)) {
        struct cm_link *first = cm_list_pop(&all->list);
        struct followers_member *m = cm_container_of(first, struct followers_member, link);
        all->n_busy -= !m->to_the_last;
        m->let_go(m);
    }
}

void followers_free(struct followers *all)
{
    if (!all)
        return;
    pthread_mutex_destroy(&all->lock);
    cm_free(all);
}
