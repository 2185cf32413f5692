/* The table of agents' tunnels: what takes another's place, what ends, and what was on its way when
 * it did. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mempipe.h"
#include "relay/tunnels.h"
#include "until.h"

static const struct cm_uuid agent = {{1}}, other = {{2}};

/* One agent's end of a tunnel. */
struct far {
    struct mempipe *pipe;
    struct cm_tunnel *tunnel;
    struct cm_stream *stream;
    unsigned draining, closed, told;
    struct cm_err why;
};

struct fixture {
    struct cm_loop *loop;
    struct tunnels *tunnels;
    unsigned lost;
    struct cm_uuid lost_id;
    unsigned used;
    struct cm_tunnel *used_tunnel;
};

static void on_lost(void *ctx, struct cm_uuid id)
{
    struct fixture *f = ctx;
    f->lost++;
    f->lost_id = id;
}

static void on_call(void *ctx, struct cm_tunnel_call *c)
{
    struct far *x = ctx;
    if (cm_str_eq_c(cm_tunnel_call_method(c), "CONNECT")) {
        x->stream = cm_tunnel_call_accept(c);
        return;
    }
    assert_true(cm_str_eq_c(cm_tunnel_call_method(c), "POST"));
    assert_true(cm_str_eq_c(cm_tunnel_call_path(c), "/news"));
    x->told++;
    cm_tunnel_call_respond(c, 204, NULL, CM_STR_NONE);
}

static void on_draining(void *ctx, struct cm_tunnel *t)
{
    (void)t;
    ((struct far *)ctx)->draining++;
}

static void on_closed(void *ctx, struct cm_tunnel *t, const struct cm_err *why)
{
    struct far *x = ctx;
    (void)t;
    x->closed++;
    x->why = *why;
}

static void start(struct fixture *f)
{
    *f = (struct fixture){.loop = cm_loop_new()};
    f->tunnels = tunnels_new(&(struct tunnels_config){.on_lost = on_lost, .ctx = f});
}

static void stop(struct fixture *f)
{
    tunnels_close(f->tunnels);
    for (int i = 0; i < 8; i++) /* what is closed is freed on a later turn */
        cm_loop_turn(f->loop, 0);
    cm_loop_free(f->loop);
    tunnels_free(f->tunnels);
    assert_int_equal(mempipe_alive(), 0);
}

static void connect_agent(struct fixture *f, struct cm_uuid id, struct far *x)
{
    struct cm_stream *ends[2];
    *x = (struct far){.pipe = mempipe_new(f->loop, 0, ends)};
    x->tunnel = cm_tunnel_server_new(ends[1], &(struct cm_tunnel_config){.ping_interval = -1,
                                                                         .call = on_call,
                                                                         .draining = on_draining,
                                                                         .closed = on_closed,
                                                                         .ctx = x});
    tunnels_add(f->tunnels, id, ends[0]);
}

static void hang_up(struct far *x)
{
    cm_stream_close(CM_TAKE(x->stream));
    cm_tunnel_free(CM_TAKE(x->tunnel));
}

static void note(struct cm_tunnel *tunnel, struct cm_loop *loop, void *arg)
{
    struct fixture *f = arg;
    assert_ptr_equal(loop, f->loop);
    f->used++;
    f->used_tunnel = tunnel;
}

static void ignore_events(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    (void)s, (void)ev, (void)ctx;
}

static void an_agents_tunnel_is_found_until_it_ends(void **state)
{
    (void)state;
    struct fixture f;
    struct far x;
    start(&f);
    assert_false(tunnels_has(f.tunnels, agent));
    assert_null(tunnels_loop(f.tunnels, agent));
    assert_false(tunnels_use(f.tunnels, agent, note, &f));
    connect_agent(&f, agent, &x);
    assert_true(tunnels_has(f.tunnels, agent));
    assert_false(tunnels_has(f.tunnels, other));
    assert_ptr_equal(tunnels_loop(f.tunnels, agent), f.loop);
    assert_true(tunnels_use(f.tunnels, agent, note, &f));
    assert_int_equal(f.used, 0); /* never within the call */
    TURN_UNTIL(f.loop, f.used);
    assert_non_null(f.used_tunnel);
    mempipe_cut(x.pipe);
    TURN_UNTIL(f.loop, f.lost);
    assert_true(cm_uuid_eq(f.lost_id, agent));
    assert_false(tunnels_has(f.tunnels, agent));
    assert_false(tunnels_use(f.tunnels, agent, note, &f));
    hang_up(&x);
    stop(&f);
    assert_int_equal(f.lost, 1);
    assert_int_equal(f.used, 1);
}

static void who_comes_after_the_tunnels_end_is_told(void **state)
{
    (void)state;
    struct fixture f;
    struct far x;
    start(&f);
    connect_agent(&f, agent, &x);
    mempipe_cut(x.pipe); /* is noticed on the next turn, before the call arrives */
    assert_true(tunnels_use(f.tunnels, agent, note, &f));
    TURN_UNTIL(f.loop, f.used && f.lost);
    /* Whichever came first, the call has run once, and with a tunnel only while there was one. */
    assert_int_equal(f.used, 1);
    hang_up(&x);
    stop(&f);
}

static struct cm_stream *opened;

static void open_stream(struct cm_tunnel *tunnel, struct cm_loop *loop, void *arg)
{
    struct fixture *f = arg;
    (void)loop;
    f->used++;
    opened = cm_tunnel_open(tunnel, CM_STR("session"), CM_STR("/"), NULL, 0);
    cm_stream_set_fn(opened, ignore_events, NULL);
}

static void a_newer_tunnel_takes_over_and_the_older_one_drains(void **state)
{
    (void)state;
    struct fixture f;
    struct far old, new;
    start(&f);
    connect_agent(&f, agent, &old);
    assert_true(tunnels_use(f.tunnels, agent, open_stream, &f));
    TURN_UNTIL(f.loop, old.stream);
    connect_agent(&f, agent, &new);
    TURN_UNTIL(f.loop, old.draining);
    assert_int_equal(old.closed, 0); /* its stream goes on */
    assert_true(tunnels_use(f.tunnels, agent, open_stream, &f));
    struct cm_stream *first = opened;
    TURN_UNTIL(f.loop, new.stream); /* new ones come by the new tunnel */
    cm_stream_close(opened);
    cm_stream_close(first);
    cm_stream_close(CM_TAKE(old.stream));
    TURN_UNTIL(f.loop, old.closed);
    assert_int_equal(old.why.code, CM_END);
    assert_true(tunnels_has(f.tunnels, agent));
    assert_int_equal(f.lost, 0); /* the agent has another */
    hang_up(&old);
    hang_up(&new);
    TURN_UNTIL(f.loop, f.lost);
    stop(&f);
    assert_int_equal(f.lost, 1);
}

static void before_a_stop_all_agents_are_asked_for_another_tunnel(void **state)
{
    (void)state;
    struct fixture f;
    struct far busy, idle, late;
    start(&f);
    connect_agent(&f, agent, &busy);
    connect_agent(&f, other, &idle);
    assert_true(tunnels_use(f.tunnels, agent, open_stream, &f));
    TURN_UNTIL(f.loop, busy.stream);
    tunnels_drain(f.tunnels);
    TURN_UNTIL(f.loop, busy.draining && idle.closed);
    assert_int_equal(idle.why.code, CM_END);
    assert_int_equal(busy.closed, 0); /* its stream goes on */
    connect_agent(&f, other, &late);
    TURN_UNTIL(f.loop, late.closed);
    assert_int_equal(late.why.code, CM_END);
    cm_stream_close(opened);
    hang_up(&busy);
    hang_up(&idle);
    hang_up(&late);
    stop(&f);
    assert_int_equal(f.lost, 0); /* they come again, to whoever is there then */
}

static void agents_that_stay_end_with_the_table_and_none_come(void **state)
{
    (void)state;
    struct fixture f;
    struct far x, y, late;
    start(&f);
    connect_agent(&f, agent, &x);
    connect_agent(&f, other, &y);
    cm_loop_turn(f.loop, 0);
    assert_true(tunnels_use(f.tunnels, agent, note, &f));
    tunnels_close(f.tunnels);
    assert_false(tunnels_has(f.tunnels, agent));
    assert_null(tunnels_loop(f.tunnels, agent));
    assert_false(tunnels_use(f.tunnels, agent, note, &f));
    TURN_UNTIL(f.loop, f.used && x.closed && y.closed); /* the far ends see it */
    assert_int_equal(f.used, 1);
    assert_null(f.used_tunnel); /* what was on its way finds none */
    connect_agent(&f, agent, &late);
    assert_false(tunnels_has(f.tunnels, agent));
    TURN_UNTIL(f.loop, late.closed);
    hang_up(&x);
    hang_up(&y);
    hang_up(&late);
    stop(&f);
    assert_int_equal(f.lost, 0); /* nobody is told any more */
}

static void every_agent_is_told_once(void **state)
{
    (void)state;
    struct fixture f;
    struct far x, y, old;
    start(&f);
    tunnels_tell(f.tunnels, CM_STR("/news")); /* there is nobody */
    connect_agent(&f, agent, &old);
    connect_agent(&f, agent, &x);
    connect_agent(&f, other, &y);
    tunnels_tell(f.tunnels, CM_STR("/news"));
    TURN_UNTIL(f.loop, x.told && y.told && old.closed);
    assert_int_equal(x.told, 1);
    assert_int_equal(y.told, 1);
    assert_int_equal(old.told, 0);
    tunnels_tell(f.tunnels, CM_STR("/news"));
    tunnels_close(f.tunnels); /* before it was on its way */
    tunnels_tell(f.tunnels, CM_STR("/news"));
    hang_up(&old);
    hang_up(&x);
    hang_up(&y);
    stop(&f);
}

static void an_older_tunnel_that_still_drains_ends_with_the_table(void **state)
{
    (void)state;
    struct fixture f;
    struct far old, new;
    start(&f);
    connect_agent(&f, agent, &old);
    assert_true(tunnels_use(f.tunnels, agent, open_stream, &f));
    TURN_UNTIL(f.loop, old.stream);
    connect_agent(&f, agent, &new);
    TURN_UNTIL(f.loop, old.draining);
    cm_stream_close(opened);
    tunnels_close(f.tunnels);
    TURN_UNTIL(f.loop, old.closed && new.closed);
    hang_up(&old);
    hang_up(&new);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_agents_tunnel_is_found_until_it_ends),
        cmocka_unit_test(who_comes_after_the_tunnels_end_is_told),
        cmocka_unit_test(a_newer_tunnel_takes_over_and_the_older_one_drains),
        cmocka_unit_test(before_a_stop_all_agents_are_asked_for_another_tunnel),
        cmocka_unit_test(agents_that_stay_end_with_the_table_and_none_come),
        cmocka_unit_test(every_agent_is_told_once),
        cmocka_unit_test(an_older_tunnel_that_still_drains_ends_with_the_table),
    };
    cm_loop_global_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
