/* What an agent, or a command inside its workspace, asks by HTTP with the agent's token. Source:
 * api-behaviour reference, 4.12. */
#include "api/agents.h"
#include "api/job_show.h"
#include "api/workspaces.h"
#include "app.h"
#include "background/hub.h"
#include "domain/ssh_key.h"
#include "store/agents.h"
#include "store/users.h"

#define LOGS_MAX ((int64_t)1024 * 1024)

/* ---- logs ---- */

static enum cm_code check_logs(struct api_req *r, const struct api_patch_logs *q,
                               struct cm_err *err)
{
    if (!q->n_logs)
        return cm_err_set(err, CM_INVALID, "No logs provided.");
    for (size_t i = 0; i < q->n_logs; i++) {
        if (!cm_str_is_utf8(q->logs[i].output))
            cm_violations_add(&r->violations, r->arena, CM_STR("logs"), "line %zu is not UTF-8",
                              i + 1);
    }
    return r->violations.n ? cm_err_set(err, CM_INVALID, "Validation failed.") : CM_OK;
}

/* These lines come without a position in their source's sequence: they go to its end. */
static enum cm_code append(struct api_req *r, const struct api_patch_logs *q,
                           struct store_logs_state **ret, struct cm_err *err)
{
    /* Where agents put lines that name no source. */
    static const struct cm_uuid external = {{0x3b, 0x57, 0x9b, 0xf4, 0x1e, 0xd8, 0x4b, 0x99, 0x87,
                                             0xa8, 0xe9, 0xa1, 0xe3, 0x41, 0x04, 0x10}};
    struct cm_uuid source = cm_uuid_is_nil(q->log_source_id) ? external : q->log_source_id;
    size_t n = q->n_logs;
    struct cm_time *times = CM_NEW_ARRAY(r->arena, struct cm_time, n), now = cm_time_now();
    struct cm_str *levels = CM_NEW_ARRAY(r->arena, struct cm_str, n),
                  *outputs = CM_NEW_ARRAY(r->arena, struct cm_str, n);
    for (size_t i = 0; i < n; i++) {
        times[i] = cm_time_is_zero(q->logs[i].created_at) ? now : q->logs[i].created_at;
        levels[i] =
            q->logs[i].level ? cm_str(api_log_level_enum.texts[q->logs[i].level]) : CM_STR("info");
        outputs[i] = q->logs[i].output.ptr ? q->logs[i].output : CM_STR("");
    }
    int64_t *next = NULL;
    CM_AUTO(cm_db_tx) tx = NULL;
    if (cm_db_tx_begin(r->db, &tx, err) != CM_OK ||
        store_log_source_next(r->db, r->arena, r->agent->agent_id, source, &next, err) != CM_OK)
        return err->code;
    struct store_agent_logs_append_args row = {.agent_id = r->agent->agent_id,
                                               .log_source_id = source,
                                               .first_seq = next ? *next : 0,
                                               .max_bytes = LOGS_MAX,
                                               .times = times,
                                               .n_times = n,
                                               .levels = levels,
                                               .n_levels = n,
                                               .outputs = outputs,
                                               .n_outputs = n};
    if (store_agent_logs_append(r->db, r->arena, &row, ret, err) != CM_OK ||
        hub_notify(r->db, err, TOPIC_AGENT_LOGS, cm_uuid_text(r->agent->agent_id).s) != CM_OK)
        return err->code;
    return cm_db_tx_commit(tx, err);
}

static enum cm_code patch_logs(struct api_req *r, struct cm_err *err)
{
    const struct api_patch_logs *q = r->body;
    struct store_logs_state *state = NULL;
    if (check_logs(r, q, err) != CM_OK || append(r, q, &state, err) != CM_OK)
        return err->code;
    if (!state)
        return api_not_found(err);
    if (state->overflowed)
        return api_reply_message(r, 413, "Logs limit exceeded", NULL);
    return api_reply_raw(r, 200, "application/json; charset=utf-8", CM_STR("null\n"));
}

/* ---- credentials ---- */

static enum cm_code git_ssh_key(struct api_req *r, struct cm_err *err)
{
    struct store_git_ssh_key *key = NULL;
    enum cm_code code = store_git_ssh_key_get(r->db, r->arena, r->agent->owner_id, &key, err);
    if (code == CM_NOT_FOUND) {
        /* Accounts of before have none until it is asked for. */
        struct ssh_key made;
        if (ssh_key_make(r->arena, &made, err) != CM_OK ||
            store_git_ssh_key_set(r->db, r->arena, r->agent->owner_id, made.private_key,
                                  made.public_key, &key, err) != CM_OK)
            return err->code;
        code = CM_OK;
    }
    if (code != CM_OK)
        return code;
    struct api_agent_git_ssh_key out = {.public_key = key->public_key,
                                        .private_key = key->private_key};
    return api_reply(r, 200, &api_agent_git_ssh_key_msg, &out);
}

static enum cm_code external_auth(struct api_req *r, struct cm_err *err)
{
    struct cm_str match = api_query(r, "match"), id = api_query(r, "id");
    if (!match.len == !id.len)
        return cm_err_set(err, CM_INVALID, "%s",
                          match.len ? "'match' and 'id' cannot be used together"
                                    : "'match' or 'id' must be provided");
    return match.len ? cm_err_set(err, CM_NOT_FOUND,
                                  "No matching external auth provider found in Coder for the url.")
                     : cm_err_set(err, CM_NOT_FOUND,
                                  "No matching external auth provider found in Coder for the id.");
}

/* ---- a cloud's word for who an instance is ---- */

/* No cloud's keys are known to this deployment, so that no document can be believed. */
static enum cm_code refuse_identity(struct api_req *r, struct cm_err *err)
{
    (void)err;
    return api_reply_message(r, 401, "Invalid instance identity document.",
                             "Sign-in by instance identity is not offered by this deployment: let "
                             "the template use token authentication.");
}

/* ---- what an application says of itself ---- */

static enum cm_code app_status(struct api_req *r, struct cm_err *err)
{
    const struct api_patch_app_status *q = r->body;
    int64_t n = 0;
    if (q->message.len > 160)
        return api_reply_invalid(r, "Message is too long.", "message",
                                 "must have at most 160 characters");
    if (q->state == API_WORKSPACE_APP_STATUS_STATE_UNSET)
        return api_reply_invalid(r, "Invalid state provided.", "state",
                                 "must be working, idle, complete or failure");
    struct store_app_status_insert_args row = {.id = cm_uuid_random(),
                                               .workspace_id = r->agent->workspace_id,
                                               .agent_id = r->agent->agent_id,
                                               .slug = q->app_slug,
                                               .state = q->state,
                                               .message = q->message.ptr ? q->message : CM_STR(""),
                                               .uri = q->uri.ptr ? q->uri : CM_STR("")};
    if (store_app_status_insert(r->db, r->arena, &row, &n, err) != CM_OK)
        return err->code;
    if (!n)
        return cm_err_set(err, CM_INVALID,
                          "Failed to get workspace app: there is none of slug "
                          "\"%.*s\".",
                          (int)CM_MIN(q->app_slug.len, (size_t)64), q->app_slug.ptr);
    if (hub_notify(r->db, err, TOPIC_WS_FMT, cm_uuid_text(r->agent->workspace_id).s) != CM_OK)
        return err->code;
    return api_reply_raw(r, 200, "application/json; charset=utf-8", CM_STR("null\n"));
}

/* ---- what the agents of another system ask ---- */

static enum cm_code other_agents(struct api_req *r, struct cm_err *err)
{
    (void)err;
    return api_reply_message(r, 501, "This deployment talks to its own agents only.",
                             "Start the workspace again, so that it downloads the agent of this "
                             "deployment.");
}

#define A  "/api/v2/workspaceagents"
#define ME A "/me"
static const struct route rows[] = {
    {CM_HTTP_PATCH, ME "/logs", AUTH_AGENT, RBAC_SELF, ROUTE_CALL, patch_logs, &api_patch_logs_msg,
     "Send logs", LIMIT_NONE, (uint64_t)4 * 1024 * 1024, false},
    {CM_HTTP_GET, ME "/gitsshkey", AUTH_AGENT, RBAC_SELF, ROUTE_CALL, git_ssh_key, NULL,
     "The owner's key for git", LIMIT_API, 0, false},
    {CM_HTTP_GET, ME "/external-auth", AUTH_AGENT, RBAC_SELF, ROUTE_CALL, external_auth, NULL,
     "The owner's token at another site", LIMIT_API, 0, false},
    {CM_HTTP_GET, ME "/gitauth", AUTH_AGENT, RBAC_SELF, ROUTE_CALL, external_auth, NULL,
     "The same by its old name", LIMIT_API, 0, false},
    {CM_HTTP_PATCH, ME "/app-status", AUTH_AGENT, RBAC_SELF, ROUTE_CALL, app_status,
     &api_patch_app_status_msg, "Report what an application does", LIMIT_API, 0, false},
    {CM_HTTP_GET, ME "/rpc", AUTH_AGENT, RBAC_SELF, ROUTE_CALL, other_agents, NULL,
     "Not offered: the agents of another system", LIMIT_API, 0, false},
    {CM_HTTP_POST, A "/aws-instance-identity", AUTH_NONE, RBAC_PUBLIC, ROUTE_CALL, refuse_identity,
     &api_aws_instance_identity_token_msg, "Sign in as an AWS instance", LIMIT_LOGIN, 0, false},
    {CM_HTTP_POST, A "/azure-instance-identity", AUTH_NONE, RBAC_PUBLIC, ROUTE_CALL,
     refuse_identity, &api_azure_instance_identity_token_msg, "Sign in as an Azure instance",
     LIMIT_LOGIN, 0, false},
    {CM_HTTP_POST, A "/google-instance-identity", AUTH_NONE, RBAC_PUBLIC, ROUTE_CALL,
     refuse_identity, &api_google_instance_identity_token_msg, "Sign in as a Google instance",
     LIMIT_LOGIN, 0, false},
};

const struct route_table agent_self_routes = {rows, CM_COUNT_OF(rows)};
