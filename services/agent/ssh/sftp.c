#include "ssh/sftp.h"

#include <arpa/inet.h>

#include "base/buf.h"
#include "ssh/sftp_ops.h"

#define PACKET_MAX ((uint32_t)256 * 1024 + 1024)
#define ROOM_MIN                                                                                   \
    ((size_t)16 * 1024) /* the largest reply that cannot be made smaller: a path, twice */
#define PACKETS_TURN 8  /* before others get a turn */

struct ssh_sftp {
    struct ssh_chan *chan;
    sftp_session sftp;
    struct sftp_files *files;
    /* libssh reads a packet by waiting until it is complete. So the bytes stay in its buffer, and
     * are only counted here: it is asked to read as often as there is a whole packet. */
    size_t unread;      /* bytes in libssh's buffer */
    uint32_t body_left; /* of the packet that is coming in */
    uint32_t body_len;
    uint8_t head[4];
    size_t head_len;
    struct cm_buf sizes; /* of the whole packets in the buffer, uint32_t each */
    size_t next_size;    /* offset of the first one in sizes */
    bool initialised, broken;
};

struct ssh_sftp *ssh_sftp_new(struct ssh_chan *chan, const char *directory)
{
    struct ssh_sftp *s = cm_xcalloc(1, sizeof(*s));
    s->chan = chan;
    s->sftp = sftp_server_new(chan->conn->ssh, chan->ch);
    cm_assert(s->sftp);
    s->files = sftp_files_new(directory);
    cm_buf_init(&s->sizes, (size_t)4 * 1024 * 1024); /* more than fit into the window */
    return s;
}

void ssh_sftp_free(struct ssh_sftp *s)
{
    if (!s)
        return;
    sftp_files_free(s->files);
    /* The channel is freed by its owner, who did so before. */
    s->sftp->channel = NULL;
    sftp_server_free(s->sftp);
    cm_buf_done(&s->sizes);
    cm_free(s);
}

static void count(struct ssh_sftp *s, const uint8_t *p, size_t n)
{
    while (n && !s->broken) {
        if (s->body_left) {
            uint32_t step = (uint32_t)CM_MIN(n, (size_t)s->body_left);
            s->body_left -= step;
            p += step;
            n -= step;
        } else {
            s->head[s->head_len++] = *p++;
            n--;
            if (s->head_len < sizeof(s->head))
                continue;
            uint32_t be;
            memcpy(&be, s->head, sizeof(be));
            s->head_len = 0;
            s->body_len = s->body_left = ntohl(be);
            s->broken = s->body_left < 5 || s->body_left > PACKET_MAX;
        }
        if (!s->body_left && !s->head_len && !s->broken)
            cm_buf_append(&s->sizes, &s->body_len, sizeof(s->body_len));
    }
}

size_t ssh_sftp_data(struct ssh_sftp *s, const void *data, size_t len)
{
    if (s->broken)
        return len;
    /* All that is buffered is shown each time; what is new is its end. */
    if (len > s->unread)
        count(s, (const uint8_t *)data + s->unread, len - s->unread);
    s->unread = len;
    return 0;
}

static bool has_packet(const struct ssh_sftp *s)
{
    return s->next_size < s->sizes.len;
}

static void forget_packet(struct ssh_sftp *s)
{
    uint32_t size;
    memcpy(&size, s->sizes.ptr + s->next_size, sizeof(size));
    s->next_size += sizeof(size);
    s->unread -= 4 + (size_t)size;
    if (!has_packet(s)) {
        cm_buf_reset(&s->sizes);
        s->next_size = 0;
    }
}

static void handle_one(struct ssh_sftp *s, size_t room)
{
    forget_packet(s);
    if (!s->initialised) {
        s->initialised = true;
        s->broken = sftp_server_init(s->sftp) < 0;
        return;
    }
    sftp_client_message msg = sftp_get_client_message(s->sftp);
    if (!msg) {
        s->broken = true;
        return;
    }
    sftp_files_handle(s->files, msg, room);
    sftp_client_message_free(msg);
}

void ssh_sftp_ready(struct ssh_sftp *s)
{
    if (!ssh_conn_can_send(s->chan->conn))
        return;
    for (int i = 0; i < PACKETS_TURN && has_packet(s) && !s->broken && !s->chan->remote_closed;
         i++) {
        size_t room = ssh_channel_window_size(s->chan->ch);
        if (room < ROOM_MIN)
            break;
        handle_one(s, room);
    }
}

bool ssh_sftp_ended(const struct ssh_sftp *s)
{
    return s->broken || (s->chan->remote_eof && !has_packet(s));
}
