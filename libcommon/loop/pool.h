/* Worker threads for what may block, and the bridge back to the loop that asked. */
#pragma once

#include "base/err.h"
#include "loop/loop.h"

struct cm_pool;

/* Embed in the request. work() runs on a pool thread and sees only its task (and the thread's own
 * context); done() then runs on the home loop, exactly once, never before cm_pool_submit has
 * returned. With home NULL done is not called and work may free the task. */
struct cm_task {
    void (*work)(struct cm_task *t, void *thread_ctx);
    void (*done)(struct cm_task *t);
    struct cm_loop *home;
    struct cm_link link; /* the pool's */
};

struct cm_pool_config {
    const char *name; /* thread names: name-0, name-1, ... (at most 10 characters) */
    unsigned threads;
    size_t queue_max; /* tasks waiting; more are refused with CM_UNAVAILABLE */
    void *(*thread_init)(void *arg,
                         unsigned index); /* its result is each work()'s thread_ctx; may be NULL */
    void (*thread_done)(void *thread_ctx);
    void *arg;
};

/* When nothing was to be done for a second, memory goes back to the system. */
enum cm_code cm_pool_new(const struct cm_pool_config *cfg, struct cm_pool **ret,
                         struct cm_err *err);
/* Runs what is queued, then ends the threads. */
void cm_pool_free(struct cm_pool *p);
CM_DEFINE_CLEANUP(cm_pool, cm_pool_free)

CM_MUST_USE enum cm_code cm_pool_submit(struct cm_pool *p, struct cm_task *t, struct cm_err *err);

/* For a worker inside work(): takes up to max more waiting tasks that have the same work function
 * from the head of the queue, as long as no other thread is idle, so that one round trip can serve
 * several. Returns how many. */
size_t cm_pool_take_more(struct cm_pool *p, struct cm_task *mine, struct cm_task **more,
                         size_t max);
/* Says that a task taken so is finished. */
void cm_pool_finish(struct cm_task *t);
