/* The public side of the RPC: joins a WebSocket upgrade that the HTTP server took at CM_RPC_PATH
 * with the RPC server's private listener. nng's handshake is passed on in a head of our own making,
 * with the listener's secret and the client's address, so that nothing of the public request
 * reaches nng but what is named here. */
#pragma once

#include "net/rpc/server.h"
#include "net/stream.h"

/* From the public request's head, borrowed for the call. The caller has checked that it is a GET
 * with `Upgrade: websocket` and version 13. */
struct cm_rpc_front_head {
    struct cm_str key;      /* Sec-WebSocket-Key */
    struct cm_str protocol; /* Sec-WebSocket-Protocol; must name rep.sp.nanomsg.org */
    struct cm_str
        address; /* the client's: what the front takes for it, behind trusted balancers too */
};

/* CM_INVALID when the head is not one of nng's RPC (answer 400 yourself; the stream is still
 * yours). Otherwise takes the stream; done (may be NULL) runs on the loop when it has ended; until
 * then cm_splice_abort(*ret) ends it without (ret may be NULL). The listener's answer (101) goes to
 * the client as it is. */
CM_MUST_USE enum cm_code cm_rpc_front_splice(struct cm_loop *loop, struct cm_stream *public_side,
                                             const struct cm_rpc_front_head *head,
                                             const struct cm_rpc_private *to,
                                             cm_splice_done_fn done, void *ctx,
                                             struct cm_splice **ret, struct cm_err *err);
