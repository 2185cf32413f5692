/* What the unix socket shares with the public front. */
#pragma once

#include "net/rpc/front.h"

/* In place of an address: the caller came by the unix socket. */
#define RPC_ADDRESS_UNIX "unix"

/* As cm_rpc_front_splice, for an address that was checked. */
CM_MUST_USE enum cm_code rpc_front_join(struct cm_loop *loop, struct cm_stream *side,
                                        const struct cm_rpc_front_head *head,
                                        const struct cm_rpc_private *to, cm_splice_done_fn done,
                                        void *ctx, struct cm_splice **ret, struct cm_err *err);
