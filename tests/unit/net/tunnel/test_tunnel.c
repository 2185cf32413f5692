/* Tunnels between two ends in one loop: streams both ways, half closes, refusals, requests,
 * windows, fairness, dead peers, draining, broken transports, and what happens when owners close
 * things from within callbacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "base/random.h"
#include "mempipe.h"
#include "net/tunnel/tunnel.h"
#include "until.h"

/* What a stream's owner has seen. */
struct seen {
    struct cm_buf data;
    size_t bytes;
    unsigned eof, failed, drained, opened;
    struct cm_err err;
    bool hold;    /* leave input unread */
    bool discard; /* count bytes only */
    bool close_on_data;
    bool echo;
    struct cm_stream *s;
};

struct rig {
    struct cm_loop *loop;
    struct mempipe *pipe;
    struct cm_tunnel *client, *server;
    unsigned client_closed, server_closed, draining;
    struct cm_err client_why, server_why;
    struct cm_tunnel_call *kept[8]; /* not answered yet */
    size_t n_kept;
    bool keep_calls;
    unsigned calls;
    char protocol[32], path[64], header[64];
    struct seen far[128]; /* streams that the server has accepted, in order */
    size_t n_far;
    bool far_echo, far_hold, far_discard;
    bool free_server_in_call;
};

static void on_seen(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct seen *w = ctx;
    struct evbuffer *in = cm_stream_input(s);
    size_t n = evbuffer_get_length(in);
    switch (ev) {
    case CM_STREAM_DATA:
        if (w->close_on_data) {
            w->s = NULL;
            cm_stream_close(s);
            return;
        }
        if (w->hold)
            return;
        w->bytes += n;
        if (w->echo) {
            cm_stream_send(s, in);
        } else if (w->discard) {
            evbuffer_drain(in, n);
        } else {
            char *p = cm_buf_reserve(&w->data, n);
            assert_non_null(p);
            evbuffer_remove(in, p, n);
            cm_buf_commit(&w->data, n);
        }
        cm_stream_consumed(s, n);
        return;
    case CM_STREAM_DRAINED:
        w->drained++;
        return;
    case CM_STREAM_EOF:
        w->eof++;
        if (w->echo)
            cm_stream_finish(s);
        return;
    case CM_STREAM_FAILED:
        w->failed++;
        w->err = *cm_stream_err(s);
        return;
    }
}

static void watch(struct seen *w, struct cm_stream *s)
{
    cm_buf_init(&w->data, 64 * 1024 * 1024);
    w->s = s;
    cm_stream_set_fn(s, on_seen, w);
}

static void unwatch(struct seen *w)
{
    cm_stream_close(w->s);
    w->s = NULL;
    cm_buf_done(&w->data);
}

static void on_call(void *ctx, struct cm_tunnel_call *c)
{
    struct rig *r = ctx;
    r->calls++;
    struct cm_str path = cm_tunnel_call_path(c);
    snprintf(r->protocol, sizeof(r->protocol), "%s", cm_tunnel_call_protocol(c).ptr);
    snprintf(r->path, sizeof(r->path), "%.60s", path.ptr);
    snprintf(r->header, sizeof(r->header), "%.60s", cm_tunnel_call_header(c, "x-test").ptr);
    if (r->free_server_in_call)
        cm_tunnel_free(CM_TAKE(r->server));
    if (r->keep_calls) {
        r->kept[r->n_kept++] = c;
        return;
    }
    if (cm_str_eq_c(path, "/forbidden")) {
        struct cm_err err;
        cm_err_set(&err, CM_DENIED, "not for\nyou");
        cm_tunnel_call_refuse(c, &err);
    } else if (cm_str_eq_c(path, "/echo-body")) {
        cm_tunnel_call_respond(c, 201, cm_tunnel_call_header(c, "x-type").ptr,
                               cm_tunnel_call_body(c));
    } else if (cm_str_eq_c(cm_tunnel_call_method(c), "CONNECT")) {
        struct seen *w = &r->far[r->n_far++];
        w->echo = r->far_echo;
        w->hold = r->far_hold;
        w->discard = r->far_discard;
        watch(w, cm_tunnel_call_accept(c));
    } else {
        CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(4096);
        cm_buf_printf(&b, "%s %s %zu", cm_tunnel_call_method(c).ptr, path.ptr,
                      cm_tunnel_call_body(c).len);
        cm_tunnel_call_respond(c, 200, "text/plain", cm_buf_view(&b));
    }
}

static void on_draining(void *ctx, struct cm_tunnel *t)
{
    (void)t;
    ((struct rig *)ctx)->draining++;
}

static void on_closed(void *ctx, struct cm_tunnel *t, const struct cm_err *why)
{
    struct rig *r = ctx;
    if (t == r->client) {
        r->client_closed++;
        r->client_why = *why;
    } else {
        r->server_closed++;
        r->server_why = *why;
    }
}

static struct rig *rig_new(size_t chunk, cm_usec ping)
{
    struct rig *r = cm_xcalloc(1, sizeof(*r));
    r->loop = cm_loop_new();
    struct cm_stream *ends[2];
    r->pipe = mempipe_new(r->loop, chunk, ends);
    struct cm_tunnel_config cfg = {
        .ping_interval = ping ? ping : -1,
        .ping_timeout = ping,
        .call = on_call,
        .draining = on_draining,
        .closed = on_closed,
        .ctx = r,
        .max_streams = 100,
    };
    r->client = cm_tunnel_client_new(ends[0], &cfg);
    cfg.ping_interval = -1;
    r->server = cm_tunnel_server_new(ends[1], &cfg);
    return r;
}

static void rig_free(struct rig *r)
{
    struct cm_err err;
    cm_err_set(&err, CM_GONE, "too late");
    while (r->n_kept)
        cm_tunnel_call_refuse(r->kept[--r->n_kept], &err);
    for (size_t i = 0; i < r->n_far; i++)
        unwatch(&r->far[i]);
    cm_tunnel_free(r->client);
    cm_tunnel_free(r->server);
    for (int i = 0; i < 8; i++)
        cm_loop_turn(r->loop, 0);
    cm_loop_free(r->loop);
    cm_free(r);
}

static struct cm_stream *open_plain(struct rig *r, const char *path)
{
    return cm_tunnel_open(r->client, CM_STR("echo"), cm_str(path), NULL, 0);
}

static void count_open(void *ctx, struct cm_stream *s)
{
    struct seen *w = ctx;
    assert_ptr_equal(w->s, s);
    assert_int_equal(w->bytes, 0);
    w->opened++;
}

static void stream_echoes_and_half_closes(void **state)
{
    (void)state;
    struct rig *r = rig_new(0, 0);
    r->far_echo = true;
    struct seen w = {0};
    const struct cm_tunnel_header h = {CM_STR("x-test"), CM_STR("value")};
    struct cm_stream *s = cm_tunnel_open(r->client, CM_STR("ssh"), CM_STR("/a?b=c"), &h, 1);
    watch(&w, s);
    cm_tunnel_stream_on_open(s, count_open, &w);
    cm_stream_write(s, "hello", 5); /* before any answer */
    cm_stream_finish(s);
    TURN_UNTIL(r->loop, w.eof);
    assert_string_equal(w.data.ptr, "hello");
    assert_string_equal(r->protocol, "ssh");
    assert_string_equal(r->path, "/a?b=c");
    assert_string_equal(r->header, "value");
    assert_int_equal(w.opened, 1);
    assert_int_equal(cm_tunnel_stream_status(s), 200);
    assert_int_equal(r->far[0].eof, 1);
    TURN_UNTIL(r->loop, cm_tunnel_streams(r->client) == 0 && cm_tunnel_streams(r->server) == 0);
    assert_int_equal(w.failed + r->far[0].failed, 0);
    unwatch(&w);
    rig_free(r);
}

static void server_may_finish_first(void **state)
{
    (void)state;
    struct rig *r = rig_new(0, 0);
    struct seen w = {0};
    watch(&w, open_plain(r, "/"));
    TURN_UNTIL(r->loop, r->n_far == 1);
    cm_stream_write(r->far[0].s, "bye", 3);
    cm_stream_finish(r->far[0].s);
    TURN_UNTIL(r->loop, w.eof);
    assert_string_equal(w.data.ptr, "bye");
    cm_stream_write(w.s, "and you", 7); /* the other half still works */
    cm_stream_finish(w.s);
    TURN_UNTIL(r->loop, r->far[0].eof);
    assert_string_equal(r->far[0].data.ptr, "and you");
    assert_int_equal(w.failed + r->far[0].failed, 0);
    unwatch(&w);
    rig_free(r);
}

static void close_after_finish_delivers_the_end(void **state)
{
    (void)state;
    struct rig *r = rig_new(0, 0);
    struct seen w = {0};
    watch(&w, open_plain(r, "/"));
    TURN_UNTIL(r->loop, r->n_far == 1);
    cm_stream_write(w.s, "x", 1);
    TURN_UNTIL(r->loop, cm_stream_unsent(w.s) == 0);
    cm_stream_finish(w.s);
    unwatch(&w); /* as a splice does: all was sent, only the end of the stream is still to go out */
    TURN_UNTIL(r->loop, r->far[0].eof);
    assert_string_equal(r->far[0].data.ptr, "x");
    TURN_UNTIL(r->loop, cm_tunnel_streams(r->server) == 0);
    rig_free(r);
}

static void close_resets_the_other_end(void **state)
{
    (void)state;
    struct rig *r = rig_new(0, 0);
    struct seen w = {0};
    watch(&w, open_plain(r, "/"));
    TURN_UNTIL(r->loop, r->n_far == 1);
    unwatch(&w);
    TURN_UNTIL(r->loop, r->far[0].failed);
    assert_int_equal(r->far[0].err.code, CM_CANCELED);
    assert_int_equal(r->far[0].eof, 0);
    assert_int_equal(cm_tunnel_streams(r->client), 0);
    rig_free(r);
}

static void refusal_carries_code_and_text(void **state)
{
    (void)state;
    struct rig *r = rig_new(0, 0);
    struct seen w = {0};
    watch(&w, open_plain(r, "/forbidden"));
    TURN_UNTIL(r->loop, w.failed);
    assert_int_equal(w.err.code, CM_DENIED);
    assert_string_equal(w.err.text, "not for?you");
    assert_int_equal(w.eof, 0);
    TURN_UNTIL(r->loop, cm_tunnel_streams(r->server) == 0);
    unwatch(&w);
    rig_free(r);
}

struct reply {
    unsigned n;
    int status;
    enum cm_code code;
    char body[64];
};

static void on_reply(void *ctx, int status, struct cm_str body, const struct cm_err *err)
{
    struct reply *a = ctx;
    a->n++;
    a->status = status;
    a->code = err ? err->code : CM_OK;
    snprintf(a->body, sizeof(a->body), "%.*s", (int)CM_MIN(body.len, 60u), body.ptr);
}

static void plain_requests_are_answered(void **state)
{
    (void)state;
    struct rig *r = rig_new(0, 0);
    char *big = cm_xcalloc(1, 3 * 1024 * 1024);
    memset(big, 'b', 3 * 1024 * 1024);
    const struct {
        const char *method, *path;
        size_t body, reply_max;
        int status;
        enum cm_code code;
        const char *text;
    } rows[] = {
        {"GET", "/listening-ports", 0, 0, 200, CM_OK, "GET /listening-ports 0"},
        {"POST", "/manifest-changed", 3, 0, 200, CM_OK, "POST /manifest-changed 3"},
        {"POST", "/big", 1024 * 1024, 0, 200, CM_OK, "POST /big 1048576"},
        {"POST", "/too-big", 3 * 1024 * 1024, 0, 413, CM_OK,
         "the body is larger than 1048576 bytes"},
        {"POST", "/echo-body", 5, 0, 201, CM_OK, "bbbbb"},
        {"GET", "/forbidden", 0, 0, 403, CM_OK, "not for?you"},
        {"GET", "/long-answer", 0, 5, 0, CM_TOO_LARGE, ""},
        {"CONNECT", "/", 0, 0, 0, CM_PROTOCOL,
         ""}, /* nghttp2 refuses to send a CONNECT with a path */
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct reply a = {0};
        struct cm_tunnel_request q = {
            .method = cm_str(rows[i].method),
            .path = cm_str(rows[i].path),
            .body = cm_str_n(big, rows[i].body),
            .reply_max = rows[i].reply_max,
            .done = on_reply,
            .ctx = &a,
        };
        cm_tunnel_request(r->client, &q);
        assert_int_equal(a.n, 0);
        TURN_UNTIL(r->loop, a.n);
        assert_int_equal(a.status, rows[i].status);
        assert_int_equal(a.code, rows[i].code);
        assert_string_equal(a.body, rows[i].text);
        TURN_UNTIL(r->loop, cm_tunnel_streams(r->client) == 0);
        assert_int_equal(a.n, 1);
    }
    cm_free(big);
    rig_free(r);
}

static void requests_time_out_and_can_be_canceled(void **state)
{
    (void)state;
    struct rig *r = rig_new(0, 0);
    r->keep_calls = true;
    struct reply a = {0}, b = {0};
    struct cm_tunnel_request q = {.method = CM_STR("GET"),
                                  .path = CM_STR("/"),
                                  .done = on_reply,
                                  .ctx = &a,
                                  .timeout = CM_SECOND}; /* it arrives in that time */
    cm_tunnel_request(r->client, &q);
    TURN_UNTIL(r->loop, a.n);
    assert_int_equal(a.code, CM_TIMEOUT);
    assert_int_equal(r->calls, 1);
    cm_tunnel_call_respond(r->kept[--r->n_kept], 200, NULL, CM_STR("late")); /* to nobody */
    q.ctx = &b;
    q.timeout = 2 * UNTIL_DEADLINE;
    struct cm_tunnel_exchange *x = cm_tunnel_request(r->client, &q);
    TURN_UNTIL(r->loop, r->calls == 2);
    cm_tunnel_request_cancel(x);
    TURN_UNTIL(r->loop, cm_tunnel_streams(r->server) == 0);
    cm_tunnel_call_respond(r->kept[--r->n_kept], 200, NULL, CM_STR("late"));
    assert_int_equal(b.n, 0);
    rig_free(r);
}

static void accept_after_the_peer_gave_up_fails(void **state)
{
    (void)state;
    struct rig *r = rig_new(0, 0);
    r->keep_calls = true;
    struct seen w = {0};
    watch(&w, open_plain(r, "/"));
    TURN_UNTIL(r->loop, r->n_kept);
    unwatch(&w);
    TURN_UNTIL(r->loop, cm_tunnel_streams(r->server) == 0);
    watch(&r->far[r->n_far++], cm_tunnel_call_accept(r->kept[--r->n_kept]));
    assert_int_equal(r->far[0].failed, 0);
    TURN_UNTIL(r->loop, r->far[0].failed);
    assert_int_equal(r->far[0].err.code, CM_CANCELED);
    rig_free(r);
}

/* Random bytes both ways through a choppy line must come out the same. */
static void bulk_survives_odd_chunks(void **state)
{
    (void)state;
    const size_t chunks[] = {0, 1000003, 4099, 61};
    for (size_t i = 0; i < CM_COUNT_OF(chunks); i++) {
        struct rig *r = rig_new(chunks[i], 0);
        r->far_echo = true;
        size_t len = chunks[i] == 61 ? 200000 : 9000000, sent = 0;
        char *data = cm_xcalloc(1, len);
        cm_random_bytes(data, len);
        struct seen w = {0};
        watch(&w, open_plain(r, "/"));
        while (sent < len) {
            size_t n = 1 + cm_random_below(300000);
            n = CM_MIN(n, len - sent);
            TURN_UNTIL(r->loop, cm_stream_unsent(w.s) < CM_STREAM_HIGH);
            cm_stream_write(w.s, data + sent, n);
            sent += n;
        }
        cm_stream_finish(w.s);
        TURN_UNTIL(r->loop, w.eof);
        assert_int_equal(w.bytes, len);
        assert_memory_equal(w.data.ptr, data, len);
        assert_true(w.drained > 0);
        cm_free(data);
        unwatch(&w);
        rig_free(r);
    }
}

static void unread_input_stops_the_sender(void **state)
{
    (void)state;
    struct rig *r = rig_new(0, 0);
    r->far_hold = true;
    struct seen w = {0}, other = {0};
    watch(&w, open_plain(r, "/"));
    static char block[1024 * 1024];
    for (int i = 0; i < 8; i++)
        cm_stream_write(w.s, block, sizeof(block));
    TURN_UNTIL(r->loop, r->n_far == 1);
    for (int i = 0; i < 100; i++)
        cm_loop_turn(r->loop, 0);
    /* A window of 256 KiB has gone, no more. */
    assert_int_equal(evbuffer_get_length(cm_stream_input(r->far[0].s)), 256 * 1024);
    assert_int_equal(cm_stream_unsent(w.s), 8 * sizeof(block) - 256 * 1024);
    /* And nobody else waits for it. */
    r->far_hold = false;
    watch(&other, open_plain(r, "/"));
    cm_stream_write(other.s, "quick", 5);
    TURN_UNTIL(r->loop, r->n_far == 2 && r->far[1].bytes == 5);
    /* Reading opens it again. */
    r->far[0].hold = false;
    r->far[0].discard = true;
    on_seen(r->far[0].s, CM_STREAM_DATA, &r->far[0]);
    TURN_UNTIL(r->loop, r->far[0].bytes == 8 * sizeof(block));
    unwatch(&w);
    unwatch(&other);
    rig_free(r);
}

static void window_grows_for_a_reader_that_keeps_up(void **state)
{
    (void)state;
    struct rig *r = rig_new(0, 0);
    r->far_discard = true;
    struct seen w = {0};
    watch(&w, open_plain(r, "/"));
    static char block[1024 * 1024];
    for (size_t i = 1; i <= 16; i++) {
        cm_stream_write(w.s, block, sizeof(block));
        TURN_UNTIL(r->loop, r->n_far == 1 && r->far[0].bytes == i * sizeof(block));
    }
    /* Now the reader stalls: up to 4 MiB may arrive. */
    r->far[0].hold = true;
    for (int i = 0; i < 6; i++)
        cm_stream_write(w.s, block, sizeof(block));
    for (int i = 0; i < 300; i++)
        cm_loop_turn(r->loop, 0);
    size_t held = evbuffer_get_length(cm_stream_input(r->far[0].s));
    assert_in_range(held, 2 * 1024 * 1024, 4 * 1024 * 1024);
    unwatch(&w);
    rig_free(r);
}

static void many_stalled_streams_leave_room_for_one_more(void **state)
{
    (void)state;
    struct rig *r = rig_new(0, 0);
    r->far_hold = true;
    static struct seen w[90];
    static char block[300 * 1024];
    memset(w, 0, sizeof(w));
    for (size_t i = 0; i < CM_COUNT_OF(w); i++) {
        watch(&w[i], open_plain(r, "/"));
        cm_stream_write(w[i].s, block, sizeof(block));
    }
    TURN_UNTIL(r->loop, r->n_far == CM_COUNT_OF(w) &&
                            evbuffer_get_length(cm_stream_input(r->far[CM_COUNT_OF(w) - 1].s)) ==
                                256 * 1024);
    r->far_hold = false;
    struct seen quick = {0};
    watch(&quick, open_plain(r, "/"));
    cm_stream_write(quick.s, "quick", 5);
    TURN_UNTIL(r->loop, r->n_far == 91 && r->far[90].bytes == 5);
    unwatch(&quick);
    for (size_t i = 0; i < CM_COUNT_OF(w); i++)
        unwatch(&w[i]);
    rig_free(r);
}

static void too_many_streams_are_refused(void **state)
{
    (void)state;
    struct rig *r = rig_new(0, 0);
    static struct seen w[101];
    memset(w, 0, sizeof(w));
    for (size_t i = 0; i < 100; i++)
        watch(&w[i], open_plain(r, "/"));
    TURN_UNTIL(r->loop, r->n_far == 100);
    watch(&w[100], open_plain(r, "/"));
    assert_int_equal(w[100].failed, 0); /* not within the call */
    TURN_UNTIL(r->loop, w[100].failed);
    assert_int_equal(w[100].err.code, CM_UNAVAILABLE);
    for (size_t i = 0; i < 101; i++)
        unwatch(&w[i]);
    rig_free(r);
}

/* While one stream sends as much as it can, a keystroke on another arrives after little else. */
static void busy_stream_does_not_delay_another(void **state)
{
    (void)state;
    struct rig *r = rig_new(64 * 1024, 0);
    r->far_discard = true;
    struct seen bulk = {0}, key = {0};
    watch(&bulk, open_plain(r, "/"));
    watch(&key, open_plain(r, "/"));
    TURN_UNTIL(r->loop, r->n_far == 2);
    static char block[32 * 1024 * 1024];
    cm_stream_write(bulk.s, block, sizeof(block));
    TURN_UNTIL(r->loop, r->far[0].bytes > 1024 * 1024);
    for (size_t i = 1; i <= 20; i++) {
        size_t before = r->far[0].bytes;
        cm_stream_write(key.s, "k", 1);
        TURN_UNTIL(r->loop, r->far[1].bytes == i);
        assert_true(cm_stream_unsent(bulk.s) > 0);
        assert_in_range(r->far[0].bytes - before, 0, 512 * 1024);
    }
    unwatch(&bulk);
    unwatch(&key);
    rig_free(r);
}

static void silent_peer_is_given_up(void **state)
{
    (void)state;
    struct rig *r = rig_new(0, 30 * CM_MSEC);
    struct seen w = {0};
    watch(&w, open_plain(r, "/"));
    TURN_UNTIL(r->loop, cm_tunnel_rtt(r->client) > 0); /* a PING was answered */
    assert_int_equal(r->client_closed, 0);
    mempipe_silence(r->pipe, true);
    TURN_UNTIL(r->loop, r->client_closed);
    assert_int_equal(r->client_why.code, CM_TIMEOUT);
    assert_int_equal(w.failed, 1);
    assert_int_equal(w.err.code, CM_TIMEOUT);
    mempipe_silence(r->pipe, false);
    TURN_UNTIL(r->loop, r->server_closed);
    unwatch(&w);
    rig_free(r);
}

static void broken_transport_fails_everything(void **state)
{
    (void)state;
    struct rig *r = rig_new(0, 0);
    r->keep_calls = true;
    struct seen w = {0};
    struct reply a = {0};
    watch(&w, open_plain(r, "/"));
    struct cm_tunnel_request q = {
        .method = CM_STR("GET"), .path = CM_STR("/"), .done = on_reply, .ctx = &a};
    cm_tunnel_request(r->client, &q);
    TURN_UNTIL(r->loop, r->calls == 2);
    mempipe_cut(r->pipe);
    TURN_UNTIL(r->loop, r->client_closed && r->server_closed);
    assert_int_equal(w.failed, 1);
    assert_int_equal(a.n, 1);
    assert_int_equal(a.code, CM_IO);
    assert_int_equal(r->client_why.code, CM_IO);
    /* Everything is refused now, and nothing hangs. */
    struct seen v = {0};
    watch(&v, open_plain(r, "/"));
    TURN_UNTIL(r->loop, v.failed);
    assert_int_equal(v.err.code, CM_IO); /* why the tunnel ended */
    unwatch(&v);
    unwatch(&w);
    cm_tunnel_free(CM_TAKE(r->server));
    rig_free(r); /* refuses the calls, to no effect */
}

static void garbage_ends_the_tunnel(void **state)
{
    (void)state;
    struct cm_loop *loop = cm_loop_new();
    struct rig r = {.loop = loop};
    struct cm_stream *ends[2];
    r.pipe = mempipe_new(loop, 0, ends);
    struct cm_tunnel_config cfg = {.closed = on_closed, .ctx = &r};
    r.server = cm_tunnel_server_new(ends[1], &cfg);
    cm_stream_write(ends[0], "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
    TURN_UNTIL(r.loop, r.server_closed);
    assert_int_equal(r.server_why.code, CM_PROTOCOL);
    cm_stream_close(ends[0]);
    cm_tunnel_free(r.server);
    cm_loop_free(loop);
}

static void drain_lets_streams_end(void **state)
{
    (void)state;
    for (int by_server = 0; by_server < 2; by_server++) {
        struct rig *r = rig_new(0, 0);
        r->far_echo = true;
        struct seen w = {0}, late = {0};
        watch(&w, open_plain(r, "/"));
        TURN_UNTIL(r->loop, r->n_far == 1);
        cm_tunnel_drain(by_server ? r->server : r->client);
        TURN_UNTIL(r->loop, r->draining == 1);
        watch(&late, open_plain(r, "/"));
        TURN_UNTIL(r->loop, late.failed);
        assert_int_equal(late.err.code, CM_UNAVAILABLE);
        unwatch(&late);
        cm_stream_write(w.s, "still here", 10);
        TURN_UNTIL(r->loop, w.bytes == 10);
        assert_int_equal(r->client_closed + r->server_closed, 0);
        cm_stream_finish(w.s);
        TURN_UNTIL(r->loop, w.eof);
        TURN_UNTIL(r->loop, r->client_closed && r->server_closed);
        assert_int_equal(w.failed + r->far[0].failed, 0);
        assert_int_equal(r->client_why.code, CM_END);
        assert_int_equal(r->server_why.code, CM_END);
        assert_int_equal(r->draining, 1);
        unwatch(&w);
        rig_free(r);
    }
}

static void free_fails_streams_later(void **state)
{
    (void)state;
    struct rig *r = rig_new(0, 0);
    struct seen w = {0};
    struct reply a = {0};
    watch(&w, open_plain(r, "/"));
    TURN_UNTIL(r->loop, r->n_far == 1);
    r->keep_calls = true;
    struct cm_tunnel_request q = {
        .method = CM_STR("GET"), .path = CM_STR("/"), .done = on_reply, .ctx = &a};
    cm_tunnel_request(r->client, &q);
    cm_tunnel_free(CM_TAKE(r->client));
    assert_int_equal(w.failed + a.n, 0);
    TURN_UNTIL(r->loop, w.failed && a.n);
    assert_int_equal(a.code, CM_CANCELED);
    assert_int_equal(r->client_closed, 0);
    cm_stream_write(w.s, "nowhere", 7);
    unwatch(&w);
    TURN_UNTIL(r->loop, r->far[0].failed);
    rig_free(r);
}

static void owners_may_close_from_within(void **state)
{
    (void)state;
    struct rig *r = rig_new(0, 0);
    struct seen w = {.close_on_data = true};
    watch(&w, open_plain(r, "/"));
    TURN_UNTIL(r->loop, r->n_far == 1);
    cm_stream_write(r->far[0].s, "x", 1);
    TURN_UNTIL(r->loop, !w.s);
    TURN_UNTIL(r->loop, r->far[0].failed);
    r->free_server_in_call = true;
    r->keep_calls = true;
    struct seen v = {0};
    watch(&v, open_plain(r, "/"));
    TURN_UNTIL(r->loop, v.failed);
    watch(&r->far[r->n_far++], cm_tunnel_call_accept(r->kept[--r->n_kept]));
    TURN_UNTIL(r->loop, r->far[1].failed);
    unwatch(&v);
    cm_buf_done(&w.data);
    rig_free(r);
}

int main(void)
{
    cm_loop_global_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream_echoes_and_half_closes),
        cmocka_unit_test(server_may_finish_first),
        cmocka_unit_test(close_after_finish_delivers_the_end),
        cmocka_unit_test(close_resets_the_other_end),
        cmocka_unit_test(refusal_carries_code_and_text),
        cmocka_unit_test(plain_requests_are_answered),
        cmocka_unit_test(requests_time_out_and_can_be_canceled),
        cmocka_unit_test(accept_after_the_peer_gave_up_fails),
        cmocka_unit_test(bulk_survives_odd_chunks),
        cmocka_unit_test(unread_input_stops_the_sender),
        cmocka_unit_test(window_grows_for_a_reader_that_keeps_up),
        cmocka_unit_test(many_stalled_streams_leave_room_for_one_more),
        cmocka_unit_test(too_many_streams_are_refused),
        cmocka_unit_test(busy_stream_does_not_delay_another),
        cmocka_unit_test(silent_peer_is_given_up),
        cmocka_unit_test(broken_transport_fails_everything),
        cmocka_unit_test(garbage_ends_the_tunnel),
        cmocka_unit_test(drain_lets_streams_end),
        cmocka_unit_test(free_fails_streams_later),
        cmocka_unit_test(owners_may_close_from_within),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
