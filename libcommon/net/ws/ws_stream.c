#include "net/ws/ws_stream.h"

#include <event2/buffer.h>

#include "base/random.h"
#include "net/ws/frame.h"

#define MESSAGE_MAX ((size_t)16 << 20) /* of what peers may send in one message */
#define PIECE_MAX   ((size_t)64 << 10) /* of what we send in one */

struct ws_stream {
    struct cm_stream s;
    struct cm_stream *raw;
    struct cm_ws_decoder decoder;
    bool client, close_sent, close_seen;
};

static struct ws_stream *of(struct cm_stream *s)
{
    return cm_container_of(s, struct ws_stream, s);
}

static void send_frame(struct ws_stream *w, enum cm_ws_opcode op, struct evbuffer *data, size_t len)
{
    unsigned char head[CM_WS_HEAD_MAX], mask[4];
    struct evbuffer *out = evbuffer_new();

    cm_assert(out);
    if (w->client)
        cm_random_bytes(mask, sizeof(mask));
    size_t n = cm_ws_head(head, op, len, w->client ? mask : NULL);
    cm_assert(evbuffer_add(out, head, n) == 0);
    if (len && w->client) {
        struct evbuffer_iovec v;
        cm_assert(evbuffer_reserve_space(out, (ev_ssize_t)len, &v, 1) == 1);
        cm_assert(evbuffer_remove(data, v.iov_base, len) == (int)len);
        cm_ws_mask(v.iov_base, len, mask, 0);
        v.iov_len = len;
        cm_assert(evbuffer_commit_space(out, &v, 1) == 0);
    } else if (len) {
        cm_assert(evbuffer_remove_buffer(data, out, len) == (int)len);
    }
    cm_stream_send(w->raw, out);
    evbuffer_free(out);
}

static void send_close(struct ws_stream *w, int code)
{
    if (w->close_sent)
        return;
    unsigned char payload[2] = {(unsigned char)(code >> 8), (unsigned char)code};
    struct evbuffer *b = evbuffer_new();
    w->close_sent = true;
    cm_assert(b && evbuffer_add(b, payload, 2) == 0);
    send_frame(w, CM_WS_OP_CLOSE, b, 2);
    evbuffer_free(b);
    if (w->close_seen)
        cm_stream_finish(w->raw);
}

static bool on_frame(void *ctx, enum cm_ws_opcode op, struct cm_str payload)
{
    struct ws_stream *w = ctx;
    struct evbuffer *b;

    switch (op) {
    case CM_WS_OP_TEXT:
    case CM_WS_OP_BINARY:
        cm_assert(evbuffer_add(w->s.in, payload.ptr, payload.len) == 0);
        break;
    case CM_WS_OP_PING:
        if (w->close_sent)
            break;
        b = evbuffer_new();
        cm_assert(b && evbuffer_add(b, payload.ptr, payload.len) == 0);
        send_frame(w, CM_WS_OP_PONG, b, payload.len);
        evbuffer_free(b);
        break;
    case CM_WS_OP_CLOSE:
        w->close_seen = true;
        if (w->close_sent)
            cm_stream_finish(w->raw);
        return false;
    case CM_WS_OP_PONG:
    case CM_WS_OP_CONT:
        break;
    }
    return true;
}

/* Stops while our own input is full: the raw stream's window then closes by itself. */
static void read_frames(struct ws_stream *w)
{
    struct evbuffer *in = cm_stream_input(w->raw);
    size_t n, before = evbuffer_get_length(w->s.in);
    enum cm_code code = CM_OK;
    struct cm_err err;

    while (code == CM_OK && !w->close_seen && evbuffer_get_length(w->s.in) < CM_STREAM_HIGH &&
           (n = evbuffer_get_contiguous_space(in)) > 0) {
        size_t used = 0;
        int close = CM_WS_PROTOCOL_ERROR;
        code = cm_ws_decoder_feed(&w->decoder, evbuffer_pullup(in, (ev_ssize_t)n), n, &used, &close,
                                  &err);
        evbuffer_drain(in, used);
        cm_stream_consumed(w->raw, used);
        if (code != CM_OK)
            send_close(w, close);
    }
    if (code != CM_OK)
        cm_stream_fail(&w->s, &err);
    else if (evbuffer_get_length(w->s.in) > before)
        cm_stream_notify(&w->s, CM_STREAM_DATA);
    if (w->close_seen && !w->s.closed && !w->s.failed)
        cm_stream_notify(&w->s, CM_STREAM_EOF);
}

static void on_raw(struct cm_stream *raw, enum cm_stream_event ev, void *ctx)
{
    struct ws_stream *w = ctx;

    if (w->s.closed || w->s.failed)
        return;
    if (ev == CM_STREAM_DRAINED) {
        cm_stream_notify(&w->s, CM_STREAM_DRAINED);
        return;
    }
    read_frames(w);
    if (w->s.closed || w->s.failed || w->close_seen || (!raw->eof && !raw->failed))
        return;
    if (evbuffer_get_length(cm_stream_input(raw)))
        return; /* more to be read first; on_more comes back here */
    struct cm_err err;
    if (raw->failed)
        err = raw->err;
    else
        cm_err_set(&err, CM_UNAVAILABLE, "the peer closed the connection without a goodbye");
    cm_stream_fail(&w->s, &err);
}

static void on_more(void *arg)
{
    struct ws_stream *w = arg;
    if (!w->s.closed && !w->s.failed)
        on_raw(w->raw,
               w->raw->failed ? CM_STREAM_FAILED
               : w->raw->eof  ? CM_STREAM_EOF
                              : CM_STREAM_DATA,
               w);
}

static void ws_send(struct cm_stream *s, struct evbuffer *data)
{
    struct ws_stream *w = of(s);
    size_t len;
    while ((len = evbuffer_get_length(data)) > 0)
        send_frame(w, CM_WS_OP_BINARY, data, CM_MIN(len, PIECE_MAX));
}

static size_t ws_unsent(const struct cm_stream *s)
{
    return cm_stream_unsent(((const struct ws_stream *)s)->raw);
}

static void ws_consumed(struct cm_stream *s, size_t n)
{
    struct ws_stream *w = of(s);
    (void)n;
    if (evbuffer_get_length(s->in) < CM_STREAM_HIGH / 2 &&
        evbuffer_get_length(cm_stream_input(w->raw)))
        cm_loop_post(s->loop, on_more, w);
}

static void ws_finish(struct cm_stream *s)
{
    send_close(of(s), CM_WS_NORMAL);
}

static void free_later(void *arg)
{
    struct ws_stream *w = arg;
    cm_ws_decoder_done(&w->decoder);
    cm_stream_done(&w->s);
    cm_free(w);
}

static void ws_close(struct cm_stream *s)
{
    struct ws_stream *w = of(s);
    cm_stream_close(w->raw);
    cm_loop_post(s->loop, free_later, w); /* behind what is posted already */
}

static const struct cm_stream_ops ops = {ws_send, ws_unsent, ws_consumed, ws_finish, ws_close};

struct cm_stream *cm_ws_stream_new(struct cm_stream *raw, bool client)
{
    struct ws_stream *w = cm_xcalloc(1, sizeof(*w));
    cm_stream_init(&w->s, &ops, raw->loop);
    w->raw = raw;
    w->client = client;
    cm_ws_decoder_init(&w->decoder, !client, MESSAGE_MAX);
    w->decoder.on_frame = on_frame;
    w->decoder.ctx = w;
    cm_stream_set_fn(raw, on_raw, w);
    cm_loop_post(raw->loop, on_more, w); /* what came before we listened */
    return &w->s;
}
