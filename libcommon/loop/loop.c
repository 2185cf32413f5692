#include "loop/loop.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/thread.h>

struct posted {
    struct posted *next;
    void (*fn)(void *);
    void *arg;
};

struct cm_loop {
    struct event_base *base;
    int wake_fd;
    struct event *wake_ev;
    pthread_mutex_t lock; /* guards the queue */
    struct posted *first, **last;
    struct cm_link guests;
    pthread_t thread;
    bool has_thread;
    _Atomic(bool) running;
    _Atomic(bool) stop;
    _Atomic(pthread_t) runner; /* valid while running */
};

void cm_loop_global_init(void)
{
    /* What streams through buffers is freed and allocated again at once. By default malloc gives
     * most of it back to the kernel in between, and a quarter of a bulk transfer's time goes into
     * faulting it in again. */
    mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
    mallopt(M_TRIM_THRESHOLD, 2 * 1024 * 1024);
    mallopt(M_TOP_PAD, 256 * 1024);
    evthread_use_pthreads();
}

static struct posted *queue_take(struct cm_loop *l)
{
    pthread_mutex_lock(&l->lock);
    struct posted *p = l->first;
    l->first = NULL;
    l->last = &l->first;
    pthread_mutex_unlock(&l->lock);
    return p;
}

static void queue_run(struct cm_loop *l)
{
    /* What runs may post again; that waits for the next turn, so that a busy poster cannot starve
     * the sockets. */
    for (struct posted *p = queue_take(l), *next; p; p = next) {
        next = p->next;
        p->fn(p->arg);
        cm_free(p);
    }
}

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    uint64_t n;
    cm_ignore(read(fd, &n, sizeof(n)) < 0,
              "an empty eventfd only means that somebody else drained it");
    queue_run(ctx);
}

struct cm_loop *cm_loop_new(void)
{
    struct cm_loop *l = cm_xcalloc(1, sizeof(*l));
    struct event_config *cfg = event_config_new();
    cm_assert(cfg);
    event_config_set_flag(cfg, EVENT_BASE_FLAG_PRECISE_TIMER);
    l->base = event_base_new_with_config(cfg);
    event_config_free(cfg);
    cm_assert(l->base);
    l->last = &l->first;
    cm_list_init(&l->guests);
    pthread_mutex_init(&l->lock, NULL);
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    cm_assert(l->wake_fd >= 0);
    l->wake_ev = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l);
    cm_assert(l->wake_ev && event_add(l->wake_ev, NULL) == 0);
    return l;
}

void cm_loop_free(struct cm_loop *l)
{
    if (!l)
        return;
    if (l->has_thread)
        cm_loop_thread_join(l);
    while (l->first)
        queue_run(l);
    while (!cm_list_empty(&l->guests)) {
        struct cm_loop_guest *g = cm_container_of(l->guests.next, struct cm_loop_guest, link);
        g->end(g);
    }
    while (l->first)
        queue_run(l);
    event_free(l->wake_ev);
    event_base_free(l->base);
    close(l->wake_fd);
    pthread_mutex_destroy(&l->lock);
    cm_free(l);
}

void cm_loop_guest_add(struct cm_loop *l, struct cm_loop_guest *g)
{
    CM_ON_LOOP(l);
    cm_list_push(&l->guests, &g->link);
}

void cm_loop_guest_remove(struct cm_loop_guest *g)
{
    cm_list_unlink(&g->link);
}

static void enter(struct cm_loop *l)
{
    l->runner = pthread_self();
    l->running = true;
}

void cm_loop_run(struct cm_loop *l)
{
    enter(l);
    while (!l->stop)
        event_base_loop(l->base, EVLOOP_ONCE);
    l->running = false;
}

void cm_loop_turn(struct cm_loop *l, cm_usec timeout)
{
    enter(l);
    struct timeval tv = {timeout / CM_SECOND, timeout % CM_SECOND};
    if (timeout > 0)
        event_base_loopexit(l->base, &tv);
    event_base_loop(l->base, timeout > 0 ? EVLOOP_ONCE : EVLOOP_NONBLOCK);
    l->running = false;
}

static void wake(struct cm_loop *l)
{
    uint64_t one = 1;
    cm_ignore(write(l->wake_fd, &one, sizeof(one)) < 0, "a full eventfd is awake already");
}

void cm_loop_stop(struct cm_loop *l)
{
    l->stop = true;
    wake(l);
}

static void *thread_main(void *arg)
{
    cm_loop_run(arg);
    return NULL;
}

enum cm_code cm_loop_thread_start(struct cm_loop *l, const char *name, struct cm_err *err)
{
    int e = pthread_create(&l->thread, NULL, thread_main, l);
    if (e) {
        errno = e;
        return cm_err_errno(err, CM_IO, "start thread %s", name);
    }
    pthread_setname_np(l->thread, name);
    l->has_thread = true;
    return CM_OK;
}

void cm_loop_thread_join(struct cm_loop *l)
{
    if (!l->has_thread)
        return;
    cm_loop_stop(l);
    pthread_join(l->thread, NULL);
    l->has_thread = false;
}

bool cm_loop_here(const struct cm_loop *l)
{
    return !l->running || pthread_equal(l->runner, pthread_self());
}

void cm_loop_post(struct cm_loop *l, void (*fn)(void *), void *arg)
{
    struct posted *p = cm_xmalloc(sizeof(*p));
    p->next = NULL;
    p->fn = fn;
    p->arg = arg;
    pthread_mutex_lock(&l->lock);
    bool was_empty = l->first == NULL;
    *l->last = p;
    l->last = &p->next;
    pthread_mutex_unlock(&l->lock);
    if (was_empty)
        wake(l);
}

struct event_base *cm_loop_base(struct cm_loop *l)
{
    return l->base;
}

static struct timeval to_timeval(cm_usec d)
{
    if (d < 0)
        d = 0;
    return (struct timeval){d / CM_SECOND, d % CM_SECOND};
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct cm_timer *t = ctx;
    if (t->period) {
        struct timeval tv = to_timeval(t->period);
        event_add(t->ev, &tv);
    }
    t->fn(t->ctx);
}

void cm_timer_init(struct cm_timer *t, struct cm_loop *l, void (*fn)(void *ctx), void *ctx)
{
    t->fn = fn;
    t->ctx = ctx;
    t->period = 0;
    t->ev = event_new(l->base, -1, 0, on_timer, t);
    cm_assert(t->ev);
}

void cm_timer_start(struct cm_timer *t, cm_usec after)
{
    t->period = 0;
    struct timeval tv = to_timeval(after);
    event_add(t->ev, &tv);
}

void cm_timer_every(struct cm_timer *t, cm_usec period)
{
    t->period = period;
    struct timeval tv = to_timeval(period);
    event_add(t->ev, &tv);
}

void cm_timer_stop(struct cm_timer *t)
{
    if (t->ev)
        event_del(t->ev);
}

void cm_timer_done(struct cm_timer *t)
{
    if (t->ev)
        event_free(t->ev);
    t->ev = NULL;
}

static void on_watch(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    struct cm_watch *w = ctx;
    w->fn(w->ctx, fd);
}

void cm_watch_start(struct cm_watch *w, struct cm_loop *l, int fd, bool for_write,
                    void (*fn)(void *ctx, int fd), void *ctx)
{
    w->fn = fn;
    w->ctx = ctx;
    w->ev =
        event_new(l->base, fd, (short)((for_write ? EV_WRITE : EV_READ) | EV_PERSIST), on_watch, w);
    w->again = NULL;
    cm_assert(w->ev && event_add(w->ev, NULL) == 0);
}

static void on_rested(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct cm_watch *w = ctx;
    cm_assert(event_add(w->ev, NULL) == 0);
}

void cm_watch_rest(struct cm_watch *w, cm_usec d)
{
    struct timeval tv = to_timeval(d);
    if (!w->again)
        w->again = evtimer_new(event_get_base(w->ev), on_rested, w);
    cm_assert(w->again && event_del(w->ev) == 0 && evtimer_add(w->again, &tv) == 0);
}

void cm_watch_stop(struct cm_watch *w)
{
    if (w->again)
        event_free(w->again);
    if (w->ev)
        event_free(w->ev);
    w->ev = w->again = NULL;
}

static void on_signal(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    struct cm_sigwatch *s = ctx;
    s->fn(s->ctx, fd);
}

void cm_sigwatch_start(struct cm_sigwatch *s, struct cm_loop *l, int signo,
                       void (*fn)(void *ctx, int signo), void *ctx)
{
    s->fn = fn;
    s->ctx = ctx;
    s->ev = evsignal_new(l->base, signo, on_signal, s);
    cm_assert(s->ev && event_add(s->ev, NULL) == 0);
}

void cm_sigwatch_stop(struct cm_sigwatch *s)
{
    if (s->ev)
        event_free(s->ev);
    s->ev = NULL;
}
