#include "ssh/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/ssh/hostkey.h"
#include "obs/log.h"
#include "env/environ.h"
#include "ssh/forward.h"
#include "ssh/session.h"
#include "sys/fd.h"

#define PUMP_ROUNDS 64 /* packets' worth of reading before others get a turn */

/* AES-GCM first where the server has a say; ChaCha for machines without AES instructions, CTR for
 * old clients. */
#define CIPHERS                                                                                    \
    "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,"                 \
    "aes128-ctr,aes192-ctr,aes256-ctr"
#define MACS                                                                                       \
    "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"

static void conn_end(struct ssh_conn *c)
{
    if (c->ended)
        return;
    c->ended = true;
    CM_DEBUG("ssh connection over", CM_F_CSTR(reason, ssh_get_error(c->ssh)));
    cm_watch_stop(&c->readable);
    cm_watch_stop(&c->writable);
    CM_LIST_EACH(l, &c->channels)
    {
        struct ssh_chan *ch = cm_container_of(l, struct ssh_chan, link);
        if (!ch->released && !ch->remote_closed) {
            ch->remote_closed = true;
            ch->ops->close(ch);
        }
    }
    ssh_forwards_stop(c->forwards);
}

bool ssh_conn_can_send(const struct ssh_conn *c)
{
    return !c->ended && !c->rekeying && !(ssh_get_poll_flags(c->ssh) & SSH_WRITE_PENDING);
}

static void on_writable(void *ctx, int fd)
{
    (void)fd;
    ssh_conn_flush(ctx);
}

static void watch_writable(struct ssh_conn *c)
{
    bool want = !c->ended && (ssh_get_poll_flags(c->ssh) & SSH_WRITE_PENDING);
    if (want && !c->wants_write)
        cm_watch_start(&c->writable, c->loop, c->fd, true, on_writable, c);
    if (!want && c->wants_write)
        cm_watch_stop(&c->writable);
    c->wants_write = want;
}

static void pump(struct ssh_conn *c)
{
    int rc = SSH_OK;
    for (int i = 0; i < PUMP_ROUNDS && rc != SSH_AGAIN && rc != SSH_ERROR; i++) {
        rc = ssh_event_dopoll(c->event, 0);
        if (rc != SSH_AGAIN)
            c->last_input = cm_monotonic_now();
    }
    if (rc == SSH_ERROR || !ssh_is_connected(c->ssh) ||
        (ssh_get_status(c->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)))
        conn_end(c);
}

void ssh_conn_flush(struct ssh_conn *c)
{
    if (c->in_flush || c->ended)
        return;
    c->in_flush = true;
    pump(c);
    ssh_forwards_ready(c->forwards);
    CM_LIST_EACH(l, &c->channels)
    {
        struct ssh_chan *ch = cm_container_of(l, struct ssh_chan, link);
        /* One that sends until the socket is full leaves the rest to the next turn, in which it
         * comes last. */
        if (!ch->released && !c->ended)
            ch->ops->ready(ch);
    }
    if (!c->ended && c->channels.next != c->channels.prev) {
        struct cm_link *first = cm_list_pop(&c->channels);
        cm_list_push(&c->channels, first);
    }
    watch_writable(c);
    c->in_flush = false;
}

static void on_readable(void *ctx, int fd)
{
    (void)fd;
    ssh_conn_flush(ctx);
}

/* Channels. */

static int on_channel_data(ssh_session s, ssh_channel ch, void *data, uint32_t len, int is_stderr,
                           void *ctx)
{
    (void)s;
    (void)ch;
    struct ssh_chan *c = ctx;
    if (c->released || is_stderr)
        return (int)len; /* clients have no stderr: thrown away */
    return (int)c->ops->data(c, data, len);
}

static void on_channel_eof(ssh_session s, ssh_channel ch, void *ctx)
{
    (void)s;
    (void)ch;
    struct ssh_chan *c = ctx;
    c->remote_eof = true;
    if (!c->released)
        c->ops->eof(c);
}

static void on_channel_close(ssh_session s, ssh_channel ch, void *ctx)
{
    (void)s;
    (void)ch;
    struct ssh_chan *c = ctx;
    if (c->released || c->remote_closed)
        return;
    c->remote_closed = true;
    c->ops->close(c);
}

void ssh_chan_init(struct ssh_chan *c, struct ssh_conn *conn, ssh_channel ch,
                   const struct ssh_chan_ops *ops)
{
    c->conn = conn;
    c->ch = ch;
    c->ops = ops;
    c->cb.userdata = c;
    c->cb.channel_data_function = on_channel_data;
    c->cb.channel_eof_function = on_channel_eof;
    c->cb.channel_close_function = on_channel_close;
    ssh_callbacks_init(&c->cb);
    ssh_set_channel_callbacks(ch, &c->cb);
    cm_list_push(&conn->channels, &c->link);
    conn->channel_count++;
}

static void chan_reap(void *arg)
{
    struct ssh_chan *c = arg;
    struct ssh_conn *conn = c->conn;
    cm_list_unlink(&c->link);
    conn->channel_count--;
    ssh_remove_channel_callbacks(c->ch, &c->cb);
    ssh_channel_free(c->ch);
    c->ch = NULL;
    c->ops->free(c);
    ssh_conn_flush(conn);
}

void ssh_chan_release(struct ssh_chan *c)
{
    cm_assert(!c->released);
    c->released = true;
    /* Not now: libssh, or a walk over the channels, may have it in its hands. */
    cm_loop_post(c->conn->loop, chan_reap, c);
}

size_t ssh_chan_room(const struct ssh_chan *c)
{
    if (c->released || !ssh_conn_can_send(c->conn))
        return 0;
    return CM_MIN((size_t)ssh_channel_window_size(c->ch), SSH_CHUNK);
}

ptrdiff_t ssh_chan_send(struct ssh_chan *c, const void *data, size_t len, bool is_stderr)
{
    if (c->released || c->remote_closed || c->conn->ended)
        return -1;
    uint32_t n = (uint32_t)CM_MIN(len, (size_t)ssh_channel_window_size(c->ch));
    if (!n)
        return 0;
    /* Also 0 while keys are being exchanged. */
    int sent =
        is_stderr ? ssh_channel_write_stderr(c->ch, data, n) : ssh_channel_write(c->ch, data, n);
    return sent < 0 ? -1 : sent;
}

size_t ssh_chan_take(struct ssh_chan *c, void *out, size_t max)
{
    if (c->released)
        return 0;
    int n = ssh_channel_read_nonblocking(c->ch, out, (uint32_t)max, 0);
    return n > 0 ? (size_t)n : 0;
}

/* The connection. */

static int on_auth_none(ssh_session s, const char *user, void *ctx)
{
    (void)s;
    (void)user;
    (void)ctx;
    return SSH_AUTH_SUCCESS; /* whoever opened the stream was authorised for it before */
}

static ssh_channel on_open_session(ssh_session s, void *ctx)
{
    struct ssh_conn *c = ctx;
    if (c->channel_count >= SSH_CHANNELS_MAX)
        return NULL;
    ssh_channel ch = ssh_channel_new(s);
    if (ch)
        ssh_session_chan_new(c, ch);
    return ch;
}

static int on_message(ssh_session s, ssh_message msg, void *ctx)
{
    (void)s;
    struct ssh_conn *c = ctx;
    return ssh_forwards_message(c->forwards, msg) ? 0 : 1; /* 1: libssh refuses it */
}

static enum cm_code import_key(ssh_bind bind, const Coder__Agent__V1__SshChildConfig *cfg,
                               struct cm_err *err)
{
    if (cfg->host_key_seed.len != CM_SSH_SEED)
        return cm_err_set(err, CM_INVALID, "the host key's seed has %zu bytes, not %d",
                          cfg->host_key_seed.len, CM_SSH_SEED);
    CM_AUTOBUF struct cm_buf pem = CM_BUF_INIT(4096);
    pem.wipe = true;
    enum cm_code code = cm_ssh_key_from_seed(cfg->host_key_seed.data, &pem, err);
    if (code != CM_OK)
        return code;
    ssh_key key = NULL;
    if (ssh_pki_import_privkey_base64(pem.ptr, NULL, NULL, NULL, &key) != SSH_OK)
        return cm_err_set(err, CM_INTERNAL, "libssh does not take the host key");
    if (ssh_bind_options_set(bind, SSH_BIND_OPTIONS_IMPORT_KEY, key) != SSH_OK) {
        ssh_key_free(key);
        return cm_err_set(err, CM_INTERNAL, "libssh does not take the host key: %s",
                          ssh_get_error(bind));
    }
    return CM_OK; /* the bind object owns the key now */
}

static enum cm_code start_libssh(struct ssh_conn *c, struct cm_err *err)
{
    ssh_bind bind = ssh_bind_new();
    c->ssh = ssh_new();
    c->event = ssh_event_new();
    cm_assert(bind && c->ssh && c->event);
    bool config = false;
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &config);
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_BANNER, "Coder");
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_CIPHERS_C_S, CIPHERS);
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_CIPHERS_S_C, CIPHERS);
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_HMAC_C_S, MACS);
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_HMAC_S_C, MACS);
    enum cm_code code = import_key(bind, c->cfg, err);
    if (code == CM_OK && ssh_bind_accept_fd(bind, c->ssh, c->fd) != SSH_OK)
        code = cm_err_set(err, CM_INTERNAL, "libssh does not take the connection: %s",
                          ssh_get_error(bind));
    ssh_bind_free(bind);
    if (code != CM_OK)
        return code;

    ssh_callbacks_init(&c->server_cb);
    c->server_cb.userdata = c;
    c->server_cb.auth_none_function = on_auth_none;
    c->server_cb.channel_open_request_session_function = on_open_session;
    ssh_set_server_callbacks(c->ssh, &c->server_cb);
    ssh_set_message_callback(c->ssh, on_message, c);
    ssh_set_auth_methods(c->ssh, SSH_AUTH_METHOD_NONE);
    ssh_set_blocking(c->ssh, 0);
    ssh_forwards_attach(c->forwards);
    cm_fd_nonblock(c->fd, true);
    /* Only begins: the rest happens as packets come. */
    if (ssh_handle_key_exchange(c->ssh) == SSH_ERROR)
        return cm_err_set(err, CM_PROTOCOL, "SSH key exchange: %s", ssh_get_error(c->ssh));
    if (ssh_event_add_session(c->event, c->ssh) != SSH_OK)
        return cm_err_set(err, CM_INTERNAL, "libssh does not give its socket away");
    return CM_OK;
}

/* The configured limit becomes keepalives, three to the limit, so that an idle but living client
 * stays; below 3 s it is a hard cap. */
static void on_alive(void *ctx)
{
    struct ssh_conn *c = ctx;
    cm_usec limit = c->cfg->max_timeout_us;
    cm_usec silent = cm_monotonic_now() - c->last_input;
    if (limit < 3 * CM_SECOND || silent >= limit) {
        conn_end(c);
        return;
    }
    ssh_send_keepalive(c->ssh);
    ssh_conn_flush(c);
}

enum cm_code ssh_conn_new(struct cm_loop *loop, struct cm_arena *arena,
                          const Coder__Agent__V1__SshChildConfig *cfg, const char *const *base_env,
                          struct cm_dialer *dialer, int fd, int control_fd, struct ssh_conn **ret,
                          struct cm_err *err)
{
    struct ssh_conn *c = cm_xcalloc(1, sizeof(*c));
    c->loop = loop;
    c->arena = arena;
    c->cfg = cfg;
    c->base_env = base_env;
    c->dialer = dialer;
    c->fd = fd;
    c->control_fd = control_fd;
    c->user = environ_user(arena, base_env);
    c->last_input = cm_monotonic_now();
    cm_list_init(&c->channels);
    c->forwards = ssh_forwards_new(c);
    cm_timer_init(&c->alive, loop, on_alive, c);
    enum cm_code code = start_libssh(c, err);
    if (code != CM_OK) {
        c->ended = true;
        ssh_conn_free(c);
        return code;
    }
    *ret = c;
    return CM_OK;
}

void ssh_conn_run(struct ssh_conn *c)
{
    cm_watch_start(&c->readable, c->loop, c->fd, false, on_readable, c);
    if (c->cfg->max_timeout_us > 0)
        cm_timer_every(&c->alive, c->cfg->max_timeout_us < 3 * CM_SECOND
                                      ? c->cfg->max_timeout_us
                                      : c->cfg->max_timeout_us / 3);
    ssh_conn_flush(c);
    while (!c->ended)
        cm_loop_turn(c->loop, CM_MINUTE);
    /* What was told to end gets a moment to do so. */
    cm_usec until = cm_monotonic_now() + 5 * CM_SECOND;
    while (!cm_list_empty(&c->channels) && cm_monotonic_now() < until)
        cm_loop_turn(c->loop, 100 * CM_MSEC);
}

void ssh_conn_free(struct ssh_conn *c)
{
    cm_timer_done(&c->alive);
    cm_watch_stop(&c->readable);
    cm_watch_stop(&c->writable);
    ssh_forwards_free(c->forwards);
    if (c->event) {
        ssh_event_remove_session(c->event, c->ssh);
        ssh_event_free(c->event);
    }
    ssh_free(c->ssh); /* closes fd */
    cm_cleanup_fd(&c->control_fd);
    cm_free(c);
}

void ssh_conn_event(struct ssh_conn *c, const Coder__Agent__V1__SshChildEvent *e)
{
    if (c->control_fd < 0)
        return;
    uint8_t frame[512];
    size_t n = coder__agent__v1__ssh_child_event__get_packed_size(e);
    if (n > sizeof(frame) - 4)
        return;
    uint32_t be = htonl((uint32_t)n);
    memcpy(frame, &be, 4);
    coder__agent__v1__ssh_child_event__pack(e, frame + 4);
    /* Statistics are not worth waiting for: an agent that does not read gets none. */
    if (send(c->control_fd, frame, n + 4, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)(n + 4)) {
        close(c->control_fd);
        c->control_fd = -1;
    }
}
