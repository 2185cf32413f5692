#include "plugin/wire.h"

#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

struct wire {
    int fd;
    SSL *ssl;         /* NULL: plain */
    bool wants_write; /* what TLS needs before it can go on reading */
};

static enum cm_code set_tls_error(struct wire *w, int rc, size_t *ret_n, struct cm_err *err)
{
    *ret_n = 0;
    switch (SSL_get_error(w->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return CM_OK;
    case SSL_ERROR_WANT_WRITE:
        w->wants_write = true;
        return CM_OK;
    case SSL_ERROR_ZERO_RETURN:
        return cm_err_set(err, CM_END, "the connection was closed");
    }
    char text[256];
    unsigned long code = ERR_get_error();
    ERR_error_string_n(code, text, sizeof(text));
    ERR_clear_error();
    if (!code)
        return cm_err_set(err, CM_END, "the connection broke");
    return cm_err_set(err, CM_PROTOCOL, "TLS: %s", text);
}

enum cm_code wire_read(struct wire *w, char *out, size_t room, size_t *ret_n, struct cm_err *err)
{
    *ret_n = 0;
    w->wants_write = false;
    if (w->ssl) {
        ERR_clear_error();
        int rc = SSL_read_ex(w->ssl, out, room, ret_n);
        return rc == 1 ? CM_OK : set_tls_error(w, rc, ret_n, err);
    }
    ssize_t n = recv(w->fd, out, room, 0);
    if (n == 0)
        return cm_err_set(err, CM_END, "the connection was closed");
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return cm_err_errno(err, CM_END, "read from terraform");
    *ret_n = n > 0 ? (size_t)n : 0;
    return CM_OK;
}

enum cm_code wire_write(struct wire *w, struct cm_str bytes, size_t *ret_n, struct cm_err *err)
{
    *ret_n = 0;
    w->wants_write = false;
    if (w->ssl) {
        ERR_clear_error();
        int rc = SSL_write_ex(w->ssl, bytes.ptr, bytes.len, ret_n);
        return rc == 1 ? CM_OK : set_tls_error(w, rc, ret_n, err);
    }
    ssize_t n = send(w->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return cm_err_errno(err, CM_END, "write to terraform");
    *ret_n = n > 0 ? (size_t)n : 0;
    return CM_OK;
}

enum cm_code wire_wait(struct wire *w, bool to_write, cm_usec deadline, struct cm_err *err)
{
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    if (to_write || w->wants_write)
        p.events |= POLLOUT;
    for (;;) {
        int timeout_ms = -1;
        if (deadline) {
            cm_usec left = deadline - cm_monotonic_now();
            timeout_ms = left > 0 ? (int)(left / CM_MSEC) + 1 : 0;
        }
        int n = poll(&p, 1, timeout_ms);
        if (n > 0)
            return CM_OK;
        if (n == 0)
            return cm_err_set(err, CM_TIMEOUT, "terraform did not go on in time");
        if (errno != EINTR)
            return cm_err_errno(err, CM_IO, "wait for terraform");
    }
}

static enum cm_code shake_hands(struct wire *w, cm_usec deadline, struct cm_err *err)
{
    for (;;) {
        size_t ignored;
        w->wants_write = false;
        ERR_clear_error();
        int rc = SSL_do_handshake(w->ssl);
        if (rc == 1)
            return CM_OK;
        if (set_tls_error(w, rc, &ignored, err) != CM_OK ||
            wire_wait(w, false, deadline, err) != CM_OK)
            return cm_err_wrap(err, "TLS handshake");
    }
}

enum cm_code wire_new(int take_fd, struct tls *tls, cm_usec deadline, struct wire **ret,
                      struct cm_err *err)
{
    CM_AUTO(wire) w = cm_xcalloc(1, sizeof(*w));
    w->fd = take_fd;
    if (tls) {
        if (tls_accept(tls, w->fd, &w->ssl, err) != CM_OK)
            return err ? err->code : CM_INTERNAL;
        if (shake_hands(w, deadline, err) != CM_OK)
            return err ? err->code : CM_PROTOCOL;
    }
    *ret = CM_TAKE(w);
    return CM_OK;
}

void wire_free(struct wire *w)
{
    if (!w)
        return;
    SSL_free(w->ssl);
    close(w->fd);
    cm_free(w);
}

void wire_close_notify(struct wire *w)
{
    if (w->ssl)
        SSL_shutdown(w->ssl);
}
