/* What all parts of the agent look at: who we are, where we keep things, and what coderd told us.
 * Owned by app.c, changed on the loop only, borrowed by everybody. */
#pragma once

#include "agent.pb-c.h"
#include "agent_child.pb-c.h"
#include "loop/loop.h"
#include "options.h"
#include "sys/user.h"

struct cm_rpc_client;

struct agent_context {
    struct cm_loop *loop;
    const struct agent_options *opt;
    struct cm_rpc_client *rpc;
    const char *const *base_env; /* our environment without our secrets */
    struct cm_user user;
    const char *script_data_dir; /* <script-data-dir>/coder-script-data */
    /* Replaced whole when coderd's word changes; keep no pointers into them across turns of the
     * loop. Never NULL after the first manifest, before that both are. */
    const Coder__Agent__V1__Manifest *manifest;
    const Coder__Agent__V1__CommandEnvironment *environment;
};
