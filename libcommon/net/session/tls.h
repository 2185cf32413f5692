/* TLS over any stream of bytes. */
#pragma once

#include "net/stream.h"

struct ssl_st;

/* Takes lower and ssl, whose handshake is done here. up (may be NULL) runs once when the handshake
 * is done. A failed handshake, and an end without a close_notify, are CM_STREAM_FAILED. */
struct cm_stream *cm_tls_stream_new(struct cm_stream *lower, struct ssl_st *ssl, bool accepting,
                                    void (*up)(void *ctx, struct cm_stream *s), void *ctx);
