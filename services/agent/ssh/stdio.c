#include "ssh/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "sys/fd.h"

#define PIPE_BYTES                                                                                 \
    (1024 * 1024) /* fewer and longer reads; 64 KiB, the default, halves the speed of bulk output  \
                   */
#define IN_CHUNK ((size_t)64 * 1024)

void ssh_stdio_init(struct ssh_stdio *io, struct ssh_chan *chan,
                    void (*ended)(struct ssh_stdio *io))
{
    *io = (struct ssh_stdio){.chan = chan, .in_fd = -1, .ended = ended};
    for (int i = 0; i < 2; i++) {
        io->out[i] = (struct ssh_stdio_out){.io = io, .fd = -1, .is_stderr = i == 1};
        cm_buf_init(&io->out[i].left, 2 * SSH_CHUNK);
    }
    cm_buf_init(&io->in_left, IN_CHUNK);
}

/* Output. */

static void out_pause(struct ssh_stdio_out *o)
{
    if (o->watching)
        cm_watch_stop(&o->watch);
    o->watching = false;
}

static void out_end(struct ssh_stdio_out *o)
{
    out_pause(o);
    cm_cleanup_fd(&o->fd);
    o->fd = -1;
}

/* Hands text to libssh and keeps what it does not take. */
static void out_send(struct ssh_stdio_out *o, const char *data, size_t len)
{
    ptrdiff_t n = o->left.len ? 0 : ssh_chan_send(o->io->chan, data, len, o->is_stderr);
    if (n < 0) { /* nobody listens */
        cm_buf_reset(&o->left);
        out_end(o);
        return;
    }
    cm_buf_append(&o->left, data + n, len - (size_t)n);
}

static void on_out(void *ctx, int fd)
{
    struct ssh_stdio_out *o = ctx;
    struct ssh_conn *conn = o->io->chan->conn;
    size_t room = o->left.len ? 0 : ssh_chan_room(o->io->chan);
    if (!room) {
        out_pause(o);
        return;
    }
    ssize_t n = read(fd, conn->chunk, room);
    if (n > 0) {
        out_send(o, conn->chunk, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        out_end(o); /* EIO: the last holder of the terminal has gone */
        o->io->ended(o->io);
    }
    ssh_conn_flush(conn);
}

static void out_resume(struct ssh_stdio_out *o)
{
    if (o->left.len) {
        ptrdiff_t n = ssh_chan_room(o->io->chan)
                          ? ssh_chan_send(o->io->chan, o->left.ptr, o->left.len, o->is_stderr)
                          : 0;
        if (n < 0) {
            cm_buf_reset(&o->left);
            out_end(o);
        } else {
            cm_buf_drop_front(&o->left, (size_t)n);
        }
    }
    if (o->fd >= 0 && !o->watching && !o->left.len && ssh_chan_room(o->io->chan)) {
        cm_watch_start(&o->watch, o->io->chan->conn->loop, o->fd, false, on_out, o);
        o->watching = true;
    }
}

void ssh_stdio_say(struct ssh_stdio *io, struct cm_str text, bool is_stderr)
{
    cm_buf_str(&io->out[is_stderr].left, text);
}

bool ssh_stdio_output_ended(const struct ssh_stdio *io)
{
    for (int i = 0; i < 2; i++)
        if (io->out[i].fd >= 0 || io->out[i].left.len)
            return false;
    return true;
}

bool ssh_stdio_output_waiting(const struct ssh_stdio *io)
{
    for (int i = 0; i < 2; i++)
        if (io->out[i].left.len || (io->out[i].fd >= 0 && cm_fd_wait(io->out[i].fd, POLLIN, 0)))
            return true;
    return false;
}

void ssh_stdio_stop_output(struct ssh_stdio *io)
{
    for (int i = 0; i < 2; i++)
        out_end(&io->out[i]);
}

/* Input. */

static void in_close(struct ssh_stdio *io)
{
    if (io->in_blocked)
        cm_watch_stop(&io->in_watch);
    io->in_blocked = false;
    cm_buf_reset(&io->in_left);
    cm_cleanup_fd(&io->in_fd);
    io->in_fd = -1;
}

static void in_settled(struct ssh_stdio *io)
{
    /* A terminal has no half close: its program learns of the end by a keystroke, or by the hangup.
     */
    if (io->in_eof && !io->is_tty)
        in_close(io);
}

/* How much the command took, or -1 when it reads no more. */
static ssize_t in_write(struct ssh_stdio *io, const char *data, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = write(io->in_fd, data + done, len - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            return -1;
    }
    return (ssize_t)done;
}

static void on_in(void *ctx, int fd)
{
    (void)fd;
    struct ssh_stdio *io = ctx;
    char *chunk = io->chan->conn->chunk;
    for (;;) {
        if (!io->in_left.len) {
            size_t n = ssh_chan_take(io->chan, chunk, IN_CHUNK);
            if (!n) {
                cm_watch_stop(&io->in_watch);
                io->in_blocked = false;
                in_settled(io);
                break;
            }
            cm_buf_append(&io->in_left, chunk, n);
        }
        ssize_t n = in_write(io, io->in_left.ptr, io->in_left.len);
        if (n < 0) {
            in_close(io);
            break;
        }
        cm_buf_drop_front(&io->in_left, (size_t)n);
        if (io->in_left.len)
            break;
    }
    if (!ssh_stdio_input_pending(io))
        io->ended(io);
    ssh_conn_flush(io->chan->conn);
}

size_t ssh_stdio_data(struct ssh_stdio *io, const void *data, size_t len)
{
    if (io->in_fd < 0)
        return len;
    if (io->in_blocked)
        return 0;
    ssize_t n = in_write(io, data, len);
    if (n < 0) {
        in_close(io);
        return len;
    }
    if ((size_t)n < len) {
        io->in_blocked = true;
        cm_watch_start(&io->in_watch, io->chan->conn->loop, io->in_fd, true, on_in, io);
    }
    return (size_t)n;
}

void ssh_stdio_eof(struct ssh_stdio *io)
{
    io->in_eof = true;
    if (!io->in_blocked)
        in_settled(io);
}

bool ssh_stdio_input_pending(const struct ssh_stdio *io)
{
    return io->in_fd >= 0 && io->in_blocked;
}

/* Both. */

void ssh_stdio_start(struct ssh_stdio *io, int in_fd, int out_fd, int err_fd, bool is_tty)
{
    int fds[] = {in_fd, out_fd, err_fd};
    for (size_t i = 0; i < CM_COUNT_OF(fds); i++)
        if (fds[i] >= 0) {
            cm_fd_nonblock(fds[i], true);
            if (!is_tty)
                fcntl(fds[i], F_SETPIPE_SZ,
                      PIPE_BYTES); /* refused over the user's limit: then it stays small */
        }
    io->in_fd = in_fd;
    io->out[0].fd = out_fd;
    io->out[1].fd = err_fd;
    io->is_tty = is_tty;
    if (io->in_eof)
        in_settled(io);
}

void ssh_stdio_ready(struct ssh_stdio *io)
{
    bool had = !ssh_stdio_output_ended(io);
    out_resume(&io->out[0]);
    out_resume(&io->out[1]);
    if (had && ssh_stdio_output_ended(io))
        io->ended(io);
}

void ssh_stdio_done(struct ssh_stdio *io)
{
    ssh_stdio_stop_output(io);
    in_close(io);
    for (int i = 0; i < 2; i++)
        cm_buf_done(&io->out[i].left);
    cm_buf_done(&io->in_left);
}
