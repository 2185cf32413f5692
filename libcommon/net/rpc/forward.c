#include "net/rpc/forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "base/random.h"
#include "base/secret.h"
#include "base/version.h"
#include "net/http/message.h"
#include "net/rpc/wire.h"
#include "net/sock.h"

#define SECRET   32
#define HEAD_MAX 4096

struct rpc_forward {
    struct cm_loop *loop;
    struct cm_arena *arena;
    struct cm_str url;
    const char *unix_path;
    cm_usec timeout;
    rpc_forward_fn fn;
    void *ctx;
    char secret[SECRET + 1];
    int listener;
    struct cm_watch watch;
    struct cm_timer begin;
    struct cm_stream *local; /* nng's end, until spliced */
    struct cm_httpc *http;
    struct cm_httpc_call *call;
    struct cm_splice *splice;
};

static void fail(struct rpc_forward *f, const struct cm_err *err)
{
    rpc_forward_fn fn = f->fn;
    f->fn = NULL;
    if (fn)
        fn(f->ctx, NULL, err); /* may stop us */
}

static void stop_listening(struct rpc_forward *f)
{
    cm_watch_stop(&f->watch);
    if (f->listener >= 0)
        close(f->listener);
    f->listener = -1;
}

/* coderd's answer to the upgrade, in words for whoever set the URL. */
static enum cm_code explain(const struct rpc_forward *f, const struct cm_httpc_answer *a,
                            struct cm_err *err)
{
    struct cm_str type = cm_httpc_header(a, "content-type");
    struct cm_str url = f->url;
    if (a->status == 404 || a->status == 426 || a->status == 400)
        return cm_err_set(err, CM_PROTOCOL,
                          "%.*s answered %d %.*s: either no coderd answers there, or something on "
                          "the way removes "
                          "WebSocket upgrades",
                          CM_STR_ARG(url), a->status, CM_STR_ARG(a->reason));
    if (a->status == 401 || a->status == 403 || a->status == 407)
        return cm_err_set(err, CM_UNAVAILABLE,
                          "%.*s answered %d %.*s: a proxy or login page stands before coderd and "
                          "does not let the RPC "
                          "through",
                          CM_STR_ARG(url), a->status, CM_STR_ARG(a->reason));
    if (a->status >= 300 && a->status < 400)
        return cm_err_set(err, CM_PROTOCOL, "%.*s answered %d and leads to %.*s: use that address",
                          CM_STR_ARG(url), a->status, CM_STR_ARG(cm_httpc_header(a, "location")));
    return cm_err_set(err, CM_UNAVAILABLE, "%.*s answered %d %.*s (%.*s)", CM_STR_ARG(url),
                      a->status, CM_STR_ARG(a->reason), CM_STR_ARG(type));
}

static void spliced(void *ctx, uint64_t up, uint64_t down)
{
    (void)up;
    (void)down;
    struct rpc_forward *f = ctx;
    struct cm_err err;
    f->splice = NULL;
    cm_err_set(&err, CM_UNAVAILABLE, "the connection was closed");
    fail(f, &err);
}

static void on_answer(void *ctx, struct cm_httpc_answer *answer, const struct cm_err *why)
{
    struct rpc_forward *f = ctx;
    CM_AUTO(cm_httpc_answer) a = answer;
    struct cm_err err;
    f->call = NULL;
    if (!a) {
        fail(f, why);
        return;
    }
    if (a->status != 101 || !a->stream) {
        explain(f, a, &err);
        fail(f, &err);
        return;
    }
    if (!f->local) {
        cm_err_set(&err, CM_UNAVAILABLE, "the connection was closed meanwhile");
        fail(f, &err);
        return;
    }
    CM_AUTOBUF struct cm_buf head = CM_BUF_INIT(HEAD_MAX);
    cm_buf_printf(
        &head,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %.*s\r\nSec-WebSocket-Protocol: %.*s\r\n\r\n",
        CM_STR_ARG(cm_httpc_header(a, "sec-websocket-accept")),
        CM_STR_ARG(cm_httpc_header(a, "sec-websocket-protocol")));
    if (cm_buf_check(&head, "the answer to the upgrade", &err) != CM_OK) {
        fail(f, &err);
        return;
    }
    cm_stream_write(f->local, head.ptr, head.len);
    f->splice = cm_splice_new(CM_TAKE(f->local), CM_TAKE(a->stream), spliced, f);
    cm_splice_linger(f->splice, CM_RPC_LINGER);
}

static void upgrade(struct rpc_forward *f, const struct cm_http_head *h)
{
    struct cm_str key = cm_http_header(h, "sec-websocket-key");
    struct cm_str protocol = cm_http_header(h, "sec-websocket-protocol");
    const struct cm_httpc_header headers[] = {
        {CM_STR("Sec-WebSocket-Version"), CM_STR("13")},
        {CM_STR("Sec-WebSocket-Key"), cm_arena_str(f->arena, key)},
        {CM_STR("Sec-WebSocket-Protocol"), cm_arena_str(f->arena, protocol)},
        {CM_STR("User-Agent"), CM_STR("coder/" CM_VERSION)}};
    const struct cm_httpc_req req = {.url = f->url,
                                     .headers = headers,
                                     .n_headers = CM_COUNT_OF(headers),
                                     .upgrade = "websocket",
                                     .max_body = 65536,
                                     .unix_path = f->unix_path,
                                     .timeout = f->timeout};
    f->call = cm_httpc_start(f->http, &req, on_answer, f);
}

static void drop_local(struct rpc_forward *f)
{
    cm_stream_close(CM_TAKE(f->local));
}

static void on_local(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct rpc_forward *f = ctx;
    if (ev == CM_STREAM_EOF || ev == CM_STREAM_FAILED) {
        drop_local(f);
        return;
    }
    if (ev != CM_STREAM_DATA || f->call)
        return;
    struct evbuffer *in = cm_stream_input(s);
    size_t n = CM_MIN(evbuffer_get_length(in), (size_t)HEAD_MAX);
    const char *text = (const char *)evbuffer_pullup(in, (ssize_t)n);
    const char *end = memmem(text, n, "\r\n\r\n", 4);
    if (!end) {
        if (n == HEAD_MAX)
            drop_local(f);
        return;
    }
    size_t head_len = (size_t)(end - text) + 4;
    struct cm_http_head h;
    struct cm_err err;
    struct cm_str path = CM_STR_NONE;
    if (cm_http_head_parse(f->arena, cm_str_n(text, head_len), &h, &err) == CM_OK)
        path = cm_str_sub(h.path, 1, SIZE_MAX);
    if (!cm_secret_str_eq(path, cm_str(f->secret))) {
        drop_local(f); /* not our nng: it goes on listening */
        return;
    }
    stop_listening(f);
    upgrade(f, &h);
    evbuffer_drain(in, head_len);
    cm_stream_consumed(s, head_len);
}

static void on_accept(void *ctx, int fd)
{
    struct rpc_forward *f = ctx;
    int got = cm_sock_accept(&f->watch, fd, NULL, NULL);
    if (got < 0)
        return;
    /* The newest counts: whoever sits in the place without the secret cannot keep nng out. */
    drop_local(f);
    f->local = cm_sock_stream_new(f->loop, got, NULL, false);
    cm_stream_set_fn(f->local, on_local, f);
}

static enum cm_code listen_on(struct rpc_forward *f, bool v6, uint16_t *ret_port,
                              struct cm_err *err)
{
    struct sockaddr_in6 sa6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in sa4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *sa = v6 ? (struct sockaddr *)&sa6 : (struct sockaddr *)&sa4;
    socklen_t len = v6 ? sizeof(sa6) : sizeof(sa4);
    f->listener = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (f->listener < 0 || bind(f->listener, sa, len) != 0 || listen(f->listener, 8) != 0 ||
        getsockname(f->listener, sa, &len) != 0)
        return cm_err_errno(err, CM_IO, "listen on the loopback interface");
    *ret_port = ntohs(v6 ? sa6.sin6_port : sa4.sin_port);
    return CM_OK;
}

static void begin(void *ctx)
{
    struct rpc_forward *f = ctx;
    const char *loopback = cm_rpc_loopback();
    uint16_t port = 0;
    struct cm_err err;
    if (listen_on(f, loopback[0] == '[', &port, &err) != CM_OK) {
        fail(f, &err);
        return;
    }
    cm_watch_start(&f->watch, f->loop, f->listener, false, on_accept, f);
    f->fn(f->ctx, cm_arena_printf(f->arena, "ws://%s:%u/%s", loopback, port, f->secret), NULL);
}

struct rpc_forward *rpc_forward_start(struct cm_dialer *dialer, struct cm_loop *loop,
                                      struct cm_str url, const char *unix_path, cm_usec timeout,
                                      rpc_forward_fn fn, void *ctx)
{
    struct rpc_forward *f = cm_xcalloc(1, sizeof(*f));
    f->loop = loop;
    f->arena = cm_arena_new();
    f->url = cm_arena_str(f->arena, url);
    f->unix_path = unix_path;
    f->timeout = timeout;
    f->fn = fn;
    f->ctx = ctx;
    f->listener = -1;
    f->http = cm_httpc_new(loop, dialer);
    cm_random_alnum(f->secret, SECRET);
    cm_timer_init(&f->begin, loop, begin, f);
    cm_timer_start(&f->begin, 0);
    return f;
}

static void free_later(void *arg)
{
    struct rpc_forward *f = arg;
    cm_arena_free(f->arena);
    cm_secret_wipe(f, sizeof(*f));
    cm_free(f);
}

void rpc_forward_stop(struct rpc_forward *f)
{
    if (!f)
        return;
    f->fn = NULL;
    cm_timer_done(&f->begin);
    stop_listening(f);
    cm_httpc_cancel(CM_TAKE(f->call));
    cm_httpc_free(f->http);
    drop_local(f);
    cm_splice_abort(CM_TAKE(f->splice));
    cm_loop_post(f->loop, free_later, f); /* one of our own callbacks may be on the stack */
}
