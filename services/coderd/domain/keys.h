/* Keys that all replicas of a deployment share, kept in its database: made by whoever starts first.
 */
#pragma once

#include "base/arena.h"
#include "db/db.h"

#define DEPLOYMENT_KEY_LEN  32
#define DEPLOYMENT_KEYS_MAX 8

struct deployment_key {
    uint32_t sequence;
    uint8_t secret[DEPLOYMENT_KEY_LEN];
};

/* Newest first; at least one. feature: "stream_ticket", "rpc_ticket", "psk_fake". */
CM_MUST_USE enum cm_code deployment_keys_load(struct cm_db *db, const char *feature,
                                              struct deployment_key *ret, size_t *ret_n,
                                              struct cm_err *err);
