#include "plugin/handshake.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/enc.h"
#include "base/random.h"

#define COOKIE        "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"
#define PROTOCOL      5
#define NAME_BYTES    8
#define BIND_ATTEMPTS 8

struct handshake {
    int fd;
    struct sockaddr_un addr;
};

bool handshake_is_expected(const struct call *c)
{
    return cm_str_eq_c(call_env(c, "TF_PLUGIN_MAGIC_COOKIE", NULL), COOKIE);
}

static bool make_path(struct sockaddr_un *addr, struct cm_str dir)
{
    unsigned char random[NAME_BYTES];
    CM_AUTOBUF struct cm_buf hex = CM_BUF_INIT(2 * NAME_BYTES);
    cm_random_bytes(random, sizeof(random));
    cm_hex_encode(&hex, random, sizeof(random));
    int n = snprintf(addr->sun_path, sizeof(addr->sun_path), "%.*s/plugin-%s", CM_STR_ARG(dir),
                     hex.ptr);
    return n > 0 && (size_t)n < sizeof(addr->sun_path);
}

static enum cm_code bind_in(struct handshake *h, struct cm_str dir, struct cm_err *err)
{
    for (int i = 0; i < BIND_ATTEMPTS; i++) {
        /* A long TMPDIR does not fit into a socket's address. */
        if (!make_path(&h->addr, dir) && !make_path(&h->addr, CM_STR("/tmp")))
            return cm_err_set(err, CM_INTERNAL, "no path for a socket");
        mode_t before = umask(0077);
        int rc = bind(h->fd, (const struct sockaddr *)&h->addr, sizeof(h->addr));
        umask(before);
        if (rc == 0)
            return CM_OK;
        if (errno != EADDRINUSE)
            break;
    }
    enum cm_code code = cm_err_errno(err, CM_IO, "make a socket %s", h->addr.sun_path);
    h->addr.sun_path[0] = '\0';
    return code;
}

enum cm_code handshake_listen(const struct call *c, struct handshake **ret, struct cm_err *err)
{
    CM_AUTO(handshake) h = cm_xcalloc(1, sizeof(*h));
    h->addr.sun_family = AF_UNIX;
    h->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (h->fd < 0)
        return cm_err_errno(err, CM_IO, "make a socket");
    struct cm_str dir = call_env(c, "PLUGIN_UNIX_SOCKET_DIR", NULL);
    if (!dir.len)
        dir = call_env_or(c, "TMPDIR", "/tmp");
    if (bind_in(h, dir, err) != CM_OK)
        return err ? err->code : CM_IO;
    if (listen(h->fd, 1) != 0)
        return cm_err_errno(err, CM_IO, "listen on %s", h->addr.sun_path);
    *ret = CM_TAKE(h);
    return CM_OK;
}

void handshake_free(struct handshake *h)
{
    if (!h)
        return;
    if (h->addr.sun_path[0])
        unlink(h->addr.sun_path);
    if (h->fd >= 0)
        close(h->fd);
    cm_free(h);
}

void handshake_line(const struct handshake *h, struct cm_str cert_der, struct cm_buf *out)
{
    cm_buf_printf(out, "1|%d|unix|%s|grpc|", PROTOCOL, h->addr.sun_path);
    cm_base64_encode(out, CM_BASE64_STD_NOPAD, cert_der.ptr, cert_der.len);
    cm_buf_char(out, '\n');
}

int handshake_fd(const struct handshake *h)
{
    return h->fd;
}
