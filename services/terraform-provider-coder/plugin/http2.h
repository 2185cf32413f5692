/* The server's side of one HTTP/2 connection that carries gRPC calls. Bytes in, bytes out: it knows
 * no socket.
 *
 * Calls are answered as soon as their request is complete, one at a time, in the thread that brings
 * the bytes. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "plugin/dispatch.h"

struct http2;

/* dispatch is borrowed. */
CM_MUST_USE enum cm_code http2_new(struct dispatch *dispatch, struct http2 **ret,
                                   struct cm_err *err);
void http2_free(struct http2 *h);
CM_DEFINE_CLEANUP(http2, http2_free)

/* CM_PROTOCOL: the peer broke the protocol; send what is pending and close. */
CM_MUST_USE enum cm_code http2_receive(struct http2 *h, struct cm_str bytes, struct cm_err *err);
/* The next bytes to send, valid until the next call; empty when there are none now. */
CM_MUST_USE enum cm_code http2_pending(struct http2 *h, struct cm_str *ret, struct cm_err *err);
/* False once both sides are done with the connection. */
bool http2_is_open(struct http2 *h);
