#include "internal.h"

#include <event2/buffer.h>

void tunnel_unref(struct cm_tunnel *t)
{
    if (--t->refs)
        return;
    cm_timer_done(&t->ping_timer);
    evbuffer_free(t->out);
    cm_free(t);
}

void tunnel_mark(struct tstream *ts, unsigned events)
{
    ts->events |= events;
    if (!ts->ready.next)
        cm_list_push(&ts->t->ready, &ts->ready);
}

void tunnel_end(struct cm_tunnel *t, const struct cm_err *why)
{
    if (t->ended)
        return;
    t->ended = true;
    t->why = *why;
    cm_timer_stop(&t->ping_timer);
    nghttp2_session_del(t->h2);
    t->h2 = NULL;
    cm_stream_close(CM_TAKE(t->transport));
    evbuffer_drain(t->out, evbuffer_get_length(t->out));
    CM_LIST_EACH(l, &t->streams)
    tstream_h2_closed(cm_container_of(l, struct tstream, all), why);
}

/* Tells owners what has happened. Those streams that get new events meanwhile wait for the next
 * round. */
static void dispatch(struct cm_tunnel *t)
{
    struct cm_link now;
    cm_list_init(&now);
    while (!cm_list_empty(&t->ready))
        cm_list_push(&now, cm_list_pop(&t->ready));
    while (!cm_list_empty(&now))
        tstream_tell(cm_container_of(cm_list_pop(&now), struct tstream, ready));
    if (t->tell_draining && !t->freed) {
        t->tell_draining = false;
        if (t->cfg.draining)
            t->cfg.draining(t->cfg.ctx, t);
    }
    if (t->ended && !t->told && !t->freed) {
        t->told = true;
        if (t->cfg.closed)
            t->cfg.closed(t->cfg.ctx, t, &t->why);
    }
}

bool tunnel_has_room(const struct cm_tunnel *t)
{
    return cm_stream_unsent(t->transport) + evbuffer_get_length(t->out) < t->cfg.queue;
}

static void check_end(struct cm_tunnel *t)
{
    if (t->ended)
        return;
    struct cm_err err;
    if (t->fatal) {
        err = t->why;
        tunnel_end(t, &err);
        return;
    }
    bool drained = (t->drain_sent || t->drain_received) && t->n_streams == 0;
    if (!drained && (nghttp2_session_want_read(t->h2) || nghttp2_session_want_write(t->h2)))
        return;
    if (!t->finishing && !nghttp2_session_want_write(t->h2)) {
        t->finishing = true;
        cm_stream_finish(t->transport);
    }
    if (t->finishing && cm_stream_unsent(t->transport) == 0) {
        cm_err_set(&err, CM_END, "the tunnel was drained");
        tunnel_end(t, &err);
    }
}

static void pump(struct cm_tunnel *t)
{
    while (!t->ended && !t->finishing && tunnel_has_room(t)) {
        const uint8_t *data;
        ssize_t n = nghttp2_session_mem_send(t->h2, &data);
        if (n < 0) {
            cm_err_set(&t->why, CM_PROTOCOL, "HTTP/2: %s", nghttp2_strerror((int)n));
            t->fatal = true;
            break;
        }
        if (n == 0) /* nothing more, or on_send_data has found the room used up */
            break;
        evbuffer_add(t->out, data, (size_t)n);
    }
    if (!t->ended && evbuffer_get_length(t->out))
        cm_stream_send(t->transport, t->out);
    check_end(t);
}

static void run(struct cm_tunnel *t)
{
    t->refs++;
    t->busy = true;
    /* Answers to what was told go out in the same turn; after that others on the loop come first.
     */
    for (int i = 0; i < 2; i++) {
        dispatch(t);
        pump(t);
    }
    dispatch(t);
    t->busy = false;
    bool more = !cm_list_empty(&t->ready) || (t->ended && !t->told && !t->freed);
    if (!t->ended && tunnel_has_room(t) && nghttp2_session_want_write(t->h2))
        more = true;
    if (more)
        tunnel_kick(t);
    tunnel_unref(t);
}

static void on_kick(void *arg)
{
    struct cm_tunnel *t = arg;
    t->kicked = false;
    run(t);
    tunnel_unref(t);
}

void tunnel_kick(struct cm_tunnel *t)
{
    if (t->busy || t->kicked)
        return;
    t->kicked = true;
    t->refs++;
    cm_loop_post(t->loop, on_kick, t);
}

static void receive(struct cm_tunnel *t)
{
    struct evbuffer *in = cm_stream_input(t->transport);
    size_t total = 0;
    for (;;) {
        struct evbuffer_iovec v;
        if (evbuffer_peek(in, -1, NULL, &v, 1) < 1 || v.iov_len == 0)
            break;
        if (v.iov_len >= SHARE_MIN)
            t->receiving = share_take(in, v.iov_len);
        ssize_t n = nghttp2_session_mem_recv(t->h2, v.iov_base, v.iov_len);
        if (!t->receiving)
            evbuffer_drain(in, v.iov_len);
        share_unref(CM_TAKE(t->receiving));
        if (n < 0) {
            cm_err_set(&t->why, CM_PROTOCOL, "HTTP/2: %s", nghttp2_strerror((int)n));
            t->fatal = true;
            break;
        }
        total += v.iov_len;
    }
    if (total) {
        t->heard_at = cm_monotonic_now();
        cm_stream_consumed(t->transport, total);
    }
}

static void on_transport(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct cm_tunnel *t = ctx;
    t->refs++;
    bool was_busy = t->busy;
    t->busy = true;
    struct cm_err err;
    switch (ev) {
    case CM_STREAM_DATA:
        receive(t);
        break;
    case CM_STREAM_DRAINED:
        t->drained_count++;
        break;
    case CM_STREAM_EOF:
        receive(t);
        cm_err_set(&err, t->n_streams ? CM_UNAVAILABLE : CM_END, "the peer closed the tunnel");
        if (!t->fatal)
            tunnel_end(t, &err);
        break;
    case CM_STREAM_FAILED:
        receive(t);
        err = *cm_stream_err(s);
        cm_err_wrap(&err, "tunnel");
        tunnel_end(t, &err);
        break;
    }
    check_end(t);
    t->busy = was_busy;
    run(t);
    tunnel_unref(t);
}

/* What had arrived before the tunnel was made. */
static void on_start(void *arg)
{
    struct cm_tunnel *t = arg;
    if (!t->ended) {
        struct cm_stream *s = t->transport;
        if (evbuffer_get_length(cm_stream_input(s)))
            on_transport(s, CM_STREAM_DATA, t);
        if (!t->ended && s->failed)
            on_transport(s, CM_STREAM_FAILED, t);
        else if (!t->ended && s->eof)
            on_transport(s, CM_STREAM_EOF, t);
        else
            run(t);
    }
    tunnel_unref(t);
}

static struct cm_tunnel *tunnel_new(struct cm_stream *transport, const struct cm_tunnel_config *cfg,
                                    bool server)
{
    CM_ON_LOOP(transport->loop);
    struct cm_tunnel *t = cm_xcalloc(1, sizeof(*t));
    t->cfg = *cfg;
    t->cfg.ping_interval = cfg->ping_interval ? cfg->ping_interval : CM_TUNNEL_PING_INTERVAL;
    t->cfg.ping_timeout = cfg->ping_timeout ? cfg->ping_timeout : CM_TUNNEL_PING_TIMEOUT;
    t->cfg.max_streams = cfg->max_streams ? cfg->max_streams : CM_TUNNEL_STREAMS;
    t->cfg.stream_window = cfg->stream_window ? cfg->stream_window : CM_TUNNEL_STREAM_WINDOW;
    t->cfg.queue = cfg->queue ? cfg->queue : CM_TUNNEL_QUEUE;
    t->cfg.body_max = cfg->body_max ? cfg->body_max : CM_TUNNEL_BODY_MAX;
    t->server = server;
    t->loop = transport->loop;
    t->transport = transport;
    t->refs = 1;
    t->out = evbuffer_new();
    cm_assert(t->out);
    cm_list_init(&t->streams);
    cm_list_init(&t->ready);
    t->h2 = frames_session_new(t);
    ping_start(t);
    cm_stream_set_fn(transport, on_transport, t);
    t->refs++;
    cm_loop_post(t->loop, on_start, t);
    return t;
}

struct cm_tunnel *cm_tunnel_server_new(struct cm_stream *transport,
                                       const struct cm_tunnel_config *cfg)
{
    return tunnel_new(transport, cfg, true);
}

struct cm_tunnel *cm_tunnel_client_new(struct cm_stream *transport,
                                       const struct cm_tunnel_config *cfg)
{
    return tunnel_new(transport, cfg, false);
}

void cm_tunnel_free(struct cm_tunnel *t)
{
    if (!t)
        return;
    CM_ON_LOOP(t->loop);
    struct cm_err err;
    cm_err_set(&err, CM_CANCELED, "the tunnel was closed");
    t->freed = true;
    tunnel_end(t, &err);
    if (!cm_list_empty(&t->ready))
        tunnel_kick(t);
    tunnel_unref(t);
}

void cm_tunnel_drain(struct cm_tunnel *t)
{
    CM_ON_LOOP(t->loop);
    if (t->ended || t->drain_sent)
        return;
    t->drain_sent = true;
    cm_ignore(nghttp2_submit_goaway(t->h2, NGHTTP2_FLAG_NONE,
                                    nghttp2_session_get_last_proc_stream_id(t->h2),
                                    NGHTTP2_NO_ERROR, NULL, 0),
              "only a lack of memory, which ends the session anyway");
    tunnel_kick(t);
}

bool cm_tunnel_draining(const struct cm_tunnel *t)
{
    return t->ended || t->drain_sent || t->drain_received;
}

size_t cm_tunnel_streams(const struct cm_tunnel *t)
{
    return t->n_streams;
}
