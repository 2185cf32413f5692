/* The unix socket of built-in provisioners. What comes in speaks HTTP like the public port and is
 * joined with the private listener in the same way. nng's own unix transport is not used: in
 * nng 1.5 its listener stops for good when a peer connects and is gone before the greeting, and
 * closing a connection in the middle of a large message hangs the thread that frees all others; a
 * daemon that is killed at the wrong moment does either. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "base/arena.h"
#include "net/http/message.h"
#include "net/rpc/front_impl.h"
#include "net/rpc/server_impl.h"
#include "net/sock.h"

#define CALLERS_MAX 256
#define HEAD_MAX    4096
#define PATIENCE    (5 * CM_SECOND)

struct rpc_unix_caller {
    struct cm_link link;
    struct rpc_unix *u;
    struct cm_stream *stream; /* until spliced */
    struct cm_timer timer;
    struct cm_splice *splice;
};

struct rpc_unix {
    struct cm_loop *loop;
    struct cm_rpc_private to;
    char *path;
    int fd;
    struct cm_watch watch;
    bool watching, starting, dead;
    struct cm_link callers;
    unsigned n_callers;
};

static void caller_free(void *arg)
{
    cm_free(arg);
}

static void caller_close(struct rpc_unix_caller *c)
{
    cm_stream_close(CM_TAKE(c->stream));
    cm_splice_abort(CM_TAKE(c->splice));
    cm_timer_done(&c->timer);
    cm_list_unlink(&c->link);
    c->u->n_callers--;
    cm_loop_post(c->u->loop, caller_free, c);
}

static void on_spliced(void *ctx, uint64_t in, uint64_t out)
{
    (void)in;
    (void)out;
    struct rpc_unix_caller *c = ctx;
    c->splice = NULL;
    caller_close(c);
}

static void on_late(void *ctx)
{
    caller_close(ctx);
}

static void join_caller(struct rpc_unix_caller *c, struct cm_str text)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_http_head h;
    struct cm_err err;
    enum cm_code code = cm_http_head_parse(a, cm_arena_str(a, text), &h, &err);
    evbuffer_drain(cm_stream_input(c->stream), text.len);
    cm_stream_consumed(c->stream, text.len);
    if (code == CM_OK) {
        const struct cm_rpc_front_head head = {.key = cm_http_header(&h, "sec-websocket-key"),
                                               .protocol =
                                                   cm_http_header(&h, "sec-websocket-protocol"),
                                               .address = CM_STR(RPC_ADDRESS_UNIX)};
        code = rpc_front_join(c->u->loop, c->stream, &head, &c->u->to, on_spliced, c, &c->splice,
                              &err);
    }
    if (code != CM_OK) {
        caller_close(c);
        return;
    }
    c->stream = NULL;
    cm_timer_stop(&c->timer);
}

static void on_stream(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct rpc_unix_caller *c = ctx;
    if (ev == CM_STREAM_EOF || ev == CM_STREAM_FAILED) {
        caller_close(c);
        return;
    }
    struct evbuffer *in = cm_stream_input(s);
    size_t n = CM_MIN(evbuffer_get_length(in), (size_t)HEAD_MAX);
    if (ev != CM_STREAM_DATA || n == 0)
        return;
    const char *text = (const char *)evbuffer_pullup(in, (ssize_t)n);
    const char *end = memmem(text, n, "\r\n\r\n", 4);
    if (end)
        join_caller(c, cm_str_n(text, (size_t)(end - text) + 4));
    else if (n == HEAD_MAX)
        caller_close(c);
}

static void on_accept(void *ctx, int listener)
{
    struct rpc_unix *u = ctx;
    CM_AUTOFD int fd = cm_sock_accept(&u->watch, listener, NULL, NULL);
    if (fd < 0 || u->n_callers >= CALLERS_MAX)
        return;
    struct rpc_unix_caller *c = cm_xcalloc(1, sizeof(*c));
    c->u = u;
    cm_timer_init(&c->timer, u->loop, on_late, c);
    cm_timer_start(&c->timer, PATIENCE);
    cm_list_push(&u->callers, &c->link);
    u->n_callers++;
    c->stream = cm_sock_stream_new(u->loop, CM_TAKE_FD(fd), NULL, false);
    cm_stream_set_fn(c->stream, on_stream, c);
}

static void unix_free(struct rpc_unix *u)
{
    cm_free(u->path);
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
    if (u->fd < 0)
        return;
    u->watching = true;
    cm_watch_start(&u->watch, u->loop, u->fd, false, on_accept, u);
}

static enum cm_code listen_on(struct rpc_unix *u, struct cm_err *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct stat st;
    if (strlen(u->path) >= sizeof(sa.sun_path))
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

void rpc_unix_deafen(struct rpc_unix *u)
{
    if (!u || u->fd < 0)
        return;
    if (u->watching)
        cm_watch_stop(&u->watch);
    u->watching = false;
    close(u->fd);
    u->fd = -1;
    cm_ignore(unlink(u->path), "somebody may have removed it already");
}

void rpc_unix_free(struct rpc_unix *u)
{
    if (!u)
        return;
    rpc_unix_deafen(u);
    while (!cm_list_empty(&u->callers))
        caller_close(cm_container_of(u->callers.next, struct rpc_unix_caller, link));
    /* Memory goes after the posted frees of the callers, which look at it no more. */
    u->dead = true;
    if (!u->starting)
        unix_free(u);
}

enum cm_code cm_rpc_server_listen_unix(struct cm_rpc_server *s, const char *path,
                                       struct cm_err *err)
{
    cm_assert(!s->unix_socket);
    struct rpc_unix *u = s->unix_socket = cm_xcalloc(1, sizeof(*u));
    u->loop = s->cfg.loop;
    u->fd = -1;
    u->path = cm_xstrdup(path);
    cm_list_init(&u->callers);
    if (cm_rpc_server_listen_private(s, &u->to, err) != CM_OK || listen_on(u, err) != CM_OK)
        return err ? err->code : CM_IO;
    u->starting = true;
    cm_loop_post(u->loop, start_watching, u);
    return CM_OK;
}
