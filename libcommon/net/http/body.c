/* Bodies: framed by the parser, kept in memory or on disk, within the request's limit and the
 * server's budget. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "net/http/server_priv.h"
#include "obs/log.h"

/* What a request's body has taken of the server's budget: given back with the request's arena. */
struct http_charge {
    struct http_budget *budget;
    size_t memory, disk;
};

void http_budget_unref(struct http_budget *b)
{
    if (atomic_fetch_sub(&b->refs, 1) == 1)
        cm_free(b);
}

static void charge_return(void *arg)
{
    struct http_charge *x = arg;
    atomic_fetch_sub(&x->budget->memory, x->memory);
    atomic_fetch_sub(&x->budget->disk, x->disk);
    http_budget_unref(x->budget);
}

/* False: there is no room for so many bytes more. */
static bool charge_take(struct cm_http_conn *c, size_t n)
{
    struct http_budget *b = c->server->budget;
    bool disk = c->req->spool_fd >= 0;
    if (!c->charge) {
        c->charge = CM_NEW(c->req->arena, struct http_charge);
        c->charge->budget = b;
        atomic_fetch_add(&b->refs, 1);
        cm_arena_defer(c->req->arena, charge_return, c->charge);
    }
    *(disk ? &c->charge->disk : &c->charge->memory) += n;
    return disk ? atomic_fetch_add(&b->disk, n) + n <= BODIES_DISK_MAX
                : atomic_fetch_add(&b->memory, n) + n <= BODIES_MEMORY_MAX;
}

/* Body bytes, from the parser. */
static int on_body(http_parser *p, const char *at, size_t len)
{
    struct cm_http_conn *c = p->data;
    struct cm_http_req *r = c->req;
    r->body_len += len;
    if (r->body_len > r->body_max) {
        c->too_large = true;
        return 1;
    }
    if (!charge_take(c, len)) {
        c->too_busy = true;
        return 1;
    }
    if (r->spool_fd >= 0) {
        while (len) {
            ssize_t n = write(r->spool_fd, at, len);
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0) {
                c->spool_errno = n < 0 ? errno : ENOSPC;
                return 1;
            }
            at += n;
            len -= (size_t)n;
        }
    } else {
        cm_buf_append(&c->body, at, len);
    }
    return 0;
}

static int on_complete(http_parser *p)
{
    struct cm_http_conn *c = p->data;
    c->complete = true;
    http_parser_pause(p, 1);
    return 0;
}

static int on_headers_complete(http_parser *p)
{
    struct cm_http_conn *c = p->data;
    return c->req->head.upgrade ? 2 : 0; /* 2: no body follows, leave the rest of the bytes alone */
}

static const http_parser_settings body_settings = {.on_headers_complete = on_headers_complete,
                                                   .on_body = on_body,
                                                   .on_message_complete = on_complete};

static void request_complete(struct cm_http_conn *c)
{
    struct cm_http_req *r = c->req;
    c->handling = true;
    c->state = CONN_ANSWER;
    if (c->body.len) {
        char *text = cm_buf_take(&c->body);
        r->body = cm_str_n(text, (size_t)r->body_len);
        cm_arena_defer(r->arena, cm_free, text);
    }
    if (r->spool_fd >= 0)
        cm_ignore(lseek(r->spool_fd, 0, SEEK_SET) < 0, "a fresh regular file seeks");
    http_conn_arm(c, MOVE_TIMEOUT);
    c->server->cfg.app.on_request(r, c->server->cfg.app.ctx);
}

static void spool_error(struct cm_http_conn *c, int e)
{
    char text[128];
    const char *why = strerror_r(e, text, sizeof(text));
    CM_ERROR("cannot keep a request body on disk", CM_F_CSTR(error, why),
             CM_F_CSTR(path, c->server->cfg.spool_dir));
    http_answer_error(
        c, 503,
        "The server has no disk space for this request. Ask its administrator to make room.");
}

static bool spool_open(struct cm_http_conn *c)
{
    CM_AUTOFREE char *path = cm_xasprintf("%s/body-XXXXXX", c->server->cfg.spool_dir);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        spool_error(c, errno);
        return false;
    }
    unlink(path);
    c->req->spool_fd = fd;
    return true;
}

bool http_body_begin(struct cm_http_conn *c)
{
    struct cm_http_req *r = c->req;
    c->body = CM_BUF_INIT(r->body_max);
    if (r->spool && r->head.has_body && !spool_open(c))
        return false;
    http_parser_init(&c->parser, HTTP_REQUEST);
    c->parser.data = c;
    cm_ignore(http_parser_execute(&c->parser, &body_settings, c->head_text.ptr, c->head_text.len) !=
                  c->head_text.len,
              "it was parsed once already");
    if (r->head.has_body && cm_http_header_has(&r->head, "expect", "100-continue"))
        cm_stream_write(c->stream, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    return true;
}

void http_body_read(struct cm_http_conn *c)
{
    if (c->held)
        return; /* its size is bounded like that of any input */
    struct evbuffer *in = cm_stream_input(c->stream);
    while (!c->complete) {
        struct evbuffer_iovec v;
        if (evbuffer_peek(in, -1, NULL, &v, 1) < 1 || v.iov_len == 0)
            break;
        size_t n = http_parser_execute(&c->parser, &body_settings, v.iov_base, v.iov_len);
        enum http_errno e = HTTP_PARSER_ERRNO(&c->parser);
        evbuffer_drain(in, n);
        cm_stream_consumed(c->stream, n);
        if (c->too_large) {
            http_answer_error(c, 413, "The request body is larger than this endpoint accepts.");
            return;
        }
        if (c->too_busy) {
            http_answer_error(c, 503,
                              "The server is taking too many large requests at once. Try again "
                              "shortly.");
            return;
        }
        if (c->spool_errno) {
            spool_error(c, c->spool_errno);
            return;
        }
        if (e != HPE_OK && e != HPE_PAUSED) {
            http_answer_error(c, 400, "The request body is not framed as its head says.");
            return;
        }
    }
    if (c->complete)
        request_complete(c);
    else
        http_conn_arm(c, MOVE_TIMEOUT);
}

void cm_http_body_go(struct cm_http_req *r)
{
    struct cm_http_conn *c = r->conn;
    if (!c) {
        http_req_free(r);
        return;
    }
    CM_ON_LOOP(c->loop);
    cm_assert(c->held && !r->answered);
    c->held = c->handling = false;
    if (http_body_begin(c))
        http_body_read(c);
}
