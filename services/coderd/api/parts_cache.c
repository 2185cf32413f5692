#include "api/parts_cache.h"

#include <pthread.h>

#include "base/list.h"
#include "base/map.h"
#include "codec/copy.h"

struct entry {
    struct parts_cache *cache;
    struct cm_uuid job_id;
    struct cm_arena *arena; /* owns all below */
    struct job_parts parts;
    size_t bytes;
    unsigned users; /* arenas that hold it, and the cache itself; the last one frees it */
    struct cm_link link;
};

struct parts_cache {
    pthread_mutex_t lock; /* guards everything below, and users of entries */
    struct cm_map *by_job;
    struct cm_link used; /* least recently first */
    size_t bytes, max;
};

static struct cm_str key_of(const struct cm_uuid *id)
{
    return cm_str_n(id->b, sizeof(id->b));
}

struct parts_cache *parts_cache_new(size_t max)
{
    struct parts_cache *c = cm_xcalloc(1, sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    c->by_job = cm_map_new();
    cm_list_init(&c->used);
    c->max = max;
    return c;
}

static void entry_free(struct entry *e)
{
    cm_arena_free(e->arena);
    cm_free(e);
}

/* With the lock held: out of the cache; who still holds it keeps it. */
static void drop(struct parts_cache *c, struct entry *e)
{
    cm_ignore(cm_map_remove(c->by_job, key_of(&e->job_id)), "it is e");
    cm_list_unlink(&e->link);
    c->bytes -= e->bytes;
    if (--e->users == 0)
        entry_free(e);
}

void parts_cache_free(struct parts_cache *c)
{
    if (!c)
        return;
    while (!cm_list_empty(&c->used))
        drop(c, cm_container_of(c->used.next, struct entry, link));
    cm_map_free(c->by_job);
    pthread_mutex_destroy(&c->lock);
    cm_free(c);
}

static void let_go(void *arg)
{
    struct entry *e = arg;
    struct parts_cache *c = e->cache;
    pthread_mutex_lock(&c->lock);
    bool last = --e->users == 0;
    pthread_mutex_unlock(&c->lock);
    if (last)
        entry_free(e);
}

bool parts_cache_get(struct parts_cache *c, struct cm_uuid job_id, struct cm_arena *holder,
                     struct job_parts *ret)
{
    pthread_mutex_lock(&c->lock);
    struct entry *e = cm_map_get(c->by_job, key_of(&job_id));
    if (e) {
        e->users++;
        cm_list_unlink(&e->link);
        cm_list_push(&c->used, &e->link);
    }
    pthread_mutex_unlock(&c->lock);
    if (!e)
        return false;
    cm_arena_defer(holder, let_go, e);
    *ret = e->parts;
    return true;
}

void parts_cache_put(struct parts_cache *c, struct cm_uuid job_id, const struct job_parts *parts)
{
    struct entry *e = cm_xcalloc(1, sizeof(*e));
    e->cache = c;
    e->job_id = job_id;
    e->users = 1;
    e->arena = cm_arena_new();
    e->parts = (struct job_parts){
        .job = cm_message_copy(&api_provisioner_job_msg, parts->job, 1, e->arena),
        .resources =
            cm_message_copy(&api_workspace_resource_msg, parts->resources, parts->n, e->arena),
        .n = parts->n};
    e->bytes = sizeof(*e) + cm_arena_size(e->arena);
    pthread_mutex_lock(&c->lock);
    struct entry *before = cm_map_get(c->by_job, key_of(&job_id));
    if (before)
        drop(c, before);
    cm_ignore(cm_map_put(c->by_job, key_of(&job_id), e), "it was dropped");
    cm_list_push(&c->used, &e->link);
    c->bytes += e->bytes;
    while (c->bytes > c->max)
        drop(c, cm_container_of(c->used.next, struct entry, link));
    pthread_mutex_unlock(&c->lock);
}

size_t parts_cache_bytes(struct parts_cache *c)
{
    pthread_mutex_lock(&c->lock);
    size_t bytes = c->bytes;
    pthread_mutex_unlock(&c->lock);
    return bytes;
}
