/* What is larger than a message, in chunks between coderd and a job. Blocking; not on the client's
 * loop. */
#pragma once

#include "base/buf.h"
#include "net/rpc/client.h"
#include "terraform/proto.h"

#define QUEUE_API_VERSION 1

#define METHOD_ACQUIRE  "provisioner.Acquire"
#define METHOD_FETCH    "provisioner.Fetch"
#define METHOD_STORE    "provisioner.Store"
#define METHOD_UPDATE   "provisioner.Update"
#define METHOD_COMPLETE "provisioner.Complete"

/* Appends all of it to out, up to out's maximum. Waits up to a minute for a server that is
 * CM_UNAVAILABLE. */
CM_MUST_USE enum cm_code transfer_fetch(struct cm_rpc_client *client, PB(Lease) * lease,
                                        PB(FetchRequest__What) what, struct cm_buf *out,
                                        struct cm_err *err);
/* deadline: of each chunk; 0: TRANSFER_DEADLINE. between (may be NULL) runs after each chunk that
 * is not the last, so that a long transfer does not stop a heart. */
#define TRANSFER_DEADLINE (10 * CM_SECOND)
CM_MUST_USE enum cm_code transfer_store(struct cm_rpc_client *client, PB(Lease) * lease,
                                        PB(StoreRequest__What) what, struct cm_str data,
                                        cm_usec deadline, void (*between)(void *ctx), void *ctx,
                                        struct cm_err *err);

/* Will the same request be refused again? Otherwise it is worth another try. */
bool transfer_is_final(enum cm_code code);
