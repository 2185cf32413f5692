/* Two carriers whose paths die at random bytes: what one end writes must come out at the other,
 * once and in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "mempipe.h"
#include "net/session/carrier.h"

#define DEADLINE (30 * CM_SECOND)
#define UNTIL(r, cond)                                                                             \
    do {                                                                                           \
        cm_usec end_ = cm_monotonic_now() + DEADLINE;                                              \
        while (!(cond)) {                                                                          \
            if (cm_monotonic_now() > end_)                                                         \
                fail_msg("seed %llu: still not: %s", (unsigned long long)(r)->seed, #cond);        \
            cm_loop_turn((r)->loop, 5 * CM_MSEC);                                                  \
        }                                                                                          \
    } while (0)

/* What one end is to send and has received: bytes made by a generator, so that no copy need be
 * kept. */
struct side {
    struct rig *rig;
    struct cm_carrier *c;
    struct cm_stream *s;
    uint64_t to_send, sent, got;
    uint64_t send_state, want_state;
    bool wrong, eof, failed, hold;
    unsigned lost, up;
    struct cm_err err;
};

struct rig {
    struct cm_loop *loop;
    uint64_t seed, random;
    struct side client, agent;
    struct mempipe *pipe;
    bool reconnect;  /* as soon as the client has lost its path */
    size_t cut_most; /* each path dies after fewer bytes than this; 0: never */
    size_t chunk;
    unsigned paths;
};

static uint64_t next(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static uint8_t byte_at(uint64_t start, uint64_t offset)
{
    uint64_t s = start + (offset >> 3) * 0x9e3779b97f4a7c15;
    return (uint8_t)(next(&s) >> (offset & 7) * 8);
}

static void feed(struct side *e)
{
    while (e->sent < e->to_send && cm_stream_unsent(e->s) < CM_STREAM_HIGH) {
        uint8_t block[40000];
        size_t n = next(&e->rig->random) % 4 ? next(&e->rig->random) % sizeof(block)
                                             : next(&e->rig->random) % 100;
        n = CM_MIN(n + 1, sizeof(block));
        n = CM_MIN(n, e->to_send - e->sent);
        for (size_t i = 0; i < n; i++)
            block[i] = byte_at(e->send_state, e->sent + i);
        cm_stream_write(e->s, block, n);
        e->sent += n;
    }
    if (e->to_send && e->sent == e->to_send)
        cm_stream_finish(e->s);
}

static void on_stream(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct side *e = ctx;
    switch (ev) {
    case CM_STREAM_DATA: {
        uint8_t block[65536];
        int n;
        while (!e->hold && (n = evbuffer_remove(cm_stream_input(s), block, sizeof(block))) > 0) {
            for (int i = 0; i < n; i++)
                if (block[i] != byte_at(e->want_state, e->got + (uint64_t)i))
                    e->wrong = true;
            e->got += (uint64_t)n;
            cm_stream_consumed(s, (size_t)n);
        }
        break;
    }
    case CM_STREAM_DRAINED:
        feed(e);
        break;
    case CM_STREAM_EOF:
        e->eof = true;
        break;
    case CM_STREAM_FAILED:
        e->failed = true;
        e->err = *cm_stream_err(s);
        break;
    }
}

static void connect_path_at(struct rig *r, uint64_t offset)
{
    struct cm_stream *ends[2];
    r->pipe = mempipe_new(r->loop, r->chunk, ends);
    r->paths++;
    if (r->cut_most)
        mempipe_cut_after(r->pipe, 1 + next(&r->random) % r->cut_most);
    assert_true(cm_carrier_can_resume(r->agent.c, offset));
    cm_carrier_attach_agent(r->agent.c, ends[1], offset);
    cm_carrier_attach_client(r->client.c, ends[0]);
}

static void connect_path(struct rig *r)
{
    connect_path_at(r, cm_carrier_received(r->client.c));
}

static void reconnect(void *arg)
{
    struct rig *r = arg;
    if (r->reconnect && !r->client.failed && !cm_carrier_has_path(r->client.c))
        connect_path(r);
}

static void on_lost(void *ctx, struct cm_carrier *c, const struct cm_err *why)
{
    struct side *e = ctx;
    assert_ptr_equal(c, e->c);
    assert_int_not_equal(why->code, CM_OK);
    e->lost++;
    if (e == &e->rig->client)
        cm_loop_post(e->rig->loop, reconnect, e->rig);
}

static void on_up(void *ctx, struct cm_carrier *c)
{
    (void)c;
    ((struct side *)ctx)->up++;
}

static void side_init(struct rig *r, struct side *e, const struct cm_carrier_config *base)
{
    struct cm_carrier_config cfg = *base;
    e->rig = r;
    cfg.path_lost = on_lost;
    cfg.path_up = on_up;
    cfg.ctx = e;
    e->c = cm_carrier_new(r->loop, &cfg);
    e->s = cm_carrier_stream(e->c);
    cm_stream_set_fn(e->s, on_stream, e);
}

static struct rig *rig_new(uint64_t seed, const struct cm_carrier_config *client,
                           const struct cm_carrier_config *agent)
{
    struct rig *r = cm_xcalloc(1, sizeof(*r));
    const struct cm_carrier_config quiet = {.ping_interval = -1};
    r->seed = r->random = seed;
    r->loop = cm_loop_new();
    side_init(r, &r->client, client ? client : &quiet);
    side_init(r, &r->agent, agent ? agent : &quiet);
    r->client.send_state = r->agent.want_state = next(&r->random);
    r->agent.send_state = r->client.want_state = next(&r->random);
    return r;
}

static void rig_free(struct rig *r)
{
    r->reconnect = false;
    cm_stream_close(r->client.s);
    cm_stream_close(r->agent.s);
    for (int i = 0; i < 8; i++)
        cm_loop_turn(r->loop, 0);
    cm_loop_free(r->loop);
    cm_free(r);
}

static void run_kills(uint64_t seed, uint64_t bytes, size_t cut_most, size_t chunk,
                      unsigned at_least_paths)
{
    struct rig *r = rig_new(seed, NULL, NULL);
    r->reconnect = true;
    r->cut_most = cut_most;
    r->chunk = chunk;
    r->client.to_send = bytes;
    r->agent.to_send = bytes / 2 + 1;
    feed(&r->client);
    feed(&r->agent);
    connect_path(r);
    UNTIL(r, (r->client.eof && r->agent.eof) || r->client.wrong || r->agent.wrong);
    assert_false(r->client.wrong);
    assert_false(r->agent.wrong);
    assert_int_equal(r->agent.got, r->client.to_send);
    assert_int_equal(r->client.got, r->agent.to_send);
    assert_false(r->client.failed || r->agent.failed);
    assert_true(r->paths >= at_least_paths);
    rig_free(r);
}

static void nothing_is_lost_or_doubled_when_paths_die(void **state)
{
    (void)state;
    const char *s = getenv("CM_TEST_SEED"); /* repeats one failing run */
    uint64_t first = s ? strtoull(s, NULL, 10) : 1, last = s ? first : 60;
    for (uint64_t seed = first; seed <= last; seed++) {
        const struct {
            uint64_t bytes;
            size_t cut_most, chunk;
            unsigned paths;
        } rows[] = {
            {3000000, 400000, 0, 5},
            {3000000, 300000, 7001, 5},
            {20000, 700, 13, 20},
            {12000000, 9000000, 0, 1},
        };
        size_t i = seed % CM_COUNT_OF(rows);
        run_kills(seed, rows[i].bytes, rows[i].cut_most, rows[i].chunk, rows[i].paths);
    }
}

static void first_path_carries_data_before_any_answer(void **state)
{
    (void)state;
    struct rig *r = rig_new(1, NULL, NULL);
    struct cm_stream *ends[2];
    struct mempipe *p = mempipe_new(r->loop, 0, ends);
    cm_stream_write(r->client.s, "early", 5);
    cm_carrier_attach_client(r->client.c, ends[0]);
    UNTIL(r, mempipe_delivered(p) >= 12 + 12 + 9); /* HELLO and DATA */
    assert_int_equal(evbuffer_get_length(cm_stream_input(ends[1])), 12 + 12 + 9);
    assert_int_equal(r->client.up, 0);
    cm_carrier_attach_agent(r->agent.c, ends[1], 0);
    UNTIL(r, r->client.up == 1 && r->agent.got == 5);
    rig_free(r);
}

static void new_path_replaces_a_live_one(void **state)
{
    (void)state;
    struct rig *r = rig_new(7, NULL, NULL);
    r->client.to_send = r->agent.to_send = 8000000;
    feed(&r->client);
    feed(&r->agent);
    connect_path(r);
    for (int i = 0; i < 30; i++) {
        /* As in life, the old path goes on between the asking for a new one and its coming. */
        uint64_t offset = cm_carrier_received(r->client.c);
        uint64_t later = r->client.got + next(&r->random) % 700000;
        UNTIL(r, r->client.got > later || r->client.eof);
        connect_path_at(r, offset);
    }
    UNTIL(r, r->client.eof && r->agent.eof);
    assert_false(r->client.wrong || r->agent.wrong);
    assert_int_equal(r->client.got + r->agent.got, 16000000);
    assert_int_equal(r->client.lost, 0);
    rig_free(r);
}

static void replay_buffer_bounds_what_is_unacknowledged(void **state)
{
    (void)state;
    const struct cm_carrier_config small = {.ping_interval = -1, .replay_max = 100000};
    struct rig *r = rig_new(2, &small, NULL);
    struct cm_stream *ends[2];
    static char block[1000000];
    mempipe_new(r->loop, 0, ends);
    cm_stream_write(r->client.s, block, sizeof(block));
    cm_carrier_attach_client(r->client.c, ends[0]); /* nobody answers */
    for (int i = 0; i < 50; i++)
        cm_loop_turn(r->loop, 0);
    assert_int_equal(evbuffer_get_length(cm_stream_input(ends[1])), 12 + 12 + 4 + 100000);
    assert_int_equal(cm_stream_unsent(r->client.s), 900000);
    cm_stream_close(ends[1]);
    rig_free(r);
}

static void small_writes_do_not_bloat_the_replay_buffer(void **state)
{
    (void)state;
    /* A thousand keystrokes without an answer, then a new path: all come again, in order. */
    struct rig *r = rig_new(3, NULL, NULL);
    struct cm_stream *ends[2];
    struct mempipe *first = mempipe_new(r->loop, 0, ends);
    cm_carrier_attach_client(r->client.c, ends[0]);
    for (uint64_t i = 0; i < 1000; i++) {
        uint8_t b = byte_at(r->client.send_state, i);
        cm_stream_write(r->client.s, &b, 1);
        cm_loop_turn(r->loop, 0);
    }
    mempipe_cut(first);
    UNTIL(r, r->client.lost == 1);
    cm_stream_close(ends[1]);
    connect_path(r);
    UNTIL(r, r->agent.got == 1000);
    assert_false(r->agent.wrong);
    rig_free(r);
}

static void carrier_without_a_path_ends(void **state)
{
    (void)state;
    const struct cm_carrier_config brief = {.ping_interval = -1, .linger = 50 * CM_MSEC};
    struct rig *r = rig_new(4, NULL, &brief);
    connect_path(r);
    UNTIL(r, r->client.up && r->agent.up);
    cm_usec wait = cm_monotonic_now() + 100 * CM_MSEC;
    UNTIL(r, cm_monotonic_now() > wait);
    assert_false(r->agent.failed); /* it has one */
    mempipe_cut(r->pipe);
    UNTIL(r, r->agent.failed);
    assert_int_equal(r->agent.err.code, CM_TIMEOUT);
    assert_int_equal(r->agent.lost, 1);
    assert_false(cm_carrier_can_resume(r->agent.c, 0));
    assert_false(r->client.failed);
    rig_free(r);
}

static void silent_path_is_given_up(void **state)
{
    (void)state;
    const struct cm_carrier_config asks = {.ping_interval = 20 * CM_MSEC,
                                           .ping_timeout = 20 * CM_MSEC};
    const struct cm_carrier_config waits = {.ping_interval = -1, .idle_timeout = 100 * CM_MSEC};
    struct rig *r = rig_new(5, &asks, &waits);
    connect_path(r);
    size_t three_pings = 4 * 12 + 3 * 8;
    UNTIL(r, mempipe_delivered(r->pipe) >= three_pings);
    assert_int_equal(r->client.lost + r->agent.lost, 0);
    mempipe_silence(r->pipe, true);
    UNTIL(r, r->client.lost && r->agent.lost);
    r->reconnect = true;
    reconnect(r);
    UNTIL(r, r->client.up == 2);
    rig_free(r);
}

static void close_tells_the_other_end(void **state)
{
    (void)state;
    struct rig *r = rig_new(6, NULL, NULL);
    connect_path(r);
    UNTIL(r, r->client.up && r->agent.up);
    cm_stream_close(CM_TAKE(r->client.s));
    UNTIL(r, r->agent.failed);
    assert_int_equal(r->agent.err.code, CM_CANCELED);
    assert_int_equal(r->agent.lost, 0);
    rig_free(r);
    /* With a reason of its own. */
    r = rig_new(6, NULL, NULL);
    connect_path(r);
    UNTIL(r, r->client.up && r->agent.up);
    struct cm_err why;
    cm_err_set(&why, CM_GONE, "the workspace stops");
    cm_carrier_abort(r->agent.c, &why);
    assert_false(r->agent.failed);
    UNTIL(r, r->agent.failed && r->client.failed);
    assert_int_equal(r->client.err.code, CM_GONE);
    assert_string_equal(r->client.err.text, "the workspace stops");
    rig_free(r);
}

static void client_learns_that_the_agent_forgot(void **state)
{
    (void)state;
    struct rig *r = rig_new(8, NULL, NULL);
    r->client.to_send = 1000000;
    feed(&r->client);
    connect_path(r);
    UNTIL(r, r->agent.eof);
    cm_usec wait = cm_monotonic_now() + 150 * CM_MSEC; /* until the last ACK is in */
    UNTIL(r, cm_monotonic_now() > wait);
    mempipe_cut(r->pipe);
    UNTIL(r, r->client.lost == 1);
    cm_stream_close(r->agent.s);
    struct side fresh = {0};
    side_init(r, &fresh, &(struct cm_carrier_config){.ping_interval = -1});
    r->agent = fresh;
    cm_stream_set_fn(r->agent.s, on_stream, &r->agent);
    connect_path(r);
    UNTIL(r, r->client.failed);
    assert_int_equal(r->client.err.code, CM_GONE);
    r->agent.rig = r;
    cm_stream_close(CM_TAKE(r->agent.s));
    rig_free(r);
}

static void garbage_costs_the_path_only(void **state)
{
    (void)state;
    const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {"\x00\x00\x00\x00", 4},
        {"\x09\x00\x00\x00", 4},
        {"\xff\xff\xff\xff", 4},
        {"\x03\x00\x00\x01x", 5},                                 /* DATA before START */
        {"\x02\x00\x00\x08\0\0\0\0\0\0\0\0\x03\x10\x00\x01", 16}, /* DATA over 1 MiB */
        {"\x02\x00\x00\x08\0\0\0\0\0\0\0\x01", 12},               /* START beyond what we have */
        {"\x04\x00\x01\x01", 4},                                  /* ACK over 256 */
        {"\x04\x00\x00\x08\0\0\0\0\0\0\0\x01", 12},               /* of a byte never sent */
        {"\x04\x00\x00\x04\0\0\0\0", 8},
        {"\x05\x00\x00\x08\0\0\0\0\0\0\0\0", 12}, /* FIN before START */
        {"\x02\x00\x00\x08\0\0\0\0\0\0\0\0\x05\x00\x00\x08\0\0\0\0\0\0\0\x01",
         24}, /* at a wrong offset */
        {"\x01\x00\x00\x01\x01", 5},
        {"\x08\x00\x00\x00", 4},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct rig *r = rig_new(i, NULL, NULL);
        struct cm_stream *ends[2];
        mempipe_new(r->loop, 1, ends);
        cm_carrier_attach_client(r->client.c, ends[0]);
        cm_stream_write(ends[1], rows[i].bytes, rows[i].len);
        UNTIL(r, r->client.lost == 1);
        cm_stream_close(ends[1]);
        assert_false(r->client.failed);
        r->client.to_send = r->agent.to_send = 10000;
        feed(&r->client);
        feed(&r->agent);
        connect_path(r);
        UNTIL(r, r->client.eof && r->agent.eof);
        assert_false(r->client.wrong || r->agent.wrong);
        rig_free(r);
    }
}

int main(void)
{
    cm_loop_global_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_or_doubled_when_paths_die),
        cmocka_unit_test(first_path_carries_data_before_any_answer),
        cmocka_unit_test(new_path_replaces_a_live_one),
        cmocka_unit_test(replay_buffer_bounds_what_is_unacknowledged),
        cmocka_unit_test(small_writes_do_not_bloat_the_replay_buffer),
        cmocka_unit_test(carrier_without_a_path_ends),
        cmocka_unit_test(silent_path_is_given_up),
        cmocka_unit_test(close_tells_the_other_end),
        cmocka_unit_test(client_learns_that_the_agent_forgot),
        cmocka_unit_test(garbage_costs_the_path_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
