/* Streams of the API that push what the database has: logs, workspaces, metadata. A follower waits
 * for news of a topic, reads on a worker, sends on its loop; a slow reader is not read for. */
#pragma once

#include "api/followers.h"
#include "api/request.h"

enum socket_form {
    SOCKET_TEXT,      /* a WebSocket; each frame is a message */
    SOCKET_EVENTS,    /* Server-Sent Events: ping, data, error */
    SOCKET_EVENTS_WS, /* the same as messages {"type":...,"data":...} of a WebSocket */
};

/* What a reader knows and remembers from turn to turn. */
struct socket_follow {
    struct coderd *app;
    const struct subject *who; /* a copy of the caller; NULL unless the config asked for it */
    enum socket_form form;
    struct cm_uuid id;
    int64_t after;    /* the reader's position */
    bool again;       /* set by the reader: there is more, come again at once */
    bool first;       /* the first turn */
    uint64_t seen;    /* for the reader: a digest of what was sent last */
    cm_usec sent_at;  /* for the reader: monotonic */
    const char *text; /* a copy of the config's */
};

/* On a worker: appends frames (socket_frame_begin/_end, socket_data_begin/_end) of what is new;
 * *ret_end closes the stream in good order. */
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
    cm_usec gap;            /* ... and at most so often; 0: as news comes */
    enum socket_form form;
    bool with_subject;
    const char *text; /* for the reader; copied; may be NULL */
};

/* Makes the request a follower: fills r->start. 426 when it is not an upgrade. Authorise before. */
CM_MUST_USE enum cm_code socket_follow_start(struct api_req *r,
                                             const struct socket_follow_config *cfg,
                                             struct cm_err *err);
bool socket_is_upgrade(const struct api_req *r); /* a proper request for a WebSocket */
/* In r->start, for such a request: the member joins and the request becomes a WebSocket, whose
 * stream is returned. NULL: the client is gone, or was told that the server stops; the member has
 * not joined. Either way the request is no longer the caller's. */
CM_MUST_USE struct cm_stream *socket_join(struct api_req *r, struct followers_member *m);

/* Frames in one buffer: a length before each. */
size_t socket_frame_begin(struct cm_buf *b);
void socket_frame_end(struct cm_buf *b, size_t at);
/* The same for an event of type data, in the follower's form; JSON of one line goes between. */
size_t socket_data_begin(struct cm_buf *b, const struct socket_follow *f);
void socket_data_end(struct cm_buf *b, const struct socket_follow *f, size_t at);

/* A digest to tell whether something has changed; not against attackers. */
uint64_t socket_digest(uint64_t seed, struct cm_str s);
