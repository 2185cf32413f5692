/* One dial is a walk through steps on its loop: look up, connect (several addresses side by side),
 * proxy, TLS. Each step waits on descriptors of its own; the first failure or success is delivered
 * from a posted function. */
#include "net/dial/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/buf.h"
#include "net/dial/proxy.h"
#include "net/sock.h"

#define NEXT_ADDRESS_AFTER (250 * CM_MSEC) /* RFC 8305's connection attempt delay */
#define PROXY_HEAD_MAX     ((size_t)16 << 10)

struct cm_dialer {
    struct cm_proxy https_proxy, http_proxy;
    char *no_proxy;
    char *system_ca_file, *extra_ca_file, *cert_file, *key_file;
    pthread_mutex_t lock; /* guards ctx, which is made at the first TLS dial */
    SSL_CTX *ctx;
};

struct attempt {
    struct cm_dial *dial;
    int fd; /* -1: none */
    struct cm_watch watch;
    const struct cm_addr *addr;
};

struct cm_dial {
    struct cm_dialer *dialer;
    struct cm_loop *loop;
    char *host, *unix_path, *alpn;
    uint16_t port;
    bool tls;
    const struct cm_proxy *proxy; /* the dialer's, or NULL */
    cm_dial_fn fn;
    void *ctx;

    const char *step; /* for the deadline's text */
    struct cm_timer deadline, next;
    struct cm_resolve *resolve;
    struct cm_addr addrs[CM_ADDRS_MAX];
    struct attempt attempts[CM_ADDRS_MAX];
    size_t n_addrs, tried;
    int fd; /* the connection that won */
    struct cm_watch watch;
    struct cm_buf out, in;
    SSL *ssl;
    struct cm_stream *stream;
    struct cm_err err;
    bool ended, canceled;
};

static char *dup_or_null(const char *s)
{
    return s && *s ? cm_xstrdup(s) : NULL;
}

enum cm_code cm_dialer_new(const struct cm_dialer_config *cfg, struct cm_dialer **ret,
                           struct cm_err *err)
{
    CM_AUTO(cm_dialer) d = cm_xcalloc(1, sizeof(*d));
    pthread_mutex_init(&d->lock, NULL);
    d->no_proxy = dup_or_null(cfg->no_proxy);
    d->system_ca_file = dup_or_null(cfg->tls.system_ca_file);
    d->extra_ca_file = dup_or_null(cfg->tls.extra_ca_file);
    d->cert_file = dup_or_null(cfg->tls.cert_file);
    d->key_file = dup_or_null(cfg->tls.key_file);
    if (cm_proxy_parse(cm_str(cfg->https_proxy), &d->https_proxy, err) != CM_OK)
        return cm_err_wrap(err, "HTTPS_PROXY");
    if (cm_proxy_parse(cm_str(cfg->http_proxy), &d->http_proxy, err) != CM_OK)
        return cm_err_wrap(err, "HTTP_PROXY");
    *ret = CM_TAKE(d);
    return CM_OK;
}

void cm_dialer_free(struct cm_dialer *d)
{
    if (!d)
        return;
    cm_proxy_done(&d->https_proxy);
    cm_proxy_done(&d->http_proxy);
    cm_free(d->no_proxy);
    cm_free(d->system_ca_file);
    cm_free(d->extra_ca_file);
    cm_free(d->cert_file);
    cm_free(d->key_file);
    SSL_CTX_free(d->ctx);
    pthread_mutex_destroy(&d->lock);
    cm_free(d);
}

void cm_dialer_config_env(struct cm_dialer_config *cfg, const char *(*get)(const char *name))
{
    const struct {
        const char **to, *names[2];
    } vars[] = {
        {&cfg->https_proxy, {"HTTPS_PROXY", "https_proxy"}},
        {&cfg->http_proxy, {"HTTP_PROXY", "http_proxy"}},
        {&cfg->no_proxy, {"NO_PROXY", "no_proxy"}},
        {&cfg->tls.system_ca_file, {"SSL_CERT_FILE", "SSL_CERT_FILE"}},
    };
    for (size_t i = 0; i < CM_COUNT_OF(vars); i++)
        for (size_t j = 0; j < 2 && !(*vars[i].to && **vars[i].to); j++)
            *vars[i].to = get(vars[i].names[j]);
}

static const struct cm_proxy *choose_proxy(const struct cm_dialer *d, const char *host,
                                           uint16_t port, bool tls)
{
    const struct cm_proxy *p = tls ? &d->https_proxy : &d->http_proxy;
    if (!p->host || cm_proxy_exempt(cm_str(d->no_proxy), cm_str(host), port))
        return NULL;
    return p;
}

static enum cm_code dialer_ctx(struct cm_dialer *d, SSL_CTX **ret, struct cm_err *err)
{
    enum cm_code code = CM_OK;
    pthread_mutex_lock(&d->lock);
    if (!d->ctx) {
        struct cm_tls_config cfg = {d->system_ca_file, d->extra_ca_file, d->cert_file, d->key_file};
        code = cm_tls_client_new(&cfg, &d->ctx, err);
    }
    *ret = d->ctx;
    pthread_mutex_unlock(&d->lock);
    return code;
}

static void release(struct cm_dial *c)
{
    cm_resolve_cancel(CM_TAKE(c->resolve));
    cm_timer_stop(&c->deadline);
    cm_timer_stop(&c->next);
    cm_watch_stop(&c->watch);
    for (size_t i = 0; i < c->n_addrs; i++) {
        if (c->attempts[i].fd >= 0) {
            cm_watch_stop(&c->attempts[i].watch);
            close(c->attempts[i].fd);
            c->attempts[i].fd = -1;
        }
    }
    SSL_free(CM_TAKE(c->ssl));
    if (c->fd >= 0)
        close(CM_TAKE_FD(c->fd));
}

static void deliver(void *arg)
{
    struct cm_dial *c = arg;
    if (!c->canceled)
        c->fn(c->ctx, CM_TAKE(c->stream), c->err.code == CM_OK ? NULL : &c->err);
    cm_stream_close(c->stream);
    cm_timer_done(&c->deadline);
    cm_timer_done(&c->next);
    cm_buf_done(&c->out);
    cm_buf_done(&c->in);
    cm_free(c->host);
    cm_free(c->unix_path);
    cm_free(c->alpn);
    cm_free(c);
}

/* The one way out: c->stream or c->err is set. */
static void end(struct cm_dial *c)
{
    if (c->ended)
        return;
    c->ended = true;
    release(c);
    cm_loop_post(c->loop, deliver, c);
}

static void on_deadline(void *ctx)
{
    struct cm_dial *c = ctx;
    cm_err_set(&c->err, CM_TIMEOUT, "%s %s: timed out", c->step,
               c->proxy ? c->proxy->host : c->host);
    end(c);
}

static void succeed(struct cm_dial *c)
{
    cm_watch_stop(&c->watch);
    cm_sock_tune(c->fd);
    c->stream = cm_sock_stream_new(c->loop, CM_TAKE_FD(c->fd), CM_TAKE(c->ssl), false);
    end(c);
}

static void on_handshake(void *ctx, int fd)
{
    struct cm_dial *c = ctx;
    cm_watch_stop(&c->watch);
    ERR_clear_error();
    errno = 0;
    int r = SSL_connect(c->ssl);
    int saved = errno;
    if (r == 1) {
        succeed(c);
        return;
    }
    int why = SSL_get_error(c->ssl, r);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
        cm_watch_start(&c->watch, c->loop, fd, why == SSL_ERROR_WANT_WRITE, on_handshake, c);
        return;
    }
    cm_tls_explain(c->ssl, c->host, why == SSL_ERROR_SYSCALL ? saved : 0, &c->err);
    end(c);
}

static void start_tls(struct cm_dial *c)
{
    SSL_CTX *ctx = NULL;
    if (!c->tls) {
        succeed(c);
        return;
    }
    c->step = "TLS handshake with";
    if (dialer_ctx(c->dialer, &ctx, &c->err) != CM_OK ||
        cm_tls_session_new(ctx, c->host, c->alpn, &c->ssl, &c->err) != CM_OK) {
        end(c);
        return;
    }
    cm_assert(SSL_set_fd(c->ssl, c->fd) == 1);
    on_handshake(c, c->fd);
}

static void fail_proxy(struct cm_dial *c)
{
    cm_err_wrap(&c->err, "proxy %s:%u for %s:%u", c->proxy->host, c->proxy->port, c->host, c->port);
    end(c);
}

/* Peeks, so that no byte behind the proxy's answer is taken from the socket. */
static void on_proxy_answer(void *ctx, int fd)
{
    struct cm_dial *c = ctx;
    size_t used = 0;
    bool done = false;
    char *room = cm_buf_reserve(&c->in, 2048);

    if (!room) {
        cm_err_set(&c->err, CM_PROTOCOL, "its answer is longer than %zu bytes", PROXY_HEAD_MAX);
        fail_proxy(c);
        return;
    }
    ssize_t n = recv(fd, room, 2048, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        if (n == 0)
            cm_err_set(&c->err, CM_UNAVAILABLE, "it closed the connection");
        else
            cm_err_errno(&c->err, CM_UNAVAILABLE, "read");
        fail_proxy(c);
        return;
    }
    size_t before = c->in.len;
    cm_buf_commit(&c->in, (size_t)n);
    if (cm_proxy_answer(cm_buf_view(&c->in), &used, &done, &c->err) != CM_OK) {
        fail_proxy(c);
        return;
    }
    size_t take = done ? used - before : (size_t)n;
    if (recv(fd, room, take, 0) != (ssize_t)take) {
        cm_err_errno(&c->err, CM_UNAVAILABLE, "read");
        fail_proxy(c);
        return;
    }
    if (done) {
        cm_watch_stop(&c->watch);
        start_tls(c);
    }
}

static void on_proxy_writable(void *ctx, int fd)
{
    struct cm_dial *c = ctx;
    ssize_t n = send(fd, c->out.ptr, c->out.len, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        cm_err_errno(&c->err, CM_UNAVAILABLE, "write");
        fail_proxy(c);
        return;
    }
    cm_buf_drop_front(&c->out, (size_t)n);
    if (c->out.len)
        return;
    cm_watch_stop(&c->watch);
    cm_watch_start(&c->watch, c->loop, fd, false, on_proxy_answer, c);
}

static void connected(struct cm_dial *c, struct attempt *a)
{
    cm_timer_stop(&c->next);
    cm_watch_stop(&a->watch);
    c->fd = CM_TAKE_FD(a->fd);
    for (size_t i = 0; i < c->n_addrs; i++) {
        if (c->attempts[i].fd >= 0) {
            cm_watch_stop(&c->attempts[i].watch);
            close(CM_TAKE_FD(c->attempts[i].fd));
        }
    }
    if (!c->proxy) {
        start_tls(c);
        return;
    }
    c->step = "wait for an answer of proxy";
    cm_proxy_request(&c->out, c->proxy, c->host, c->port);
    cm_watch_start(&c->watch, c->loop, c->fd, true, on_proxy_writable, c);
}

static void try_next(void *ctx);

static void attempt_failed(struct cm_dial *c, struct attempt *a, int why)
{
    char text[CM_ADDR_TEXT];
    cm_addr_format(a->addr, text);
    cm_err_set_at(&c->err, CM_UNAVAILABLE, why, __FILE__, __LINE__, "connect to %s%s%s%s",
                  c->proxy ? "proxy " : "",
                  c->proxy       ? c->proxy->host
                  : c->unix_path ? ""
                                 : c->host,
                  c->unix_path ? "" : " at ", text);
    if (a->fd >= 0) {
        cm_watch_stop(&a->watch);
        close(CM_TAKE_FD(a->fd));
    }
}

static void on_connectable(void *ctx, int fd)
{
    struct attempt *a = ctx;
    struct cm_dial *c = a->dial;
    int why = 0;
    socklen_t len = sizeof(why);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) != 0)
        why = errno;
    if (!why) {
        connected(c, a);
        return;
    }
    attempt_failed(c, a, why);
    try_next(c);
}

/* Starts on the next address; with none left and none under way, the last error stands. */
static void try_next(void *ctx)
{
    struct cm_dial *c = ctx;

    while (c->tried < c->n_addrs) {
        size_t i = c->tried++;
        struct attempt *a = &c->attempts[i];
        a->addr = &c->addrs[i];
        a->fd = socket(a->addr->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (a->fd < 0) {
            attempt_failed(c, a, errno);
            continue;
        }
        if (connect(a->fd, (const struct sockaddr *)&a->addr->sa, a->addr->len) == 0) {
            connected(c, a);
            return;
        }
        if (errno != EINPROGRESS) {
            attempt_failed(c, a, errno);
            continue;
        }
        cm_watch_start(&a->watch, c->loop, a->fd, true, on_connectable, a);
        cm_timer_start(&c->next, NEXT_ADDRESS_AFTER);
        return;
    }
    for (size_t i = 0; i < c->n_addrs; i++)
        if (c->attempts[i].fd >= 0)
            return;
    end(c);
}

static void on_resolved(void *ctx, const struct cm_addr *addrs, size_t n, const struct cm_err *err)
{
    struct cm_dial *c = ctx;
    c->resolve = NULL;
    if (err) {
        c->err = *err;
        if (c->proxy)
            fail_proxy(c);
        else
            end(c);
        return;
    }
    c->step = c->proxy ? "connect to proxy" : "connect to";
    memcpy(c->addrs, addrs, n * sizeof(*addrs));
    c->n_addrs = n;
    try_next(c);
}

static void start_unix(struct cm_dial *c)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&c->addrs[0].sa;
    size_t len = strlen(c->unix_path);
    if (len >= sizeof(un->sun_path)) {
        cm_err_set(&c->err, CM_INVALID, "connect to %s: the path is longer than %zu bytes",
                   c->unix_path, sizeof(un->sun_path) - 1);
        end(c);
        return;
    }
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, c->unix_path, len + 1);
    c->addrs[0].len = sizeof(*un);
    c->n_addrs = 1;
    c->step = "connect to";
    try_next(c);
}

struct cm_dial *cm_dial_start(struct cm_dialer *d, struct cm_loop *loop,
                              const struct cm_dial_target *target, cm_usec timeout, cm_dial_fn fn,
                              void *ctx)
{
    CM_ON_LOOP(loop);
    struct cm_dial *c = cm_xcalloc(1, sizeof(*c));
    c->dialer = d;
    c->loop = loop;
    c->fn = fn;
    c->ctx = ctx;
    c->fd = -1;
    for (size_t i = 0; i < CM_ADDRS_MAX; i++)
        c->attempts[i] = (struct attempt){.dial = c, .fd = -1};
    c->unix_path = dup_or_null(target->unix_path);
    c->host = cm_xstrdup(target->host ? target->host : c->unix_path ? "localhost" : "");
    c->alpn = dup_or_null(target->alpn);
    c->port = target->port;
    c->tls = target->tls;
    c->step = "look up";
    cm_buf_init(&c->out, PROXY_HEAD_MAX);
    cm_buf_init(&c->in, PROXY_HEAD_MAX);
    c->out.wipe = true;
    cm_timer_init(&c->deadline, loop, on_deadline, c);
    cm_timer_init(&c->next, loop, try_next, c);
    cm_timer_start(&c->deadline, timeout);
    if (c->unix_path) {
        start_unix(c);
        return c;
    }
    c->proxy = choose_proxy(d, c->host, c->port, c->tls);
    c->resolve = cm_resolve_start(loop, c->proxy ? c->proxy->host : c->host,
                                  c->proxy ? c->proxy->port : c->port, timeout, on_resolved, c);
    return c;
}

void cm_dial_cancel(struct cm_dial *c)
{
    if (!c || c->canceled)
        return;
    c->canceled = true;
    end(c);
}
