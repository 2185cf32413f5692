/* What one caller may have in work, over several connections, beside another one. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rpc_fixture.h"

#define SOON (10 * CM_SECOND)

static void wait_until_parked(struct rpc_pair *b, unsigned n)
{
    cm_usec give_up = cm_monotonic_now() + SOON;
    struct cm_rpc_stats st = {0};
    while (st.parked != n && cm_monotonic_now() < give_up) {
        cm_loop_turn(b->c.loop, 2 * CM_MSEC);
        cm_rpc_server_stats(b->s.server, &st);
    }
    assert_int_equal(st.parked, n);
}

/* One caller over two connections, and another one. */
struct crowd {
    struct front_fixture *front;
    struct client_fixture agent[2];
    char url[64];
};

static void restart(struct rpc_pair *b, const struct server_options *o)
{
    server_stop(&b->s);
    __atomic_store_n(&b->s.gate, 0, __ATOMIC_SEQ_CST);
    server_start(&b->s, o);
}

static void crowd_start(struct rpc_pair *b, struct crowd *x, const struct server_options *o)
{
    restart(b, o);
    x->front = front_start(&b->s, 0);
    snprintf(x->url, sizeof(x->url), "http://127.0.0.1:%u", front_port(x->front));
    for (size_t i = 0; i < CM_COUNT_OF(x->agent); i++) {
        client_start(&x->agent[i], AS_AGENT, x->url);
        until(&x->agent[i], &x->agent[i].ready, 1);
    }
    struct answer a;
    call_now(&b->c, "test.Echo", "n", "v", SOON, &a);
}

static void crowd_stop(struct rpc_pair *b, struct crowd *x)
{
    for (size_t i = 0; i < CM_COUNT_OF(x->agent); i++)
        client_stop(&x->agent[i]);
    cm_loop_thread_join(b->s.loop);
    front_stop(x->front);
}

/* Turns the loops of both agents. */
static void crowd_until(struct crowd *x, const unsigned *flag, unsigned n)
{
    cm_usec end = cm_monotonic_now() + 2 * SOON;
    while (__atomic_load_n(flag, __ATOMIC_SEQ_CST) < n && cm_monotonic_now() < end) {
        for (size_t i = 0; i < CM_COUNT_OF(x->agent); i++)
            cm_loop_turn(x->agent[i].loop, CM_MSEC);
    }
    assert_true(__atomic_load_n(flag, __ATOMIC_SEQ_CST) >= n);
}

static void crowd_until_busy(struct rpc_pair *b, struct crowd *x, unsigned n)
{
    cm_usec end = cm_monotonic_now() + SOON;
    while (cm_rpc_server_busy(b->s.server) != n && cm_monotonic_now() < end) {
        for (size_t i = 0; i < CM_COUNT_OF(x->agent); i++)
            cm_loop_turn(x->agent[i].loop, CM_MSEC);
    }
    assert_int_equal(cm_rpc_server_busy(b->s.server), n);
}

static void a_caller_holds_a_part_of_the_pool(void **state)
{
    struct rpc_pair *b = *state;
    struct crowd x;
    struct answer slow[8], a;
    const struct server_options o = {.threads = 4, .caller_running = 2, .caller_waiting = 3};
    crowd_start(b, &x, &o);
    for (size_t i = 0; i < CM_COUNT_OF(slow); i++)
        call(&x.agent[i % 2], "test.Slow", "n", "v", SOON, &slow[i]);
    crowd_until(&x, &b->s.at_once, 2);
    crowd_until_busy(b, &x, 5);
    /* Two at work and three that wait; the rest is told to ask again. The pool has threads left. */
    for (int i = 0; i < 20; i++)
        call_now(&b->c, "test.Echo", "n", "v", SOON, &a);
    assert_int_equal(a.code, CM_OK);
    assert_int_equal(__atomic_load_n(&b->s.at_once, __ATOMIC_SEQ_CST), 2);
    crowd_until_busy(b, &x, 5);
    struct cm_rpc_stats st;
    cm_rpc_server_stats(b->s.server, &st);
    assert_int_equal(st.connections, 3);
    assert_int_equal(st.callers, 2);
    __atomic_store_n(&b->s.gate, 1, __ATOMIC_SEQ_CST);
    for (size_t i = 0; i < CM_COUNT_OF(slow); i++) {
        crowd_until(&x, &slow[i].done, 1);
        assert_int_equal(slow[i].code, CM_OK);
    }
    crowd_stop(b, &x);
}

static void a_parked_request_of_a_full_caller_waits_its_turn(void **state)
{
    struct rpc_pair *b = *state;
    struct answer parked, slow[2];
    const struct server_options o = {.threads = 4, .caller_running = 2};
    restart(b, &o);
    call(&b->c, "test.Wait", "n", "v", SOON, &parked);
    wait_until_parked(b, 1);
    for (size_t i = 0; i < CM_COUNT_OF(slow); i++)
        call(&b->c, "test.Slow", "n", "v", SOON, &slow[i]);
    until(&b->c, &b->s.at_once, 2);
    __atomic_store_n(&b->s.open, 1, __ATOMIC_SEQ_CST);
    cm_rpc_resume(b->s.server, __atomic_load_n(&b->s.token, __ATOMIC_SEQ_CST));
    for (int i = 0; i < 20; i++)
        cm_loop_turn(b->c.loop, CM_MSEC);
    assert_int_equal(parked.done, 0);
    __atomic_store_n(&b->s.gate, 1, __ATOMIC_SEQ_CST);
    until(&b->c, &parked.done, 1);
    assert_string_equal(parked.value, "resumed");
    for (size_t i = 0; i < CM_COUNT_OF(slow); i++)
        until(&b->c, &slow[i].done, 1);
}

static void on_answer(void *ctx, enum cm_code code, const void *reply, const struct cm_err *err)
{
    (void)reply;
    (void)err;
    struct answer *a = ctx;
    a->code = code;
    a->done++;
}

/* A call that is not sent again: who does so is as good as one who minds no refusal. */
static void call_once(struct client_fixture *f, const char *method, struct answer *a)
{
    const struct cm_rpc_call_opts opts = {.deadline = SOON, .once = true};
    Coder__Provisioner__V1__Pair p = CODER__PROVISIONER__V1__PAIR__INIT;
    p.name = (char[]){"n"};
    p.value = (char[]){"v"};
    *a = (struct answer){0};
    cm_rpc_call(f->client, method, &p.base, &coder__provisioner__v1__pair__descriptor, &opts,
                on_answer, a);
}

static void who_asks_without_end_is_cut_off(void **state)
{
    struct rpc_pair *b = *state;
    struct crowd x;
    struct answer many[40], a;
    const struct server_options o = {
        .threads = 4, .caller_running = 1, .caller_waiting = 1, .caller_refused = 20};
    crowd_start(b, &x, &o);
    for (size_t i = 0; i < CM_COUNT_OF(many); i++)
        call_once(&x.agent[0], "test.Slow", &many[i]);
    unsigned offline = b->c.offline;
    crowd_until(&x, &x.agent[0].offline, 1);
    size_t refused = 0;
    for (size_t i = 0; i < CM_COUNT_OF(many); i++) {
        crowd_until(&x, &many[i].done, 1);
        assert_true(many[i].code == CM_RATE_LIMITED || many[i].code == CM_UNAVAILABLE);
        refused += many[i].code == CM_RATE_LIMITED;
    }
    assert_true(refused < 20);
    /* Others do not notice, and it may come again. */
    call_now(&b->c, "test.Echo", "n", "v", SOON, &a);
    assert_int_equal(a.code, CM_OK);
    assert_int_equal(b->c.offline, offline);
    __atomic_store_n(&b->s.gate, 1, __ATOMIC_SEQ_CST);
    call_now(&x.agent[0], "test.Echo", "n", "v", SOON, &a);
    assert_int_equal(a.code, CM_OK);
    crowd_stop(b, &x);
}

int main(void)
{
    cm_loop_global_init();
    signal(SIGPIPE, SIG_IGN); /* as every program of the tree does */
#define TEST(f) cmocka_unit_test_setup_teardown(f, rpc_pair_setup, rpc_pair_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_caller_holds_a_part_of_the_pool),
        TEST(a_parked_request_of_a_full_caller_waits_its_turn),
        TEST(who_asks_without_end_is_cut_off),
    };
    int rv = cmocka_run_group_tests_name("rpc callers", tests, NULL, NULL);
    cm_rpc_global_done();
    return rv;
}
