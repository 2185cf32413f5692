/* Bytes between a session channel and the descriptors of its command: two pipes out, one in, or a
 * terminal for all. */
#pragma once

#include "base/buf.h"
#include "ssh/conn.h"

struct ssh_stdio;

struct ssh_stdio_out {
    struct ssh_stdio *io;
    int fd; /* -1: ended */
    struct cm_watch watch;
    bool watching, is_stderr;
    struct cm_buf left; /* read, and not yet taken by libssh */
};

struct ssh_stdio {
    struct ssh_chan *chan;
    struct ssh_stdio_out out[2];
    int in_fd; /* -1: closed */
    bool is_tty, in_blocked, in_eof;
    struct cm_watch in_watch;
    struct cm_buf in_left; /* from the client, and not yet taken by the command */
    void (*ended)(struct ssh_stdio
                      *io); /* output has ended and all of it was sent; may come more than once */
};

void ssh_stdio_init(struct ssh_stdio *io, struct ssh_chan *chan,
                    void (*ended)(struct ssh_stdio *io));
/* Takes the descriptors; err_fd -1 when there is none. With a terminal, in and out are its master.
 */
void ssh_stdio_start(struct ssh_stdio *io, int in_fd, int out_fd, int err_fd, bool is_tty);
/* Something to send before the command's own output, such as a banner. */
void ssh_stdio_say(struct ssh_stdio *io, struct cm_str text, bool is_stderr);
bool ssh_stdio_output_ended(const struct ssh_stdio *io);
/* Is there output that was written and not yet sent? */
bool ssh_stdio_output_waiting(const struct ssh_stdio *io);
/* Nobody wants the output any more, or no more is to come. */
void ssh_stdio_stop_output(struct ssh_stdio *io);
bool ssh_stdio_input_pending(
    const struct ssh_stdio *io); /* the command has not taken all that the client sent */
void ssh_stdio_done(struct ssh_stdio *io);

/* The channel's events, passed on by its owner. */
size_t ssh_stdio_data(struct ssh_stdio *io, const void *data, size_t len);
void ssh_stdio_eof(struct ssh_stdio *io);
void ssh_stdio_ready(struct ssh_stdio *io);
