/* WebSocket frames (RFC 6455, section 5) as bytes: a decoder for what the other end sends, and
 * heads for what we send. No extensions. Pure: no stream, no clock. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum cm_ws_opcode {
    CM_WS_OP_CONT = 0,
    CM_WS_OP_TEXT = 1,
    CM_WS_OP_BINARY = 2,
    CM_WS_OP_CLOSE = 8,
    CM_WS_OP_PING = 9,
    CM_WS_OP_PONG = 10,
};

#define CM_WS_CONTROL_MAX 125
#define CM_WS_HEAD_MAX    14

/* Close codes that we send or tell apart. */
enum cm_ws_close_code {
    CM_WS_NORMAL = 1000,
    CM_WS_GOING_AWAY = 1001,
    CM_WS_PROTOCOL_ERROR = 1002,
    CM_WS_NO_CODE = 1005, /* the peer's close frame had none; never sent */
    CM_WS_BAD_DATA = 1007,
    CM_WS_POLICY = 1008,
    CM_WS_TOO_BIG = 1009,
    CM_WS_SERVER_ERROR = 1011,
};

struct cm_ws_decoder {
    bool from_client;   /* frames must be masked; else they must not be */
    size_t max_message; /* bytes of a whole message */
    /* A whole message, or a whole control frame; payload is borrowed for the call. Text is UTF-8.
     * False stops feeding. */
    bool (*on_frame)(void *ctx, enum cm_ws_opcode op, struct cm_str payload);
    void *ctx;

    struct cm_buf message;        /* of fragments so far */
    enum cm_ws_opcode message_op; /* CM_WS_OP_CONT: none under way */
    unsigned char control[CM_WS_CONTROL_MAX];
    unsigned char head[CM_WS_HEAD_MAX], mask[4];
    size_t head_len; /* bytes of head so far */
    uint64_t payload_len, payload_at;
    enum cm_ws_opcode op;
    bool fin, in_payload, failed;
};

void cm_ws_decoder_init(struct cm_ws_decoder *d, bool from_client, size_t max_message);
void cm_ws_decoder_done(struct cm_ws_decoder *d);
/* Takes all of data unless on_frame stops it; *ret_used says how much. On failure *ret_close is the
 * close code to send; feeding again is a mistake. */
CM_MUST_USE enum cm_code cm_ws_decoder_feed(struct cm_ws_decoder *d, const void *data, size_t len,
                                            size_t *ret_used, int *ret_close, struct cm_err *err);

/* Writes the head of an unfragmented frame and returns its length. mask: 4 bytes for a client, NULL
 * for a server. */
size_t cm_ws_head(unsigned char out[CM_WS_HEAD_MAX], enum cm_ws_opcode op, uint64_t len,
                  const unsigned char *mask);
/* Masks (or unmasks) in place; offset is that of data in the payload. */
void cm_ws_mask(void *data, size_t len, const unsigned char mask[4], uint64_t offset);

/* Takes a close frame's payload apart: false when it breaks the protocol. Empty: CM_WS_NO_CODE. */
CM_MUST_USE bool cm_ws_close_parse(struct cm_str payload, int *ret_code, struct cm_str *ret_reason);
