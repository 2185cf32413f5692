/* One connection: heads in, answers out, and the time that each may take. */
#include <openssl/ssl.h>

#include <event2/buffer.h>

#include "net/http/server_priv.h"
#include "net/sock.h"

static void conn_read(struct cm_http_conn *c);

static bool is_waiting(const struct cm_http_conn *c)
{
    return c->state == CONN_HEAD && !c->head_started;
}

void http_conn_arm(struct cm_http_conn *c, cm_usec d)
{
    bool reading = (c->state == CONN_HEAD || c->state == CONN_BODY) && !c->handling;
    if (reading && c->server->draining)
        d = CM_MIN(d, is_waiting(c) ? DRAIN_SILENCE : DRAIN_PAUSE);
    cm_timer_start(&c->timer, d);
}

void http_not_busy(struct cm_http_conn *c)
{
    if (c->busy)
        c->server->n_busy--;
    c->busy = false;
}

static void conn_free(void *arg)
{
    struct cm_http_conn *c = arg;
    cm_timer_done(&c->timer);
    cm_buf_done(&c->body); /* of a request that never became whole */
    cm_free(c);
}

void http_conn_close(struct cm_http_conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    c->state = CONN_CLOSED;
    cm_timer_stop(&c->timer);
    pthread_mutex_lock(&c->server->lock);
    cm_list_unlink(&c->link);
    pthread_mutex_unlock(&c->server->lock);
    c->server->n_conns--;
    http_not_busy(c);
    cm_stream_close(c->stream);
    c->stream = NULL;
    if (c->req) {
        c->req->conn = NULL;
        if (c->handling && c->req->on_gone)
            c->req->on_gone(c->req);
        else if (!c->handling)
            http_req_free(c->req); /* half received: nobody else knows it */
        c->req = NULL;
    }
    cm_loop_post(c->loop, conn_free, c);
}

/* Closing with unread input would reset the connection under the answer, so finish and drain for a
 * while. */
static void linger(struct cm_http_conn *c)
{
    c->state = CONN_LINGER;
    cm_stream_finish(c->stream);
    http_conn_arm(c, LINGER_TIMEOUT);
    if (c->stream->eof && cm_stream_unsent(c->stream) == 0)
        http_conn_close(c);
}

/* The server takes no further request, and there was none for a while. An answer from before goes
 * out first. */
static void part(struct cm_http_conn *c)
{
    c->keep_alive = false;
    if (cm_stream_unsent(c->stream) == 0)
        http_not_busy(c);
    linger(c);
}

static void on_timer(void *ctx)
{
    struct cm_http_conn *c = ctx;
    if (c->server->draining && is_waiting(c)) {
        part(c);
        return;
    }
    if (c->handling && c->stream && cm_stream_unsent(c->stream) == 0) {
        http_conn_arm(c,
                      MOVE_TIMEOUT); /* the application takes its time; that is its own business */
        return;
    }
    if (c->stream && cm_stream_unsent(c->stream) && cm_stream_unsent(c->stream) != c->unsent_seen) {
        c->unsent_seen = cm_stream_unsent(c->stream);
        http_conn_arm(c, MOVE_TIMEOUT);
        return;
    }
    if (c->state == CONN_HEAD && c->head_started) {
        http_answer_error(c, 408, "The request was not complete in time.");
        return;
    }
    http_conn_close(c);
}

static struct cm_http_req *req_new(struct cm_http_conn *c)
{
    struct cm_arena *a = cm_arena_new();
    struct cm_http_req *r = CM_NEW(a, struct cm_http_req);
    r->arena = a;
    r->conn = c;
    r->loop = c->loop;
    r->spool_fd = -1;
    r->body_max = BODY_MAX_DEFAULT;
    r->tls = c->server->cfg.tls != NULL;
    memcpy(r->peer, c->peer, sizeof(r->peer));
    return r;
}

/* The head is in: parse it, ask the application, start on the body. False when the connection has
 * been answered. */
static bool head_complete(struct cm_http_conn *c, size_t head_len)
{
    struct evbuffer *in = cm_stream_input(c->stream);
    struct cm_http_req *r = req_new(c);
    c->req = r;
    char *text = cm_arena_alloc(r->arena, head_len + 1);
    cm_assert(evbuffer_remove(in, text, head_len) == (int)head_len);
    cm_stream_consumed(c->stream, head_len);
    c->head_started = false;
    c->scanned = 0;
    r->started = cm_monotonic_now();
    struct cm_err err;
    if (cm_http_head_parse(r->arena, cm_str_n(text, head_len), &r->head, &err) != CM_OK) {
        http_answer_error(c, 400, err.text);
        return false;
    }
    c->state = CONN_BODY;
    c->keep_alive = r->head.keep_alive;
    c->complete = c->too_large = c->too_busy = c->held = false;
    c->charge = NULL;
    c->spool_errno = 0;
    cm_buf_done(&c->body);
    c->handling = true;
    c->server->cfg.app.on_head(r, c->server->cfg.app.ctx);
    if (c->state != CONN_BODY || c->req != r)
        return false; /* answered or upgraded */
    c->handling = false;
    if (r->head.content_length != UINT64_MAX && r->head.content_length > r->body_max) {
        http_answer_error(c, 413, "The request body is larger than this endpoint accepts.");
        return false;
    }
    c->head_text = cm_str_n(text, head_len);
    if (r->hold) {
        c->held = c->handling = true;
        http_conn_arm(c, MOVE_TIMEOUT);
        return false;
    }
    return http_body_begin(c);
}

static void read_head(struct cm_http_conn *c)
{
    struct evbuffer *in = cm_stream_input(c->stream);
    size_t len = evbuffer_get_length(in);
    if (!c->head_started) {
        /* Empty lines before a request are tolerated (RFC 9112, 2.2). */
        char two[2];
        while (len >= 2 && evbuffer_copyout(in, two, 2) == 2 && two[0] == '\r' && two[1] == '\n') {
            evbuffer_drain(in, 2);
            cm_stream_consumed(c->stream, 2);
            len -= 2;
        }
        if (len == 0)
            return;
        c->head_started = true;
        http_conn_arm(c, HEAD_TIMEOUT);
    }
    struct evbuffer_ptr from, at;
    size_t start = c->scanned > 3 ? c->scanned - 3 : 0;
    evbuffer_ptr_set(in, &from, start, EVBUFFER_PTR_SET);
    at = evbuffer_search(in, "\r\n\r\n", 4, &from);
    if (at.pos < 0) {
        struct evbuffer_ptr bare;
        evbuffer_ptr_set(in, &from, start, EVBUFFER_PTR_SET);
        bare = evbuffer_search(in, "\n\n", 2, &from);
        c->scanned = len;
        if (bare.pos >= 0)
            http_answer_error(c, 400, "A line of the request head ends without a carriage return.");
        else if (len > CM_HTTP_HEAD_MAX)
            http_answer_error(c, 431, "The request head is larger than 64 KiB.");
        return;
    }
    if ((size_t)at.pos + 4 > CM_HTTP_HEAD_MAX) {
        http_answer_error(c, 431, "The request head is larger than 64 KiB.");
        return;
    }
    if (head_complete(c, (size_t)at.pos + 4))
        http_body_read(c);
}

static void conn_read(struct cm_http_conn *c)
{
    switch (c->state) {
    case CONN_HEAD:
        read_head(c);
        break;
    case CONN_BODY:
        http_body_read(c);
        break;
    case CONN_LINGER:
        evbuffer_drain(cm_stream_input(c->stream), SIZE_MAX);
        cm_stream_consumed(c->stream, 1);
        break;
    case CONN_ANSWER: /* pipelined requests wait in the input, whose size is bounded */
    case CONN_CLOSED:
        break;
    }
}

void http_next_request(struct cm_http_conn *c)
{
    c->handling = false;
    c->req = NULL;
    c->unsent_seen = 0;
    if (c->state == CONN_CLOSED)
        return;
    if (c->stream->eof && evbuffer_get_length(cm_stream_input(c->stream)) == 0)
        c->keep_alive = false;
    if (!c->keep_alive || c->stream->failed) {
        linger(c);
        return;
    }
    c->state = CONN_HEAD;
    c->since = cm_monotonic_now();
    http_conn_arm(c, IDLE_TIMEOUT);
    if (evbuffer_get_length(cm_stream_input(c->stream)))
        conn_read(c);
}

/* Of a streamed answer. */
static bool has_lost_reader(const struct cm_http_conn *c)
{
    return c->handling && c->req && c->req->on_gone;
}

static void on_stream(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct cm_http_conn *c = ctx;
    switch (ev) {
    case CM_STREAM_DATA:
        conn_read(c);
        break;
    case CM_STREAM_EOF:
        if (c->state == CONN_HEAD && cm_stream_unsent(s))
            linger(c); /* it asks for nothing more, but waits for its answers */
        else if (c->state == CONN_HEAD || c->state == CONN_BODY ||
                 (c->state == CONN_LINGER && cm_stream_unsent(s) == 0) || has_lost_reader(c))
            http_conn_close(c);
        break;
    case CM_STREAM_DRAINED:
        if (c->state == CONN_LINGER && s->eof && cm_stream_unsent(s) == 0)
            http_conn_close(c);
        break;
    case CM_STREAM_FAILED:
        http_conn_close(c);
        break;
    }
}

void http_conn_start(void *accepted)
{
    struct http_accepted *acc = accepted;
    struct cm_http_server *s = acc->server;
    struct cm_http_conn *c = cm_xcalloc(1, sizeof(*c));
    c->server = s;
    c->loop = acc->loop;
    c->busy = true;
    memcpy(c->peer, acc->peer, sizeof(c->peer));
    SSL *ssl = s->cfg.tls ? SSL_new(s->cfg.tls) : NULL;
    c->stream = cm_sock_stream_new(acc->loop, acc->fd, ssl, true);
    cm_stream_set_fn(c->stream, on_stream, c);
    cm_timer_init(&c->timer, c->loop, on_timer, c);
    pthread_mutex_lock(&s->lock);
    cm_list_push(&s->conns, &c->link);
    pthread_mutex_unlock(&s->lock);
    c->state = CONN_HEAD;
    c->since = cm_monotonic_now();
    http_conn_arm(c, HEAD_TIMEOUT);
    cm_free(acc);
}

void http_conn_drain(struct cm_http_conn *c, cm_usec now)
{
    if (is_waiting(c))
        http_conn_arm(c, CM_MAX(c->since + DRAIN_SILENCE - now, DRAIN_GLANCE));
    else if ((c->state == CONN_HEAD || c->state == CONN_BODY) && !c->handling)
        http_conn_arm(c, DRAIN_PAUSE);
}
