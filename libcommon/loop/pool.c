#include "loop/pool.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>

#define REST_SECONDS 1

struct worker {
    struct cm_pool *pool;
    unsigned index;
    pthread_t thread;
};

struct cm_pool {
    struct cm_pool_config cfg;
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t wake;
    struct cm_link queue;
    size_t queued;
    unsigned idle;
    bool worked; /* since memory was given back */
    bool stopping;
    struct worker *workers;
    unsigned started;
};

static void task_done(void *arg)
{
    struct cm_task *t = arg;
    t->done(t);
}

void cm_pool_finish(struct cm_task *t)
{
    if (t->home)
        cm_loop_post(t->home, task_done, t);
}

/* With the lock held. The last one to become idle waits for a while only, and when there is still
 * nothing to do, gives the memory of what was done back to the system: each thread's part of the
 * heap keeps some by itself, which adds up to more than an idle server needs. */
static void wait_for_task(struct cm_pool *p)
{
    if (!p->worked || p->idle < p->started) {
        pthread_cond_wait(&p->wake, &p->lock);
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += REST_SECONDS;
    if (pthread_cond_timedwait(&p->wake, &p->lock, &until) != ETIMEDOUT || p->idle < p->started)
        return;
    p->worked = false;
    pthread_mutex_unlock(&p->lock);
    malloc_trim(0);
    pthread_mutex_lock(&p->lock);
}

static struct cm_task *next_task(struct cm_pool *p)
{
    pthread_mutex_lock(&p->lock);
    while (cm_list_empty(&p->queue) && !p->stopping) {
        p->idle++;
        wait_for_task(p);
        p->idle--;
    }
    struct cm_link *l = cm_list_pop(&p->queue);
    if (l) {
        p->queued--;
        p->worked = true;
    }
    pthread_mutex_unlock(&p->lock);
    return l ? cm_container_of(l, struct cm_task, link) : NULL;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct cm_pool *p = w->pool;
    void *ctx = p->cfg.thread_init ? p->cfg.thread_init(p->cfg.arg, w->index) : NULL;
    for (struct cm_task *t; (t = next_task(p));) {
        struct cm_loop *home = t->home; /* without a home, work() may free the task */
        t->work(t, ctx);
        if (home)
            cm_pool_finish(t);
    }
    if (p->cfg.thread_done)
        p->cfg.thread_done(ctx);
    return NULL;
}

enum cm_code cm_pool_new(const struct cm_pool_config *cfg, struct cm_pool **ret, struct cm_err *err)
{
    CM_AUTO(cm_pool) p = cm_xcalloc(1, sizeof(*p));
    p->cfg = *cfg;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->wake, &attr);
    pthread_condattr_destroy(&attr);
    cm_list_init(&p->queue);
    p->workers = cm_xcalloc(cfg->threads, sizeof(struct worker));
    for (unsigned i = 0; i < cfg->threads; i++) {
        p->workers[i] = (struct worker){.pool = p, .index = i};
        int e = pthread_create(&p->workers[i].thread, NULL, worker_main, &p->workers[i]);
        if (e) {
            errno = e;
            return cm_err_errno(err, CM_IO, "start worker thread %s-%u", cfg->name, i);
        }
        pthread_mutex_lock(&p->lock);
        p->started++;
        pthread_mutex_unlock(&p->lock);
        char name[16];
        snprintf(name, sizeof(name), "%.10s-%u", cfg->name, i % 1000);
        pthread_setname_np(p->workers[i].thread, name);
    }
    *ret = CM_TAKE(p);
    return CM_OK;
}

void cm_pool_free(struct cm_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->started; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    cm_free(p->workers);
    cm_free(p);
}

enum cm_code cm_pool_submit(struct cm_pool *p, struct cm_task *t, struct cm_err *err)
{
    pthread_mutex_lock(&p->lock);
    bool full = p->queued >= p->cfg.queue_max || p->stopping;
    if (!full) {
        cm_list_push(&p->queue, &t->link);
        p->queued++;
        if (p->idle)
            pthread_cond_signal(&p->wake);
    }
    pthread_mutex_unlock(&p->lock);
    if (full)
        return cm_err_set(err, CM_UNAVAILABLE,
                          "the server is busy: %zu requests are waiting already", p->cfg.queue_max);
    return CM_OK;
}

size_t cm_pool_take_more(struct cm_pool *p, struct cm_task *mine, struct cm_task **more, size_t max)
{
    size_t n = 0;
    pthread_mutex_lock(&p->lock);
    if (p->idle == 0) {
        while (n < max && !cm_list_empty(&p->queue)) {
            struct cm_task *t = cm_container_of(p->queue.next, struct cm_task, link);
            if (t->work != mine->work)
                break;
            cm_list_unlink(&t->link);
            p->queued--;
            more[n++] = t;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return n;
}
