/* The loop: what is posted, timers, watched descriptors, signals, guests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/loop.h"
#include "until.h"

#define POSTERS 4
#define EACH    1000

static void count_one(void *ctx)
{
    ++*(int *)ctx;
}

/* ---- timers ---- */

static void a_timer_fires_once_and_not_early(void **state)
{
    (void)state;
    CM_AUTO(cm_loop) l = cm_loop_new();
    struct cm_timer t, later;
    int fired = 0, ended = 0;
    cm_timer_init(&t, l, count_one, &fired);
    cm_timer_init(&later, l, count_one, &ended);
    cm_usec start = cm_monotonic_now();
    cm_timer_start(&t, 20 * CM_MSEC);
    assert_int_equal(fired, 0);
    TURN_UNTIL(l, fired);
    assert_true(cm_monotonic_now() - start >= 20 * CM_MSEC);
    cm_timer_start(&later, 40 * CM_MSEC);
    TURN_UNTIL(l, ended);
    assert_int_equal(fired, 1);
    cm_timer_start(&t, 0);
    TURN_UNTIL(l, fired == 2); /* it may be started again */
    cm_timer_done(&t);
    cm_timer_done(&later);
}

struct ticker {
    struct cm_timer timer;
    int ticks, stop_at;
};

static void tick(void *ctx)
{
    struct ticker *t = ctx;
    if (++t->ticks == t->stop_at)
        cm_timer_stop(&t->timer);
}

static void a_period_goes_on_until_it_is_stopped_also_from_within(void **state)
{
    (void)state;
    CM_AUTO(cm_loop) l = cm_loop_new();
    struct ticker t = {.stop_at = 3};
    struct cm_timer later;
    int ended = 0;
    cm_timer_init(&t.timer, l, tick, &t);
    cm_timer_init(&later, l, count_one, &ended);
    cm_timer_every(&t.timer, CM_MSEC);
    TURN_UNTIL(l, t.ticks == 3);
    cm_timer_start(&later, 20 * CM_MSEC);
    TURN_UNTIL(l, ended);
    assert_int_equal(t.ticks, 3);
    cm_timer_start(&t.timer, 0); /* once, though it had a period */
    cm_timer_start(&later, 20 * CM_MSEC);
    TURN_UNTIL(l, ended == 2);
    assert_int_equal(t.ticks, 4);
    cm_timer_done(&t.timer);
    cm_timer_done(&later);
}

static void starting_again_moves_a_timer_and_stopping_ends_it(void **state)
{
    (void)state;
    CM_AUTO(cm_loop) l = cm_loop_new();
    struct cm_timer moved, stopped, done, later;
    int n_moved = 0, n_stopped = 0, n_done = 0, ended = 0;
    cm_timer_init(&moved, l, count_one, &n_moved);
    cm_timer_init(&stopped, l, count_one, &n_stopped);
    cm_timer_init(&done, l, count_one, &n_done);
    cm_timer_init(&later, l, count_one, &ended);
    cm_timer_start(&moved, CM_MSEC);
    cm_timer_start(&moved, 10 * CM_MINUTE);
    cm_timer_start(&stopped, CM_MSEC);
    cm_timer_stop(&stopped);
    cm_timer_stop(&stopped);
    cm_timer_start(&done, CM_MSEC);
    cm_timer_done(&done);
    cm_timer_stop(&done);
    cm_timer_done(&done);
    cm_timer_start(&later, 20 * CM_MSEC);
    TURN_UNTIL(l, ended);
    assert_int_equal(n_moved + n_stopped + n_done, 0);
    cm_timer_start(&moved, 0);
    TURN_UNTIL(l, n_moved == 1);
    cm_timer_done(&moved);
    cm_timer_done(&stopped);
    cm_timer_done(&later);
}

/* ---- what is posted ---- */

struct poster {
    struct cm_loop *loop;
    struct order *order;
    int id;
};

struct order {
    int next[POSTERS];
    int got, wrong;
};

struct parcel {
    struct order *order;
    int id, number;
};

static void on_parcel(void *arg)
{
    struct parcel *p = arg;
    p->order->wrong += p->order->next[p->id]++ != p->number;
    p->order->got++;
    cm_free(p);
}

static void *post_many(void *arg)
{
    const struct poster *p = arg;
    for (int i = 0; i < EACH; i++) {
        struct parcel *x = cm_xmalloc(sizeof(*x));
        *x = (struct parcel){p->order, p->id, i};
        cm_loop_post(p->loop, on_parcel, x);
    }
    return NULL;
}

static void posts_of_threads_arrive_once_and_in_order(void **state)
{
    (void)state;
    CM_AUTO(cm_loop) l = cm_loop_new();
    struct order o = {0};
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){l, &o, i};
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &posters[i]), 0);
    }
    TURN_UNTIL(l, o.got == POSTERS * EACH);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    cm_loop_turn(l, 0);
    assert_int_equal(o.got, POSTERS * EACH);
    assert_int_equal(o.wrong, 0);
}

struct chain {
    struct cm_loop *loop;
    int ran, left, ran_at_watch;
    struct cm_watch watch;
};

static void post_next(void *arg)
{
    struct chain *c = arg;
    c->ran++;
    if (c->left-- > 0)
        cm_loop_post(c->loop, post_next, c);
}

static void on_chain_watch(void *ctx, int fd)
{
    struct chain *c = ctx;
    (void)fd;
    c->ran_at_watch = c->ran;
    cm_watch_stop(&c->watch);
}

static void who_posts_without_end_starves_nobody(void **state)
{
    (void)state;
    CM_AUTO(cm_loop) l = cm_loop_new();
    struct chain c = {.loop = l, .left = 1000, .ran_at_watch = -1};
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    cm_loop_post(l, post_next, &c);
    assert_int_equal(c.ran, 0); /* never before the call has returned */
    cm_watch_start(&c.watch, l, fds[0], false, on_chain_watch, &c);
    TURN_UNTIL(l, c.ran == 1001 && c.ran_at_watch >= 0);
    assert_true(c.ran_at_watch <= 2);
    close(fds[0]);
    close(fds[1]);
}

static void what_is_left_runs_when_the_loop_is_freed(void **state)
{
    (void)state;
    struct cm_loop *l = cm_loop_new();
    struct chain c = {.loop = l, .left = 5};
    cm_loop_post(l, post_next, &c);
    cm_loop_free(l);
    assert_int_equal(c.ran, 6); /* with what that posts */
}

/* ---- its thread ---- */

struct visit {
    struct cm_loop *loop;
    sem_t there;
    bool here;
};

static void look_around(void *arg)
{
    struct visit *v = arg;
    v->here = cm_loop_here(v->loop);
    sem_post(&v->there);
}

static void a_thread_of_its_own_ends_when_it_is_joined(void **state)
{
    (void)state;
    struct cm_err err;
    CM_AUTO(cm_loop) l = cm_loop_new();
    struct visit v = {.loop = l};
    sem_init(&v.there, 0, 0);
    assert_true(cm_loop_here(l)); /* nobody runs it */
    assert_int_equal(cm_loop_thread_start(l, "test-loop", &err), CM_OK);
    cm_loop_post(l, look_around, &v);
    while (sem_wait(&v.there) != 0)
        continue;
    assert_true(v.here);
    assert_false(cm_loop_here(l));
    cm_loop_thread_join(l);
    assert_true(cm_loop_here(l));
    cm_loop_thread_join(l); /* fine again */
    sem_destroy(&v.there);
}

/* ---- descriptors and signals ---- */

struct reader {
    struct cm_watch watch;
    int calls;
    bool rest;
};

static void on_ready(void *ctx, int fd)
{
    struct reader *r = ctx;
    char c;
    r->calls++;
    if (r->rest)
        cm_watch_rest(&r->watch, 30 * CM_MSEC);
    else
        assert_int_equal(read(fd, &c, 1), 1);
}

static void a_watch_that_rests_looks_again_and_one_that_stopped_does_not(void **state)
{
    (void)state;
    CM_AUTO(cm_loop) l = cm_loop_new();
    struct reader r = {.rest = true};
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "ab", 2), 2);
    cm_watch_start(&r.watch, l, fds[0], false, on_ready, &r);
    assert_int_equal(r.calls, 0);
    TURN_UNTIL(l, r.calls == 1);
    cm_usec start = cm_monotonic_now();
    TURN_UNTIL(l, r.calls == 2); /* it is ready all the time */
    assert_true(cm_monotonic_now() - start >= 25 * CM_MSEC);
    r.rest = false;
    TURN_UNTIL(l, r.calls == 3);
    cm_watch_stop(&r.watch);
    cm_watch_stop(&r.watch);
    cm_loop_turn(l, 0);
    cm_loop_turn(l, 0);
    assert_int_equal(r.calls, 3); /* "b" is still there */
    close(fds[0]);
    close(fds[1]);
}

static void on_signal(void *ctx, int signo)
{
    *(int *)ctx = signo;
}

static void signals_arrive_on_the_loop(void **state)
{
    (void)state;
    CM_AUTO(cm_loop) l = cm_loop_new();
    struct cm_sigwatch s;
    int got = 0;
    cm_sigwatch_start(&s, l, SIGUSR1, on_signal, &got);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(got, 0);
    TURN_UNTIL(l, got);
    assert_int_equal(got, SIGUSR1);
    cm_sigwatch_stop(&s);
}

/* ---- guests ---- */

struct guest {
    struct cm_loop_guest guest;
    struct cm_loop *loop;
    int ended, after;
};

static void count_after(void *arg)
{
    struct guest *g = arg;
    g->after++;
}

static void end_guest(struct cm_loop_guest *guest)
{
    struct guest *g = cm_container_of(guest, struct guest, guest);
    g->ended++;
    cm_loop_guest_remove(guest);
    cm_loop_post(g->loop, count_after, g);
}

static void guests_that_stay_end_with_the_loop(void **state)
{
    (void)state;
    struct cm_loop *l = cm_loop_new();
    struct guest stays = {.guest = {.end = end_guest}, .loop = l}, leaves = stays, never = stays;
    cm_loop_guest_add(l, &stays.guest);
    cm_loop_guest_add(l, &leaves.guest);
    cm_loop_guest_remove(&leaves.guest);
    cm_loop_guest_remove(&never.guest);
    cm_loop_free(l);
    assert_int_equal(stays.ended, 1);
    assert_int_equal(stays.after, 1); /* what its end posted has run */
    assert_int_equal(leaves.ended + never.ended, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_fires_once_and_not_early),
        cmocka_unit_test(a_period_goes_on_until_it_is_stopped_also_from_within),
        cmocka_unit_test(starting_again_moves_a_timer_and_stopping_ends_it),
        cmocka_unit_test(posts_of_threads_arrive_once_and_in_order),
        cmocka_unit_test(who_posts_without_end_starves_nobody),
        cmocka_unit_test(what_is_left_runs_when_the_loop_is_freed),
        cmocka_unit_test(a_thread_of_its_own_ends_when_it_is_joined),
        cmocka_unit_test(a_watch_that_rests_looks_again_and_one_that_stopped_does_not),
        cmocka_unit_test(signals_arrive_on_the_loop),
        cmocka_unit_test(guests_that_stay_end_with_the_loop),
    };
    cm_loop_global_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
