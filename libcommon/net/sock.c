#include "net/sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/util.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

/* Bytes per read and write call; libevent's default of 16 KiB costs a third of the throughput. */
#define IO_CHUNK      ((size_t)256 * 1024)
#define LIBEVENT_READ ((size_t)4096)
/* With libevent's header in front 128 KiB, which malloc recycles: larger pieces come as fresh pages
 * each time. */
#define READ_CHUNK    ((size_t)128 * 1024 - 64)
#define NOTSENT_LOWAT (128 * 1024)
#define ACCEPT_PAUSE  (CM_SECOND / 4)

struct sock {
    struct cm_stream s;
    struct bufferevent *bev;
    struct ssl_st *ssl; /* owned by bev */
    bool finish_pending;
};

static struct sock *sock_of(struct cm_stream *s)
{
    return cm_container_of(s, struct sock, s);
}

static void fill_input(struct sock *k)
{
    evbuffer_add_buffer(k->s.in, bufferevent_get_input(k->bev));
    if (evbuffer_get_length(k->s.in) >= CM_STREAM_HIGH)
        bufferevent_disable(k->bev, EV_READ);
}

/* libevent 2.1 reads a plain socket 4 KiB at a time, whatever set_max_single_read says; that costs
 * most of the throughput. When so much has come, the rest of what the kernel has is read here, in
 * large pieces. The end of the stream and errors are left to libevent, which sees them on its next
 * read. */
static void read_the_rest(struct sock *k)
{
    int fd = bufferevent_getfd(k->bev), ready = 0;
    if (ioctl(fd, FIONREAD, &ready) != 0)
        return;
    for (size_t left = CM_MIN((size_t)CM_MAX(ready, 0), IO_CHUNK), want; left; left -= want) {
        struct evbuffer_iovec v;
        want = CM_MIN(left, READ_CHUNK);
        if (evbuffer_reserve_space(k->s.in, (ev_ssize_t)want, &v, 1) != 1)
            return;
        ssize_t n = recv(fd, v.iov_base, want, 0);
        v.iov_len = n > 0 ? (size_t)n : 0;
        evbuffer_commit_space(k->s.in, &v, 1);
        if (v.iov_len < want)
            return;
    }
}

static void on_read(struct bufferevent *bev, void *ctx)
{
    struct sock *k = ctx;
    size_t got = evbuffer_get_length(bufferevent_get_input(bev));
    evbuffer_add_buffer(k->s.in, bufferevent_get_input(bev));
    if (!k->ssl && got >= LIBEVENT_READ)
        read_the_rest(k);
    fill_input(k);
    cm_stream_notify(&k->s, CM_STREAM_DATA);
}

static void half_close(struct sock *k)
{
    k->finish_pending = false;
    if (k->ssl) {
        ERR_clear_error();
        cm_ignore(SSL_shutdown(k->ssl) < 0,
                  "the peer may be gone; nothing more is sent either way");
    } else {
        shutdown(bufferevent_getfd(k->bev), SHUT_WR);
    }
}

static void on_write(struct bufferevent *bev, void *ctx)
{
    struct sock *k = ctx;
    if (k->finish_pending && evbuffer_get_length(bufferevent_get_output(bev)) == 0)
        half_close(k);
    cm_stream_notify(&k->s, CM_STREAM_DRAINED);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
    struct sock *k = ctx;
    if (what & BEV_EVENT_CONNECTED)
        return;
    int saved = EVUTIL_SOCKET_ERROR();
    if (evbuffer_get_length(bufferevent_get_input(bev)))
        fill_input(k);
    bool handshaking = k->ssl && !SSL_is_init_finished(k->ssl);
    if (what & BEV_EVENT_EOF && !handshaking) {
        /* Not knowing whether the peer has only half closed, we go on writing until a write fails.
         */
        bufferevent_disable(bev, EV_READ);
        cm_stream_notify(&k->s, CM_STREAM_EOF);
        return;
    }
    struct cm_err err;
    unsigned long e = k->ssl ? bufferevent_get_openssl_error(bev) : 0;
    if (e) {
        char text[160];
        ERR_error_string_n(e, text, sizeof(text));
        cm_err_set(&err, CM_PROTOCOL, "TLS: %s",
                   ERR_reason_error_string(e) ? ERR_reason_error_string(e) : text);
        while (bufferevent_get_openssl_error(bev)) {
        }
    } else if (handshaking) {
        cm_err_set(&err, CM_PROTOCOL, "TLS: the peer closed the connection during the handshake");
    } else {
        errno = saved ? saved : ECONNRESET;
        cm_err_errno(&err, CM_IO, "connection");
    }
    bufferevent_disable(bev, EV_READ | EV_WRITE);
    cm_stream_fail(&k->s, &err);
}

static void sock_send(struct cm_stream *s, struct evbuffer *data)
{
    bufferevent_write_buffer(sock_of(s)->bev, data);
}

static size_t sock_unsent(const struct cm_stream *s)
{
    const struct sock *k = (const struct sock *)s;
    return evbuffer_get_length(bufferevent_get_output(k->bev));
}

static void sock_consumed(struct cm_stream *s, size_t n)
{
    (void)n;
    struct sock *k = sock_of(s);
    if (!s->eof && !s->failed && evbuffer_get_length(s->in) < CM_STREAM_HIGH / 2)
        bufferevent_enable(k->bev, EV_READ);
}

static void sock_finish(struct cm_stream *s)
{
    struct sock *k = sock_of(s);
    if (sock_unsent(s))
        k->finish_pending = true;
    else
        half_close(k);
}

static void free_later(void *arg)
{
    struct sock *k = arg;
    cm_stream_done(&k->s);
    cm_free(k);
}

static void sock_close(struct cm_stream *s)
{
    struct sock *k = sock_of(s);
    bufferevent_setcb(k->bev, NULL, NULL, NULL, NULL);
    bufferevent_free(k->bev);
    k->bev = NULL;
    cm_loop_post(s->loop, free_later, k);
}

static const struct cm_stream_ops sock_ops = {sock_send, sock_unsent, sock_consumed, sock_finish,
                                              sock_close};

int cm_sock_accept(struct cm_watch *listener, int fd, struct sockaddr *sa, socklen_t *len)
{
    int got = accept4(fd, sa, len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (got < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
        cm_watch_rest(listener, ACCEPT_PAUSE);
    return got;
}

void cm_sock_tune(int fd)
{
    int one = 1, idle = 60, interval = 20, count = 3, lowat = NOTSENT_LOWAT;
    /* Each fails harmlessly on sockets that are not TCP. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
}

static void attach(struct sock *k, int fd, struct ssl_st *ssl, enum bufferevent_ssl_state state)
{
    int opts = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS;
    struct event_base *base = cm_loop_base(k->s.loop);
    k->ssl = ssl;
    k->bev = ssl ? bufferevent_openssl_socket_new(base, fd, ssl, state, opts)
                 : bufferevent_socket_new(base, fd, opts);
    cm_assert(k->bev);
    if (ssl) {
        bufferevent_openssl_set_allow_dirty_shutdown(k->bev, 1);
        /* libevent 2.1 goes on with the next piece of its buffer after a write that took only a
         * part of one, and loses the rest: it must never see a partial write. */
        SSL_clear_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
    }
    bufferevent_set_max_single_read(k->bev, IO_CHUNK);
    bufferevent_set_max_single_write(k->bev, IO_CHUNK);
    bufferevent_setcb(k->bev, on_read, on_write, on_event, k);
    bufferevent_setwatermark(k->bev, EV_READ, 0, CM_STREAM_HIGH);
    bufferevent_enable(k->bev, EV_READ | EV_WRITE);
}

struct cm_stream *cm_sock_stream_new(struct cm_loop *loop, int fd, struct ssl_st *ssl,
                                     bool accepting)
{
    struct sock *k = cm_xcalloc(1, sizeof(*k));
    cm_stream_init(&k->s, &sock_ops, loop);
    evutil_make_socket_nonblocking(fd);
    attach(k, fd, ssl,
           ssl && SSL_is_init_finished(ssl) ? BUFFEREVENT_SSL_OPEN
           : accepting                      ? BUFFEREVENT_SSL_ACCEPTING
                                            : BUFFEREVENT_SSL_CONNECTING);
    return &k->s;
}

struct move {
    struct sock *k;
    int fd;
    struct ssl_st *ssl;
    struct evbuffer *unsent;
    void (*ready)(struct cm_stream *s, void *ctx);
    void *ctx;
};

static void on_arrival(void *arg)
{
    struct move *m = arg;
    struct sock *k = m->k;
    attach(k, m->fd, m->ssl, BUFFEREVENT_SSL_OPEN);
    bufferevent_write_buffer(k->bev, m->unsent);
    evbuffer_free(m->unsent);
    m->ready(&k->s, m->ctx);
    cm_free(m);
}

void cm_sock_stream_move(struct cm_stream *s, struct cm_loop *to,
                         void (*ready)(struct cm_stream *s, void *ctx), void *ctx)
{
    CM_ON_LOOP(s->loop);
    struct sock *k = sock_of(s);
    struct move *m = cm_xcalloc(1, sizeof(*m));
    *m = (struct move){.k = k, .ready = ready, .ctx = ctx, .unsent = evbuffer_new()};
    cm_assert(m->unsent);
    fill_input(k);
    evbuffer_add_buffer(m->unsent, bufferevent_get_output(k->bev));
    /* The bufferevent closes what it owns when freed, so the new one gets a duplicate; an SSL is
     * shared by count. */
    m->fd = dup(bufferevent_getfd(k->bev));
    cm_assert(m->fd >= 0);
    if (k->ssl) {
        SSL_up_ref(k->ssl);
        m->ssl = k->ssl;
        BIO *bio = BIO_new_socket(m->fd, BIO_NOCLOSE);
        cm_assert(bio);
        SSL_set_bio(k->ssl, bio, bio);
        SSL_set_quiet_shutdown(k->ssl, 1); /* freeing the old bufferevent must not say goodbye */
    }
    bufferevent_setcb(k->bev, NULL, NULL, NULL, NULL);
    bufferevent_free(k->bev);
    if (m->ssl)
        SSL_set_quiet_shutdown(m->ssl, 0);
    k->bev = NULL;
    k->ssl = NULL;
    cm_stream_set_fn(s, NULL, NULL);
    s->loop = to;
    cm_loop_post(to, on_arrival, m);
}
