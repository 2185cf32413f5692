#include "relay/tunnels.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "obs/log.h"

/* Shared by the table, its tunnel and calls on their way to the loop. tunnel is touched on the loop
 * only. */
struct entry {
    struct cm_link link; /* in tunnels.all, as long as there is a tunnel */
    struct tunnels *owner;
    struct cm_uuid agent_id;
    struct cm_loop *loop;
    struct cm_tunnel *tunnel;
    atomic_int refs;
};

struct tunnels {
    struct tunnels_config cfg;
    pthread_mutex_t lock;    /* guards what follows */
    struct cm_map *by_agent; /* NULL when closed */
    struct cm_link all;      /* older ones that drain, too */
    bool draining;
};

static struct cm_str key_of(const struct cm_uuid *id)
{
    return cm_str_n(id->b, sizeof(id->b));
}

static void unref(struct entry *e)
{
    if (atomic_fetch_sub(&e->refs, 1) == 1)
        cm_free(e);
}

struct tunnels *tunnels_new(const struct tunnels_config *cfg)
{
    struct tunnels *t = cm_xcalloc(1, sizeof(*t));
    t->cfg = *cfg;
    t->by_agent = cm_map_new();
    cm_list_init(&t->all);
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void tunnels_close(struct tunnels *t)
{
    size_t it = 0;
    struct cm_str key;
    void *value;
    pthread_mutex_lock(&t->lock);
    struct cm_map *by_agent = CM_TAKE(t->by_agent);
    pthread_mutex_unlock(&t->lock);
    while (by_agent && cm_map_next(by_agent, &it, &key, &value))
        unref(value);
    cm_map_free(by_agent);
    for (struct cm_link *link; (link = cm_list_pop(&t->all));) {
        struct entry *e = cm_container_of(link, struct entry, link);
        cm_tunnel_free(CM_TAKE(e->tunnel)); /* its end is not told any more */
        unref(e);
    }
}

void tunnels_free(struct tunnels *t)
{
    if (!t)
        return;
    tunnels_close(t);
    pthread_mutex_destroy(&t->lock);
    cm_free(t);
}

static void on_closed(void *ctx, struct cm_tunnel *tunnel, const struct cm_err *why)
{
    struct entry *e = ctx;
    struct tunnels *t = e->owner;
    CM_DEBUG("agent tunnel ended", CM_F_UUID(agent_id, e->agent_id), CM_F_ERR(why));
    e->tunnel = NULL;
    cm_tunnel_free(tunnel);
    pthread_mutex_lock(&t->lock);
    bool last = cm_map_get(t->by_agent, key_of(&e->agent_id)) == e;
    if (last)
        cm_map_remove(t->by_agent, key_of(&e->agent_id));
    cm_list_unlink(&e->link);
    bool tell = last && !t->draining;
    pthread_mutex_unlock(&t->lock);
    if (tell)
        t->cfg.on_lost(t->cfg.ctx, e->agent_id);
    if (last)
        unref(e); /* the table's */
    unref(e);     /* the tunnel's */
}

static void drain_entry(void *arg)
{
    struct entry *e = arg;
    if (e->tunnel)
        cm_tunnel_drain(e->tunnel);
    unref(e);
}

static void post_drain(struct entry *e)
{
    atomic_fetch_add(&e->refs, 1);
    cm_loop_post(e->loop, drain_entry, e);
}

void tunnels_add(struct tunnels *t, struct cm_uuid agent_id, struct cm_stream *stream)
{
    struct entry *e = cm_xcalloc(1, sizeof(*e)), *old = NULL;
    e->owner = t;
    e->agent_id = agent_id;
    e->loop = stream->loop;
    e->refs = 2; /* the table and the tunnel */
    e->tunnel =
        cm_tunnel_client_new(stream, &(struct cm_tunnel_config){.closed = on_closed, .ctx = e});
    pthread_mutex_lock(&t->lock);
    bool open = t->by_agent != NULL;
    if (open) {
        old = cm_map_put(t->by_agent, key_of(&agent_id), e);
        cm_list_push(&t->all, &e->link);
    }
    if (open && t->draining)
        post_drain(e);
    pthread_mutex_unlock(&t->lock);
    if (!open) {
        cm_tunnel_free(e->tunnel);
        cm_free(e);
    } else if (old) {
        cm_loop_post(old->loop, drain_entry, old); /* with the table's reference */
    }
}

void tunnels_drain(struct tunnels *t)
{
    pthread_mutex_lock(&t->lock);
    t->draining = true;
    CM_LIST_EACH(link, &t->all)
    post_drain(cm_container_of(link, struct entry, link));
    pthread_mutex_unlock(&t->lock);
}

static struct entry *find_ref(struct tunnels *t, struct cm_uuid agent_id)
{
    pthread_mutex_lock(&t->lock);
    struct entry *e = t->by_agent ? cm_map_get(t->by_agent, key_of(&agent_id)) : NULL;
    if (e)
        atomic_fetch_add(&e->refs, 1);
    pthread_mutex_unlock(&t->lock);
    return e;
}

bool tunnels_has(struct tunnels *t, struct cm_uuid agent_id)
{
    struct entry *e = find_ref(t, agent_id);
    if (e)
        unref(e);
    return e != NULL;
}

struct cm_loop *tunnels_loop(struct tunnels *t, struct cm_uuid agent_id)
{
    struct entry *e = find_ref(t, agent_id);
    struct cm_loop *loop = e ? e->loop : NULL;
    if (e)
        unref(e);
    return loop;
}

struct use {
    struct entry *e;
    void (*fn)(struct cm_tunnel *tunnel, struct cm_loop *loop, void *arg);
    void *arg;
};

static void run_use(void *arg)
{
    struct use *u = arg;
    u->fn(u->e->tunnel, u->e->loop, u->arg);
    unref(u->e);
    cm_free(u);
}

/* With a reference of its own. */
static void use_on_loop(struct entry *e,
                        void (*fn)(struct cm_tunnel *tunnel, struct cm_loop *loop, void *arg),
                        void *arg)
{
    struct use *u = cm_xcalloc(1, sizeof(*u));
    *u = (struct use){e, fn, arg};
    cm_loop_post(e->loop, run_use, u);
}

bool tunnels_use(struct tunnels *t, struct cm_uuid agent_id,
                 void (*fn)(struct cm_tunnel *tunnel, struct cm_loop *loop, void *arg), void *arg)
{
    struct entry *e = find_ref(t, agent_id);
    if (!e)
        return false;
    use_on_loop(e, fn, arg);
    return true;
}

static void on_told(void *ctx, int status, struct cm_str body, const struct cm_err *err)
{
    (void)ctx, (void)status, (void)body, (void)err;
}

static void tell(struct cm_tunnel *tunnel, struct cm_loop *loop, void *arg)
{
    CM_AUTOFREE char *path = arg;
    (void)loop;
    if (tunnel)
        cm_tunnel_request(tunnel, &(struct cm_tunnel_request){.method = CM_STR("POST"),
                                                              .path = cm_str(path),
                                                              .done = on_told});
}

void tunnels_tell(struct tunnels *t, struct cm_str path)
{
    size_t it = 0;
    struct cm_str key;
    void *value;
    pthread_mutex_lock(&t->lock);
    while (t->by_agent && cm_map_next(t->by_agent, &it, &key, &value)) {
        struct entry *e = value;
        atomic_fetch_add(&e->refs, 1);
        use_on_loop(e, tell, cm_str_xdup(path));
    }
    pthread_mutex_unlock(&t->lock);
}
