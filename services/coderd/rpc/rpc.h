/* coderd's side of the RPC: who may introduce itself, and the tables of methods. */
#pragma once

#include "net/rpc/server.h"

struct coderd;

extern const struct cm_rpc_method agent_methods[];
extern const struct cm_rpc_method provisioner_methods[];

struct cm_db;

/* The keys that seal tickets, the one in use first; at most DEPLOYMENT_KEYS_MAX. */
CM_MUST_USE enum cm_code coderd_rpc_keys(struct cm_db *db, struct cm_rpc_key *ret, size_t *ret_n,
                                         struct cm_err *err);
/* Starts the server: keys from the database, the private listener, and the unix socket when one is
 * configured. */
enum cm_code coderd_rpc_start(struct coderd *app, struct cm_err *err);
