/* The client's plain requests. */
#include "internal.h"

#include <event2/buffer.h>

#define DEFAULT_TIMEOUT (30 * CM_SECOND)
#define MORE_HEADERS    16

void exchange_free(struct cm_tunnel_exchange *x)
{
    if (!x)
        return;
    cm_timer_done(&x->timer);
    cm_buf_done(&x->reply);
    cm_free(x);
}

static void finish(struct cm_tunnel_exchange *x, const struct cm_err *err)
{
    struct tstream *ts = x->ts;
    cm_timer_stop(&x->timer);
    void (*done)(void *, int, struct cm_str, const struct cm_err *) = x->req.done;
    void *ctx = x->req.ctx;
    ts->exchange = NULL;
    if (err || !ts->end_sent)
        tstream_reset(ts, err ? NGHTTP2_CANCEL : NGHTTP2_NO_ERROR);
    tstream_release(ts);
    if (done)
        done(ctx, err ? 0 : ts->status, cm_buf_view(&x->reply), err);
    exchange_free(x);
}

static void on_timeout(void *ctx)
{
    struct cm_tunnel_exchange *x = ctx;
    struct cm_err err;
    cm_err_set(&err, CM_TIMEOUT, "the peer did not answer in time");
    finish(x, &err);
}

void exchange_received(struct tstream *ts, const uint8_t *data, size_t len)
{
    struct cm_tunnel_exchange *x = ts->exchange;
    cm_buf_append(&x->reply, data, len);
    tstream_give_back(ts, len);
    struct cm_err err;
    if (cm_buf_check(&x->reply, "the answer", &err) != CM_OK)
        tstream_fail(ts, &err);
}

void exchange_tell(struct tstream *ts, unsigned events)
{
    if (events & EV_FAILED)
        finish(ts->exchange, &ts->why);
    else if (events & EV_REPLY)
        finish(ts->exchange, NULL);
}

struct cm_tunnel_exchange *cm_tunnel_request(struct cm_tunnel *t, const struct cm_tunnel_request *r)
{
    CM_ON_LOOP(t->loop);
    cm_assert(!t->server && r->n_headers <= MORE_HEADERS);
    struct tstream *ts = tstream_new(t, ROLE_EXCHANGE);
    struct cm_tunnel_exchange *x = cm_xcalloc(1, sizeof(*x));
    ts->exchange = x;
    x->ts = ts;
    x->req = *r;
    cm_buf_init(&x->reply, r->reply_max ? r->reply_max : CM_TUNNEL_BODY_MAX);
    cm_timer_init(&x->timer, t->loop, on_timeout, x);
    cm_timer_start(&x->timer, r->timeout ? r->timeout : DEFAULT_TIMEOUT);
    tunnel_kick(t);
    if (tstream_request_allowed(t, &ts->why) != CM_OK) {
        tunnel_mark(ts, EV_FAILED);
        return x;
    }
    nghttp2_nv nv[4 + MORE_HEADERS] = {
        tstream_nv(CM_STR(":method"), r->method),
        tstream_nv(CM_STR(":scheme"), CM_STR("https")),
        tstream_nv(CM_STR(":authority"), CM_STR("tunnel")),
        tstream_nv(CM_STR(":path"), r->path),
    };
    for (size_t i = 0; i < r->n_headers; i++)
        nv[4 + i] = tstream_nv(r->headers[i].name, r->headers[i].value);
    evbuffer_add(ts->out, r->body.ptr, r->body.len);
    ts->s.finished = true;
    nghttp2_data_provider p = tstream_provider(ts);
    ts->id = nghttp2_submit_request(t->h2, NULL, nv, 4 + r->n_headers, r->body.len ? &p : NULL, ts);
    if (ts->id < 0) {
        cm_err_set(&ts->why, CM_UNAVAILABLE, "send a request: %s", nghttp2_strerror(ts->id));
        tunnel_mark(ts, EV_FAILED);
    } else {
        ts->h2_open = true;
        t->n_streams++;
    }
    return x;
}

void cm_tunnel_request_cancel(struct cm_tunnel_exchange *x)
{
    if (!x)
        return;
    struct tstream *ts = x->ts;
    CM_ON_LOOP(ts->t->loop);
    ts->exchange = NULL;
    exchange_free(x);
    tstream_reset(ts, NGHTTP2_CANCEL);
    tstream_release(ts);
}
