/* Which agent a host text means, and seeing to it that it can be reached. */
#pragma once

#include "cmd/cmd.h"

struct remote_name {
    const char *owner, *workspace, *agent; /* owner "me", agent "" where the text does not say */
};
/* "ws", "ws.agent", "owner/ws", "owner/ws.agent", "owner--ws--agent", "agent.ws.owner". */
CM_MUST_USE enum cm_code remote_name_parse(struct cm_arena *a, const char *text,
                                           struct remote_name *ret, struct cm_err *err);

struct remote_wish {
    bool autostart;     /* start a stopped workspace */
    const char *wait;   /* for start-up scripts: "yes", "no", "auto" */
    const char *reason; /* of the start, as in the API */
};

/* Finds the agent, starts the workspace where needed, and waits until the agent is connected. All
 * words go to stderr. */
CM_MUST_USE enum cm_code remote_find(struct cli *cli, const char *host,
                                     const struct remote_wish *wish, struct api_workspace **ret_ws,
                                     struct api_workspace_agent **ret_agent, struct cm_err *err);
