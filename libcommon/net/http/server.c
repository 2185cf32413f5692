#include "net/http/server.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/listener.h>
#include <http_parser.h>
#include <openssl/ssl.h>

#include "base/buf.h"
#include "net/http/listen.h"
#include "net/http/server_priv.h"
#include "net/sock.h"
#include "obs/log.h"

static void on_stream(struct cm_stream *s, enum cm_stream_event ev, void *ctx);
static void conn_read(struct cm_http_conn *c);
static void read_body(struct cm_http_conn *c);

static bool is_waiting(const struct cm_http_conn *c)
{
    return c->state == CONN_HEAD && !c->head_started;
}

static void arm(struct cm_http_conn *c, cm_usec d)
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

static void conn_close(struct cm_http_conn *c)
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

static void linger(struct cm_http_conn *c);

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
        arm(c, MOVE_TIMEOUT); /* the application takes its time; that is its own business */
        return;
    }
    if (c->stream && cm_stream_unsent(c->stream) && cm_stream_unsent(c->stream) != c->unsent_seen) {
        c->unsent_seen = cm_stream_unsent(c->stream);
        arm(c, MOVE_TIMEOUT);
        return;
    }
    if (c->state == CONN_HEAD && c->head_started) {
        http_answer_error(c, 408, "The request was not complete in time.");
        return;
    }
    conn_close(c);
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

/* What a request's body has taken of the server's budget: given back with the request's arena. */
struct http_charge {
    struct http_budget *budget;
    size_t memory, disk;
};

static void budget_unref(struct http_budget *b)
{
    if (atomic_fetch_sub(&b->refs, 1) == 1)
        cm_free(b);
}

static void charge_return(void *arg)
{
    struct http_charge *x = arg;
    atomic_fetch_sub(&x->budget->memory, x->memory);
    atomic_fetch_sub(&x->budget->disk, x->disk);
    budget_unref(x->budget);
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
    arm(c, MOVE_TIMEOUT);
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

/* The application wants the body. False when the connection has been answered. */
static bool body_begin(struct cm_http_conn *c)
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
        arm(c, MOVE_TIMEOUT);
        return false;
    }
    return body_begin(c);
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
    if (body_begin(c))
        read_body(c);
}

static void read_body(struct cm_http_conn *c)
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
        arm(c, MOVE_TIMEOUT);
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
        arm(c, HEAD_TIMEOUT);
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
        read_body(c);
}

static void conn_read(struct cm_http_conn *c)
{
    switch (c->state) {
    case CONN_HEAD:
        read_head(c);
        break;
    case CONN_BODY:
        read_body(c);
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

/* Closing with unread input would reset the connection under the answer, so finish and drain for a
 * while. */
static void linger(struct cm_http_conn *c)
{
    c->state = CONN_LINGER;
    cm_stream_finish(c->stream);
    arm(c, LINGER_TIMEOUT);
    if (c->stream->eof && cm_stream_unsent(c->stream) == 0)
        conn_close(c);
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
    arm(c, IDLE_TIMEOUT);
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
            conn_close(c);
        break;
    case CM_STREAM_DRAINED:
        if (c->state == CONN_LINGER && s->eof && cm_stream_unsent(s) == 0)
            conn_close(c);
        break;
    case CM_STREAM_FAILED:
        conn_close(c);
        break;
    }
}

struct accepted {
    struct cm_http_server *server;
    struct cm_loop *loop;
    int fd;
    char peer[48];
};

static void conn_start(void *arg)
{
    struct accepted *acc = arg;
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
    arm(c, HEAD_TIMEOUT);
    cm_free(acc);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *addr, int len,
                      void *ctx)
{
    (void)l;
    struct cm_http_server *s = ctx;
    if (s->n_conns >= s->cfg.max_connections) {
        static const char busy[] =
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        cm_ignore(send(fd, busy, sizeof(busy) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0,
                  "it is turned away either way");
        close(fd);
        return;
    }
    s->n_conns++;
    s->n_busy++;
    cm_sock_tune(fd);
    struct accepted *acc = cm_xcalloc(1, sizeof(*acc));
    acc->server = s;
    acc->fd = fd;
    if (getnameinfo(addr, (socklen_t)len, acc->peer, sizeof(acc->peer), NULL, 0, NI_NUMERICHOST) !=
        0)
        acc->peer[0] = '\0';
    if (strncmp(acc->peer, "::ffff:", 7) == 0)
        memmove(acc->peer, acc->peer + 7, strlen(acc->peer + 7) + 1);
    acc->loop = s->cfg.loops[s->next_loop++ % s->cfg.n_loops];
    cm_loop_post(acc->loop, conn_start, acc);
}

static void on_accept_again(void *ctx)
{
    struct cm_http_server *s = ctx;
    if (s->listener)
        evconnlistener_enable(s->listener);
}

/* Mostly for want of descriptors, of which there are no more at once: asking again on each turn of
 * the loop would only take the time of those who have a connection. */
static void on_accept_error(struct evconnlistener *l, void *ctx)
{
    struct cm_http_server *s = ctx;
    char text[128];
    CM_WARN("cannot accept a connection", CM_F_CSTR(error, strerror_r(errno, text, sizeof(text))));
    evconnlistener_disable(l);
    cm_timer_start(&s->accept_again, ACCEPT_PAUSE);
}

enum cm_code cm_http_server_new(const struct cm_http_server_config *cfg, const char *address,
                                struct cm_http_server **ret, struct cm_err *err)
{
    CM_AUTOFD int fd = -1;
    if (cm_http_listen(address, &fd, err) != CM_OK)
        return err->code;
    struct cm_http_server *s = cm_xcalloc(1, sizeof(*s));
    s->cfg = *cfg;
    cm_list_init(&s->conns);
    pthread_mutex_init(&s->lock, NULL);
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    cm_assert(getsockname(fd, (struct sockaddr *)&ss, &len) == 0);
    s->port = ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
                                             : ((struct sockaddr_in *)&ss)->sin_port);
    s->listener =
        evconnlistener_new(cm_loop_base(cfg->loops[0]), on_accept, s,
                           LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, CM_TAKE_FD(fd));
    cm_assert(s->listener);
    s->drainers = cm_xcalloc(cfg->n_loops, sizeof(struct http_drainer *));
    s->budget = cm_xcalloc(1, sizeof(*s->budget));
    s->budget->refs = 1;
    cm_timer_init(&s->accept_again, cfg->loops[0], on_accept_again, s);
    evconnlistener_set_error_cb(s->listener, on_accept_error);
    *ret = s;
    return CM_OK;
}

uint16_t cm_http_server_port(const struct cm_http_server *s)
{
    return s->port;
}

/* What the kernel has taken in our name, so that closing the listener resets nobody. */
static void take_backlog(struct cm_http_server *s)
{
    for (size_t i = 0; i < CM_HTTP_BACKLOG; i++) {
        struct sockaddr_storage sa;
        socklen_t len = sizeof(sa);
        int fd = accept4(evconnlistener_get_fd(s->listener), (struct sockaddr *)&sa, &len,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            on_accept(s->listener, fd, (struct sockaddr *)&sa, (int)len, s);
        else if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

/* Those of one loop: how much longer each may wait for a request, or for the rest of one. */
static void drain_here(void *arg)
{
    struct http_drainer *d = arg;
    struct cm_http_server *s = d->server;
    cm_usec now = cm_monotonic_now();
    if (s) {
        pthread_mutex_lock(&s->lock);
        CM_LIST_EACH(l, &s->conns)
        {
            struct cm_http_conn *c = cm_container_of(l, struct cm_http_conn, link);
            if (c->loop != d->loop)
                continue;
            if (is_waiting(c))
                arm(c, CM_MAX(c->since + DRAIN_SILENCE - now, DRAIN_GLANCE));
            else if ((c->state == CONN_HEAD || c->state == CONN_BODY) && !c->handling)
                arm(c, DRAIN_PAUSE);
        }
        for (size_t i = 0; i < s->cfg.n_loops; i++) {
            if (s->drainers[i] == d)
                s->drainers[i] = NULL;
        }
        pthread_mutex_unlock(&s->lock);
        s->n_busy--;
    }
    cm_free(d);
}

void cm_http_server_drain(struct cm_http_server *s)
{
    if (!s || s->draining)
        return;
    CM_ON_LOOP(s->cfg.loops[0]);
    cm_timer_stop(&s->accept_again);
    take_backlog(s);
    evconnlistener_free(s->listener);
    s->listener = NULL;
    s->draining = true;
    for (size_t i = 0; i < s->cfg.n_loops; i++) {
        struct http_drainer *d = cm_xcalloc(1, sizeof(*d));
        *d = (struct http_drainer){.server = s, .loop = s->cfg.loops[i]};
        s->n_busy++;
        pthread_mutex_lock(&s->lock);
        s->drainers[i] = d;
        pthread_mutex_unlock(&s->lock);
        cm_loop_post(d->loop, drain_here, d);
    }
}

size_t cm_http_server_busy(const struct cm_http_server *s)
{
    return s ? s->n_busy : 0;
}

void cm_http_server_free(struct cm_http_server *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->cfg.n_loops; i++) {
        if (s->drainers[i])
            s->drainers[i]->server = NULL;
    }
    cm_free(s->drainers);
    if (s->listener)
        evconnlistener_free(s->listener);
    CM_LIST_EACH(l, &s->conns)
    conn_close(cm_container_of(l, struct cm_http_conn, link));
    cm_timer_done(&s->accept_again);
    budget_unref(s->budget);
    pthread_mutex_destroy(&s->lock);
    /* Connections freed later on their loops still name the server's fields only before being
     * closed. */
    cm_free(s);
}
