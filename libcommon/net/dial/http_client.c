/* A call takes an idle connection to its server or dials one, writes its request and reads the
 * answer. A kept connection that turns out to be dead before a byte of the answer is replaced once
 * by a fresh one. */
#include "net/dial/http_client.h"

#include <event2/buffer.h>

#include "net/dial/http_answer.h"
#include "net/dial/url.h"

#define IDLE_MAX        8
#define IDLE_TIME       (30 * CM_SECOND)
#define TIMEOUT_DEFAULT (30 * CM_SECOND)

struct cm_httpc {
    struct cm_loop *loop;
    struct cm_dialer *dialer;
    struct cm_link idle; /* struct conn, oldest first */
    size_t n_idle;
};

/* A kept connection. */
struct conn {
    struct cm_httpc *owner;
    struct cm_stream *stream;
    char *key; /* scheme and authority */
    cm_usec since;
    struct cm_link link;
};

struct cm_httpc_call {
    struct cm_httpc *h;
    struct cm_arena *arena;
    struct cm_httpc_req req;
    struct cm_url url;
    char *key;
    struct cm_buf head;
    struct cm_httpc_reader reader;
    struct cm_dial *dial;
    struct cm_stream *stream;
    struct cm_timer
        timer;        /* while dialing, the dial's own deadline counts, whose error says more */
    cm_usec deadline; /* of the monotonic clock */
    bool reused, got_bytes, posted, canceled;
    struct cm_err err;
    cm_httpc_fn fn;
    void *ctx;
};

struct cm_httpc *cm_httpc_new(struct cm_loop *loop, struct cm_dialer *dialer)
{
    struct cm_httpc *h = cm_xcalloc(1, sizeof(*h));
    h->loop = loop;
    h->dialer = dialer;
    cm_list_init(&h->idle);
    return h;
}

static void conn_free(struct conn *k)
{
    cm_list_unlink(&k->link);
    k->owner->n_idle--;
    cm_stream_close(k->stream);
    cm_free(k->key);
    cm_free(k);
}

void cm_httpc_free(struct cm_httpc *h)
{
    if (!h)
        return;
    CM_LIST_EACH(l, &h->idle)
    conn_free(cm_container_of(l, struct conn, link));
    cm_free(h);
}

/* Whatever an idle connection says, it says too late. */
static void on_idle(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    (void)s;
    if (ev != CM_STREAM_DRAINED)
        conn_free(ctx);
}

static void keep_conn(struct cm_httpc *h, struct cm_stream *s, const char *key)
{
    if (h->n_idle == IDLE_MAX)
        conn_free(cm_container_of(h->idle.next, struct conn, link));
    struct conn *k = cm_xcalloc(1, sizeof(*k));
    k->owner = h;
    k->stream = s;
    k->key = cm_xstrdup(key);
    k->since = cm_monotonic_now();
    cm_list_push(&h->idle, &k->link);
    h->n_idle++;
    cm_stream_set_fn(s, on_idle, k);
}

static struct cm_stream *take_conn(struct cm_httpc *h, const char *key)
{
    cm_usec now = cm_monotonic_now();
    struct cm_stream *s = NULL;
    CM_LIST_EACH(l, &h->idle)
    {
        struct conn *k = cm_container_of(l, struct conn, link);
        bool match = !s && strcmp(k->key, key) == 0;
        bool dead = now - k->since > IDLE_TIME || k->stream->eof || k->stream->failed;
        if (match && !dead)
            s = CM_TAKE(k->stream);
        if (match || dead)
            conn_free(k);
    }
    return s;
}

static void call_free(struct cm_httpc_call *c)
{
    cm_dial_cancel(c->dial);
    cm_stream_close(c->stream);
    cm_timer_done(&c->timer);
    cm_httpc_reader_done(&c->reader);
    cm_buf_done(&c->head);
    cm_arena_free(c->arena);
    cm_free(c);
}

/* The one way out; the call is gone before its owner hears of it. */
static void complete(struct cm_httpc_call *c)
{
    cm_httpc_fn fn = c->canceled ? NULL : c->fn;
    void *ctx = c->ctx;
    struct cm_err err = c->err;
    struct cm_httpc_answer *answer = err.code == CM_OK ? CM_TAKE(c->reader.answer) : NULL;
    if (err.code != CM_OK && c->url.host)
        cm_err_wrap(&err, "%s %.*s%.*s", c->req.method, CM_STR_ARG(c->url.origin),
                    CM_STR_ARG(c->url.path));
    call_free(c);
    if (fn)
        fn(ctx, answer, answer ? NULL : &err);
    else
        cm_httpc_answer_free(answer);
}

static void fail(struct cm_httpc_call *c, const struct cm_err *err)
{
    c->err = *err;
    complete(c);
}

static void dial(struct cm_httpc_call *c);

static bool idempotent(const char *method)
{
    return strcmp(method, "POST") != 0 && strcmp(method, "PATCH") != 0;
}

static void on_broken(struct cm_httpc_call *c, const struct cm_err *err)
{
    if (c->reused && !c->got_bytes && idempotent(c->req.method)) {
        cm_stream_close(CM_TAKE(c->stream));
        c->reused = false;
        cm_httpc_reader_done(&c->reader); /* it has seen the end already */
        cm_httpc_reader_init(&c->reader, &c->req);
        dial(c);
        return;
    }
    fail(c, err);
}

/* Returns true when the call is over. */
static bool read_answer(struct cm_httpc_call *c)
{
    struct evbuffer *in = cm_stream_input(c->stream);
    size_t n;

    while ((n = evbuffer_get_contiguous_space(in)) > 0) {
        size_t used = 0;
        c->got_bytes = true;
        enum cm_httpc_step step = cm_httpc_reader_feed(
            &c->reader, cm_str_n(evbuffer_pullup(in, (ev_ssize_t)n), n), &used);
        evbuffer_drain(in, used);
        cm_stream_consumed(c->stream, used);
        switch (step) {
        case CM_HTTPC_MORE:
            continue;
        case CM_HTTPC_SWITCHED:
            cm_stream_set_fn(c->stream, NULL, NULL);
            c->reader.answer->stream = CM_TAKE(c->stream);
            complete(c);
            return true;
        case CM_HTTPC_COMPLETE:
            /* Bytes behind the answer, or an answer before the request was sent: not a connection
             * to go on with. */
            if (c->reader.keep_alive && !c->stream->eof && evbuffer_get_length(in) == 0 &&
                cm_stream_unsent(c->stream) == 0)
                keep_conn(c->h, CM_TAKE(c->stream), c->key);
            complete(c);
            return true;
        case CM_HTTPC_BROKEN:
            fail(c, &c->reader.err);
            return true;
        }
    }
    if (c->req.on_body && c->reader.head_done)
        cm_timer_start(&c->timer, c->req.timeout);
    return false;
}

static void on_stream(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct cm_httpc_call *c = ctx;
    switch (ev) {
    case CM_STREAM_DATA:
        read_answer(c);
        return;
    case CM_STREAM_DRAINED:
        return;
    case CM_STREAM_EOF:
        if (read_answer(c))
            return;
        if (cm_httpc_reader_eof(&c->reader) == CM_HTTPC_COMPLETE)
            complete(c);
        else
            on_broken(c, &c->reader.err);
        return;
    case CM_STREAM_FAILED:
        if (!read_answer(c))
            on_broken(c, cm_stream_err(s));
        return;
    }
}

static void send_request(struct cm_httpc_call *c)
{
    cm_timer_start(&c->timer, c->deadline - cm_monotonic_now());
    cm_stream_set_fn(c->stream, on_stream, c);
    cm_stream_write(c->stream, c->head.ptr, c->head.len);
    if (c->req.has_body && c->req.body.len)
        cm_stream_write(c->stream, c->req.body.ptr, c->req.body.len);
}

static void kick(void *arg)
{
    struct cm_httpc_call *c = arg;
    c->posted = false;
    if (c->canceled || c->err.code != CM_OK)
        complete(c);
    else if (c->stream->failed)
        on_stream(c->stream, CM_STREAM_FAILED, c);
    else if (c->stream->eof)
        on_stream(c->stream, CM_STREAM_EOF, c);
}

static void post(struct cm_httpc_call *c)
{
    c->posted = true;
    cm_loop_post(c->h->loop, kick, c);
}

static void on_dialed(void *ctx, struct cm_stream *stream, const struct cm_err *err)
{
    struct cm_httpc_call *c = ctx;
    c->dial = NULL;
    if (!stream) {
        fail(c, err);
        return;
    }
    c->stream = stream;
    send_request(c);
    if (stream->eof || stream->failed)
        kick(c); /* it ended before we listened */
}

static void dial(struct cm_httpc_call *c)
{
    struct cm_dial_target t = {.host = c->url.host,
                               .port = c->url.port,
                               .unix_path = c->req.unix_path,
                               .tls = c->url.tls,
                               .alpn = c->url.tls ? "http/1.1" : NULL};
    cm_timer_stop(&c->timer);
    c->dial =
        cm_dial_start(c->h->dialer, c->h->loop, &t, c->deadline - cm_monotonic_now(), on_dialed, c);
}

static void on_timeout(void *ctx)
{
    struct cm_httpc_call *c = ctx;
    cm_err_set(&c->err, CM_TIMEOUT, "no answer within %lld s",
               (long long)(c->req.timeout / CM_SECOND));
    complete(c);
}

static bool clean(struct cm_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < ' ' && s.ptr[i] != '\t')
            return false;
    return true;
}

static enum cm_code write_head(struct cm_httpc_call *c, struct cm_err *err)
{
    const struct cm_httpc_req *r = &c->req;
    struct cm_buf *b = &c->head;

    b->wipe = true; /* it holds tokens */
    cm_buf_printf(b, "%s %.*s HTTP/1.1\r\nHost: %.*s\r\n", r->method, CM_STR_ARG(c->url.target),
                  CM_STR_ARG(c->url.authority));
    if (r->upgrade)
        cm_buf_printf(b, "Connection: Upgrade\r\nUpgrade: %s\r\n", r->upgrade);
    if (r->has_body || strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0)
        cm_buf_printf(b, "Content-Length: %zu\r\n", r->has_body ? r->body.len : 0);
    for (size_t i = 0; i < r->n_headers; i++) {
        if (!r->headers[i].name.len || !clean(r->headers[i].name) || !clean(r->headers[i].value) ||
            cm_str_find(r->headers[i].name, ':') >= 0 || cm_str_find(r->headers[i].name, ' ') >= 0)
            return cm_err_set(err, CM_INVALID,
                              "header \"%.*s\" cannot be sent: it has a line break or no name",
                              CM_STR_ARG(r->headers[i].name));
        cm_buf_printf(b, "%.*s: %.*s\r\n", CM_STR_ARG(r->headers[i].name),
                      CM_STR_ARG(r->headers[i].value));
    }
    cm_buf_cstr(b, "\r\n");
    return cm_buf_check(b, "the request's head", err);
}

struct cm_httpc_call *cm_httpc_start(struct cm_httpc *h, const struct cm_httpc_req *req,
                                     cm_httpc_fn fn, void *ctx)
{
    CM_ON_LOOP(h->loop);
    struct cm_httpc_call *c = cm_xcalloc(1, sizeof(*c));
    c->h = h;
    c->arena = cm_arena_new();
    c->req = *req;
    c->req.method = cm_arena_cstr(c->arena, cm_str(req->method ? req->method : "GET"));
    c->req.unix_path = req->unix_path ? cm_arena_cstr(c->arena, cm_str(req->unix_path)) : NULL;
    if (!c->req.timeout)
        c->req.timeout = TIMEOUT_DEFAULT;
    c->fn = fn;
    c->ctx = ctx;
    cm_timer_init(&c->timer, h->loop, on_timeout, c);
    cm_buf_init(&c->head, CM_HTTPC_HEAD_MAX);
    cm_httpc_reader_init(&c->reader, &c->req);
    if (cm_url_parse(c->arena, req->url, &c->url, &c->err) != CM_OK ||
        write_head(c, &c->err) != CM_OK) {
        post(c);
        return c;
    }
    c->key = cm_arena_printf(c->arena, "%.*s|%s", CM_STR_ARG(c->url.origin),
                             c->req.unix_path ? c->req.unix_path : "");
    c->deadline = cm_monotonic_now() + c->req.timeout;
    c->stream = take_conn(h, c->key);
    if (c->stream) {
        c->reused = true;
        send_request(c);
    } else {
        dial(c);
    }
    return c;
}

void cm_httpc_cancel(struct cm_httpc_call *c)
{
    if (!c || c->canceled)
        return;
    c->canceled = true;
    if (!c->posted)
        complete(c);
}

struct waiting {
    bool done;
    struct cm_httpc_answer *answer;
    struct cm_err err;
};

static void on_done(void *ctx, struct cm_httpc_answer *answer, const struct cm_err *err)
{
    struct waiting *w = ctx;
    w->done = true;
    w->answer = answer;
    if (err)
        w->err = *err;
}

enum cm_code cm_httpc_do(struct cm_httpc *h, const struct cm_httpc_req *req,
                         struct cm_httpc_answer **ret, struct cm_err *err)
{
    struct waiting w = {.done = false};
    cm_httpc_start(h, req, on_done, &w);
    while (!w.done)
        cm_loop_turn(h->loop, CM_SECOND);
    if (!w.answer) {
        if (err)
            *err = w.err;
        return w.err.code;
    }
    *ret = w.answer;
    return CM_OK;
}
