/* The client's opening handshake, by the HTTP client. */
#pragma once

#include "net/dial/http_client.h"
#include "net/ws/ws.h"

/* stream is owned by the callee, NULL on failure. When the server answered, but with something else
 * than a proper 101, answer is that answer, borrowed for the call (else NULL). */
typedef void (*cm_ws_dial_fn)(void *ctx, struct cm_stream *stream,
                              const struct cm_httpc_answer *answer, const struct cm_err *err);
struct cm_ws_dial;
/* req: url, headers, timeout, unix_path. protocol: a subprotocol to insist on, or NULL. */
struct cm_ws_dial *cm_ws_dial_start(struct cm_httpc *h, const struct cm_httpc_req *req,
                                    const char *protocol, cm_ws_dial_fn fn, void *ctx);
void cm_ws_dial_cancel(struct cm_ws_dial *d); /* NULL is fine; not after fn has run */
