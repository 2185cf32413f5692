#include "net/rpc/front.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/rpc/front_impl.h"
#include "net/rpc/server_impl.h"
#include "net/sock.h"

#define HEAD_MAX    2048
#define SUBPROTOCOL "rep.sp.nanomsg.org"

/* Characters that cannot leave their place in a head. */
static bool is_plain(struct cm_str s, const char *also, size_t max)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && (c == '\0' || !strchr(also, c)))
            return false;
    }
    return s.len > 0 && s.len <= max;
}

static bool names_subprotocol(struct cm_str list)
{
    while (list.ptr) {
        struct cm_str item;
        list = cm_str_split(list, ',', &item);
        if (cm_str_eq_c(cm_str_trim(item), SUBPROTOCOL))
            return true;
    }
    return false;
}

/* The connection may still be under way when this returns; a failure reaches the stream. */
static int connect_private(const struct cm_rpc_private *to)
{
    const struct sockaddr_in6 sa6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(to->port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const struct sockaddr_in sa4 = {.sin_family = AF_INET,
                                    .sin_port = htons(to->port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr *sa =
        to->v6 ? (const struct sockaddr *)&sa6 : (const struct sockaddr *)&sa4;
    CM_AUTOFD int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, sa, to->v6 ? sizeof(sa6) : sizeof(sa4)) != 0 && errno != EINPROGRESS)
        return -1;
    return CM_TAKE_FD(fd);
}

enum cm_code rpc_front_join(struct cm_loop *loop, struct cm_stream *public_side,
                            const struct cm_rpc_front_head *head, const struct cm_rpc_private *to,
                            cm_splice_done_fn done, void *ctx, struct cm_splice **ret,
                            struct cm_err *err)
{
    if (!is_plain(head->key, "+/=", 64) || !names_subprotocol(head->protocol))
        return cm_err_set(
            err, CM_INVALID,
            "this path is for daemons: a WebSocket with the subprotocol " SUBPROTOCOL);
    int fd = connect_private(to);
    if (fd < 0)
        return cm_err_errno(err, CM_UNAVAILABLE, "connect to the RPC listener");
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(HEAD_MAX);
    cm_buf_printf(&out,
                  "GET " CM_RPC_PATH
                  " HTTP/1.1\r\nHost: %s:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                  "%.*s\r\nSec-WebSocket-Protocol: " SUBPROTOCOL "\r\n" RPC_HEADER_SECRET
                  ": %s\r\n" RPC_HEADER_ADDRESS ": %.*s\r\n\r\n",
                  to->v6 ? "[::1]" : "127.0.0.1", to->port, CM_STR_ARG(head->key), to->secret,
                  CM_STR_ARG(head->address));
    cm_assert(!out.failed); /* every part is bounded */
    struct cm_stream *private_side = cm_sock_stream_new(loop, fd, NULL, false);
    cm_stream_write(private_side, out.ptr, out.len);
    struct cm_splice *p = cm_splice_new(public_side, private_side, done, ctx);
    cm_splice_linger(p, CM_RPC_LINGER);
    if (ret)
        *ret = p;
    return CM_OK;
}

enum cm_code cm_rpc_front_splice(struct cm_loop *loop, struct cm_stream *public_side,
                                 const struct cm_rpc_front_head *head,
                                 const struct cm_rpc_private *to, cm_splice_done_fn done, void *ctx,
                                 struct cm_splice **ret, struct cm_err *err)
{
    /* Above all not RPC_ADDRESS_UNIX: that would make a built-in provisioner of whoever calls. */
    if (!is_plain(head->address, ".:%[]", RPC_ADDRESS_MAX - 1) ||
        cm_str_eq_c(head->address, RPC_ADDRESS_UNIX))
        return cm_err_set(err, CM_INTERNAL, "the client's address is not a numeric one");
    return rpc_front_join(loop, public_side, head, to, done, ctx, ret, err);
}
