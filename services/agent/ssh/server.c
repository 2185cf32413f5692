#include "ssh/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "net/sock.h"
#include "net/ssh/hostkey.h"
#include "obs/log.h"
#include "ssh/child.h"
#include "sys/child.h"

#define CONNECTIONS_MAX 256
#define SESSIONS_MAX    64 /* counted in each connection */
#define EVENT_MAX       ((uint32_t)1024)
#define SOCKET_BYTES    (1024 * 1024) /* of the pair's buffers: fewer wake-ups for bulk transfers */

struct connection {
    struct cm_link link;
    struct ssh_server *server;
    struct cm_child *child;
    struct cm_watch exit;
    struct cm_splice *splice;
    struct cm_stream *control;
    bool exited;
    int64_t *counted[SESSIONS_MAX]; /* by session number: the counter that it is in */
    uint8_t frame[EVENT_MAX + 4];
    size_t have;
};

struct ssh_server {
    const struct agent_context *ctx;
    struct agent_counters *counters;
    struct cm_link connections;
    size_t count;
    bool stopping;
    struct cm_timer grace;
    void (*stopped)(void *ctx);
    void *stopped_ctx;
};

static void stop_settle(struct ssh_server *s)
{
    if (!s->stopping || !s->stopped || s->count)
        return;
    void (*fn)(void *) = s->stopped;
    s->stopped = NULL;
    cm_timer_stop(&s->grace);
    fn(s->stopped_ctx);
}

static void connection_free(struct connection *c)
{
    struct ssh_server *s = c->server;
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (c->counted[i])
            --*c->counted[i];
    cm_list_unlink(&c->link);
    s->count--;
    s->counters->connections--;
    cm_splice_abort(c->splice);
    cm_stream_close(c->control);
    cm_watch_stop(&c->exit);
    cm_child_free(c->child);
    cm_free(c);
}

static void connection_end(struct connection *c)
{
    struct ssh_server *s = c->server;
    connection_free(c);
    stop_settle(s);
}

static void on_spliced(void *ctx, uint64_t from_client, uint64_t to_client)
{
    struct connection *c = ctx;
    c->splice = NULL;
    c->server->counters->rx_bytes += (int64_t)from_client;
    c->server->counters->tx_bytes += (int64_t)to_client;
    if (c->exited)
        connection_end(c);
}

static void on_exit_fd(void *ctx, int fd)
{
    (void)fd;
    struct connection *c = ctx;
    struct cm_child_status st;
    if (!cm_child_reap(c->child, &st))
        return;
    if (st.signo || st.code)
        CM_WARN("an ssh connection's process has failed",
                CM_F_INT(exit_code, cm_child_status_shell(st)));
    cm_watch_stop(&c->exit);
    c->exited = true;
    /* Its last bytes may still be on their way through us: then the end of the splice is the
     * connection's. */
    if (!c->splice)
        connection_end(c);
}

static int64_t *counter_of(struct agent_counters *c, const char *type)
{
    if (type && strcmp(type, "vscode") == 0)
        return &c->vscode;
    if (type && strcmp(type, "jetbrains") == 0)
        return &c->jetbrains;
    return &c->ssh;
}

static void on_event(struct connection *c, const Coder__Agent__V1__SshChildEvent *e)
{
    int64_t **slot = &c->counted[e->session % SESSIONS_MAX];
    switch (e->kind) {
    case CODER__AGENT__V1__SSH_CHILD_EVENT_KIND__SSH_CHILD_SESSION_BEGIN:
        if (!*slot) {
            *slot = counter_of(c->server->counters, e->type);
            ++**slot;
        }
        break;
    case CODER__AGENT__V1__SSH_CHILD_EVENT_KIND__SSH_CHILD_SESSION_END:
        if (*slot) {
            --**slot;
            *slot = NULL;
        }
        break;
    default: /* one that only a newer child would send; the enum is protobuf's */
        break;
    }
}

/* Reads until need bytes of the frame are there. */
static bool fill(struct connection *c, size_t need)
{
    c->have += cm_stream_read(c->control, c->frame + c->have, need - c->have);
    return c->have == need;
}

static void on_control(struct cm_stream *stream, enum cm_stream_event ev, void *ctx)
{
    (void)stream;
    struct connection *c = ctx;
    if (ev != CM_STREAM_DATA)
        return;
    for (;;) {
        uint32_t be;
        if (c->have < sizeof(be) && !fill(c, sizeof(be)))
            return;
        memcpy(&be, c->frame, sizeof(be));
        uint32_t n = ntohl(be);
        if (n > EVENT_MAX) {
            cm_stream_close(c->control);
            c->control = NULL;
            return;
        }
        if (!fill(c, sizeof(be) + n))
            return;
        c->have = 0;
        Coder__Agent__V1__SshChildEvent *e =
            coder__agent__v1__ssh_child_event__unpack(NULL, n, c->frame + sizeof(be));
        if (!e)
            continue;
        on_event(c, e);
        coder__agent__v1__ssh_child_event__free_unpacked(e, NULL);
    }
}

/* Owner, workspace and agent together: the same after a rebuild, so that clients do not warn of a
 * changed key. */
static void host_key_seed(const Coder__Agent__V1__Manifest *m, uint8_t seed[CM_SSH_SEED])
{
    struct cm_str names[] = {cm_str(m->owner_name), cm_str(m->workspace_name),
                             cm_str(m->agent_name), cm_str_n(m->owner_id.data, m->owner_id.len),
                             cm_str_n(m->workspace_id.data, m->workspace_id.len)};
    cm_ssh_seed_of(names, CM_COUNT_OF(names), seed);
}

static void send_config(struct connection *c)
{
    const struct agent_context *ctx = c->server->ctx;
    const Coder__Agent__V1__Manifest *m = ctx->manifest;
    uint8_t seed[CM_SSH_SEED];
    host_key_seed(m, seed);
    union {
        const Coder__Agent__V1__CommandEnvironment *in;
        Coder__Agent__V1__CommandEnvironment *out;
    } env = {.in = ctx->environment};
    Coder__Agent__V1__SshChildConfig cfg = CODER__AGENT__V1__SSH_CHILD_CONFIG__INIT;
    cfg.environment = env.out;
    cfg.host_key_seed = (ProtobufCBinaryData){.len = sizeof(seed), .data = seed};
    cfg.motd_file = m->motd_file;
    cfg.banners = m->announcement_banners;
    cfg.n_banners = m->n_announcement_banners;
    cfg.has_block_file_transfer = cfg.has_block_local_forward = cfg.has_block_remote_forward = true;
    cfg.block_file_transfer = ctx->opt->block_file_transfer;
    cfg.block_local_forward = ctx->opt->block_local_forward;
    cfg.block_remote_forward = ctx->opt->block_remote_forward;
    cfg.has_max_timeout_us = true;
    cfg.max_timeout_us = ctx->opt->ssh_max_timeout;
    size_t n = coder__agent__v1__ssh_child_config__get_packed_size(&cfg);
    uint8_t *frame = cm_xmalloc(n + 4);
    uint32_t be = htonl((uint32_t)n);
    memcpy(frame, &be, 4);
    coder__agent__v1__ssh_child_config__pack(&cfg, frame + 4);
    cm_stream_write(c->control, frame, n + 4);
    cm_free(frame);
}

static enum cm_code start_child(int stream_fd, int control_fd, struct cm_child **ret,
                                struct cm_err *err)
{
    static const char *const argv[] = {"coder", "agent", SSH_CHILD_COMMAND, NULL};
    struct cm_child_spec spec = {
        .argv = argv,
        .program = "/proc/self/exe", /* still this program after its file was replaced */
        .std = {[2] = {.kind = CM_CHILD_INHERIT}},
        .extra = {{.fd = stream_fd, .child_fd = SSH_CHILD_STREAM_FD},
                  {.fd = control_fd, .child_fd = SSH_CHILD_CONTROL_FD}},
        .extra_count = 2,
        .new_session = true,
    };
    return cm_child_start(&spec, ret, err);
}

enum cm_code ssh_server_check(const struct ssh_server *s, struct cm_err *err)
{
    if (s->stopping)
        return cm_err_set(err, CM_UNAVAILABLE, "the agent is shutting down");
    if (!s->ctx->manifest)
        return cm_err_set(err, CM_UNAVAILABLE, "the agent has no manifest yet");
    if (s->count >= CONNECTIONS_MAX)
        return cm_err_set(err, CM_UNAVAILABLE, "the agent serves %d ssh connections already",
                          CONNECTIONS_MAX);
    return CM_OK;
}

enum cm_code ssh_server_accept(struct ssh_server *s, struct cm_stream *stream, struct cm_err *err)
{
    struct cm_child *child = NULL;
    int data[2], control[2];
    enum cm_code code = ssh_server_check(s, err);
    if (code == CM_OK && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, data) < 0)
        code = cm_err_errno(err, CM_UNAVAILABLE, "make a socket pair");
    if (code != CM_OK) {
        cm_stream_close(stream);
        return code;
    }
    CM_AUTOFD int data_ours = data[0];
    CM_AUTOFD int data_theirs = data[1];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) < 0) {
        cm_stream_close(stream);
        return cm_err_errno(err, CM_UNAVAILABLE, "make a socket pair");
    }
    CM_AUTOFD int control_ours = control[0];
    CM_AUTOFD int control_theirs = control[1];
    for (int i = 0; i < 2; i++) {
        int bytes = SOCKET_BYTES;
        setsockopt(data[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    }
    code = start_child(data_theirs, control_theirs, &child, err);
    if (code != CM_OK) {
        cm_stream_close(stream);
        return cm_err_wrap(err, "serve ssh");
    }
    struct connection *c = cm_xcalloc(1, sizeof(*c));
    c->server = s;
    c->child = child;
    c->control = cm_sock_stream_new(s->ctx->loop, CM_TAKE_FD(control_ours), NULL, false);
    cm_stream_set_fn(c->control, on_control, c);
    struct cm_stream *to_child =
        cm_sock_stream_new(s->ctx->loop, CM_TAKE_FD(data_ours), NULL, false);
    c->splice = cm_splice_new(stream, to_child, on_spliced, c);
    cm_watch_start(&c->exit, s->ctx->loop, cm_child_exit_fd(child), false, on_exit_fd, c);
    cm_list_push(&s->connections, &c->link);
    s->count++;
    s->counters->connections++;
    send_config(c);
    return CM_OK;
}

static void on_grace(void *ctx)
{
    struct ssh_server *s = ctx;
    CM_LIST_EACH(l, &s->connections)
    connection_free(cm_container_of(l, struct connection, link));
    stop_settle(s);
}

void ssh_server_stop(struct ssh_server *s, cm_usec grace, void (*done)(void *ctx), void *ctx)
{
    s->stopping = true;
    s->stopped = done;
    s->stopped_ctx = ctx;
    cm_timer_start(&s->grace, s->count ? grace : 0);
}

struct ssh_server *ssh_server_new(const struct agent_context *ctx, struct agent_counters *counters)
{
    struct ssh_server *s = cm_xcalloc(1, sizeof(*s));
    s->ctx = ctx;
    s->counters = counters;
    cm_list_init(&s->connections);
    cm_timer_init(&s->grace, ctx->loop, on_grace, s);
    return s;
}

void ssh_server_free(struct ssh_server *s)
{
    if (!s)
        return;
    CM_LIST_EACH(l, &s->connections)
    connection_free(cm_container_of(l, struct connection, link));
    cm_timer_done(&s->grace);
    cm_free(s);
}
