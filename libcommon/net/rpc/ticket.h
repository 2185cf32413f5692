/* Tickets: a caller's identity and session secret, sealed under a deployment key that all replicas
 * share, so that one that never saw the Hello can serve the caller. Opaque to everybody else. No
 * state, any thread. */
#pragma once

#include "net/rpc/seal.h"
#include "net/rpc/wire.h"

#define CM_RPC_TICKET_MAX 8192

struct cm_rpc_key {
    uint32_t id; /* names the key in tickets; not secret */
    uint8_t key[32];
};

struct cm_rpc_ticket {
    struct cm_rpc_identity identity;
    bool has_secret; /* then all of the session's payloads are sealed */
    uint8_t secret[CM_SEAL_SECRET];
    struct cm_time expires_at;
};

/* Appends the ticket to out. */
CM_MUST_USE enum cm_code cm_rpc_ticket_seal(const struct cm_rpc_key *key,
                                            const struct cm_rpc_ticket *t, struct cm_buf *out,
                                            struct cm_err *err);
/* Tries the key that the ticket names. CM_UNAUTHENTICATED when it was altered, is expired at now,
 * or its key is not among keys. What ret points at lives in the arena; the secret is wiped with it.
 */
CM_MUST_USE enum cm_code cm_rpc_ticket_open(struct cm_arena *a, const struct cm_rpc_key *keys,
                                            size_t n_keys, struct cm_str bytes, struct cm_time now,
                                            struct cm_rpc_ticket **ret, struct cm_err *err);
