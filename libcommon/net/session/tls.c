#include "net/session/tls.h"

#include <event2/buffer.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#define RECORD    ((size_t)16 * 1024)
#define READ_ONCE ((size_t)64 * 1024 - 64) /* with libevent's own header in front, 64 KiB */

struct tls {
    struct cm_stream s;
    struct cm_stream *lower;
    SSL *ssl;
    BIO_METHOD *method;
    struct evbuffer *enc;   /* records on their way to lower */
    struct evbuffer *early; /* to be sent once the handshake is done */
    void (*up_fn)(void *ctx, struct cm_stream *s);
    void *up_ctx;
    bool up;
    bool posted;
    bool broken;   /* SSL has given up; told when the loop is back */
    unsigned refs; /* the owner, a posted turn, a running one */
};

static struct tls *of(struct cm_stream *s)
{
    return cm_container_of(s, struct tls, s);
}

static void free_later(void *arg)
{
    struct tls *t = arg;
    SSL_free(t->ssl);
    BIO_meth_free(t->method);
    evbuffer_free(t->enc);
    evbuffer_free(t->early);
    cm_stream_done(&t->s);
    cm_free(t);
}

static void unref(struct tls *t)
{
    if (--t->refs == 0)
        cm_loop_post(t->s.loop, free_later, t);
}

/* OpenSSL reads from lower's input and writes to enc, with no memory BIO in between. */

static int bio_write(BIO *bio, const char *data, int len)
{
    struct tls *t = BIO_get_data(bio);
    return evbuffer_add(t->enc, data, (size_t)len) == 0 ? len : -1;
}

static int bio_read(BIO *bio, char *out, int len)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    int n = evbuffer_remove(cm_stream_input(t->lower), out, (size_t)len);
    if (n > 0) {
        cm_stream_consumed(t->lower, (size_t)n);
        return n;
    }
    if (t->lower->eof)
        return 0;
    BIO_set_retry_read(bio);
    return -1;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    (void)num;
    (void)ptr;
    struct tls *t = BIO_get_data(bio);
    if (cmd == BIO_CTRL_FLUSH)
        return 1;
    if (cmd == BIO_CTRL_EOF)
        return t->lower->eof && evbuffer_get_length(cm_stream_input(t->lower)) == 0;
    return 0;
}

static void attach_bio(struct tls *t)
{
    t->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "cm_stream");
    cm_assert(t->method && BIO_meth_set_write(t->method, bio_write) &&
              BIO_meth_set_read(t->method, bio_read) && BIO_meth_set_ctrl(t->method, bio_ctrl));
    BIO *bio = BIO_new(t->method);
    cm_assert(bio);
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
}

static void tls_err(struct tls *t, int ret, struct cm_err *err)
{
    unsigned long e = ERR_peek_error();
    long verify = SSL_get_verify_result(t->ssl);
    if (verify != X509_V_OK)
        cm_err_set(err, CM_UNAUTHENTICATED, "TLS: the peer's certificate is not the expected one");
    else if (e && ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) > SSL_AD_REASON_OFFSET)
        cm_err_set(err, CM_UNAUTHENTICATED, "TLS: the peer refused: %s",
                   ERR_reason_error_string(e));
    else if (e && ERR_reason_error_string(e))
        cm_err_set(err, CM_PROTOCOL, "TLS: %s", ERR_reason_error_string(e));
    else
        cm_err_set(err, CM_PROTOCOL, "TLS: the connection broke off (%d)",
                   SSL_get_error(t->ssl, ret));
    ERR_clear_error();
}

static void flush(struct tls *t)
{
    if (evbuffer_get_length(t->enc))
        cm_stream_send(t->lower, t->enc);
}

static void tls_turn(void *arg);

static void kick(struct tls *t)
{
    if (t->posted)
        return;
    t->posted = true;
    t->refs++;
    cm_loop_post(t->s.loop, tls_turn, t);
}

/* Only what fails for reasons of its own gets here: writing into a buffer cannot block. */
static void write_failed(struct tls *t, int ret)
{
    if (!t->broken)
        tls_err(t, ret, &t->s.err);
    t->broken = true;
    kick(t);
}

static bool write_record(struct tls *t, const void *p, size_t len)
{
    size_t n;
    ERR_clear_error();
    int r = SSL_write_ex(t->ssl, p, len, &n);
    if (r == 1)
        return true;
    write_failed(t, r);
    return false;
}

/* Makes full records: whole ones straight from where the bytes lie, the rest gathered from several
 * chunks. */
static void encrypt(struct tls *t, struct evbuffer *data)
{
    char gather[RECORD];
    size_t total;
    while (!t->broken && (total = evbuffer_get_length(data)) > 0) {
        struct evbuffer_iovec v;
        evbuffer_peek(data, -1, NULL, &v, 1);
        if (v.iov_len >= RECORD || v.iov_len == total) {
            size_t n = v.iov_len == total ? total : v.iov_len - v.iov_len % RECORD;
            if (!write_record(t, v.iov_base, n))
                break;
            evbuffer_drain(data, n);
        } else {
            int n = evbuffer_remove(data, gather, CM_MIN(total, RECORD));
            if (n <= 0 || !write_record(t, gather, (size_t)n))
                break;
        }
    }
    evbuffer_drain(data, evbuffer_get_length(data));
}

static void tls_send(struct cm_stream *s, struct evbuffer *data)
{
    struct tls *t = of(s);
    if (!t->up) {
        evbuffer_add_buffer(t->early, data);
        return;
    }
    encrypt(t, data);
    flush(t);
}

static size_t tls_unsent(const struct cm_stream *s)
{
    const struct tls *t = (const struct tls *)s;
    return evbuffer_get_length(t->early) + cm_stream_unsent(t->lower);
}

static void goodbye(struct tls *t)
{
    ERR_clear_error();
    cm_ignore(SSL_shutdown(t->ssl) < 0,
              "the close_notify is written, and the peer's may come later");
    flush(t);
    cm_stream_finish(t->lower);
}

static void tls_finish(struct cm_stream *s)
{
    if (of(s)->up)
        goodbye(of(s));
}

static void tls_consumed(struct cm_stream *s, size_t n)
{
    (void)n;
    struct tls *t = of(s);
    if (evbuffer_get_length(s->in) < CM_STREAM_HIGH / 2 &&
        (evbuffer_get_length(cm_stream_input(t->lower)) || SSL_has_pending(t->ssl)))
        kick(t);
}

static void tls_close(struct cm_stream *s)
{
    struct tls *t = of(s);
    cm_stream_close(t->lower);
    unref(t);
}

static const struct cm_stream_ops ops = {tls_send, tls_unsent, tls_consumed, tls_finish, tls_close};

static void fail(struct tls *t, int ret)
{
    struct cm_err err;
    tls_err(t, ret, &err);
    flush(t); /* the alert that says why */
    cm_stream_fail(&t->s, &err);
}

static bool handshake(struct tls *t)
{
    ERR_clear_error();
    int r = SSL_do_handshake(t->ssl);
    flush(t);
    if (r != 1) {
        if (SSL_get_error(t->ssl, r) != SSL_ERROR_WANT_READ)
            fail(t, r);
        return false;
    }
    t->up = true;
    if (t->up_fn)
        t->up_fn(t->up_ctx, &t->s);
    if (t->s.closed)
        return false;
    encrypt(t, t->early);
    flush(t);
    if (t->s.finished)
        goodbye(t);
    return true;
}

/* Reads once as much as fits. False when nothing more can be read now. */
static bool decrypt(struct tls *t)
{
    size_t have = evbuffer_get_length(cm_stream_input(t->lower)), off = 0;
    size_t want = CM_MIN(CM_MAX(have, (size_t)512), READ_ONCE);
    struct evbuffer_iovec v;
    cm_assert(evbuffer_reserve_space(t->s.in, (ev_ssize_t)want, &v, 1) == 1);
    int r = 1;
    ERR_clear_error();
    while (off < v.iov_len && r == 1) {
        size_t n = 0;
        r = SSL_read_ex(t->ssl, (char *)v.iov_base + off, v.iov_len - off, &n);
        off += r == 1 ? n : 0;
    }
    int why = r == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, r);
    struct cm_err err;
    if (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ && why != SSL_ERROR_ZERO_RETURN)
        tls_err(t, r, &err);
    v.iov_len = off;
    evbuffer_commit_space(t->s.in, &v, 1);
    flush(t); /* OpenSSL answers key updates while it reads */
    if (off)
        cm_stream_notify(&t->s, CM_STREAM_DATA);
    if (t->s.closed)
        return false;
    if (why == SSL_ERROR_NONE)
        return true;
    if (why == SSL_ERROR_ZERO_RETURN)
        cm_stream_notify(&t->s, CM_STREAM_EOF);
    else if (why != SSL_ERROR_WANT_READ)
        cm_stream_fail(&t->s, &err);
    return false;
}

static void receive(struct tls *t)
{
    if (t->s.closed || t->s.failed || t->s.eof)
        return;
    if (!t->up && !handshake(t))
        return;
    while (!t->s.closed && evbuffer_get_length(t->s.in) < CM_STREAM_HIGH && decrypt(t)) {
    }
}

static void on_lower(struct cm_stream *lower, enum cm_stream_event ev, void *ctx)
{
    struct tls *t = ctx;
    t->refs++;
    receive(t);
    switch (ev) {
    case CM_STREAM_DATA:
    case CM_STREAM_EOF: /* seen by OpenSSL, which knows whether the end is in order */
        break;
    case CM_STREAM_DRAINED:
        cm_stream_notify(&t->s, CM_STREAM_DRAINED);
        break;
    case CM_STREAM_FAILED:
        cm_stream_fail(&t->s, cm_stream_err(lower));
        break;
    }
    unref(t);
}

static void tls_turn(void *arg)
{
    struct tls *t = arg;
    t->posted = false;
    if (!t->s.closed) {
        if (t->broken) {
            struct cm_err err = t->s.err;
            cm_stream_fail(&t->s, &err);
        } else if (t->lower->failed) {
            on_lower(t->lower, CM_STREAM_FAILED, t);
        } else {
            receive(t);
        }
    }
    unref(t);
}

struct cm_stream *cm_tls_stream_new(struct cm_stream *lower, struct ssl_st *ssl, bool accepting,
                                    void (*up)(void *ctx, struct cm_stream *s), void *ctx)
{
    struct tls *t = cm_xcalloc(1, sizeof(*t));
    cm_stream_init(&t->s, &ops, lower->loop);
    t->lower = lower;
    t->ssl = ssl;
    t->up_fn = up;
    t->up_ctx = ctx;
    t->refs = 1;
    t->enc = evbuffer_new();
    t->early = evbuffer_new();
    cm_assert(t->enc && t->early);
    attach_bio(t);
    if (accepting)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    cm_stream_set_fn(lower, on_lower, t);
    kick(t); /* starts the handshake, and sees what had come before */
    return &t->s;
}
