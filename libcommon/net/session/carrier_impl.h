/* What carrier.c and carrier_path.c share. */
#pragma once

#include "net/session/carrier.h"

#define FRAME_HEAD     4 /* type, 24 bits of length */
#define FRAME_MAX      ((size_t)1024 * 1024)
#define FRAME_BODY_MAX 256 /* of all but DATA */

enum frame_type {
    FRAME_UNSET,
    FRAME_HELLO, /* 8: bytes received so far */
    FRAME_START, /* 8: offset of the first byte of DATA on this path */
    FRAME_DATA,
    FRAME_ACK, /* 8: bytes received so far */
    FRAME_FIN, /* 8: bytes sent in all */
    FRAME_PING,
    FRAME_PONG,
    FRAME_CLOSE, /* 2: HTTP status that says the code; text */
};

struct path {
    struct cm_carrier *c; /* NULL: only the goodbye is still to go out */
    struct cm_stream *stream;
    struct cm_loop *loop;
    uint64_t rx_pos; /* offset of the next byte of DATA to come */
    uint64_t tx_pos; /* offset of the next byte of DATA to send */
    bool tx_ready;   /* START was sent, tx_pos is valid */
    bool rx_ready;   /* START has come, rx_pos is valid */
    bool fin_sent, freed;
    uint8_t head[FRAME_HEAD];
    size_t head_len;
    enum frame_type type;
    size_t left; /* of the current frame's body */
    uint8_t body[FRAME_BODY_MAX];
    size_t body_len;
    struct cm_timer bye_timer;
    void (*gone)(void *ctx);
    void *gone_ctx;
};

/* What a path has seen and the carrier's owner is to be told. */
enum {
    CEV_DATA = 1,
    CEV_EOF = 2,
    CEV_UP = 4,
    CEV_CLOSED = 8,
};

struct cm_carrier {
    struct cm_stream s;
    struct cm_carrier_config cfg;
    struct path *path;
    struct evbuffer *fresh;  /* from the owner, on no path yet */
    struct evbuffer *replay; /* sent and not acknowledged: from acked to sent */
    uint64_t acked, sent;    /* offsets; sent is the most that went out on any path */
    uint64_t received, ack_told;
    bool attached_before, posted;
    unsigned events;   /* CEV_* */
    unsigned refs;     /* the owner, a posted turn, a running callback */
    struct cm_err why; /* of CEV_CLOSED */
    struct cm_timer linger, tick, ack;
    cm_usec heard_at, asked_at;
    bool asking;
    void (*gone)(void *ctx);
    void *gone_ctx;
};

/* carrier_path.c */
struct path *path_new(struct cm_carrier *c, struct cm_stream *stream);
/* From here on DATA may be sent, beginning at tx_pos. */
void path_start(struct path *p, uint64_t tx_pos);
void path_free(struct path *p);
/* Detaches: says why (NULL: nothing), ends the path and frees it when the peer has hung up, or
 * soon. */
void path_bye(struct path *p, const struct cm_err *why);
void path_send(struct path *p, enum frame_type type, const void *body, size_t len);
void path_send_u64(struct path *p, enum frame_type type, uint64_t v);
/* Takes frames from the path's input; notes events in the carrier. */
CM_MUST_USE enum cm_code path_read(struct path *p, struct cm_err *err);
bool path_has_input(const struct path *p);

/* carrier.c */
void carrier_on_path(struct path *p, enum cm_stream_event ev);
CM_MUST_USE enum cm_code carrier_acked(struct cm_carrier *c, uint64_t offset, struct cm_err *err);
bool carrier_wants_input(const struct cm_carrier *c);
