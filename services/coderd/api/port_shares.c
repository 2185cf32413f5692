/* Ports of a workspace that others may open. Source: api-behaviour reference, 4.14. */
#include "api/agents.h"
#include "api/audit_log.h"
#include "api/template_load.h"
#include "api/workspace_load.h"
#include "app.h"
#include "store/agents.h"

#define PORT_MIN 9

static enum cm_code shares_get(struct api_req *r, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    struct api_workspace_agent_port_shares out = {0};
    if (workspace_param_live(r, 0, &w, err) != CM_OK ||
        store_port_shares(r->db, r->arena, w->id, &out.shares, &out.n_shares, err) != CM_OK)
        return err->code;
    return api_reply(r, 200, &api_workspace_agent_port_shares_msg, &out);
}

static enum cm_code has_agent(struct api_req *r, const struct store_workspace *w,
                              struct cm_str name, bool *ret, struct cm_err *err)
{
    struct store_agent *agents = NULL;
    size_t n = 0;
    *ret = false;
    if (store_agents_by_jobs(r->db, r->arena, &w->latest_job_id, 1, &agents, &n, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < n; i++)
        *ret = *ret || cm_str_eq(agents[i].name, name);
    return CM_OK;
}

static enum cm_code share_set(struct api_req *r, struct cm_err *err)
{
    const struct api_upsert_workspace_agent_port_share_request *q = r->body;
    struct store_workspace *w = NULL;
    struct store_template *t = NULL;
    bool known = false;
    if (workspace_param_live(r, 0, &w, err) != CM_OK ||
        template_load(r, w->template_id, &t, err) != CM_OK ||
        has_agent(r, w, q->agent_name, &known, err) != CM_OK)
        return err->code;
    if (q->share_level < API_WORKSPACE_AGENT_PORT_SHARE_LEVEL_AUTHENTICATED)
        return api_reply_invalid(r, "Port sharing level not allowed.", "share_level",
                                 "must be authenticated, organization or public");
    if (q->protocol == API_WORKSPACE_AGENT_PORT_SHARE_PROTOCOL_UNSET)
        return cm_err_set(err, CM_INVALID, "Port protocol not allowed.");
    if (q->port < PORT_MIN || q->port > UINT16_MAX)
        return api_reply_invalid(r, "Port must be between 9 and 65535.", "port",
                                 "must be from 9 to 65535");
    /* The values of the enum rise with who may come in. */
    if (q->share_level > t->max_port_share_level)
        return api_reply_invalid(
            r, "Port sharing level not allowed.", "share_level",
            "the template allows no more than \"%s\"",
            api_workspace_agent_port_share_level_enum.texts[t->max_port_share_level]);
    if (!known)
        return cm_err_set(err, CM_INVALID, "Agent not found.");
    if (store_port_share_set(r->db, r->arena, w->id, q->agent_name, q->port, q->share_level,
                             q->protocol, NULL, err) != CM_OK)
        return err->code;
    audit(r, &(struct audit_event){.action = "write",
                                   .resource_type = "workspace",
                                   .resource_id = w->id,
                                   .target = w->name,
                                   .org_id = w->organization_id,
                                   .status = 200});
    struct api_workspace_agent_port_share out = {.workspace_id = w->id,
                                                 .agent_name = q->agent_name,
                                                 .port = q->port,
                                                 .share_level = q->share_level,
                                                 .protocol = q->protocol};
    return api_reply(r, 200, &api_workspace_agent_port_share_msg, &out);
}

static enum cm_code share_delete(struct api_req *r, struct cm_err *err)
{
    const struct api_delete_workspace_agent_port_share_request *q = r->body;
    struct store_workspace *w = NULL;
    int64_t gone = 0;
    if (workspace_param_live(r, 0, &w, err) != CM_OK ||
        store_port_share_delete(r->db, r->arena, w->id, q->agent_name, q->port, &gone, err) !=
            CM_OK)
        return err->code;
    return gone ? api_reply_none(r, 200) : cm_err_set(err, CM_NOT_FOUND, "Port share not found.");
}

#define W "/api/v2/workspaces/{workspace}"
static const struct route rows[] = {
    {CM_HTTP_GET, W "/port-share", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL, shares_get,
     NULL, "Ports that are shared", LIMIT_API, 0, false},
    {CM_HTTP_POST, W "/port-share", AUTH_SESSION, RBAC(workspace, update), ROUTE_CALL, share_set,
     &api_upsert_workspace_agent_port_share_request_msg, "Share a port", LIMIT_API, 0, false},
    {CM_HTTP_DELETE, W "/port-share", AUTH_SESSION, RBAC(workspace, update), ROUTE_CALL,
     share_delete, &api_delete_workspace_agent_port_share_request_msg, "Share a port no longer",
     LIMIT_API, 0, false},
};

const struct route_table port_shares_routes = {rows, CM_COUNT_OF(rows)};
