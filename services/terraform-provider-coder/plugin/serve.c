#include "plugin/serve.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "plugin/handshake.h"
#include "plugin/host.h"
#include "plugin/http2.h"
#include "plugin/provider.h"
#include "plugin/wire.h"

#define CONNECT_WITHIN  (60 * CM_SECOND) /* what terraform itself allows for the handshake */
#define TLS_WITHIN      (20 * CM_SECOND)
#define FLUSH_WITHIN    (5 * CM_SECOND)
#define PARENT_CHECK_MS 1000
#define READ_BYTES      ((size_t)64 << 10)

static enum cm_code write_all(int fd, struct cm_str s, struct cm_err *err)
{
    while (s.len) {
        ssize_t n = write(fd, s.ptr, s.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cm_err_errno(err, CM_IO, "write the handshake line");
        s = cm_str_sub(s, (size_t)n, s.len);
    }
    return CM_OK;
}

/* Waits for a connection, and gives up when the parent is gone: nobody else would end this process.
 */
static enum cm_code accept_one(const struct handshake *h, cm_usec deadline, pid_t parent,
                               int *ret_fd, struct cm_err *err)
{
    struct pollfd p = {.fd = handshake_fd(h), .events = POLLIN};
    for (;;) {
        int fd = accept4(p.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            *ret_fd = fd;
            return CM_OK;
        }
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            return cm_err_errno(err, CM_IO, "accept a connection");
        if (cm_monotonic_now() >= deadline || getppid() != parent)
            return cm_err_set(err, CM_TIMEOUT, "terraform did not connect");
        if (poll(&p, 1, PARENT_CHECK_MS) < 0 && errno != EINTR)
            return cm_err_errno(err, CM_IO, "wait for a connection");
    }
}

/* A stranger who dials the socket fails the TLS handshake, and the next one is waited for. */
static enum cm_code accept_peer(const struct handshake *h, struct tls *tls, struct wire **ret,
                                struct cm_err *err)
{
    cm_usec deadline = cm_monotonic_now() + CONNECT_WITHIN;
    pid_t parent = getppid();
    for (;;) {
        int fd = -1;
        if (accept_one(h, deadline, parent, &fd, err) != CM_OK)
            return err ? err->code : CM_IO;
        cm_usec tls_deadline = cm_monotonic_now() + TLS_WITHIN;
        if (wire_new(fd, tls, CM_MIN(deadline, tls_deadline), ret, err) == CM_OK)
            return CM_OK;
    }
}

static enum cm_code flush(struct wire *w, struct http2 *h, struct cm_str *left, struct cm_err *err)
{
    for (;;) {
        size_t n = 0;
        if (!left->len && http2_pending(h, left, err) != CM_OK)
            return err ? err->code : CM_PROTOCOL;
        if (!left->len)
            return CM_OK;
        if (wire_write(w, *left, &n, err) != CM_OK)
            return err ? err->code : CM_END;
        if (n == 0)
            return CM_OK;
        *left = cm_str_sub(*left, n, left->len);
    }
}

static enum cm_code receive(struct wire *w, struct http2 *h, char *room, bool *ret_more,
                            struct cm_err *err)
{
    size_t n = 0;
    if (wire_read(w, room, READ_BYTES, &n, err) != CM_OK)
        return err ? err->code : CM_END;
    *ret_more = n > 0;
    return n ? http2_receive(h, cm_str_n(room, n), err) : CM_OK;
}

/* Answers until the peer closes, or until Shutdown has been answered and its answer sent. */
static enum cm_code converse(struct wire *w, struct http2 *h, const struct host *host,
                             struct cm_err *err)
{
    CM_AUTOFREE char *room = cm_xmalloc(READ_BYTES);
    struct cm_str left = CM_STR("");
    cm_usec deadline = 0;
    bool more = true;
    while (http2_is_open(h) || left.len) {
        if (flush(w, h, &left, err) != CM_OK)
            return err ? err->code : CM_END;
        if (host->shutdown && !left.len)
            return CM_OK;
        if (host->shutdown && !deadline)
            deadline = cm_monotonic_now() + FLUSH_WITHIN;
        if (!more && wire_wait(w, left.len > 0, deadline, err) != CM_OK)
            return err ? err->code : CM_TIMEOUT;
        if (receive(w, h, room, &more, err) != CM_OK)
            return err ? err->code : CM_END;
    }
    return CM_OK;
}

static enum cm_code open_door(const struct call *c, struct handshake **ret_h, struct tls **ret_tls,
                              struct cm_err *err)
{
    CM_AUTO(handshake) h = NULL;
    CM_AUTO(tls) tls = NULL;
    CM_AUTOBUF struct cm_buf der = CM_BUF_INIT(8192), line = CM_BUF_INIT(16384);
    if (handshake_listen(c, &h, err) != CM_OK)
        return err ? err->code : CM_IO;
    struct cm_str pem = call_env(c, "PLUGIN_CLIENT_CERT", NULL);
    if (pem.len && tls_new(&tls, &der, err) != CM_OK)
        return err ? err->code : CM_INTERNAL;
    handshake_line(h, cm_buf_view(&der), &line);
    if (cm_buf_check(&line, "the handshake line", err) != CM_OK ||
        write_all(STDOUT_FILENO, cm_buf_view(&line), err) != CM_OK)
        return err ? err->code : CM_IO;
    if (tls && tls_trust(tls, pem, err) != CM_OK)
        return err ? err->code : CM_INTERNAL;
    *ret_h = CM_TAKE(h);
    *ret_tls = CM_TAKE(tls);
    return CM_OK;
}

enum cm_code serve_run(const char *const *vars, struct cm_err *err)
{
    CM_AUTO(cm_arena) arena = cm_arena_new();
    CM_AUTO(handshake) door = NULL;
    CM_AUTO(tls) tls = NULL;
    CM_AUTO(wire) wire = NULL;
    CM_AUTO(http2) http2 = NULL;
    struct environment env = {vars};
    struct call start;
    call_init(&start, arena, &env, CM_STR(""));
    if (!handshake_is_expected(&start))
        return cm_err_set(err, CM_DENIED, "not started by terraform");
    if (open_door(&start, &door, &tls, err) != CM_OK || accept_peer(door, tls, &wire, err) != CM_OK)
        return err ? err->code : CM_IO;
    /* Terraform makes one connection; without its file nobody can make another. */
    handshake_free(CM_TAKE(door));

    struct host host;
    struct provider provider;
    host_init(&host);
    provider_init(&provider, vars);
    struct dispatch dispatch = {
        .services = {&provider.service.base, &host.controller.base, &host.health.base},
        .n = 3,
        .lend = &provider.arena,
    };
    enum cm_code code = http2_new(&dispatch, &http2, err);
    if (code == CM_OK)
        code = converse(wire, http2, &host, err);
    if (code == CM_OK)
        wire_close_notify(wire);
    provider_done(&provider);
    return code == CM_END ? CM_OK : code;
}
