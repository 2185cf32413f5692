/* WebSockets of the API that push what the database has: logs, workspaces, metadata. A follower
 * waits for news of a topic, reads on a worker, sends on its loop; a slow reader is not read for.
 */
#pragma once

#include "api/request.h"

struct socket_follow;

struct socket_follow {
    struct cm_uuid id;
    int64_t after; /* the reader's position */
    bool again;    /* set by the reader: there is more, come again at once */
    bool first;    /* the first turn */
    const void *arg;
};

/* On a worker: appends frames (socket_frame_begin/_end) of what is new; *ret_end closes the socket
 * in good order. */
typedef enum cm_code (*socket_read_fn)(struct cm_db *db, struct cm_arena *a,
                                       struct socket_follow *f, struct cm_buf *frames,
                                       bool *ret_end, struct cm_err *err);

struct socket_follow_config {
    const char *topic_fmt; /* with one %s for the id */
    struct cm_uuid id;
    int64_t after;
    socket_read_fn read;
    const char *end_reason; /* text of the closing frame */
    cm_usec every;          /* read at least so often; 0: 30 s */
    bool sse; /* Server-Sent Events in place of a WebSocket: frames are sent as they are */
};

/* Makes the request a follower: fills r->start. 426 when it is not an upgrade. Authorise before. */
CM_MUST_USE enum cm_code socket_follow_start(struct api_req *r,
                                             const struct socket_follow_config *cfg,
                                             struct cm_err *err);

/* Frames in one buffer: a length before each. */
size_t socket_frame_begin(struct cm_buf *b);
void socket_frame_end(struct cm_buf *b, size_t at);
