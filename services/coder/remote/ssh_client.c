#include "remote/ssh_client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#include "sys/fd.h"

#define CHUNK 32768

struct client {
    ssh_session session;
    ssh_event event; /* moves packets of the session, also after the end of its output */
    ssh_channel channel;
    const struct ssh_run *run;
    int winch_fd;
    bool stdin_ended;
    struct ssh_counter_struct heard; /* what has come from the remote end */
    struct forwards *forwards;
    struct ssh_callbacks_struct callbacks;
    struct ssh_channel_callbacks_struct channel_callbacks;
    bool exited, closed; /* the remote end has said so */
    bool unheard;        /* whoever read our output is gone */
};

static enum cm_code failed(struct client *c, const char *what, struct cm_err *err)
{
    return cm_err_set(err, CM_UNAVAILABLE, "%s: %s", what, ssh_get_error(c->session));
}

static void window_size(int *ret_columns, int *ret_rows)
{
    struct winsize w;
    *ret_columns = 80;
    *ret_rows = 24;
    for (int fd = 0; fd <= 2; fd++) {
        if (ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col && w.ws_row) {
            *ret_columns = w.ws_col;
            *ret_rows = w.ws_row;
            return;
        }
    }
}

/* The remote end wants to talk to the key agent of this machine. */
static ssh_channel on_agent_open(ssh_session session, void *userdata)
{
    struct client *c = userdata;
    (void)session;
    return forwards_open(c->forwards, c->run->agent_socket);
}

static enum cm_code connect_session(struct client *c, int fd, struct cm_err *err)
{
    int no = 0;
    long timeout = 30;

    ssh_options_set(c->session, SSH_OPTIONS_HOST, "workspace");
    ssh_options_set(c->session, SSH_OPTIONS_USER, "coder");
    ssh_options_set(c->session, SSH_OPTIONS_FD, &fd);
    ssh_options_set(c->session, SSH_OPTIONS_PROCESS_CONFIG, &(bool){false});
    ssh_options_set(c->session, SSH_OPTIONS_STRICTHOSTKEYCHECK, &no);
    ssh_options_set(c->session, SSH_OPTIONS_KNOWNHOSTS, "/dev/null");
    ssh_options_set(c->session, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null");
    ssh_options_set(c->session, SSH_OPTIONS_TIMEOUT, &timeout);
    /* The session below is encrypted end to end already: the fastest cipher will do. */
    ssh_options_set(c->session, SSH_OPTIONS_CIPHERS_C_S,
                    "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr");
    ssh_options_set(c->session, SSH_OPTIONS_CIPHERS_S_C,
                    "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr");
    if (ssh_connect(c->session) != SSH_OK)
        return failed(c, "SSH with the workspace", err);
    if (ssh_userauth_none(c->session, NULL) != SSH_AUTH_SUCCESS)
        return failed(c, "SSH sign-in to the workspace", err);
    return CM_OK;
}

static void on_exit_status(ssh_session session, ssh_channel channel, int status, void *userdata)
{
    (void)session;
    (void)channel;
    (void)status;
    ((struct client *)userdata)->exited = true;
}

static void on_close(ssh_session session, ssh_channel channel, void *userdata)
{
    (void)session;
    (void)channel;
    ((struct client *)userdata)->closed = true;
}

static enum cm_code open_channel(struct client *c, struct cm_err *err)
{
    const char *term = cm_conf_getenv("TERM");
    int columns, rows;

    c->channel = ssh_channel_new(c->session);
    if (!c->channel || ssh_channel_open_session(c->channel) != SSH_OK)
        return failed(c, "open an SSH channel", err);
    c->channel_callbacks.userdata = c;
    c->channel_callbacks.channel_exit_status_function = on_exit_status;
    c->channel_callbacks.channel_close_function = on_close;
    ssh_callbacks_init(&c->channel_callbacks);
    ssh_set_channel_callbacks(c->channel, &c->channel_callbacks);
    if (c->run->agent_socket) {
        c->callbacks.userdata = c;
        c->callbacks.channel_open_request_auth_agent_function = on_agent_open;
        ssh_callbacks_init(&c->callbacks);
        ssh_set_callbacks(c->session, &c->callbacks);
        if (ssh_channel_request_auth_agent(c->channel) != SSH_OK)
            fprintf(stderr, "The workspace does not take the forwarded SSH agent.\n");
    }
    for (size_t i = 0; i < c->run->env.n; i++) {
        CM_AUTOFREE char *name = cm_xstrdup(c->run->env.v[i]);
        char *value = strchr(name, '=');
        if (!value)
            return cm_err_set(err, CM_INVALID,
                              "invalid --env \"%s\": it must be of the form KEY=VALUE", name);
        *value = '\0';
        if (ssh_channel_request_env(c->channel, name, value + 1) != SSH_OK)
            return failed(c, "set an environment variable", err);
    }
    window_size(&columns, &rows);
    if (c->run->pty && ssh_channel_request_pty_size(c->channel, term && *term ? term : "xterm",
                                                    columns, rows) != SSH_OK)
        return failed(c, "request a terminal", err);
    int r = c->run->command ? ssh_channel_request_exec(c->channel, c->run->command)
                            : ssh_channel_request_shell(c->channel);
    return r == SSH_OK ? CM_OK : failed(c, "start the command", err);
}

/* There is one terminal, and a signal gives it back from another thread. */
static struct termios terminal_saved;
static atomic_bool terminal_raw;

static void set_raw(const struct client *c)
{
    struct termios t;
    if (!c->run->pty || tcgetattr(0, &terminal_saved) != 0)
        return;
    t = terminal_saved;
    cfmakeraw(&t);
    terminal_raw = true;
    tcsetattr(0, TCSADRAIN, &t);
}

void ssh_client_restore(void)
{
    if (atomic_exchange(&terminal_raw, false))
        tcsetattr(0, TCSADRAIN, &terminal_saved);
}

/* Everything that is there, of both kinds. False when a write failed: nobody listens any more. */
static bool pass_output(struct client *c)
{
    char buf[CHUNK];
    for (int is_stderr = 0; is_stderr < 2; is_stderr++) {
        int n;
        while ((n = ssh_channel_read_nonblocking(c->channel, buf, sizeof(buf), is_stderr)) > 0)
            if (cm_fd_write_all(is_stderr ? 2 : 1, buf, (size_t)n, NULL) != CM_OK)
                return false;
    }
    return true;
}

static enum cm_code pass_input(struct client *c, struct cm_err *err)
{
    char buf[CHUNK];
    size_t room = CM_MIN((size_t)ssh_channel_window_size(c->channel), sizeof(buf));
    ssize_t n = read(0, buf, room);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return CM_OK;
    if (n <= 0) {
        c->stdin_ended = true;
        ssh_channel_send_eof(c->channel);
        return CM_OK;
    }
    for (ssize_t at = 0; at < n;) {
        int sent = ssh_channel_write(c->channel, buf + at, (uint32_t)(n - at));
        if (sent < 0) {
            /* A command that has ended takes no more. libssh then refuses at once, but calls the
             * channel open and not at its end while output is still to be read: ask ourselves. */
            c->stdin_ended = true;
            return c->closed || c->exited || ssh_channel_is_closed(c->channel) ||
                           ssh_channel_is_eof(c->channel)
                       ? CM_OK
                       : failed(c, "send", err);
        }
        at += sent;
    }
    return CM_OK;
}

static void on_winch(struct client *c)
{
    struct signalfd_siginfo info;
    int columns, rows;
    cm_ignore(read(c->winch_fd, &info, sizeof(info)) < 0, "only the wake-up counts");
    window_size(&columns, &rows);
    if (c->run->pty)
        ssh_channel_change_pty_size(c->channel, columns, rows);
}

static enum cm_code converse(struct client *c, struct cm_err *err)
{
    for (;;) {
        struct pollfd fds[3 + FORWARDS_MAX];
        size_t n = 0;
        uint64_t heard = c->heard.in_packets;
        forwards_pass(c->forwards);
        if (!pass_output(c)) {
            c->unheard = true;
            return CM_OK;
        }
        /* libssh keeps a channel open whose close arrived while output was still buffered, so its
         * state alone would keep us here for ever. Output is drained by now. */
        bool eof = ssh_channel_is_eof(c->channel);
        if (ssh_channel_is_closed(c->channel) || (eof && (c->closed || c->exited)))
            return CM_OK;
        if (!ssh_is_connected(c->session) && ssh_channel_is_eof(c->channel))
            return CM_OK;
        if (!ssh_is_connected(c->session))
            return cm_err_set(err, CM_UNAVAILABLE, "the connection to the workspace is lost");
        bool want_stdin = !c->stdin_ended && ssh_channel_window_size(c->channel) > 0 &&
                          !ssh_channel_is_eof(c->channel);
        fds[n++] = (struct pollfd){.fd = ssh_get_fd(c->session), .events = POLLIN};
        fds[n++] = (struct pollfd){.fd = want_stdin ? 0 : -1, .events = POLLIN};
        fds[n++] = (struct pollfd){.fd = c->winch_fd, .events = POLLIN};
        n += forwards_poll(c->forwards, fds + n);
        /* Each call of libssh takes in packets of all channels: those of another one than it was
         * asked about are seen in the next turn, and no descriptor tells of them. */
        if (poll(fds, n, c->heard.in_packets == heard ? 1000 : 0) < 0 && errno != EINTR)
            return cm_err_errno(err, CM_IO, "poll");
        /* Reading from a channel handles packets only until its output has ended; exit status and
         * close come after. */
        if (fds[0].revents && ssh_event_dopoll(c->event, 0) == SSH_ERROR) {
            c->unheard = !pass_output(c);
            return c->unheard || c->exited || c->closed ? CM_OK
                                                        : failed(c, "SSH with the workspace", err);
        }
        if (fds[2].revents)
            on_winch(c);
        if (fds[1].revents && pass_input(c, err) != CM_OK)
            return err->code;
    }
}

enum cm_code ssh_client_run(int fd, const struct ssh_run *run, int *ret_status, struct cm_err *err)
{
    struct client c = {.session = ssh_new(), .run = run, .winch_fd = -1};
    sigset_t winch;

    if (!c.session) {
        close(fd);
        return cm_err_set(err, CM_INTERNAL, "SSH cannot be set up");
    }
    c.forwards = forwards_new(c.session);
    sigemptyset(&winch);
    sigaddset(&winch, SIGWINCH);
    sigprocmask(SIG_BLOCK, &winch, NULL);
    c.winch_fd = signalfd(-1, &winch, SFD_CLOEXEC | SFD_NONBLOCK);
    ssh_set_counters(c.session, NULL, &c.heard);
    enum cm_code code = connect_session(&c, fd, err);
    c.event = ssh_event_new();
    if (code == CM_OK && (!c.event || ssh_event_add_session(c.event, c.session) != SSH_OK))
        code = cm_err_set(err, CM_INTERNAL, "SSH cannot be set up");
    for (size_t i = 0; code == CM_OK && i < run->n_rules; i++)
        code = forwards_listen(c.forwards, &run->rules[i], err);
    if (code == CM_OK)
        code = open_channel(&c, err);
    if (code == CM_OK) {
        set_raw(&c);
        code = converse(&c, err);
        ssh_client_restore();
    }
    /* The exit status and a polite end are waited for, and the remote end has neither while it is
     * busy sending what nobody reads. */
    int status = c.channel && !c.unheard ? ssh_channel_get_exit_status(c.channel) : -1;
    *ret_status = status < 0 ? 255 : status;
    if (c.unheard)
        cm_ignore(shutdown(ssh_get_fd(c.session), SHUT_RDWR) != 0, "it has ended by itself");
    forwards_free(c.forwards);
    if (c.channel)
        ssh_channel_free(c.channel);
    ssh_disconnect(c.session);
    if (c.event) {
        ssh_event_remove_session(c.event, c.session);
        ssh_event_free(c.event);
    }
    ssh_free(c.session);
    if (c.winch_fd >= 0)
        close(c.winch_fd);
    return code;
}
