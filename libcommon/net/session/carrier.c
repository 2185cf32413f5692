#include "net/session/carrier_impl.h"

#include <event2/buffer.h>

#define PATH_QUEUE                                                                                 \
    ((size_t)128 * 1024) /* what may wait in a path: little, so that a keystroke overtakes bulk */
#define SEND_MAX      ((size_t)256 * 1024)
#define REPLAY_MAX    ((size_t)64 * 1024)
#define SMALL         ((size_t)4096) /* copied rather than shared */
#define ACK_EVERY     ((size_t)256 * 1024)
#define ACK_DELAY     (100 * CM_MSEC)
#define INPUT_MAX     ((size_t)1024 * 1024)
#define PING_INTERVAL (10 * CM_SECOND)
#define PING_TIMEOUT  (5 * CM_SECOND)

static struct cm_carrier *of(struct cm_stream *s)
{
    return cm_container_of(s, struct cm_carrier, s);
}

static void free_later(void *arg)
{
    struct cm_carrier *c = arg;
    cm_timer_done(&c->linger);
    cm_timer_done(&c->tick);
    cm_timer_done(&c->ack);
    evbuffer_free(c->fresh);
    evbuffer_free(c->replay);
    cm_stream_done(&c->s);
    cm_free(c);
}

static void unref(struct cm_carrier *c)
{
    if (--c->refs == 0)
        cm_loop_post(c->s.loop, free_later, c);
}

bool carrier_wants_input(const struct cm_carrier *c)
{
    return !(c->events & CEV_CLOSED) && evbuffer_get_length(c->s.in) < INPUT_MAX;
}

static void stop_timers(struct cm_carrier *c)
{
    cm_timer_stop(&c->tick);
    cm_timer_stop(&c->ack);
    cm_timer_stop(&c->linger);
}

/* Sending */

static void send_data(struct path *p, struct evbuffer *body, size_t len)
{
    struct evbuffer *out = evbuffer_new();
    const uint8_t head[FRAME_HEAD] = {FRAME_DATA, (uint8_t)(len >> 16), (uint8_t)(len >> 8),
                                      (uint8_t)len};
    cm_assert(out && evbuffer_add(out, head, sizeof(head)) == 0 &&
              evbuffer_add_buffer(out, body) == 0);
    cm_stream_send(p->stream, out);
    evbuffer_free(out);
    p->tx_pos += len;
}

static void copy_to(struct evbuffer *out, struct evbuffer *from, size_t offset, size_t len)
{
    struct evbuffer_ptr at;
    struct evbuffer_iovec v;
    cm_assert(evbuffer_ptr_set(from, &at, offset, EVBUFFER_PTR_SET) == 0 &&
              evbuffer_reserve_space(out, (ev_ssize_t)len, &v, 1) == 1);
    v.iov_len = (size_t)evbuffer_copyout_from(from, &at, v.iov_base, len);
    cm_assert(v.iov_len == len && evbuffer_commit_space(out, &v, 1) == 0);
}

static void send_again(struct cm_carrier *c, struct path *p)
{
    struct evbuffer *body = evbuffer_new();
    cm_assert(body);
    size_t len = CM_MIN(c->sent - p->tx_pos, REPLAY_MAX);
    copy_to(body, c->replay, p->tx_pos - c->acked, len);
    send_data(p, body, len);
    evbuffer_free(body);
}

static void send_fresh(struct cm_carrier *c, struct path *p, size_t len)
{
    struct evbuffer *body = evbuffer_new(), *kept = evbuffer_new();
    cm_assert(body && kept);
    evbuffer_remove_buffer(c->fresh, kept, len);
    /* Large pieces are shared between the path and the replay buffer; many small ones, each in a
     * chunk of its own, would cost more memory than the replay buffer may have. */
    if (len > SMALL && evbuffer_add_buffer_reference(body, kept) == 0) {
        evbuffer_add_buffer(c->replay, kept);
    } else {
        copy_to(c->replay, kept, 0, len);
        evbuffer_add_buffer(body, kept);
    }
    evbuffer_free(kept);
    c->sent += len;
    send_data(p, body, len);
    evbuffer_free(body);
}

static void pump(struct cm_carrier *c)
{
    struct path *p = c->path;
    if (!p || !p->tx_ready)
        return;
    while (cm_stream_unsent(p->stream) < PATH_QUEUE) {
        size_t fresh = evbuffer_get_length(c->fresh),
               room = c->cfg.replay_max - evbuffer_get_length(c->replay);
        fresh = CM_MIN(fresh, SEND_MAX);
        fresh = CM_MIN(fresh, room);
        if (p->tx_pos < c->sent)
            send_again(c, p);
        else if (fresh)
            send_fresh(c, p, fresh);
        else
            break;
    }
    if (c->s.finished && !p->fin_sent && p->tx_pos == c->sent &&
        evbuffer_get_length(c->fresh) == 0) {
        p->fin_sent = true;
        path_send_u64(p, FRAME_FIN, c->sent);
    }
}

static void send_ack(struct cm_carrier *c)
{
    cm_timer_stop(&c->ack);
    c->ack_told = c->received;
    path_send_u64(c->path, FRAME_ACK, c->received);
}

static void on_ack_timer(void *ctx)
{
    struct cm_carrier *c = ctx;
    if (c->path && c->ack_told != c->received)
        send_ack(c);
}

enum cm_code carrier_acked(struct cm_carrier *c, uint64_t offset, struct cm_err *err)
{
    if (offset < c->acked || offset > c->sent)
        return cm_err_set(err, CM_PROTOCOL,
                          "session path: the peer acknowledged bytes that were not sent");
    evbuffer_drain(c->replay, offset - c->acked);
    c->acked = offset;
    /* What this path was still to repeat has meanwhile come by the one before. */
    if (c->path && c->path->tx_ready && c->path->tx_pos < offset)
        path_start(c->path, offset);
    return CM_OK;
}

/* Paths come and go */

static void lose(struct cm_carrier *c, const struct cm_err *why)
{
    path_free(CM_TAKE(c->path));
    cm_timer_stop(&c->tick);
    cm_timer_stop(&c->ack);
    cm_timer_start(&c->linger, c->cfg.linger);
    if (c->cfg.path_lost && !c->s.closed && !c->s.failed)
        c->cfg.path_lost(c->cfg.ctx, c, why);
}

static void tell(struct cm_carrier *c)
{
    unsigned ev = c->events;
    c->events = 0;
    if (ev & CEV_UP && c->cfg.path_up && !c->s.closed)
        c->cfg.path_up(c->cfg.ctx, c);
    if (ev & CEV_DATA)
        cm_stream_notify(&c->s, CM_STREAM_DATA);
    if (ev & CEV_EOF)
        cm_stream_notify(&c->s, CM_STREAM_EOF);
    if (ev & CEV_CLOSED) {
        stop_timers(c);
        path_bye(CM_TAKE(c->path), NULL);
        cm_stream_fail(&c->s, &c->why);
    }
}

static size_t carrier_unsent(const struct cm_stream *s)
{
    const struct cm_carrier *c = (const struct cm_carrier *)s;
    size_t n = evbuffer_get_length(c->fresh);
    if (c->path && c->path->tx_ready)
        n += cm_stream_unsent(c->path->stream) + (c->sent - c->path->tx_pos);
    return n;
}

static void go_on(struct cm_carrier *c)
{
    if (c->s.closed || c->s.failed)
        return;
    pump(c);
    if (carrier_unsent(&c->s) <= CM_STREAM_LOW)
        cm_stream_notify(&c->s, CM_STREAM_DRAINED);
}

static void read_path(struct cm_carrier *c)
{
    struct cm_err err;
    c->heard_at = cm_monotonic_now();
    enum cm_code code = path_read(c->path, &err);
    size_t untold = c->received - c->ack_told;
    if (untold >= ACK_EVERY)
        send_ack(c);
    else if (untold && c->events & CEV_DATA)
        cm_timer_start(&c->ack, ACK_DELAY);
    tell(c);
    if (code != CM_OK && c->path && !c->s.closed)
        lose(c, &err);
}

void carrier_on_path(struct path *p, enum cm_stream_event ev)
{
    struct cm_carrier *c = p->c;
    struct cm_err err;
    c->refs++;
    switch (ev) {
    case CM_STREAM_DATA:
        read_path(c);
        break;
    case CM_STREAM_DRAINED:
        break;
    case CM_STREAM_EOF:
    case CM_STREAM_FAILED:
        read_path(c);
        if (ev == CM_STREAM_FAILED)
            err = *cm_stream_err(p->stream);
        else
            cm_err_set(&err, CM_UNAVAILABLE, "the other end of the path hung up");
        if (c->path == p && !c->s.closed)
            lose(c, &err);
        break;
    }
    go_on(c);
    unref(c);
}

static void on_turn(void *arg)
{
    struct cm_carrier *c = arg;
    c->posted = false;
    if (!c->s.closed && c->path) {
        struct path *p = c->path;
        if (p->stream->failed)
            carrier_on_path(p, CM_STREAM_FAILED);
        else if (p->stream->eof && carrier_wants_input(c))
            carrier_on_path(p, CM_STREAM_EOF);
        else if (path_has_input(p))
            carrier_on_path(p, CM_STREAM_DATA);
        else
            go_on(c);
    }
    unref(c);
}

static void kick(struct cm_carrier *c)
{
    if (c->posted)
        return;
    c->posted = true;
    c->refs++;
    cm_loop_post(c->s.loop, on_turn, c);
}

static void on_linger(void *ctx)
{
    struct cm_carrier *c = ctx;
    struct cm_err err;
    cm_err_set(&err, CM_TIMEOUT, "the session had no connection for %lld s",
               (long long)(c->cfg.linger / CM_SECOND));
    cm_stream_fail(&c->s, &err);
}

static void on_tick(void *ctx)
{
    struct cm_carrier *c = ctx;
    bool asks = c->cfg.ping_interval > 0;
    cm_usec interval = asks ? c->cfg.ping_interval : c->cfg.idle_timeout;
    cm_usec silent = cm_monotonic_now() - c->heard_at;
    if (!c->path)
        return;
    if (c->heard_at >= c->asked_at)
        c->asking = false;
    if (silent < interval) {
        cm_timer_start(&c->tick, interval - silent);
        return;
    }
    if (asks && !c->asking) {
        c->asking = true;
        c->asked_at = cm_monotonic_now();
        path_send(c->path, FRAME_PING, NULL, 0);
        cm_timer_start(&c->tick, c->cfg.ping_timeout);
        return;
    }
    struct cm_err err;
    cm_err_set(&err, CM_TIMEOUT, "the path has been silent for %lld s",
               (long long)(silent / CM_SECOND));
    c->refs++;
    lose(c, &err);
    unref(c);
}

static void attach(struct cm_carrier *c, struct cm_stream *stream)
{
    cm_assert(!c->s.closed);
    path_bye(CM_TAKE(c->path), NULL);
    c->path = path_new(c, stream);
    c->heard_at = cm_monotonic_now();
    c->asking = false;
    cm_timer_stop(&c->linger);
    cm_usec first = c->cfg.ping_interval > 0 ? c->cfg.ping_interval : c->cfg.idle_timeout;
    if (first > 0)
        cm_timer_start(&c->tick, first);
    c->ack_told = c->received;
    path_send_u64(c->path, FRAME_HELLO, c->received);
}

void cm_carrier_attach_client(struct cm_carrier *c, struct cm_stream *path)
{
    CM_ON_LOOP(c->s.loop);
    if (c->s.failed) {
        cm_stream_close(path);
        return;
    }
    attach(c, path);
    /* Nothing can have arrived on an earlier path: no need to wait for the peer's HELLO. */
    if (!c->attached_before)
        path_start(c->path, 0);
    c->attached_before = true;
    pump(c);
    kick(c);
}

bool cm_carrier_can_resume(const struct cm_carrier *c, uint64_t offset)
{
    return !c->s.failed && offset <= c->sent;
}

void cm_carrier_attach_agent(struct cm_carrier *c, struct cm_stream *path, uint64_t offset)
{
    CM_ON_LOOP(c->s.loop);
    struct cm_err err;
    if (c->s.failed) {
        cm_stream_close(path);
        return;
    }
    /* On the old path the client may have acknowledged more since it asked for this one. */
    if (offset > c->acked)
        cm_assert(carrier_acked(c, offset, &err) == CM_OK);
    attach(c, path);
    path_start(c->path, c->acked);
    pump(c);
    kick(c);
}

/* The carrier as a stream */

static void carrier_send(struct cm_stream *s, struct evbuffer *data)
{
    struct cm_carrier *c = of(s);
    evbuffer_add_buffer(c->fresh, data);
    pump(c);
}

static void carrier_consumed(struct cm_stream *s, size_t n)
{
    (void)n;
    struct cm_carrier *c = of(s);
    if (c->path && path_has_input(c->path) && carrier_wants_input(c))
        kick(c);
}

static void carrier_finish(struct cm_stream *s)
{
    pump(of(s));
}

static void leave(struct cm_carrier *c, const struct cm_err *why)
{
    stop_timers(c);
    void (*gone)(void *) = c->gone;
    c->gone = NULL;
    if (c->path) {
        c->path->gone = gone;
        c->path->gone_ctx = c->gone_ctx;
        path_bye(CM_TAKE(c->path), why);
    } else if (gone) {
        cm_loop_post(c->s.loop, gone, c->gone_ctx);
    }
}

static void carrier_close(struct cm_stream *s)
{
    struct cm_carrier *c = of(s);
    struct cm_err err;
    cm_err_set(&err, CM_CANCELED, "the other end closed the session");
    leave(c, &err);
    unref(c);
}

static const struct cm_stream_ops ops = {carrier_send, carrier_unsent, carrier_consumed,
                                         carrier_finish, carrier_close};

struct cm_carrier *cm_carrier_new(struct cm_loop *loop, const struct cm_carrier_config *cfg)
{
    struct cm_carrier *c = cm_xcalloc(1, sizeof(*c));
    cm_stream_init(&c->s, &ops, loop);
    c->cfg = *cfg;
    c->cfg.replay_max = cfg->replay_max ? cfg->replay_max : CM_CARRIER_REPLAY;
    c->cfg.linger = cfg->linger ? cfg->linger : CM_CARRIER_LINGER;
    c->cfg.ping_interval = cfg->ping_interval ? cfg->ping_interval : PING_INTERVAL;
    c->cfg.ping_timeout = cfg->ping_timeout ? cfg->ping_timeout : PING_TIMEOUT;
    c->fresh = evbuffer_new();
    c->replay = evbuffer_new();
    cm_assert(c->fresh && c->replay);
    c->refs = 1;
    cm_timer_init(&c->linger, loop, on_linger, c);
    cm_timer_init(&c->tick, loop, on_tick, c);
    cm_timer_init(&c->ack, loop, on_ack_timer, c);
    cm_timer_start(&c->linger, c->cfg.linger);
    return c;
}

struct cm_stream *cm_carrier_stream(struct cm_carrier *c)
{
    return &c->s;
}

uint64_t cm_carrier_received(const struct cm_carrier *c)
{
    return c->received;
}

bool cm_carrier_has_path(const struct cm_carrier *c)
{
    return c->path != NULL;
}

void cm_carrier_on_gone(struct cm_carrier *c, void (*fn)(void *ctx), void *ctx)
{
    c->gone = fn;
    c->gone_ctx = ctx;
}

static void on_aborted(void *arg)
{
    struct cm_carrier *c = arg;
    cm_stream_fail(&c->s, &c->why);
    unref(c);
}

void cm_carrier_abort(struct cm_carrier *c, const struct cm_err *why)
{
    CM_ON_LOOP(c->s.loop);
    if (c->s.failed || c->s.closed)
        return;
    c->why = *why;
    leave(c, why);
    c->refs++;
    cm_loop_post(c->s.loop, on_aborted, c);
}
