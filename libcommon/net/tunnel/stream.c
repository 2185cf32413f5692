/* One stream of a tunnel as a cm_stream, and opening one. */
#include "internal.h"

#include <event2/buffer.h>

#define FRAME_CHUNKS 16

static void free_later(void *arg)
{
    struct tstream *ts = arg;
    struct cm_tunnel *t = ts->t;
    call_free(ts->call);
    exchange_free(ts->exchange);
    evbuffer_free(ts->out);
    cm_stream_done(&ts->s);
    cm_free(ts);
    tunnel_unref(t);
}

static void maybe_free(struct tstream *ts)
{
    if (ts->h2_open || ts->role != ROLE_ORPHAN || ts->freeing)
        return;
    ts->freeing = true;
    cm_list_unlink(&ts->all);
    cm_list_unlink(&ts->ready);
    cm_loop_post(ts->t->loop, free_later, ts);
}

/* The connection's window: what was held back while too much input was unread. */
static void pay_debt(struct cm_tunnel *t)
{
    if (!t->debt || t->buffered >= INPUT_BUDGET || t->ended)
        return;
    size_t n = CM_MIN(t->debt, INPUT_BUDGET - t->buffered);
    t->debt -= n;
    cm_ignore(nghttp2_session_consume_connection(t->h2, n), "only a lack of memory");
}

void tstream_give_back(struct tstream *ts, size_t n)
{
    struct cm_tunnel *t = ts->t;
    n = CM_MIN(n, ts->unconsumed);
    ts->unconsumed -= n;
    t->buffered -= n;
    if (t->ended)
        return;
    pay_debt(t);
    if (ts->h2_open && !ts->end_received) {
        cm_ignore(nghttp2_session_consume_stream(t->h2, ts->id, n), "the stream may have ended");
        /* A reader that keeps up gets a larger window, as a sender far away needs. */
        ts->since_growth += n;
        if (ts->since_growth >= ts->window && ts->window < t->cfg.stream_window &&
            ts->unconsumed < ts->window / 4) {
            ts->since_growth = 0;
            ts->window = CM_MIN(2 * ts->window, t->cfg.stream_window);
            cm_ignore(nghttp2_session_set_local_window_size(t->h2, NGHTTP2_FLAG_NONE, ts->id,
                                                            (int32_t)ts->window),
                      "the stream may have ended");
        }
    }
    if (nghttp2_session_want_write(t->h2))
        tunnel_kick(t);
}

static struct tstream *of(struct cm_stream *s)
{
    return cm_container_of(s, struct tstream, s);
}

static void resume(struct tstream *ts)
{
    if (!ts->h2_open)
        return;
    if (ts->deferred) {
        ts->deferred = false;
        cm_ignore(nghttp2_session_resume_data(ts->t->h2, ts->id),
                  "it was deferred, and if not it will be read");
    }
    tunnel_kick(ts->t);
}

static void stream_send(struct cm_stream *s, struct evbuffer *data)
{
    struct tstream *ts = of(s);
    if (!ts->h2_open) {
        evbuffer_drain(data, evbuffer_get_length(data));
        return;
    }
    evbuffer_add_buffer(ts->out, data);
    resume(ts);
}

static size_t stream_unsent(const struct cm_stream *s)
{
    return evbuffer_get_length(((const struct tstream *)s)->out);
}

static void stream_consumed(struct cm_stream *s, size_t n)
{
    tstream_give_back(of(s), n);
}

static void stream_finish(struct cm_stream *s)
{
    resume(of(s));
}

static void stream_close(struct cm_stream *s)
{
    struct tstream *ts = of(s);
    bool only_end_is_missing = s->finished && !s->failed && evbuffer_get_length(ts->out) == 0;
    if (ts->h2_open && !(only_end_is_missing && !ts->end_sent))
        tstream_reset(ts, ts->end_sent ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
    tstream_release(ts);
}

static const struct cm_stream_ops ops = {stream_send, stream_unsent, stream_consumed, stream_finish,
                                         stream_close};

struct tstream *tstream_new(struct cm_tunnel *t, enum role role)
{
    struct tstream *ts = cm_xcalloc(1, sizeof(*ts));
    cm_stream_init(&ts->s, &ops, t->loop);
    ts->t = t;
    ts->role = role;
    ts->window = CM_MIN(START_WINDOW, t->cfg.stream_window);
    ts->out = evbuffer_new();
    cm_assert(ts->out);
    cm_list_push(&t->streams, &ts->all);
    t->refs++;
    return ts;
}

void tstream_fail(struct tstream *ts, const struct cm_err *why)
{
    if (ts->events & EV_FAILED)
        return;
    ts->why = *why;
    tunnel_mark(ts, EV_FAILED);
}

void tstream_h2_closed(struct tstream *ts, const struct cm_err *why)
{
    if (!ts->h2_open)
        return;
    ts->h2_open = false;
    ts->t->n_streams--;
    if (why && ts->role != ROLE_ORPHAN && !(ts->role == ROLE_EXCHANGE && ts->end_received))
        tstream_fail(ts, why);
    evbuffer_drain(ts->out, evbuffer_get_length(ts->out));
    if (ts->role == ROLE_CALL && !ts->call->handed)
        tstream_release(ts);
    else
        maybe_free(ts);
}

void tstream_reset(struct tstream *ts, uint32_t h2_code)
{
    if (!ts->h2_open || ts->t->ended)
        return;
    cm_ignore(nghttp2_submit_rst_stream(ts->t->h2, NGHTTP2_FLAG_NONE, ts->id, h2_code),
              "only a lack of memory");
    tunnel_kick(ts->t);
}

void tstream_release(struct tstream *ts)
{
    ts->role = ROLE_ORPHAN;
    ts->events = 0;
    tstream_give_back(ts, ts->unconsumed);
    evbuffer_drain(ts->s.in, evbuffer_get_length(ts->s.in));
    maybe_free(ts);
}

void tstream_received(struct tstream *ts, const uint8_t *data, size_t len)
{
    struct cm_tunnel *t = ts->t;
    ts->unconsumed += len;
    t->buffered += len;
    switch (ts->role) {
    case ROLE_STREAM:
        share_append(t->receiving, ts->s.in, data, len);
        tunnel_mark(ts, EV_DATA);
        return;
    case ROLE_CALL:
        call_received(ts, data, len);
        return;
    case ROLE_EXCHANGE:
        exchange_received(ts, data, len);
        return;
    case ROLE_ORPHAN:
        tstream_give_back(ts, len);
        return;
    }
}

/* Each callback may close the stream, which makes it an orphan. */
void tstream_tell(struct tstream *ts)
{
    unsigned ev = ts->events;
    ts->events = 0;
    switch (ts->role) {
    case ROLE_ORPHAN:
        return;
    case ROLE_CALL:
        ts->events = ev & EV_FAILED; /* told when it has become a stream */
        if (ev & EV_CALL)
            call_tell(ts);
        return;
    case ROLE_EXCHANGE:
        exchange_tell(ts, ev);
        return;
    case ROLE_STREAM:
        break;
    }
    if (ev & EV_OPEN && ts->on_open)
        ts->on_open(ts->on_open_ctx, &ts->s);
    if (ev & EV_DATA && evbuffer_get_length(ts->s.in))
        cm_stream_notify(&ts->s, CM_STREAM_DATA);
    if (ev & EV_EOF)
        cm_stream_notify(&ts->s, CM_STREAM_EOF);
    if (ev & EV_DRAINED && !(ev & EV_FAILED))
        cm_stream_notify(&ts->s, CM_STREAM_DRAINED);
    if (ev & EV_FAILED)
        cm_stream_fail(&ts->s, &ts->why);
}

static ssize_t on_read(nghttp2_session *h2, int32_t id, uint8_t *buf, size_t max, uint32_t *flags,
                       nghttp2_data_source *source, void *ctx)
{
    (void)h2;
    (void)id;
    (void)buf;
    (void)ctx;
    struct tstream *ts = source->ptr;
    size_t have = evbuffer_get_length(ts->out), n = 0;
    struct evbuffer_iovec v[FRAME_CHUNKS];
    /* Whole chunks only: they move into the frame without a copy. */
    share_split_first(ts->out, max);
    int chunks = CM_MIN(evbuffer_peek(ts->out, -1, NULL, v, FRAME_CHUNKS), FRAME_CHUNKS);
    for (int i = 0; i < chunks && n + v[i].iov_len <= max; i++)
        n += v[i].iov_len;
    if (n == 0 && !ts->s.finished) {
        ts->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n == have && ts->s.finished)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

nghttp2_data_provider tstream_provider(struct tstream *ts)
{
    return (nghttp2_data_provider){.source.ptr = ts, .read_callback = on_read};
}

nghttp2_nv tstream_nv(struct cm_str name, struct cm_str value)
{
    /* nghttp2 copies both unless told otherwise, and takes them through pointers that are not
     * const. */
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name.ptr,
                        (uint8_t *)(uintptr_t)(value.ptr ? value.ptr : ""), name.len, value.len,
                        NGHTTP2_NV_FLAG_NONE};
}

enum cm_code tstream_request_allowed(struct cm_tunnel *t, struct cm_err *err)
{
    if (t->ended) {
        *err = t->why;
        return t->why.code;
    }
    if (cm_tunnel_draining(t) || !nghttp2_session_check_request_allowed(t->h2))
        return cm_err_set(err, CM_UNAVAILABLE, "the tunnel is being drained");
    uint32_t max =
        nghttp2_session_get_remote_settings(t->h2, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    if (t->n_streams >= max)
        return cm_err_set(err, CM_UNAVAILABLE,
                          "the tunnel already has %u streams, the most that the peer takes", max);
    return CM_OK;
}

struct cm_err tstream_refusal(const struct tstream *ts)
{
    struct cm_err err;
    if (ts->error_text[0])
        cm_err_set(&err, cm_code_of_http_status(ts->status), "%s", ts->error_text);
    else
        cm_err_set(&err, cm_code_of_http_status(ts->status),
                   "the peer refused the stream with HTTP status %d", ts->status);
    return err;
}

#define FIXED_HEADERS 5
#define MORE_HEADERS  16

struct cm_stream *cm_tunnel_open(struct cm_tunnel *t, struct cm_str protocol, struct cm_str path,
                                 const struct cm_tunnel_header *headers, size_t n_headers)
{
    CM_ON_LOOP(t->loop);
    cm_assert(!t->server && n_headers <= MORE_HEADERS);
    struct tstream *ts = tstream_new(t, ROLE_STREAM);
    enum cm_code code = tstream_request_allowed(t, &ts->why);
    if (code == CM_OK && path.len > CM_TUNNEL_PATH_MAX)
        code = cm_err_set(&ts->why, CM_TOO_LARGE,
                          "the arguments of a stream are longer than %d bytes", CM_TUNNEL_PATH_MAX);
    if (code != CM_OK) {
        tunnel_mark(ts, EV_FAILED);
        tunnel_kick(t);
        return &ts->s;
    }
    nghttp2_nv nv[FIXED_HEADERS + MORE_HEADERS] = {
        tstream_nv(CM_STR(":method"), CM_STR("CONNECT")),
        tstream_nv(CM_STR(":protocol"), protocol),
        tstream_nv(CM_STR(":scheme"), CM_STR("https")),
        tstream_nv(CM_STR(":authority"), CM_STR("tunnel")),
        tstream_nv(CM_STR(":path"), path),
    };
    for (size_t i = 0; i < n_headers; i++)
        nv[FIXED_HEADERS + i] = tstream_nv(headers[i].name, headers[i].value);
    nghttp2_data_provider p = tstream_provider(ts);
    ts->id = nghttp2_submit_request(t->h2, NULL, nv, FIXED_HEADERS + n_headers, &p, ts);
    if (ts->id < 0) {
        cm_err_set(&ts->why, CM_UNAVAILABLE, "open a stream: %s", nghttp2_strerror(ts->id));
        tunnel_mark(ts, EV_FAILED);
    } else {
        ts->h2_open = true;
        t->n_streams++;
    }
    tunnel_kick(t);
    return &ts->s;
}

void cm_tunnel_stream_on_open(struct cm_stream *s, void (*fn)(void *ctx, struct cm_stream *s),
                              void *ctx)
{
    of(s)->on_open = fn;
    of(s)->on_open_ctx = ctx;
}

int cm_tunnel_stream_status(const struct cm_stream *s)
{
    return ((const struct tstream *)s)->status;
}
