/* One SSH connection, in its own process: libssh's session, moved by our event loop, and the
 * channels upon it.
 *
 * libssh's socket is watched like any other descriptor; when it is ready, libssh reads, decrypts
 * and calls back into the channels. Data that a channel cannot take now stays with libssh, which
 * then opens the client's window no further. Nothing is written while the socket still has unsent
 * bytes, so that little is queued before a keystroke. */
#pragma once

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>

#include "agent_child.pb-c.h"
#include "base/arena.h"
#include "base/list.h"
#include "loop/loop.h"
#include "sys/user.h"

struct cm_dialer;
struct ssh_conn;
struct ssh_chan;

#define SSH_CHUNK        ((size_t)256 * 1024)
#define SSH_CHANNELS_MAX 256

/* What kinds of channel differ in. All run outside of libssh, except data, eof and close, which
 * libssh calls. */
struct ssh_chan_ops {
    size_t (*data)(struct ssh_chan *c, const void *data,
                   size_t len);        /* returns how much was taken */
    void (*eof)(struct ssh_chan *c);   /* the client sends no more; untaken data may still wait */
    void (*close)(struct ssh_chan *c); /* the client wants no more, or the connection is gone */
    void (*ready)(struct ssh_chan *c); /* something was received, or there is room to send again */
    void (*free)(struct ssh_chan *c);  /* the last call; libssh's channel is gone by then */
};

struct ssh_chan {
    struct cm_link link;
    struct ssh_conn *conn;
    ssh_channel ch;
    const struct ssh_chan_ops *ops;
    struct ssh_channel_callbacks_struct cb;
    bool released, remote_eof, remote_closed;
};

struct ssh_conn {
    struct cm_loop *loop;
    struct cm_arena *arena;
    const Coder__Agent__V1__SshChildConfig *cfg;
    const char *const *base_env;
    struct cm_user user;
    struct cm_dialer *dialer;
    int fd, control_fd;

    ssh_session ssh;
    ssh_event event;
    struct ssh_server_callbacks_struct server_cb;
    struct cm_watch readable, writable;
    struct cm_timer alive;
    bool in_flush, wants_write, ended;
    bool rekeying; /* keys are being exchanged: libssh would take nothing to send */
    cm_usec last_input;
    uint32_t sessions;       /* counted for events */
    struct cm_link channels; /* struct ssh_chan */
    size_t channel_count;
    struct ssh_forwards *forwards;
    char chunk[SSH_CHUNK]; /* for whoever reads something just now */
};

/* Takes fd and control_fd; the rest is borrowed and outlives the connection. */
enum cm_code ssh_conn_new(struct cm_loop *loop, struct cm_arena *arena,
                          const Coder__Agent__V1__SshChildConfig *cfg, const char *const *base_env,
                          struct cm_dialer *dialer, int fd, int control_fd, struct ssh_conn **ret,
                          struct cm_err *err);
/* Runs the loop until the connection has ended and what it started is told. */
void ssh_conn_run(struct ssh_conn *c);
void ssh_conn_free(struct ssh_conn *c);

/* Hands over to libssh what was written, and takes what has come. Call after writing outside of
 * libssh's callbacks. */
void ssh_conn_flush(struct ssh_conn *c);
/* May channels send now? If not, ready() tells when. */
bool ssh_conn_can_send(const struct ssh_conn *c);
void ssh_conn_event(struct ssh_conn *c, const Coder__Agent__V1__SshChildEvent *e);

/* Makes c a channel of conn, for a libssh channel that c owns from now on. The callbacks in c->cb
 * that are set already (requests) stay. */
void ssh_chan_init(struct ssh_chan *c, struct ssh_conn *conn, ssh_channel ch,
                   const struct ssh_chan_ops *ops);
/* Closes the channel and frees it on a later turn. Once. */
void ssh_chan_release(struct ssh_chan *c);
/* Sends what fits: the number of bytes taken, 0 when it must wait for ready(), -1 when the channel
 * is gone. */
ptrdiff_t ssh_chan_send(struct ssh_chan *c, const void *data, size_t len, bool is_stderr);
/* How much may be sent at once, 0 when it must wait. */
size_t ssh_chan_room(const struct ssh_chan *c);
/* Takes up to max bytes that data() left. Not from within libssh's callbacks. */
size_t ssh_chan_take(struct ssh_chan *c, void *out, size_t max);
