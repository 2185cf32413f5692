#include "ssh/forward.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/dial/dial.h"
#include "net/sock.h"
#include "obs/log.h"
#include "ssh/bridge.h"
#include "ssh/rewrite.h"
#include "sys/fd.h"
#include "sys/fs.h"

#define LISTENERS_MAX   64
#define DIALS_MAX       256
#define DIAL_TIMEOUT    (30 * CM_SECOND)
#define OPEN_PACKET_MAX ((size_t)4096)
#define PACKET_OPEN     90
#define PACKET_GLOBAL   80
#define PACKET_KEXINIT  20
#define PACKET_NEWKEYS  21

/* Of libssh, not in its public headers, but in the static library. */
void ssh_packet_set_callbacks(ssh_session session, ssh_packet_callbacks callbacks);
int ssh_packet_channel_open(ssh_session session, uint8_t type, ssh_buffer packet, void *user);

/* A channel that the client wants to open, while we dial. libssh's message lives only as long as
 * its callback, so the answer is given by showing libssh the same packet again once it is known. */
struct dial {
    struct cm_link link;
    struct ssh_forwards *f;
    struct cm_buf packet;
    struct cm_dial *dial;
    struct cm_stream *stream;
    bool done;
};

struct listener {
    struct cm_link link;
    struct ssh_forwards *f;
    enum ssh_bridge_kind kind;
    char *address; /* as the client named it: its name for the listener; a path when it begins with
                      '/' */
    uint16_t port; /* the bound one */
    int fd[2];     /* localhost has two addresses */
    struct cm_watch watch[2];
};

struct ssh_forwards {
    struct ssh_conn *conn;
    struct cm_link listeners, dials;
    size_t listener_count, dial_count;
    ssh_packet_callback on_open, on_global, on_keys[2];
    struct ssh_packet_callbacks_struct open_cb, global_cb, keys_cb;
    struct cm_buf packet;   /* the last channel-open packet, as libssh sees it */
    struct dial *answering; /* libssh is being shown its packet again */
    bool answered;
    char *agent_dir, *agent_path;
};

/* Packets, before libssh sees them. */

static void replace(ssh_buffer packet, const struct cm_buf *with)
{
    ssh_buffer_reinit(packet);
    ssh_buffer_add_data(packet, with->ptr, (uint32_t)with->len);
}

static int on_open_packet(ssh_session s, uint8_t type, ssh_buffer packet, void *user)
{
    (void)s;
    (void)type;
    struct ssh_forwards *f = user;
    struct cm_str raw = cm_str_n(ssh_buffer_get(packet), ssh_buffer_get_len(packet));
    CM_AUTOBUF struct cm_buf other = CM_BUF_INIT(OPEN_PACKET_MAX);
    if (ssh_rewrite_channel_open(raw, &other)) {
        replace(packet, &other);
        raw = cm_buf_view(&other);
    }
    cm_buf_reset(&f->packet);
    cm_buf_str(&f->packet, raw); /* one that is too long is refused later */
    return SSH_PACKET_NOT_USED;
}

static int on_global_packet(ssh_session s, uint8_t type, ssh_buffer packet, void *user)
{
    (void)s;
    (void)type;
    (void)user;
    struct cm_str raw = cm_str_n(ssh_buffer_get(packet), ssh_buffer_get_len(packet));
    CM_AUTOBUF struct cm_buf other = CM_BUF_INIT(OPEN_PACKET_MAX);
    if (ssh_rewrite_global_request(raw, &other))
        replace(packet, &other);
    return SSH_PACKET_NOT_USED;
}

static int on_keys_packet(ssh_session s, uint8_t type, ssh_buffer packet, void *user)
{
    (void)s;
    (void)packet;
    struct ssh_forwards *f = user;
    f->conn->rekeying = type == PACKET_KEXINIT;
    return SSH_PACKET_NOT_USED;
}

/* Channels that the client opens. */

static void dial_free(struct dial *d)
{
    cm_list_unlink(&d->link);
    d->f->dial_count--;
    cm_dial_cancel(d->dial);
    cm_stream_close(d->stream);
    cm_buf_done(&d->packet);
    cm_free(d);
}

static void on_dialed(void *ctx, struct cm_stream *stream, const struct cm_err *err)
{
    struct dial *d = ctx;
    d->dial = NULL;
    d->stream = stream;
    d->done = true;
    if (!stream)
        CM_DEBUG("forwarded connection failed", CM_F_ERR(err));
    ssh_conn_flush(d->f->conn);
}

static bool dial_start(struct ssh_forwards *f, ssh_message msg)
{
    const char *host = ssh_message_channel_request_open_destination(msg);
    int port = ssh_message_channel_request_open_destination_port(msg);
    if (f->conn->cfg->block_local_forward || f->conn->ended || f->packet.failed ||
        f->dial_count >= DIALS_MAX || !host || f->conn->channel_count >= SSH_CHANNELS_MAX)
        return false;
    struct cm_dial_target target = {.host = host, .port = (uint16_t)port};
    if (host[0] == '/')
        target = (struct cm_dial_target){.host = "localhost", .unix_path = host};
    struct dial *d = cm_xcalloc(1, sizeof(*d));
    d->f = f;
    cm_buf_init(&d->packet, OPEN_PACKET_MAX);
    cm_buf_str(&d->packet, cm_buf_view(&f->packet));
    cm_list_push(&f->dials, &d->link);
    f->dial_count++;
    d->dial = cm_dial_start(f->conn->dialer, f->conn->loop, &target, DIAL_TIMEOUT, on_dialed, d);
    return true;
}

static bool answer_open(struct ssh_forwards *f, ssh_message msg)
{
    struct dial *d = f->answering;
    if (!d)
        return dial_start(f, msg);
    f->answered = true;
    if (!d->stream)
        return false;
    ssh_channel ch = ssh_message_channel_request_open_reply_accept(msg);
    if (ch)
        ssh_bridge_accepted(f->conn, ch, CM_TAKE(d->stream));
    return true;
}

void ssh_forwards_ready(struct ssh_forwards *f)
{
    CM_LIST_EACH(l, &f->dials)
    {
        struct dial *d = cm_container_of(l, struct dial, link);
        if (!d->done || f->conn->ended || f->answering)
            continue;
        ssh_buffer again = ssh_buffer_new();
        if (!again)
            continue;
        ssh_buffer_add_data(again, d->packet.ptr, (uint32_t)d->packet.len);
        f->answering = d;
        f->answered = false;
        ssh_packet_channel_open(f->conn->ssh, PACKET_OPEN, again, NULL);
        f->answering = NULL;
        ssh_buffer_free(again);
        if (f->answered) /* otherwise keys are being exchanged, and it is tried again after the next
                            packet */
            dial_free(d);
    }
}

/* Listeners. */

static void listener_free(struct listener *l)
{
    cm_list_unlink(&l->link);
    l->f->listener_count--;
    for (int i = 0; i < 2; i++) {
        cm_watch_stop(&l->watch[i]);
        cm_cleanup_fd(&l->fd[i]);
    }
    if (l->address[0] == '/')
        unlink(l->address);
    cm_free(l->address);
    cm_free(l);
}

static void on_accept(void *ctx, int fd)
{
    struct listener *l = ctx;
    struct ssh_conn *conn = l->f->conn;
    struct cm_addr from = {.len = sizeof(from.sa)};
    int got = cm_sock_accept(&l->watch[fd == l->fd[1]], fd, (struct sockaddr *)&from.sa, &from.len);
    if (got < 0)
        return;
    char text[CM_ADDR_TEXT] = "";
    uint16_t port = 0;
    if (from.sa.ss_family != AF_UNIX) {
        /* "1.2.3.4:5" or "[::1]:5": the protocol wants them apart and without brackets. */
        struct cm_str host, all = cm_str(cm_addr_format(&from, text));
        ptrdiff_t colon = cm_str_find_last(all, ':');
        if (colon > 0) {
            cm_ignore(!cm_str_to_u16(cm_str_sub(all, (size_t)colon + 1, all.len), &port),
                      "a number by construction");
            host = cm_str_sub(all, 0, (size_t)colon);
            if (host.len > 2 && host.ptr[0] == '[')
                host = cm_str_sub(host, 1, host.len - 2);
            memmove(text, host.ptr, host.len);
            text[host.len] = '\0';
        }
        cm_sock_tune(got);
    }
    struct cm_stream *s = cm_sock_stream_new(conn->loop, got, NULL, false);
    ssh_bridge_offer(conn, l->kind, l->address, l->address[0] == '/' ? 0 : l->port, text, port, s);
}

static struct listener *listener_new(struct ssh_forwards *f, enum ssh_bridge_kind kind,
                                     const char *address)
{
    struct listener *l = cm_xcalloc(1, sizeof(*l));
    l->f = f;
    l->kind = kind;
    l->address = cm_xstrdup(address);
    l->fd[0] = l->fd[1] = -1;
    cm_list_push(&f->listeners, &l->link);
    f->listener_count++;
    return l;
}

static void listener_watch(struct listener *l)
{
    for (int i = 0; i < 2; i++)
        if (l->fd[i] >= 0)
            cm_watch_start(&l->watch[i], l->f->conn->loop, l->fd[i], false, on_accept, l);
}

static int listen_tcp(const char *host, uint16_t *port)
{
    struct cm_addr a;
    if (!cm_addr_parse(host, *port, &a))
        return -1;
    CM_AUTOFD int fd = socket(a.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1, off = 0;
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    /* "::" stands for every address of both families here. */
    if (a.sa.ss_family == AF_INET6 && strcmp(host, "::") == 0)
        setsockopt(fd, IPPROTO_IPV6, 26 /* IPV6_V6ONLY */, &off, sizeof(off));
    if (bind(fd, (struct sockaddr *)&a.sa, a.len) < 0 || listen(fd, 128) < 0)
        return -1;
    struct cm_addr bound = {.len = sizeof(bound.sa)};
    char text[CM_ADDR_TEXT];
    if (getsockname(fd, (struct sockaddr *)&bound.sa, &bound.len) < 0)
        return -1;
    struct cm_str all = cm_str(cm_addr_format(&bound, text));
    if (!cm_str_to_u16(cm_str_sub(all, (size_t)cm_str_find_last(all, ':') + 1, all.len), port))
        return -1;
    return CM_TAKE_FD(fd);
}

static bool listen_address(struct listener *l, const char *address, uint16_t port)
{
    l->port = port;
    if (strcmp(address, "localhost") == 0) {
        l->fd[0] = listen_tcp("127.0.0.1", &l->port);
        uint16_t same = l->port;
        l->fd[1] = same ? listen_tcp("::1", &same) : -1;
    } else if (!*address || strcmp(address, "*") == 0 || strcmp(address, "0.0.0.0") == 0) {
        l->fd[0] = *address == '0' ? -1 : listen_tcp("::", &l->port);
        if (l->fd[0] < 0)
            l->fd[0] = listen_tcp("0.0.0.0", &l->port);
    } else {
        l->fd[0] = listen_tcp(address, &l->port);
    }
    return l->fd[0] >= 0 || l->fd[1] >= 0;
}

/* The folder is made ours alone where it is new; whatever has the name is replaced, as a socket
 * left behind by an earlier connection would otherwise be in the way for ever. */
static bool listen_path(struct listener *l, const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(sa.sun_path))
        return false;
    memcpy(sa.sun_path, path, strlen(path) + 1);
    CM_AUTO(cm_arena) a = cm_arena_new();
    if (cm_fs_mkdirs(cm_fs_dirname(a, path), 0700, NULL) != CM_OK || cm_fs_is_dir(path))
        return false;
    unlink(path);
    CM_AUTOFD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    mode_t old = umask(0177);
    int rc = bind(fd, (struct sockaddr *)&sa, sizeof(sa));
    umask(old);
    if (rc < 0 || listen(fd, 128) < 0)
        return false;
    l->fd[0] = CM_TAKE_FD(fd);
    return true;
}

static struct listener *listener_find(struct ssh_forwards *f, const char *address, int port)
{
    CM_LIST_EACH(l, &f->listeners)
    {
        struct listener *at = cm_container_of(l, struct listener, link);
        if (at->kind == SSH_BRIDGE_FORWARD && strcmp(at->address, address) == 0 &&
            (address[0] == '/' || at->port == port))
            return at;
    }
    return NULL;
}

static bool forward_start(struct ssh_forwards *f, const char *address, int port,
                          uint16_t *ret_bound)
{
    if (f->conn->cfg->block_remote_forward || port < 0 || port > 65535)
        return false;
    *ret_bound = (uint16_t)port;
    if (port && listener_find(f, address, port))
        return address[0] == '/'; /* the same path twice is fine; the same port is in use */
    if (f->listener_count >= LISTENERS_MAX)
        return false;
    struct listener *l = listener_new(f, SSH_BRIDGE_FORWARD, address);
    bool ok =
        address[0] == '/' ? listen_path(l, address) : listen_address(l, address, (uint16_t)port);
    if (!ok) {
        if (address[0] == '/')
            l->address[0] = '\0'; /* not ours to unlink */
        listener_free(l);
        return false;
    }
    *ret_bound = l->port;
    listener_watch(l);
    return true;
}

/* libssh has no accessor for the kind of a global request but the subtype. */
static bool answer_global(struct ssh_forwards *f, ssh_message msg)
{
    const char *address = ssh_message_global_request_address(msg);
    int port = ssh_message_global_request_port(msg);
    uint16_t bound = 0;
    if (!address)
        return false;
    if (ssh_message_subtype(msg) == SSH_GLOBAL_REQUEST_CANCEL_TCPIP_FORWARD) {
        struct listener *l = listener_find(f, address, port);
        if (!l)
            return false;
        listener_free(l);
    } else if (!forward_start(f, address, port, &bound)) {
        return false;
    }
    ssh_message_global_request_reply_success(msg, bound);
    return true;
}

bool ssh_forwards_message(struct ssh_forwards *f, ssh_message msg)
{
    if (ssh_message_type(msg) == SSH_REQUEST_CHANNEL_OPEN &&
        ssh_message_subtype(msg) == SSH_CHANNEL_DIRECT_TCPIP)
        return answer_open(f, msg);
    if (ssh_message_type(msg) == SSH_REQUEST_GLOBAL)
        return answer_global(f, msg);
    return false;
}

const char *ssh_forwards_agent(struct ssh_forwards *f)
{
    if (f->agent_path)
        return f->agent_path;
    if (cm_fs_temp_dir(NULL, "coder-agent-", &f->agent_dir, NULL) != CM_OK)
        return NULL;
    CM_AUTOFREE char *path = cm_xasprintf("%s/listener.sock", f->agent_dir);
    struct listener *l = listener_new(f, SSH_BRIDGE_AGENT, path);
    if (!listen_path(l, path)) {
        listener_free(l);
        return NULL;
    }
    listener_watch(l);
    f->agent_path = CM_TAKE(path);
    return f->agent_path;
}

/* Life. */

struct ssh_forwards *ssh_forwards_new(struct ssh_conn *conn)
{
    struct ssh_forwards *f = cm_xcalloc(1, sizeof(*f));
    f->conn = conn;
    cm_list_init(&f->listeners);
    cm_list_init(&f->dials);
    cm_buf_init(&f->packet, OPEN_PACKET_MAX);
    return f;
}

void ssh_forwards_attach(struct ssh_forwards *f)
{
    f->on_open = on_open_packet;
    f->on_global = on_global_packet;
    f->open_cb = (struct ssh_packet_callbacks_struct){
        .start = PACKET_OPEN, .n_callbacks = 1, .callbacks = &f->on_open, .user = f};
    f->global_cb = (struct ssh_packet_callbacks_struct){
        .start = PACKET_GLOBAL, .n_callbacks = 1, .callbacks = &f->on_global, .user = f};
    f->on_keys[0] = f->on_keys[1] = on_keys_packet;
    f->keys_cb = (struct ssh_packet_callbacks_struct){
        .start = PACKET_KEXINIT, .n_callbacks = 2, .callbacks = f->on_keys, .user = f};
    ssh_packet_set_callbacks(f->conn->ssh, &f->keys_cb);
    /* Asked in the order given, and libssh's own come with the client's banner. */
    ssh_packet_set_callbacks(f->conn->ssh, &f->open_cb);
    ssh_packet_set_callbacks(f->conn->ssh, &f->global_cb);
}

void ssh_forwards_stop(struct ssh_forwards *f)
{
    CM_LIST_EACH(l, &f->listeners)
    listener_free(cm_container_of(l, struct listener, link));
    CM_LIST_EACH(l, &f->dials)
    dial_free(cm_container_of(l, struct dial, link));
    if (f->agent_dir)
        rmdir(f->agent_dir);
}

void ssh_forwards_free(struct ssh_forwards *f)
{
    if (!f)
        return;
    ssh_forwards_stop(f);
    cm_free(f->agent_dir);
    cm_free(f->agent_path);
    cm_buf_done(&f->packet);
    cm_free(f);
}
