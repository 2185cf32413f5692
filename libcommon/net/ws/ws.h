/* WebSocket connections over any stream, either end, after the handshake (RFC 6455): messages with
 * a size limit, pings that prove the peer alive, close codes. A connection belongs to the loop of
 * its stream. */
#pragma once

#include "net/stream.h"
#include "net/ws/frame.h"

struct cm_ws;

enum cm_ws_event {
    CM_WS_TEXT, /* payload is a message */
    CM_WS_BINARY,
    CM_WS_CLOSED, /* closed in good order, by the peer or by both: see cm_ws_close_code; payload is
                     the reason */
    CM_WS_FAILED, /* broken, or no sign of life: see cm_ws_err */
};
/* Never runs inside a call of the owner's, and not after CLOSED, FAILED or cm_ws_free, which may be
 * called from here. */
typedef void (*cm_ws_fn)(struct cm_ws *ws, enum cm_ws_event ev, struct cm_str payload, void *ctx);

struct cm_ws_config {
    bool client;        /* our end masks */
    size_t max_message; /* of what we receive; 0: 4 MiB */
    cm_usec ping_every; /* no byte for this long: ping; none for twice as long: FAILED. 0: never */
};

/* Takes the stream, whose input may already hold frames. */
struct cm_ws *cm_ws_new(struct cm_stream *stream, const struct cm_ws_config *cfg, cm_ws_fn fn,
                        void *ctx);
void cm_ws_free(struct cm_ws *ws); /* at once, without a word to the peer */
CM_DEFINE_CLEANUP(cm_ws, cm_ws_free)

void cm_ws_send(struct cm_ws *ws, bool text, const void *data,
                size_t len); /* copies; ignored after closing */
size_t cm_ws_unsent(const struct cm_ws *ws);
/* Says goodbye; CLOSED follows when the peer has answered, or after 5 s. reason: 123 bytes at most,
 * or NULL. */
void cm_ws_close(struct cm_ws *ws, int code, const char *reason);
int cm_ws_close_code(const struct cm_ws *ws);
const struct cm_err *cm_ws_err(const struct cm_ws *ws);

/* Handshake texts. key: 24 characters of base64. */
#define CM_WS_KEY_TEXT    25
#define CM_WS_ACCEPT_TEXT 29
void cm_ws_key_new(char out[CM_WS_KEY_TEXT]);
void cm_ws_accept_key(struct cm_str key, char out[CM_WS_ACCEPT_TEXT]);
/* Is it a key as the RFC wants it: base64 of 16 bytes? */
bool cm_ws_key_valid(struct cm_str key);
