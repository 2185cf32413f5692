/* The unix socket of built-in provisioners. nng's own listener stands behind this one, since it
 * stops for good when a peer connects and is gone before it could answer (nng 1.5: the error of
 * that one connection ends its accept loop), as one does that is killed at the wrong moment. So we
 * accept, exchange the eight bytes with which both ends of an nng connection begin, and only then
 * join the two. nng never sees a connection end before that. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "net/rpc/server_impl.h"
#include "net/sock.h"
#include "obs/log.h"

#define GATES_MAX 256
#define PATIENCE  (5 * CM_SECOND)

/* What a REQ socket says first, and a REP socket. */
static const uint8_t REQ_HEAD[8] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};

struct rpc_gate {
    struct cm_link link;
    struct rpc_unix *u;
    struct cm_stream *outside, *inside; /* NULL: none yet, or gone */
    struct cm_timer timer;
    struct cm_splice *splice;
};

struct rpc_unix {
    struct cm_loop *loop;
    char *path, *inner_path;
    int fd;
    struct cm_watch watch;
    bool watching, starting, dead;

    struct cm_link gates;
    unsigned n_gates;
};

static void gate_free(void *arg)
{
    cm_free(arg);
}

static void gate_close(struct rpc_gate *g)
{
    cm_stream_close(CM_TAKE(g->outside));
    cm_stream_close(CM_TAKE(g->inside));
    cm_splice_abort(CM_TAKE(g->splice));
    cm_timer_done(&g->timer);
    cm_list_unlink(&g->link);
    g->u->n_gates--;
    cm_loop_post(g->u->loop, gate_free, g);
}

static void on_spliced(void *ctx, uint64_t in, uint64_t out)
{
    (void)in;
    (void)out;
    struct rpc_gate *g = ctx;
    g->splice = NULL;
    gate_close(g);
}

static void on_late(void *ctx)
{
    gate_close(ctx);
}

static int connect_path(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    memcpy(sa.sun_path, path,
           strlen(path) + 1); /* its length was checked when it was listened on */
    CM_AUTOFD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0)
        return -1;
    return CM_TAKE_FD(fd);
}

/* nng's head goes to the peer as it is; whatever became of the peer, nng has got its greeting by
 * now. */
static void on_inside(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct rpc_gate *g = ctx;
    if (ev == CM_STREAM_EOF || ev == CM_STREAM_FAILED) {
        gate_close(g);
        return;
    }
    if (ev != CM_STREAM_DATA || evbuffer_get_length(cm_stream_input(s)) < sizeof(REQ_HEAD))
        return;
    if (!g->outside) {
        gate_close(g);
        return;
    }
    cm_timer_stop(&g->timer);
    g->splice = cm_splice_new(CM_TAKE(g->outside), CM_TAKE(g->inside), on_spliced, g);
}

static void on_outside(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct rpc_gate *g = ctx;
    if (ev == CM_STREAM_EOF || ev == CM_STREAM_FAILED) {
        cm_stream_close(CM_TAKE(g->outside));
        if (!g->inside)
            gate_close(g);
        return;
    }
    uint8_t head[sizeof(REQ_HEAD)];
    if (ev != CM_STREAM_DATA || g->inside || evbuffer_get_length(cm_stream_input(s)) < sizeof(head))
        return;
    cm_stream_read(s, head, sizeof(head));
    int fd = memcmp(head, REQ_HEAD, sizeof(head)) == 0 ? connect_path(g->u->inner_path) : -1;
    if (fd < 0) {
        gate_close(g);
        return;
    }
    g->inside = cm_sock_stream_new(g->u->loop, fd, NULL, false);
    cm_stream_set_fn(g->inside, on_inside, g);
    cm_stream_write(g->inside, head, sizeof(head));
}

static void on_accept(void *ctx, int listener)
{
    struct rpc_unix *u = ctx;
    CM_AUTOFD int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 || u->n_gates >= GATES_MAX)
        return;
    struct rpc_gate *g = cm_xcalloc(1, sizeof(*g));
    g->u = u;
    cm_timer_init(&g->timer, u->loop, on_late, g);
    cm_timer_start(&g->timer, PATIENCE);
    cm_list_push(&u->gates, &g->link);
    u->n_gates++;
    g->outside = cm_sock_stream_new(u->loop, CM_TAKE_FD(fd), NULL, false);
    cm_stream_set_fn(g->outside, on_outside, g);
}

static void unix_free(struct rpc_unix *u)
{
    cm_free(u->path);
    cm_free(u->inner_path);
    cm_free(u);
}

static void start_watching(void *arg)
{
    struct rpc_unix *u = arg;
    u->starting = false;
    if (u->dead) {
        unix_free(u);
        return;
    }
    u->watching = true;

    cm_watch_start(&u->watch, u->loop, u->fd, false, on_accept, u);
}

static enum cm_code listen_on(struct rpc_unix *u, struct cm_err *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct stat st;
    if (strlen(u->inner_path) >= sizeof(sa.sun_path))
        return cm_err_set(err, CM_INVALID, "the path %s is too long for a unix socket", u->path);
    memcpy(sa.sun_path, u->path, strlen(u->path) + 1);
    /* Left over from a process that was killed; the folder is ours alone. */
    if (lstat(u->path, &st) == 0 && S_ISSOCK(st.st_mode))
        cm_ignore(unlink(u->path), "what cannot be removed is reported by bind");
    u->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* Its mode is set before anybody can connect, which takes a listen. */
    if (u->fd < 0 || bind(u->fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0 ||
        chmod(u->path, 0600) != 0 || listen(u->fd, 64) != 0)
        return cm_err_errno(err, CM_IO, "listen on %s", u->path);
    return CM_OK;
}

void rpc_unix_free(struct rpc_unix *u)
{
    if (!u)
        return;
    if (u->watching)
        cm_watch_stop(&u->watch);
    while (!cm_list_empty(&u->gates))
        gate_close(cm_container_of(u->gates.next, struct rpc_gate, link));
    if (u->fd >= 0) {
        close(u->fd);
        cm_ignore(unlink(u->path), "somebody may have removed it already");
    }
    u->dead = true;
    if (!u->starting)
        unix_free(u);
}

enum cm_code cm_rpc_server_listen_unix(struct cm_rpc_server *s, const char *path,
                                       struct cm_err *err)
{
    cm_assert(!s->unix_socket);
    struct rpc_unix *u = s->unix_socket = cm_xcalloc(1, sizeof(*u));
    struct stat st;
    u->loop = s->cfg.loop;
    u->fd = -1;
    u->path = cm_xstrdup(path);
    u->inner_path = cm_xasprintf("%s.nng", path);
    cm_list_init(&u->gates);
    if (lstat(u->inner_path, &st) == 0 && S_ISSOCK(st.st_mode))
        cm_ignore(unlink(u->inner_path), "what cannot be removed is reported by the listen below");
    CM_AUTOFREE char *url = cm_xasprintf("ipc://%s", u->inner_path);
    int rv = nng_listener_create(&s->unix_listener, s->sock, url);
    if (rv == 0)
        rv = nng_listener_set_int(s->unix_listener, NNG_OPT_IPC_PERMISSIONS, 0600);
    s->has_unix = rv == 0; /* before the first connection can come */
    if (rv == 0)
        rv = nng_listener_start(s->unix_listener, 0);
    if (rv != 0)
        return cm_rpc_nng_err(err, rv, url);
    if (listen_on(u, err) != CM_OK)
        return err ? err->code : CM_IO;
    u->starting = true;
    cm_loop_post(u->loop, start_watching, u);
    return CM_OK;
}
