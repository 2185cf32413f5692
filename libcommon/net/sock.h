/* Streams over sockets: TCP, unix, socket pairs, with TLS or without. */
#pragma once

#include <sys/socket.h>

#include "net/stream.h"

struct ssl_st;

/* Takes fd (made non-blocking) and, when not NULL, ssl, whose handshake is done here: as the server
 * when accepting. Data and failures arrive through the callback; a failed handshake is
 * CM_STREAM_FAILED with the reason. */
struct cm_stream *cm_sock_stream_new(struct cm_loop *loop, int fd, struct ssl_st *ssl,
                                     bool accepting);

/* Moves the stream to another loop together with its unread input: the callback is cleared here,
 * then ready(stream, ctx) runs on the other loop, where a new callback may be set. The old pointer
 * is invalid at once. */
void cm_sock_stream_move(struct cm_stream *s, struct cm_loop *to,
                         void (*ready)(struct cm_stream *s, void *ctx), void *ctx);

/* For a watched listener: accept4, non-blocking; -1 when there is nobody, or no descriptor left, in
 * which case the watch rests, since the listener stays ready. sa and len may be NULL. */
int cm_sock_accept(struct cm_watch *listener, int fd, struct sockaddr *sa, socklen_t *len);

/* Keepalive, no Nagle, and a short kernel send queue so that a keystroke is not queued behind bulk
 * data. */
void cm_sock_tune(int fd);
