#include "net/ws/ws.h"

#include <event2/buffer.h>
#include <openssl/evp.h>

#include "base/enc.h"
#include "base/random.h"

#define MESSAGE_MAX_DEFAULT ((size_t)4 << 20)
#define CLOSE_WAIT          (5 * CM_SECOND)

struct cm_ws {
    struct cm_stream *stream;
    struct cm_ws_config cfg;
    struct cm_ws_decoder decoder;
    struct cm_timer alive; /* pings, or waits for the peer's goodbye */
    cm_usec heard;
    cm_ws_fn fn;
    void *ctx;
    int close_code;
    char reason[CM_WS_CONTROL_MAX - 2];
    size_t reason_len;
    bool close_sent, over, freed;
    bool leaving; /* all but the last event is done: our goodbye is still on its way out */
    enum cm_ws_event last;
    unsigned
        pins; /* calls under way that will look at us again: a free leaves the memory to the last */
    struct cm_loop *loop;
    struct cm_err err;
};

static void send_frame(struct cm_ws *ws, enum cm_ws_opcode op, const void *data, size_t len)
{
    unsigned char head[CM_WS_HEAD_MAX], mask[4];
    struct evbuffer *b = evbuffer_new();

    cm_assert(b);
    if (ws->cfg.client)
        cm_random_bytes(mask, sizeof(mask));
    size_t n = cm_ws_head(head, op, len, ws->cfg.client ? mask : NULL);
    cm_assert(evbuffer_add(b, head, n) == 0);
    if (len && ws->cfg.client) {
        struct evbuffer_iovec v;
        cm_assert(evbuffer_reserve_space(b, (ev_ssize_t)len, &v, 1) == 1);
        memcpy(v.iov_base, data, len);
        cm_ws_mask(v.iov_base, len, mask, 0);
        v.iov_len = len;
        cm_assert(evbuffer_commit_space(b, &v, 1) == 0);
    } else if (len) {
        cm_assert(evbuffer_add(b, data, len) == 0);
    }
    cm_stream_send(ws->stream, b);
    evbuffer_free(b);
}

static void send_close(struct cm_ws *ws, int code, struct cm_str reason)
{
    unsigned char payload[CM_WS_CONTROL_MAX];
    size_t n = 0;

    if (ws->close_sent || !ws->stream)
        return;
    ws->close_sent = true;
    if (code != CM_WS_NO_CODE) {
        payload[n++] = (unsigned char)(code >> 8);
        payload[n++] = (unsigned char)code;
        size_t len = CM_MIN(reason.len, sizeof(payload) - 2);
        while (len && !cm_str_is_utf8(cm_str_sub(reason, 0, len)))
            len--; /* never cut within a character */
        if (len)
            memcpy(payload + n, reason.ptr, len);
        n += len;
    }
    send_frame(ws, CM_WS_OP_CLOSE, payload, n);
}

static void free_now(void *arg)
{
    cm_free(arg);
}

static void unpin(struct cm_ws *ws)
{
    if (--ws->pins || !ws->freed)
        return;
    cm_ws_decoder_done(&ws->decoder);
    cm_loop_post(ws->loop, free_now, ws);
}

void cm_ws_free(struct cm_ws *ws)
{
    if (!ws || ws->freed)
        return;
    ws->pins++;
    ws->freed = ws->over = true;
    cm_stream_close(CM_TAKE(ws->stream));
    cm_timer_done(&ws->alive);
    unpin(ws);
}

/* The last event. The owner closes the stream with the connection, so that it is told when our own
 * goodbye has left, be it in good order or for what the peer did. */
static void finish(struct cm_ws *ws, enum cm_ws_event ev)
{
    if (ws->over)
        return;
    ws->over = true;
    cm_timer_stop(&ws->alive);
    if (ws->stream && !ws->stream->failed)
        cm_stream_finish(ws->stream);
    if (ws->close_sent && ws->stream && !ws->stream->failed && cm_stream_unsent(ws->stream) > 0) {
        ws->leaving = true;
        ws->last = ev;
        cm_timer_start(&ws->alive, CLOSE_WAIT);
        return;
    }
    ws->fn(ws, ev, cm_str_n(ws->reason, ws->reason_len), ws->ctx);
}

static void leave(struct cm_ws *ws)
{
    ws->leaving = false;
    cm_timer_stop(&ws->alive);
    ws->fn(ws, ws->last, cm_str_n(ws->reason, ws->reason_len), ws->ctx);
}

static bool on_frame(void *ctx, enum cm_ws_opcode op, struct cm_str payload)
{
    struct cm_ws *ws = ctx;
    struct cm_str reason;

    switch (op) {
    case CM_WS_OP_TEXT:
    case CM_WS_OP_BINARY:
        ws->fn(ws, op == CM_WS_OP_TEXT ? CM_WS_TEXT : CM_WS_BINARY, payload, ws->ctx);
        break;
    case CM_WS_OP_PING:
        if (!ws->close_sent)
            send_frame(ws, CM_WS_OP_PONG, payload.ptr, payload.len);
        break;
    case CM_WS_OP_CLOSE:
        cm_ignore(!cm_ws_close_parse(payload, &ws->close_code, &reason),
                  "the decoder has checked it");
        ws->reason_len = CM_MIN(reason.len, sizeof(ws->reason));
        memcpy(ws->reason, reason.ptr, ws->reason_len);
        send_close(ws, ws->close_code, CM_STR(""));
        finish(ws, CM_WS_CLOSED);
        break;
    case CM_WS_OP_PONG:
    case CM_WS_OP_CONT:
        break;
    }
    return !ws->over;
}

static void read_frames(struct cm_ws *ws)
{
    struct evbuffer *in = cm_stream_input(ws->stream);
    size_t n;

    while (!ws->over && (n = evbuffer_get_contiguous_space(in)) > 0) {
        size_t used = 0;
        int close = CM_WS_PROTOCOL_ERROR;
        ws->heard = cm_monotonic_now();
        enum cm_code code = cm_ws_decoder_feed(&ws->decoder, evbuffer_pullup(in, (ev_ssize_t)n), n,
                                               &used, &close, &ws->err);
        if (ws->freed)
            return;
        evbuffer_drain(in, used);
        cm_stream_consumed(ws->stream, used);
        if (code != CM_OK) {
            send_close(ws, close, cm_str(ws->err.text));
            ws->close_code = close;
            finish(ws, CM_WS_FAILED);
        }
    }
}

static void on_stream(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct cm_ws *ws = ctx;

    if (ws->leaving) {
        size_t n = evbuffer_get_length(cm_stream_input(s));
        ws->pins++;
        /* What is left unread would reset the connection under our goodbye. */
        evbuffer_drain(cm_stream_input(s), n);
        cm_stream_consumed(s, n);
        if (ev == CM_STREAM_FAILED || cm_stream_unsent(s) == 0)
            leave(ws);
        unpin(ws);
        return;
    }
    if (ev == CM_STREAM_DRAINED || ws->over)
        return;
    ws->pins++;
    read_frames(ws);
    if (ev != CM_STREAM_DATA && !ws->over) {
        if (ws->close_sent) {
            finish(ws, CM_WS_CLOSED); /* it left without an answer to our goodbye */
        } else {
            if (s->failed)
                ws->err = s->err;
            else
                cm_err_set(&ws->err, CM_UNAVAILABLE,
                           "the peer closed the connection without a goodbye");
            finish(ws, CM_WS_FAILED);
        }
    }
    unpin(ws);
}

static void on_alive(void *ctx)
{
    struct cm_ws *ws = ctx;
    cm_usec quiet = cm_monotonic_now() - ws->heard;

    if (ws->leaving) {
        leave(ws);
        return;
    }
    if (ws->close_sent) {
        finish(ws, CM_WS_CLOSED);
        return;
    }
    if (quiet >= 2 * ws->cfg.ping_every) {
        cm_err_set(&ws->err, CM_TIMEOUT, "the peer has been silent for %lld s",
                   (long long)(quiet / CM_SECOND));
        finish(ws, CM_WS_FAILED);
        return;
    }
    if (quiet >= ws->cfg.ping_every)
        send_frame(ws, CM_WS_OP_PING, "", 0);
    cm_timer_start(&ws->alive,
                   quiet < ws->cfg.ping_every ? ws->cfg.ping_every - quiet : ws->cfg.ping_every);
}

/* Events of the stream from before we listened. */
static void kick(void *arg)
{
    struct cm_ws *ws = arg;
    struct cm_stream *s = ws->stream;

    if (!ws->over && s->failed)
        on_stream(s, CM_STREAM_FAILED, ws);
    else if (!ws->over && s->eof)
        on_stream(s, CM_STREAM_EOF, ws);
    else if (!ws->over && evbuffer_get_length(s->in))
        on_stream(s, CM_STREAM_DATA, ws);
    unpin(ws);
}

struct cm_ws *cm_ws_new(struct cm_stream *stream, const struct cm_ws_config *cfg, cm_ws_fn fn,
                        void *ctx)
{
    struct cm_ws *ws = cm_xcalloc(1, sizeof(*ws));
    ws->stream = stream;
    ws->loop = stream->loop;
    ws->cfg = *cfg;
    ws->fn = fn;
    ws->ctx = ctx;
    ws->close_code = CM_WS_NO_CODE;
    ws->heard = cm_monotonic_now();
    cm_ws_decoder_init(&ws->decoder, !cfg->client,
                       cfg->max_message ? cfg->max_message : MESSAGE_MAX_DEFAULT);
    ws->decoder.on_frame = on_frame;
    ws->decoder.ctx = ws;
    cm_timer_init(&ws->alive, ws->loop, on_alive, ws);
    if (cfg->ping_every)
        cm_timer_start(&ws->alive, cfg->ping_every);
    cm_stream_set_fn(stream, on_stream, ws);
    ws->pins++; /* the kick's */
    cm_loop_post(ws->loop, kick, ws);
    return ws;
}

void cm_ws_send(struct cm_ws *ws, bool text, const void *data, size_t len)
{
    if (!ws->over && !ws->close_sent)
        send_frame(ws, text ? CM_WS_OP_TEXT : CM_WS_OP_BINARY, data, len);
}

size_t cm_ws_unsent(const struct cm_ws *ws)
{
    return ws->stream ? cm_stream_unsent(ws->stream) : 0;
}

void cm_ws_close(struct cm_ws *ws, int code, const char *reason)
{
    if (ws->over || ws->close_sent)
        return;
    ws->close_code = code;
    send_close(ws, code, cm_str(reason ? reason : ""));
    cm_timer_start(&ws->alive, CLOSE_WAIT);
}

int cm_ws_close_code(const struct cm_ws *ws)
{
    return ws->close_code;
}

const struct cm_err *cm_ws_err(const struct cm_ws *ws)
{
    return &ws->err;
}

void cm_ws_key_new(char out[CM_WS_KEY_TEXT])
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(64);
    unsigned char raw[16];
    cm_random_bytes(raw, sizeof(raw));
    cm_base64_encode(&text, CM_BASE64_STD, raw, sizeof(raw));
    memcpy(out, text.ptr, CM_WS_KEY_TEXT);
}

bool cm_ws_key_valid(struct cm_str key)
{
    CM_AUTOBUF struct cm_buf raw = CM_BUF_INIT(64);
    return key.len == CM_WS_KEY_TEXT - 1 && cm_base64_decode(&raw, CM_BASE64_STD, key) &&
           raw.len == 16;
}

void cm_ws_accept_key(struct cm_str key, char out[CM_WS_ACCEPT_TEXT])
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(256);
    CM_AUTOBUF struct cm_buf encoded = CM_BUF_INIT(64);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    cm_buf_str(&text, cm_str_sub(key, 0, 128));
    cm_buf_cstr(&text, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    cm_assert(EVP_Digest(text.ptr, text.len, digest, &n, EVP_sha1(), NULL) == 1);
    cm_base64_encode(&encoded, CM_BASE64_STD, digest, n);
    memcpy(out, encoded.ptr, CM_WS_ACCEPT_TEXT);
}
