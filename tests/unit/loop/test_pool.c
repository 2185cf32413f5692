/* Workers and the loop that asks them. Conditions are waited for by turning the loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <semaphore.h>
#include <stdatomic.h>

#include <cmocka.h>

#include "loop/pool.h"

#define DEADLINE (10000 * CM_MSEC)

struct job {
    struct cm_task task;
    struct fixture *f;
    bool worked;
    int done; /* how often */
    size_t taken;
};

struct fixture {
    struct cm_loop *loop;
    struct cm_pool *pool;
    sem_t started, go; /* a job that blocks says that it runs, then waits */
    int ended;         /* done() of all jobs */
    _Atomic(int) inits, ends;
};

static void *thread_init(void *arg, unsigned index)
{
    struct fixture *f = arg;
    (void)index;
    f->inits++;
    return f;
}

static void thread_done(void *ctx)
{
    struct fixture *f = ctx;
    f->ends++;
}

static void start(struct fixture *f, unsigned threads, size_t queue_max)
{
    struct cm_err err;
    *f = (struct fixture){.loop = cm_loop_new()};
    sem_init(&f->started, 0, 0);
    sem_init(&f->go, 0, 0);
    struct cm_pool_config cfg = {.name = "test",
                                 .threads = threads,
                                 .queue_max = queue_max,
                                 .thread_init = thread_init,
                                 .thread_done = thread_done,
                                 .arg = f};
    assert_int_equal(cm_pool_new(&cfg, &f->pool, &err), CM_OK);
}

static void stop(struct fixture *f, int threads)
{
    cm_pool_free(f->pool);
    assert_int_equal(f->inits, threads);
    assert_int_equal(f->ends, threads);
    cm_loop_free(f->loop);
    sem_destroy(&f->started);
    sem_destroy(&f->go);
}

static void quick(struct cm_task *t, void *ctx)
{
    struct job *j = cm_container_of(t, struct job, task);
    j->worked = ctx == j->f;
}

static void blocking(struct cm_task *t, void *ctx)
{
    struct job *j = cm_container_of(t, struct job, task);
    quick(t, ctx);
    sem_post(&j->f->started);
    while (sem_wait(&j->f->go) != 0)
        continue;
}

/* Takes along what waits, as the workers of requests do. */
static void greedy(struct cm_task *t, void *ctx)
{
    struct job *j = cm_container_of(t, struct job, task);
    struct cm_task *more[2];
    quick(t, ctx);
    j->taken = cm_pool_take_more(j->f->pool, t, more, CM_COUNT_OF(more));
    for (size_t i = 0; i < j->taken; i++) {
        quick(more[i], ctx);
        cm_pool_finish(more[i]);
    }
}

static void on_done(struct cm_task *t)
{
    struct job *j = cm_container_of(t, struct job, task);
    assert_true(j->worked);
    j->done++;
    j->f->ended++;
}

static enum cm_code submit(struct fixture *f, struct job *j,
                           void (*work)(struct cm_task *t, void *ctx))
{
    struct cm_err err;
    *j = (struct job){.task = {.work = work, .done = on_done, .home = f->loop}, .f = f};
    return cm_pool_submit(f->pool, &j->task, &err);
}

static void turn_until(struct fixture *f, int ended)
{
    cm_usec until = cm_monotonic_now() + DEADLINE;
    while (f->ended < ended && cm_monotonic_now() < until)
        cm_loop_turn(f->loop, 100 * CM_MSEC);
    assert_int_equal(f->ended, ended);
}

static void done_runs_once_on_the_loop_and_never_before(void **state)
{
    (void)state;
    struct fixture f;
    struct job jobs[20];
    start(&f, 3, 100);
    for (size_t i = 0; i < CM_COUNT_OF(jobs); i++)
        assert_int_equal(submit(&f, &jobs[i], quick), CM_OK);
    assert_int_equal(f.ended, 0); /* the loop has not turned */
    turn_until(&f, CM_COUNT_OF(jobs));
    for (size_t i = 0; i < CM_COUNT_OF(jobs); i++)
        assert_int_equal(jobs[i].done, 1);
    stop(&f, 3);
}

static void a_full_queue_refuses_at_once(void **state)
{
    (void)state;
    struct fixture f;
    struct job busy, waiting[2], refused;
    start(&f, 1, 2);
    assert_int_equal(submit(&f, &busy, blocking), CM_OK);
    sem_wait(&f.started);
    assert_int_equal(submit(&f, &waiting[0], quick), CM_OK);
    assert_int_equal(submit(&f, &waiting[1], quick), CM_OK);
    assert_int_equal(submit(&f, &refused, quick), CM_UNAVAILABLE);
    sem_post(&f.go);
    turn_until(&f, 3);
    assert_int_equal(refused.done, 0);
    assert_int_equal(submit(&f, &refused, quick), CM_OK);
    turn_until(&f, 4);
    stop(&f, 1);
}

static void one_worker_takes_along_what_waits_for_the_same_work(void **state)
{
    (void)state;
    struct fixture f;
    struct job busy, first, like[3], other;
    start(&f, 1, 100);
    assert_int_equal(submit(&f, &busy, blocking), CM_OK);
    sem_wait(&f.started);
    assert_int_equal(submit(&f, &first, greedy), CM_OK);
    for (size_t i = 0; i < CM_COUNT_OF(like); i++)
        assert_int_equal(submit(&f, &like[i], greedy), CM_OK);
    assert_int_equal(submit(&f, &other, quick), CM_OK);
    sem_post(&f.go);
    turn_until(&f, 6);
    assert_int_equal(first.taken, 2);   /* at most max */
    assert_int_equal(like[2].taken, 0); /* the next is of another kind */
    stop(&f, 1);
}

static void free_runs_what_is_queued(void **state)
{
    (void)state;
    struct fixture f;
    struct job busy, queued[3];
    start(&f, 1, 100);
    assert_int_equal(submit(&f, &busy, blocking), CM_OK);
    sem_wait(&f.started);
    for (size_t i = 0; i < CM_COUNT_OF(queued); i++)
        assert_int_equal(submit(&f, &queued[i], quick), CM_OK);
    sem_post(&f.go);
    stop(&f, 1); /* the loop, freed, runs what was posted to it */
    assert_int_equal(f.ended, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(done_runs_once_on_the_loop_and_never_before),
        cmocka_unit_test(a_full_queue_refuses_at_once),
        cmocka_unit_test(one_worker_takes_along_what_waits_for_the_same_work),
        cmocka_unit_test(free_runs_what_is_queued),
    };
    cm_loop_global_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
