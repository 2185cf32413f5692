#include "ssh/session.h"

#include <signal.h>
#include <unistd.h>

#include "ssh/forward.h"
#include "ssh/launch.h"
#include "ssh/sftp.h"
#include "ssh/stdio.h"
#include "sys/child.h"
#include "sys/pty.h"
#include "sys/signals.h"

#define CLIENT_ENV_MAX       256
#define CLIENT_ENV_BYTES_MAX ((size_t)128 * 1024)
/* What a terminal still holds after its program has ended arrives a little later than the news of
 * the end. While something else keeps the terminal open there is no end of file, so the wait must
 * end by itself. */
#define TTY_DRAIN    (50 * CM_MSEC)
#define HANGUP_GRACE (2 * CM_SECOND)

#define EXIT_INTERNAL 229
#define EXIT_BLOCKED  65

struct session {
    struct ssh_chan chan; /* first */
    struct cm_arena *arena;
    struct ssh_launch launch;
    size_t env_bytes;
    int master; /* the terminal's, borrowed from io; -1: none */
    struct ssh_stdio io;
    struct ssh_sftp *sftp;
    struct cm_child *child;
    struct cm_watch exit_watch;
    struct cm_timer timer; /* terminal drained, or patience with a hangup over */
    struct cm_child_status status;
    uint32_t number;
    bool started, exited, drained, hung_up;
    int forced_exit; /* >= 0: no command, just this exit status */
};

static struct session *session_of(struct ssh_chan *c)
{
    return cm_container_of(c, struct session, chan);
}

static void report(struct session *s, Coder__Agent__V1__SshChildEventKind kind, int code)
{
    char type[16];
    Coder__Agent__V1__SshChildEvent e = CODER__AGENT__V1__SSH_CHILD_EVENT__INIT;
    e.kind = kind;
    e.session = s->number;
    e.type = type;
    memcpy(type, s->launch.type, sizeof(type));
    e.has_pty = e.has_exit_code = true;
    e.pty = s->launch.pty;
    e.exit_code = code;
    ssh_conn_event(s->chan.conn, &e);
}

static void send_exit(struct session *s)
{
    int shell_code = s->forced_exit >= 0 ? s->forced_exit : cm_child_status_shell(s->status);
    const char *name = s->forced_exit >= 0 ? NULL : cm_signal_name(s->status.signo);
    if (!s->chan.remote_closed && !s->chan.conn->ended) {
        ssh_channel_send_eof(s->chan.ch);
        if (name)
            ssh_channel_request_send_exit_signal(s->chan.ch, name, s->status.core_dumped, "", "");
        else
            ssh_channel_request_send_exit_status(s->chan.ch, shell_code);
    }
    report(s, CODER__AGENT__V1__SSH_CHILD_EVENT_KIND__SSH_CHILD_SESSION_END, shell_code);
    ssh_chan_release(&s->chan);
}

/* Has everything happened that had to? Then the channel goes. */
static void settle(struct session *s)
{
    if (s->chan.released || !s->started)
        return;
    if (s->sftp) {
        if (s->chan.remote_closed || ssh_sftp_ended(s->sftp))
            send_exit(s);
        return;
    }
    if (s->chan.remote_closed) {
        /* A command without a terminal is left to itself, once it has all its input; one with a
         * terminal must end. */
        bool waiting = s->launch.pty ? !s->exited && s->child : ssh_stdio_input_pending(&s->io);
        if (!waiting || (s->chan.conn->ended && !s->launch.pty))
            send_exit(s);
        return;
    }
    if (s->child && !s->exited)
        return;
    if (s->launch.pty && s->child && s->drained)
        ssh_stdio_stop_output(&s->io);
    if (ssh_stdio_output_ended(&s->io))
        send_exit(s);
}

static void on_io_ended(struct ssh_stdio *io)
{
    settle(cm_container_of(io, struct session, io));
}

static void on_timer(void *ctx)
{
    struct session *s = ctx;
    if (s->hung_up && !s->exited) {
        cm_child_signal(s->child, SIGKILL);
        return;
    }
    if (ssh_stdio_output_waiting(&s->io)) { /* a slow client: the rest is still to come */
        cm_timer_start(&s->timer, TTY_DRAIN);
        return;
    }
    s->drained = true;
    settle(s);
    ssh_conn_flush(s->chan.conn);
}

static void on_exit_fd(void *ctx, int fd)
{
    (void)fd;
    struct session *s = ctx;
    if (!cm_child_reap(s->child, &s->status))
        return;
    cm_watch_stop(&s->exit_watch);
    s->exited = true;
    if (s->launch.pty)
        cm_timer_start(&s->timer, TTY_DRAIN);
    settle(s);
    ssh_conn_flush(s->chan.conn);
}

/* Ends a session that never got a command: text to the client, then this exit status. */
static void refuse(struct session *s, int code, const char *text)
{
    s->started = true;
    s->forced_exit = code;
    if (text) {
        bool tty = s->launch.pty;
        ssh_stdio_say(&s->io, cm_str(text), !tty);
        ssh_stdio_say(&s->io, tty ? CM_STR("\r\n") : CM_STR("\n"), !tty);
    }
}

static void start(struct session *s, const char *command)
{
    struct ssh_conn *conn = s->chan.conn;
    struct cm_err err;
    s->number = ++conn->sessions;
    ssh_launch_prepare(&s->launch, conn);
    report(s, CODER__AGENT__V1__SSH_CHILD_EVENT_KIND__SSH_CHILD_SESSION_BEGIN, 0);
    if (ssh_launch_blocked(conn->cfg, command)) {
        refuse(s, EXIT_BLOCKED, "File transfer is disabled in this deployment.");
        return;
    }
    struct ssh_launched got;
    if (ssh_launch(&s->launch, conn, command, &got, &err) != CM_OK) {
        refuse(s, EXIT_INTERNAL, err.text);
        return;
    }
    s->started = true;
    s->child = got.child;
    s->master = s->launch.pty ? got.out_fd : -1;
    if (s->launch.pty)
        ssh_stdio_say(&s->io, ssh_launch_greeting(&s->launch, conn, command), false);
    ssh_stdio_start(&s->io, got.in_fd, got.out_fd, got.err_fd, s->launch.pty);
    cm_watch_start(&s->exit_watch, conn->loop, cm_child_exit_fd(s->child), false, on_exit_fd, s);
}

/* Requests of the client; 0 is yes. */

static int on_env(ssh_session ssh, ssh_channel ch, const char *name, const char *value, void *ctx)
{
    (void)ssh;
    (void)ch;
    struct session *s = session_of(ctx);
    size_t bytes = strlen(name) + strlen(value);
    if (s->started || s->launch.env_count >= CLIENT_ENV_MAX ||
        s->env_bytes + bytes > CLIENT_ENV_BYTES_MAX)
        return 1;
    s->env_bytes += bytes;
    ssh_launch_env(&s->launch, cm_str(name), cm_str(value));
    return 0;
}

static int on_pty(ssh_session ssh, ssh_channel ch, const char *term, int width, int height, int px,
                  int py, void *ctx)
{
    (void)ssh;
    (void)ch;
    struct session *s = session_of(ctx);
    if (s->started || s->launch.pty || strlen(term) > 128)
        return 1;
    s->launch.pty = true;
    s->launch.term = cm_arena_cstr(s->arena, cm_str(term));
    s->launch.cols = (unsigned)width;
    s->launch.rows = (unsigned)height;
    s->launch.xpixel = (unsigned)px;
    s->launch.ypixel = (unsigned)py;
    return 0;
}

static int on_window(ssh_session ssh, ssh_channel ch, int width, int height, int px, int py,
                     void *ctx)
{
    (void)ssh;
    (void)ch;
    struct session *s = session_of(ctx);
    s->launch.cols = (unsigned)width;
    s->launch.rows = (unsigned)height;
    if (s->master >= 0 && s->io.out[0].fd == s->master)
        cm_pty_resize(s->master, (unsigned)height, (unsigned)width, (unsigned)px, (unsigned)py);
    return 0;
}

static int on_shell(ssh_session ssh, ssh_channel ch, void *ctx)
{
    (void)ssh;
    (void)ch;
    struct session *s = session_of(ctx);
    if (s->started)
        return 1;
    start(s, NULL);
    return 0;
}

static int on_exec(ssh_session ssh, ssh_channel ch, const char *command, void *ctx)
{
    (void)ssh;
    (void)ch;
    struct session *s = session_of(ctx);
    if (s->started)
        return 1;
    start(s, *command ? command : NULL);
    return 0;
}

static int on_subsystem(ssh_session ssh, ssh_channel ch, const char *name, void *ctx)
{
    (void)ssh;
    (void)ch;
    struct session *s = session_of(ctx);
    if (s->started)
        return 1;
    struct ssh_conn *conn = s->chan.conn;
    s->number = ++conn->sessions;
    ssh_launch_prepare(&s->launch, conn);
    report(s, CODER__AGENT__V1__SSH_CHILD_EVENT_KIND__SSH_CHILD_SESSION_BEGIN, 0);
    if (strcmp(name, "sftp") != 0) {
        refuse(s, 1, NULL);
    } else if (conn->cfg->block_file_transfer) {
        refuse(s, EXIT_BLOCKED, NULL);
    } else {
        s->started = true;
        s->forced_exit = 0;
        s->sftp = ssh_sftp_new(&s->chan, ssh_launch_directory(&s->launch, conn));
    }
    return 0;
}

static void on_signal(ssh_session ssh, ssh_channel ch, const char *name, void *ctx)
{
    (void)ssh;
    (void)ch;
    struct session *s = session_of(ctx);
    int signo = cm_signal_by_name(cm_str(name));
    if (signo && s->child && !s->exited)
        cm_child_signal(s->child, signo);
}

static void on_agent_request(ssh_session ssh, ssh_channel ch, void *ctx)
{
    (void)ssh;
    (void)ch;
    struct session *s = session_of(ctx);
    const char *path = s->started ? NULL : ssh_forwards_agent(s->chan.conn->forwards);
    if (path)
        ssh_launch_env(&s->launch, CM_STR("SSH_AUTH_SOCK"), cm_str(path));
}

/* The channel's events. */

static size_t chan_data(struct ssh_chan *c, const void *data, size_t len)
{
    struct session *s = session_of(c);
    return s->sftp ? ssh_sftp_data(s->sftp, data, len) : ssh_stdio_data(&s->io, data, len);
}

static void chan_eof(struct ssh_chan *c)
{
    struct session *s = session_of(c);
    if (!s->sftp)
        ssh_stdio_eof(&s->io);
}

static void chan_close(struct ssh_chan *c)
{
    struct session *s = session_of(c);
    if (!s->started) {
        ssh_chan_release(c);
        return;
    }
    ssh_stdio_eof(&s->io);
    if (s->launch.pty && s->child && !s->exited) {
        s->hung_up = true;
        cm_child_signal(s->child, SIGHUP);
        cm_child_signal(s->child, SIGCONT); /* a stopped one would not notice */
        cm_timer_start(&s->timer, HANGUP_GRACE);
    }
    ssh_stdio_stop_output(&s->io);
    settle(s);
}

static void chan_ready(struct ssh_chan *c)
{
    struct session *s = session_of(c);
    if (s->sftp)
        ssh_sftp_ready(s->sftp);
    else
        ssh_stdio_ready(&s->io);
    settle(s);
}

static void chan_free(struct ssh_chan *c)
{
    struct session *s = session_of(c);
    cm_watch_stop(&s->exit_watch);
    cm_timer_done(&s->timer);
    ssh_stdio_done(&s->io);
    ssh_sftp_free(s->sftp);
    if (s->exited)
        cm_child_free(s->child);
    else
        cm_child_detach(s->child);
    cm_arena_free(s->arena);
    cm_free(s);
}

static const struct ssh_chan_ops session_ops = {
    .data = chan_data,
    .eof = chan_eof,
    .close = chan_close,
    .ready = chan_ready,
    .free = chan_free,
};

void ssh_session_chan_new(struct ssh_conn *conn, ssh_channel ch)
{
    struct session *s = cm_xcalloc(1, sizeof(*s));
    s->arena = cm_arena_new();
    s->forced_exit = -1;
    s->master = -1;
    ssh_launch_init(&s->launch, s->arena);
    ssh_stdio_init(&s->io, &s->chan, on_io_ended);
    cm_timer_init(&s->timer, conn->loop, on_timer, s);
    s->chan.cb = (struct ssh_channel_callbacks_struct){
        .channel_pty_request_function = on_pty,
        .channel_pty_window_change_function = on_window,
        .channel_env_request_function = on_env,
        .channel_shell_request_function = on_shell,
        .channel_exec_request_function = on_exec,
        .channel_subsystem_request_function = on_subsystem,
        .channel_signal_function = on_signal,
        .channel_auth_agent_req_function = on_agent_request,
    };
    ssh_chan_init(&s->chan, conn, ch, &session_ops);
}
