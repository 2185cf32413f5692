/* Keys that all replicas of a deployment share, kept in its database: made by whoever starts first.
 */
#pragma once

#include "base/arena.h"
#include "db/db.h"

/* What they are for. */
#define KEYS_STREAM_TICKET "stream_ticket"
#define KEYS_RPC_TICKET    "rpc_ticket"
#define KEYS_PSK_FAKE      "psk_fake" /* never renewed: what it makes up must stay the same */

#define DEPLOYMENT_KEY_LEN  32
#define DEPLOYMENT_KEYS_MAX 8

struct deployment_key {
    uint32_t sequence;
    uint8_t secret[DEPLOYMENT_KEY_LEN];
};

/* The one to use first; at least one. Others are there to read what was made with them, or will be.
 */
CM_MUST_USE enum cm_code deployment_keys_load(struct cm_db *db, const char *feature,
                                              struct deployment_key *ret, size_t *ret_n,
                                              struct cm_err *err);
/* Makes the next key when the newest has been in use for 90 days: for use in a day, when all
 * replicas have it. The others retire a day after that. */
CM_MUST_USE enum cm_code deployment_keys_renew(struct cm_db *db, const char *feature,
                                               struct cm_err *err);
