#include "ssh/bridge.h"

#define BRIDGE_CHUNK ((size_t)64 * 1024)

struct bridge {
    struct ssh_chan chan; /* first */
    struct cm_stream *stream;
    struct cm_buf left; /* from the stream, not yet taken by libssh */
    bool opened;
    bool to_stream_blocked,
        finished;  /* the direction client -> stream; finished: its end was passed on */
    bool eof_sent; /* the direction stream -> client */
    enum ssh_bridge_kind kind;
    char *address, *origin;
    uint16_t port, origin_port;
};

static struct bridge *bridge_of(struct ssh_chan *c)
{
    return cm_container_of(c, struct bridge, chan);
}

static void end(struct bridge *b)
{
    cm_stream_close(b->stream);
    b->stream = NULL;
    if (!b->chan.released)
        ssh_chan_release(&b->chan);
}

static void settle(struct bridge *b)
{
    if (b->chan.released)
        return;
    bool sent = cm_stream_unsent(b->stream) == 0;
    bool over = b->finished && (b->eof_sent || b->chan.remote_closed);
    if (b->stream->failed || (over && sent))
        end(b);
}

static void finish_if_done(struct bridge *b)
{
    if ((b->chan.remote_eof || b->chan.remote_closed) && !b->to_stream_blocked && !b->finished) {
        b->finished = true;
        cm_stream_finish(b->stream);
    }
}

/* Client -> stream. */

static size_t chan_data(struct ssh_chan *c, const void *data, size_t len)
{
    struct bridge *b = bridge_of(c);
    if (!b->stream || b->stream->failed)
        return len;
    if (b->to_stream_blocked || cm_stream_unsent(b->stream) >= CM_STREAM_HIGH) {
        b->to_stream_blocked = true;
        return 0;
    }
    cm_stream_write(b->stream, data, len);
    return len;
}

static void unblock(struct bridge *b)
{
    char *chunk = b->chan.conn->chunk;
    while (b->to_stream_blocked && cm_stream_unsent(b->stream) < CM_STREAM_HIGH) {
        size_t n = ssh_chan_take(&b->chan, chunk, BRIDGE_CHUNK);
        if (n)
            cm_stream_write(b->stream, chunk, n);
        else
            b->to_stream_blocked = false;
    }
    finish_if_done(b);
}

static void chan_eof(struct ssh_chan *c)
{
    struct bridge *b = bridge_of(c);
    if (b->stream)
        finish_if_done(b);
}

static void chan_close(struct ssh_chan *c)
{
    struct bridge *b = bridge_of(c);
    if (!b->stream)
        return;
    finish_if_done(b);
    if (c->conn->ended)
        end(b);
    else
        settle(b);
}

/* Stream -> client. */

static void pull(struct bridge *b)
{
    struct ssh_chan *c = &b->chan;
    size_t room;
    if (b->left.len && ssh_chan_room(c)) {
        ptrdiff_t n = ssh_chan_send(c, b->left.ptr, b->left.len, false);
        cm_buf_drop_front(&b->left, n < 0 ? b->left.len : (size_t)n);
    }
    while (!b->left.len && (room = ssh_chan_room(c)) > 0) {
        size_t got = cm_stream_read(b->stream, c->conn->chunk, room);
        if (!got)
            break;
        ptrdiff_t n = ssh_chan_send(c, c->conn->chunk, got, false);
        if (n >= 0 && (size_t)n < got)
            cm_buf_append(&b->left, c->conn->chunk + n, got - (size_t)n);
    }
    bool dry = (b->stream->eof || b->stream->failed) && !b->left.len;
    char probe;
    if (dry && !b->eof_sent && ssh_chan_room(c)) {
        size_t more = cm_stream_read(b->stream, &probe, 1);
        if (more)
            cm_buf_append(&b->left, &probe, 1);
        else
            b->eof_sent = ssh_channel_send_eof(c->ch) == SSH_OK || c->remote_closed;
    }
}

static void on_stream(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct bridge *b = ctx;
    struct ssh_conn *conn = b->chan.conn;
    (void)s;
    if (!b->opened && ev != CM_STREAM_FAILED)
        return; /* waits in the stream */
    switch (ev) {
    case CM_STREAM_DATA:
    case CM_STREAM_EOF:
        pull(b);
        break;
    case CM_STREAM_DRAINED:
        unblock(b);
        break;
    case CM_STREAM_FAILED:
        if (b->opened)
            pull(b); /* what came before is still good */
        break;
    }
    settle(b);
    ssh_conn_flush(conn);
}

static void try_open(struct bridge *b)
{
    int rc = SSH_ERROR;
    switch (b->kind) {
    case SSH_BRIDGE_FORWARD:
        rc = ssh_channel_open_reverse_forward(b->chan.ch, b->address, b->port, b->origin,
                                              b->origin_port);
        break;
    case SSH_BRIDGE_AGENT:
        rc = ssh_channel_open_auth_agent(b->chan.ch);
        break;
    case SSH_BRIDGE_X11:
        rc = ssh_channel_open_x11(b->chan.ch, b->origin, b->origin_port);
        break;
    }
    if (rc == SSH_AGAIN)
        return;
    if (rc != SSH_OK) {
        end(b);
        return;
    }
    b->opened = true;
}

static void chan_ready(struct ssh_chan *c)
{
    struct bridge *b = bridge_of(c);
    if (!b->opened)
        try_open(b);
    if (!b->opened || b->chan.released)
        return;
    pull(b);
    if (b->to_stream_blocked)
        unblock(b);
    settle(b);
}

static void chan_free(struct ssh_chan *c)
{
    struct bridge *b = bridge_of(c);
    cm_stream_close(b->stream);
    cm_buf_done(&b->left);
    cm_free(b->address);
    cm_free(b->origin);
    cm_free(b);
}

static const struct ssh_chan_ops bridge_ops = {
    .data = chan_data,
    .eof = chan_eof,
    .close = chan_close,
    .ready = chan_ready,
    .free = chan_free,
};

static struct bridge *bridge_new(struct ssh_conn *conn, ssh_channel ch, struct cm_stream *stream)
{
    struct bridge *b = cm_xcalloc(1, sizeof(*b));
    b->stream = stream;
    cm_buf_init(&b->left, SSH_CHUNK);
    cm_stream_set_fn(stream, on_stream, b);
    ssh_chan_init(&b->chan, conn, ch, &bridge_ops);
    return b;
}

void ssh_bridge_accepted(struct ssh_conn *conn, ssh_channel ch, struct cm_stream *stream)
{
    bridge_new(conn, ch, stream)->opened = true;
}

void ssh_bridge_offer(struct ssh_conn *conn, enum ssh_bridge_kind kind, const char *address,
                      uint16_t port, const char *origin, uint16_t origin_port,
                      struct cm_stream *stream)
{
    ssh_channel ch =
        conn->ended || conn->channel_count >= SSH_CHANNELS_MAX ? NULL : ssh_channel_new(conn->ssh);
    if (!ch) {
        cm_stream_close(stream);
        return;
    }
    struct bridge *b = bridge_new(conn, ch, stream);
    b->kind = kind;
    b->address = cm_xstrdup(address);
    b->port = port;
    b->origin = cm_xstrdup(origin);
    b->origin_port = origin_port;
    ssh_conn_flush(conn);
}
