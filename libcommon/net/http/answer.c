/* What goes out: whole answers, streamed answers, upgrades. */
#include <stdio.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "net/http/server_priv.h"
#include "net/sock.h"

#define HEAD_OUT_MAX ((size_t)32 * 1024)
#define COPY_UP_TO                                                                                 \
    ((size_t)16 * 1024) /* below this a copy is cheaper than keeping the arena for the socket */

void http_req_free(struct cm_http_req *r)
{
    if (r->spool_fd >= 0)
        close(r->spool_fd);
    cm_arena_free(r->arena); /* r itself is in it */
}

static void put_head(struct cm_buf *b, const struct cm_http_req *req, const struct cm_http_resp *r,
                     bool keep, bool chunked, bool bodiless)
{
    char date[CM_TIME_TEXT];
    cm_buf_printf(b, "HTTP/1.1 %d %s\r\nDate: %s\r\n", r->status, cm_http_reason(r->status),
                  cm_time_format_http(cm_time_now(), date));
    if (r->content_type) {
        cm_buf_cstr(b, "Content-Type: ");
        cm_buf_cstr(b, r->content_type);
        cm_buf_cstr(b, "\r\n");
    }
    if (chunked) {
        if (!req->head.http10)
            cm_buf_cstr(b, "Transfer-Encoding: chunked\r\n");
    } else if (!bodiless) {
        cm_buf_cstr(b, "Content-Length: ");
        cm_buf_i64(b, (int64_t)r->body.len);
        cm_buf_cstr(b, "\r\n");
    }
    for (size_t i = 0; i < r->n_headers; i++) {
        cm_buf_str(b, r->headers[i].name);
        cm_buf_cstr(b, ": ");
        /* A value may hold what a client sent: a line break in it must not become a header of its
         * own. */
        for (size_t k = 0; k < r->headers[i].value.len; k++) {
            char ch = r->headers[i].value.ptr[k];
            if (ch == '\r' || ch == '\n' || ch == '\0')
                ch = ' ';
            cm_buf_char(b, ch);
        }
        cm_buf_cstr(b, "\r\n");
    }
    if (!keep)
        cm_buf_cstr(b, "Connection: close\r\n");
    else if (req->head.http10)
        cm_buf_cstr(b, "Connection: keep-alive\r\n");
    cm_buf_cstr(b, "\r\n");
}

static void release(const void *data, size_t len, void *arg)
{
    (void)data;
    (void)len;
    http_req_free(arg);
}

/* A body that was not read to its end cannot be followed by another request. */
static bool may_keep(struct cm_http_conn *c, const struct cm_http_resp *r)
{
    bool body_pending = c->state == CONN_BODY && c->req && c->req->head.has_body;
    if (r->close || body_pending || c->server->draining)
        c->keep_alive = false;
    return c->keep_alive;
}

void cm_http_respond(struct cm_http_req *req, const struct cm_http_resp *r)
{
    struct cm_http_conn *c = req->conn;
    cm_assert(!req->answered);
    req->answered = true;
    if (!c) {
        http_req_free(req);
        return;
    }
    CM_ON_LOOP(c->loop);
    bool bodiless = r->status == 204 || r->status == 304 || r->status < 200;
    bool head_only = req->head.method == CM_HTTP_HEAD;
    CM_AUTOBUF struct cm_buf head = CM_BUF_INIT(HEAD_OUT_MAX);
    put_head(&head, req, r, may_keep(c, r), false, bodiless);
    cm_assert(!head.failed);
    struct evbuffer *out = evbuffer_new();
    cm_assert(out);
    evbuffer_add(out, head.ptr, head.len);
    bool kept = false;
    if (!bodiless && !head_only && r->body.len) {
        if (r->body.len <= COPY_UP_TO) {
            evbuffer_add(out, r->body.ptr, r->body.len);
        } else {
            evbuffer_add_reference(out, r->body.ptr, r->body.len, release, req);
            kept = true;
        }
    }
    req->conn = NULL;
    c->req = NULL;
    cm_stream_send(c->stream, out);
    evbuffer_free(out);
    if (!kept)
        http_req_free(req);
    http_next_request(c);
}

void http_answer_error(struct cm_http_conn *c, int status, const char *text)
{
    struct cm_http_req *req = c->req;
    if (!req) {
        struct cm_arena *a = cm_arena_new();
        req = CM_NEW(a, struct cm_http_req);
        req->arena = a;
        req->spool_fd = -1;
        req->conn = c;
        c->req = req;
    }
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(2 * CM_ERR_TEXT_MAX);
    cm_buf_cstr(&b, "{\"message\":\"");
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p >= 0x20 && *p != '"' && *p != '\\' && (unsigned char)*p < 0x7f)
            cm_buf_char(&b, *p);
    }
    cm_buf_cstr(&b, "\"}\n");
    c->keep_alive = false;
    cm_http_respond(req, &(struct cm_http_resp){.status = status,
                                                .content_type = "application/json; charset=utf-8",
                                                .body = cm_arena_str(req->arena, cm_buf_view(&b)),
                                                .close = true});
}

void cm_http_stream_begin(struct cm_http_req *req, const struct cm_http_resp *r)
{
    struct cm_http_conn *c = req->conn;
    cm_assert(!req->answered);
    req->answered = true;
    if (!c)
        return;
    CM_AUTOBUF struct cm_buf head = CM_BUF_INIT(HEAD_OUT_MAX);
    if (req->head.http10)
        c->keep_alive = false;
    put_head(&head, req, r, may_keep(c, r), true, false);
    cm_stream_write(c->stream, head.ptr, head.len);
    c->state = CONN_ANSWER;
}

void cm_http_stream_write(struct cm_http_req *req, const void *data, size_t len)
{
    struct cm_http_conn *c = req->conn;
    if (!c || len == 0)
        return;
    struct evbuffer *out = evbuffer_new();
    cm_assert(out);
    if (!req->head.http10)
        evbuffer_add_printf(out, "%zx\r\n", len);
    evbuffer_add(out, data, len);
    if (!req->head.http10)
        evbuffer_add(out, "\r\n", 2);
    cm_stream_send(c->stream, out);
    evbuffer_free(out);
}

size_t cm_http_stream_unsent(const struct cm_http_req *req)
{
    return req->conn ? cm_stream_unsent(req->conn->stream) : 0;
}

void cm_http_stream_end(struct cm_http_req *req)
{
    struct cm_http_conn *c = req->conn;
    req->on_gone = NULL;
    if (c) {
        if (!req->head.http10)
            cm_stream_write(c->stream, "0\r\n\r\n", 5);
        c->req = NULL;
        if (c->server->draining)
            c->keep_alive = false;
    }
    http_req_free(req);
    if (c)
        http_next_request(c);
}

static void conn_forget(void *arg)
{
    struct cm_http_conn *c = arg;
    cm_timer_done(&c->timer);
    cm_buf_done(&c->body);
    cm_free(c);
}

struct cm_stream *cm_http_take(struct cm_http_req *req)
{
    struct cm_http_conn *c = req->conn;
    cm_assert(!req->answered);
    req->answered = true;
    if (!c)
        return NULL;
    struct cm_stream *s = c->stream;
    cm_stream_set_fn(s, NULL, NULL);
    c->stream = NULL;
    c->req = NULL;
    c->state = CONN_CLOSED;
    req->conn = NULL;
    pthread_mutex_lock(&c->server->lock);
    cm_list_unlink(&c->link);
    pthread_mutex_unlock(&c->server->lock);
    c->server->n_conns--;
    http_not_busy(c);
    cm_timer_stop(&c->timer);
    cm_loop_post(c->loop, conn_forget, c);
    return s;
}

struct cm_stream *cm_http_upgrade(struct cm_http_req *req, const char *protocol,
                                  const struct cm_http_header *headers, size_t n_headers)
{
    struct cm_stream *s = cm_http_take(req);
    if (!s)
        return NULL;
    CM_AUTOBUF struct cm_buf head = CM_BUF_INIT(HEAD_OUT_MAX);
    cm_buf_printf(&head,
                  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\nConnection: Upgrade\r\n",
                  protocol);
    for (size_t i = 0; i < n_headers; i++)
        cm_buf_printf(&head, "%.*s: %.*s\r\n", CM_STR_ARG(headers[i].name),
                      CM_STR_ARG(headers[i].value));
    cm_buf_cstr(&head, "\r\n");
    cm_assert(!head.failed);
    cm_stream_write(s, head.ptr, head.len);
    return s;
}

void cm_http_req_done(struct cm_http_req *req)
{
    cm_assert(req->answered && !req->conn);
    http_req_free(req);
}
