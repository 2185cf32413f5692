#include "ssh/child.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/dial/dial.h"
#include "obs/log.h"
#include "ssh/conn.h"
#include "sys/fd.h"
#include "sys/signals.h"

#define CONFIG_PATIENCE (10 * CM_SECOND)

static enum cm_code read_exactly(int fd, void *out, size_t n, struct cm_err *err)
{
    cm_usec until = cm_monotonic_now() + CONFIG_PATIENCE;
    char *p = out;
    while (n) {
        if (!cm_fd_wait(fd, POLLIN, until - cm_monotonic_now()))
            return cm_err_set(err, CM_TIMEOUT, "the agent sends no configuration");
        ssize_t got = read(fd, p, n);
        if (got == 0)
            return cm_err_set(err, CM_END, "the agent has gone");
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return cm_err_errno(err, CM_IO, "read from the agent");
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        }
    }
    return CM_OK;
}

static void *arena_alloc(void *a, size_t n)
{
    return cm_arena_alloc(a, n);
}

static void arena_keep(void *a, void *p)
{
    (void)a;
    (void)p;
}

static enum cm_code read_config(struct cm_arena *a, int fd,
                                const Coder__Agent__V1__SshChildConfig **ret, struct cm_err *err)
{
    uint32_t be;
    enum cm_code code = read_exactly(fd, &be, sizeof(be), err);
    if (code != CM_OK)
        return code;
    size_t n = ntohl(be);
    if (n > SSH_CHILD_CONFIG_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "the configuration has %zu bytes", n);
    void *data = cm_arena_alloc(a, n + 1);
    code = read_exactly(fd, data, n, err);
    if (code != CM_OK)
        return code;
    ProtobufCAllocator alloc = {.alloc = arena_alloc, .free = arena_keep, .allocator_data = a};
    *ret = coder__agent__v1__ssh_child_config__unpack(&alloc, n, data);
    return *ret ? CM_OK : cm_err_set(err, CM_PROTOCOL, "the configuration does not parse");
}

static enum cm_code serve(const char *const *environment, struct cm_err *err)
{
    CM_AUTO(cm_arena) arena = cm_arena_new();
    CM_AUTO(cm_loop) loop = cm_loop_new();
    CM_AUTO(cm_dialer) dialer = NULL;
    const Coder__Agent__V1__SshChildConfig *cfg;
    enum cm_code code = read_config(arena, SSH_CHILD_CONTROL_FD, &cfg, err);
    if (code != CM_OK)
        return code;
    struct cm_dialer_config direct = {0}; /* what a client forwards to is near: no proxy */
    code = cm_dialer_new(&direct, &dialer, err);
    if (code != CM_OK)
        return code;
    struct ssh_conn *conn = NULL;
    code = ssh_conn_new(loop, arena, cfg, environment, dialer, SSH_CHILD_STREAM_FD,
                        SSH_CHILD_CONTROL_FD, &conn, err);
    if (code != CM_OK)
        return code;
    ssh_conn_run(conn);
    ssh_conn_free(conn);
    return CM_OK;
}

int ssh_child_main(const char *const *environment)
{
    struct cm_err err;
    cm_signal_ignore_pipe();
    cm_fd_cloexec(SSH_CHILD_STREAM_FD, true);
    cm_fd_cloexec(SSH_CHILD_CONTROL_FD, true);
    if (serve(environment, &err) == CM_OK)
        return 0;
    CM_WARN("ssh connection failed", CM_F_ERR(&err));
    return 1;
}
