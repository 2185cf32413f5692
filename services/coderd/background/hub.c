#include "background/hub.h"

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/map.h"
#include "db/listen.h"
#include "obs/log.h"

struct hub {
    struct cm_loop *loop;
    struct cm_db_listen *listen;
    struct cm_watch rd, wr;
    int watched_fd;
    short watched_events;
    struct cm_timer timer;
    pthread_mutex_t lock;  /* guards topics and the links of subscriptions */
    struct cm_map *topics; /* topic -> struct topic */
};

struct topic {
    struct cm_link subs;
};

/* Shared by the topic's list and by a wake-up that is on its way to the loop; the last one frees.
 */
struct hub_sub {
    struct hub *hub;
    struct cm_link link;
    char topic[HUB_TOPIC_MAX];
    struct cm_loop *loop;
    void (*fn)(void *ctx);
    void *ctx;
    bool canceled; /* on the loop */
    bool waking;   /* guarded by the hub's lock */
    atomic_int refs;
};

static void sub_unref(struct hub_sub *s)
{
    if (atomic_fetch_sub(&s->refs, 1) == 1)
        cm_free(s);
}

static void deliver(void *arg)
{
    struct hub_sub *s = arg;
    if (!s->canceled) {
        pthread_mutex_lock(&s->hub->lock);
        s->waking = false;
        pthread_mutex_unlock(&s->hub->lock);
        s->fn(s->ctx);
    }
    sub_unref(s);
}

static void wake_topic(struct topic *t)
{
    CM_LIST_EACH(l, &t->subs)
    {
        struct hub_sub *s = cm_container_of(l, struct hub_sub, link);
        if (s->waking)
            continue;
        s->waking = true;
        atomic_fetch_add(&s->refs, 1);
        cm_loop_post(s->loop, deliver, s);
    }
}

static void on_notify(void *ctx, struct cm_str channel, struct cm_str payload)
{
    (void)channel;
    struct hub *h = ctx;
    pthread_mutex_lock(&h->lock);
    struct topic *t = cm_map_get(h->topics, payload);
    if (t)
        wake_topic(t);
    pthread_mutex_unlock(&h->lock);
}

static void on_ready(void *ctx)
{
    struct hub *h = ctx;
    size_t it = 0;
    struct cm_str key;
    void *value;
    pthread_mutex_lock(&h->lock);
    while (cm_map_next(h->topics, &it, &key, &value))
        wake_topic(value);
    pthread_mutex_unlock(&h->lock);
}

static void on_lost(void *ctx, const struct cm_err *why)
{
    (void)ctx;
    CM_WARN("database notifications are interrupted", CM_F_ERR(why));
}

static void poll_and_watch(struct hub *h);

static void on_fd(void *ctx, int fd)
{
    (void)fd;
    poll_and_watch(ctx);
}

static void on_timer(void *ctx)
{
    poll_and_watch(ctx);
}

static void poll_and_watch(struct hub *h)
{
    cm_db_listen_poll(h->listen);
    int fd = cm_db_listen_fd(h->listen);
    short events = cm_db_listen_events(h->listen);
    /* libpq may have closed a descriptor and got the same number again, so the watch is renewed on
     * each poll. */
    cm_watch_stop(&h->rd);
    cm_watch_stop(&h->wr);
    if (fd >= 0 && events & POLLIN)
        cm_watch_start(&h->rd, h->loop, fd, false, on_fd, h);
    if (fd >= 0 && events & POLLOUT)
        cm_watch_start(&h->wr, h->loop, fd, true, on_fd, h);
    cm_usec wait = cm_db_listen_deadline(h->listen) - cm_monotonic_now();
    cm_timer_start(&h->timer, CM_MAX(wait, (cm_usec)0));
}

enum cm_code hub_new(struct cm_loop *loop, const char *conninfo, struct hub **ret,
                     struct cm_err *err)
{
    static const char *const channels[] = {HUB_CHANNEL};
    struct hub *h = cm_xcalloc(1, sizeof(*h));
    h->loop = loop;
    h->topics = cm_map_new();
    pthread_mutex_init(&h->lock, NULL);
    cm_timer_init(&h->timer, loop, on_timer, h);
    struct cm_db_listen_conf conf = {.conninfo = conninfo,
                                     .app_name = "coderd listen",
                                     .channels = channels,
                                     .n_channels = 1,
                                     .on_notify = on_notify,
                                     .on_ready = on_ready,
                                     .on_lost = on_lost,
                                     .ctx = h};
    if (cm_db_listen_new(&conf, &h->listen, err) != CM_OK) {
        hub_free(h);
        return err->code;
    }
    cm_timer_start(&h->timer, 0);
    *ret = h;
    return CM_OK;
}

void hub_free(struct hub *h)
{
    if (!h)
        return;
    cm_watch_stop(&h->rd);
    cm_watch_stop(&h->wr);
    cm_timer_done(&h->timer);
    cm_db_listen_free(h->listen);
    size_t it = 0;
    struct cm_str key;
    void *value;
    while (cm_map_next(h->topics, &it, &key, &value)) {
        struct topic *t = value;
        for (struct cm_link *l; (l = cm_list_pop(&t->subs));)
            sub_unref(cm_container_of(l, struct hub_sub, link));
        cm_free(t);
    }
    cm_map_free(h->topics);
    pthread_mutex_destroy(&h->lock);
    cm_free(h);
}

struct hub_sub *hub_subscribe(struct hub *h, const char *topic, struct cm_loop *loop,
                              void (*fn)(void *ctx), void *ctx)
{
    struct hub_sub *s = cm_xcalloc(1, sizeof(*s));
    s->hub = h;
    s->loop = loop;
    s->fn = fn;
    s->ctx = ctx;
    s->refs = 1;
    cm_assert(strlen(topic) < sizeof(s->topic));
    memcpy(s->topic, topic, strlen(topic));
    pthread_mutex_lock(&h->lock);
    struct topic *t = cm_map_get(h->topics, cm_str(topic));
    if (!t) {
        t = cm_xcalloc(1, sizeof(*t));
        cm_list_init(&t->subs);
        cm_map_put(h->topics, cm_str(topic), t);
    }
    cm_list_push(&t->subs, &s->link);
    pthread_mutex_unlock(&h->lock);
    return s;
}

void hub_cancel(struct hub_sub *s)
{
    if (!s)
        return;
    CM_ON_LOOP(s->loop);
    struct hub *h = s->hub;
    s->canceled = true;
    pthread_mutex_lock(&h->lock);
    cm_list_unlink(&s->link);
    struct topic *t = cm_map_get(h->topics, cm_str(s->topic));
    if (t && cm_list_empty(&t->subs)) {
        cm_map_remove(h->topics, cm_str(s->topic));
        cm_free(t);
    }
    pthread_mutex_unlock(&h->lock);
    sub_unref(s);
}

enum cm_code hub_notify(struct cm_db *db, struct cm_err *err, const char *topic_fmt, ...)
{
    char topic[HUB_TOPIC_MAX];
    va_list ap;
    va_start(ap, topic_fmt);
    int n = vsnprintf(topic, sizeof(topic), topic_fmt, ap);
    va_end(ap);
    cm_assert(n > 0 && (size_t)n < sizeof(topic));
    return cm_db_notify(db, CM_STR(HUB_CHANNEL), cm_str(topic), err);
}
