/* One path of a carrier: frames in and out, and a polite end. */
#include "net/session/carrier_impl.h"

#include <ctype.h>
#include <endian.h>

#include <event2/buffer.h>

#define BYE_TIME CM_SECOND
#define TEXT_MAX 200

static void free_later(void *arg)
{
    struct path *p = arg;
    cm_timer_done(&p->bye_timer);
    cm_free(p);
}

void path_free(struct path *p)
{
    if (!p || p->freed)
        return;
    p->freed = true;
    p->c = NULL;
    cm_stream_close(p->stream);
    cm_timer_stop(&p->bye_timer);
    if (p->gone)
        p->gone(p->gone_ctx);
    cm_loop_post(p->loop, free_later, p);
}

static void on_bye_timer(void *ctx)
{
    path_free(ctx);
}

static void on_stream(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct path *p = ctx;
    if (p->c) {
        carrier_on_path(p, ev);
        return;
    }
    struct evbuffer *in = cm_stream_input(s);
    size_t n = evbuffer_get_length(in);
    switch (ev) {
    case CM_STREAM_DATA:
        evbuffer_drain(in, n);
        cm_stream_consumed(s, n);
        break;
    case CM_STREAM_DRAINED:
        break;
    case CM_STREAM_EOF: /* the peer has hung up, so it has read the goodbye */
    case CM_STREAM_FAILED:
        path_free(p);
        break;
    }
}

struct path *path_new(struct cm_carrier *c, struct cm_stream *stream)
{
    struct path *p = cm_xcalloc(1, sizeof(*p));
    p->c = c;
    p->stream = stream;
    p->loop = stream->loop;
    cm_timer_init(&p->bye_timer, p->loop, on_bye_timer, p);
    cm_stream_set_fn(stream, on_stream, p);
    return p;
}

void path_send(struct path *p, enum frame_type type, const void *body, size_t len)
{
    uint8_t frame[FRAME_HEAD + FRAME_BODY_MAX] = {(uint8_t)type, 0, (uint8_t)(len >> 8),
                                                  (uint8_t)len};
    cm_assert(len <= FRAME_BODY_MAX);
    if (len)
        memcpy(frame + FRAME_HEAD, body, len);
    cm_stream_write(p->stream, frame, FRAME_HEAD + len);
}

void path_send_u64(struct path *p, enum frame_type type, uint64_t v)
{
    v = htobe64(v);
    path_send(p, type, &v, sizeof(v));
}

void path_start(struct path *p, uint64_t tx_pos)
{
    p->tx_pos = tx_pos;
    p->tx_ready = true;
    path_send_u64(p, FRAME_START, tx_pos);
}

void path_bye(struct path *p, const struct cm_err *why)
{
    if (!p)
        return;
    p->c = NULL;
    if (p->stream->failed || p->stream->eof) {
        path_free(p);
        return;
    }
    if (why) {
        int status = cm_code_http_status(why->code == CM_OK ? CM_CANCELED : why->code);
        uint8_t body[2 + TEXT_MAX] = {(uint8_t)(status >> 8), (uint8_t)status};
        size_t n = CM_MIN(strlen(why->text), (size_t)TEXT_MAX);
        memcpy(body + 2, why->text, n);
        path_send(p, FRAME_CLOSE, body, 2 + n);
    }
    cm_stream_finish(p->stream);
    cm_timer_start(&p->bye_timer, BYE_TIME);
}

bool path_has_input(const struct path *p)
{
    return evbuffer_get_length(p->stream->in) > 0;
}

static enum cm_code broken(struct cm_err *err, const char *what)
{
    return cm_err_set(err, CM_PROTOCOL, "session path: %s", what);
}

static void on_close_frame(struct cm_carrier *c, const uint8_t *body, size_t len)
{
    char text[TEXT_MAX + 1];
    size_t n = 0;
    for (size_t i = 2; i < len && n < TEXT_MAX; i++)
        text[n++] = (char)(isprint(body[i]) ? body[i] : '?');
    text[n] = '\0';
    cm_err_set(&c->why, cm_code_of_http_status(body[0] << 8 | body[1]), "%s",
               n ? text : "the peer ended the session");
    c->events |= CEV_CLOSED;
}

static enum cm_code on_frame(struct path *p, struct cm_err *err)
{
    struct cm_carrier *c = p->c;
    uint64_t v = 0;
    if (p->body_len == sizeof(v)) {
        memcpy(&v, p->body, sizeof(v));
        v = be64toh(v);
    }
    switch (p->type) {
    case FRAME_HELLO:
        if (p->body_len != sizeof(v))
            return broken(err, "HELLO of a wrong length");
        if (v < c->acked) {
            cm_err_set(&c->why, CM_GONE,
                       "the other end has lost the session; it may have restarted");
            c->events |= CEV_CLOSED;
            return CM_OK;
        }
        if (carrier_acked(c, v, err) != CM_OK)
            return err->code;
        if (!p->tx_ready)
            path_start(p, v);
        c->events |= CEV_UP;
        return CM_OK;
    case FRAME_START:
        if (p->body_len != sizeof(v) || v > c->received)
            return broken(err, "START at a wrong offset");
        p->rx_pos = v;
        p->rx_ready = true;
        return CM_OK;
    case FRAME_ACK:
        return p->body_len == sizeof(v) ? carrier_acked(c, v, err)
                                        : broken(err, "ACK of a wrong length");
    case FRAME_FIN:
        if (p->body_len != sizeof(v) || !p->rx_ready || v != p->rx_pos)
            return broken(err, "FIN at a wrong offset");
        if (v == c->received)
            c->events |= CEV_EOF;
        return CM_OK;
    case FRAME_PING:
        path_send(p, FRAME_PONG, NULL, 0);
        return CM_OK;
    case FRAME_PONG:
        return CM_OK;
    case FRAME_CLOSE:
        if (p->body_len < 2)
            return broken(err, "CLOSE of a wrong length");
        on_close_frame(c, p->body, p->body_len);
        return CM_OK;
    case FRAME_DATA:
    case FRAME_UNSET:
        break;
    }
    return broken(err, "unknown frame");
}

/* Bytes that an earlier path has brought already are dropped. */
static void take_data(struct path *p, struct evbuffer *in, size_t n)
{
    struct cm_carrier *c = p->c;
    if (p->rx_pos < c->received) {
        n = CM_MIN(n, c->received - p->rx_pos);
        evbuffer_drain(in, n);
    } else {
        evbuffer_remove_buffer(in, c->s.in, n);
        c->received += n;
        c->events |= CEV_DATA;
    }
    p->rx_pos += n;
    p->left -= n;
}

static enum cm_code take_head(struct path *p, struct evbuffer *in, struct cm_err *err)
{
    int n = evbuffer_remove(in, p->head + p->head_len, FRAME_HEAD - p->head_len);
    p->head_len += n > 0 ? (size_t)n : 0;
    if (p->head_len < FRAME_HEAD)
        return CM_OK;
    p->left = (size_t)p->head[1] << 16 | (size_t)p->head[2] << 8 | p->head[3];
    p->body_len = 0;
    if (p->head[0] == FRAME_UNSET || p->head[0] > FRAME_CLOSE)
        return broken(err, "unknown frame");
    p->type = (enum frame_type)p->head[0];
    if (p->type == FRAME_DATA && !p->rx_ready)
        return broken(err, "DATA before START");
    if (p->left > (p->type == FRAME_DATA ? FRAME_MAX : FRAME_BODY_MAX))
        return broken(err, "frame too long");
    return CM_OK;
}

enum cm_code path_read(struct path *p, struct cm_err *err)
{
    struct evbuffer *in = cm_stream_input(p->stream);
    size_t before = evbuffer_get_length(in), have;
    enum cm_code code = CM_OK;
    while ((have = evbuffer_get_length(in)) > 0 && code == CM_OK && carrier_wants_input(p->c)) {
        if (p->head_len < FRAME_HEAD) {
            code = take_head(p, in, err);
            if (code != CM_OK || p->head_len < FRAME_HEAD)
                continue;
        } else if (p->type == FRAME_DATA) {
            take_data(p, in, CM_MIN(have, p->left));
        } else {
            int n = evbuffer_remove(in, p->body + p->body_len, p->left);
            p->body_len += n > 0 ? (size_t)n : 0;
            p->left -= n > 0 ? (size_t)n : 0;
        }
        if (p->left)
            continue;
        p->head_len = 0;
        if (p->type != FRAME_DATA)
            code = on_frame(p, err);
    }
    size_t taken = before - evbuffer_get_length(in);
    if (taken)
        cm_stream_consumed(p->stream, taken);
    return code;
}
