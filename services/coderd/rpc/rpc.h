/* coderd's side of the RPC: who may introduce itself, and the tables of methods. */
#pragma once

#include "net/rpc/server.h"

struct coderd;

extern const struct cm_rpc_method agent_methods[];
extern const struct cm_rpc_method provisioner_methods[];

/* Starts the server: keys from the database, the private listener, and the unix socket when one is
 * configured. */
enum cm_code coderd_rpc_start(struct coderd *app, struct cm_err *err);
