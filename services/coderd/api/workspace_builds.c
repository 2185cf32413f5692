/* Builds of a workspace: the list, and beginning one. Source: api-behaviour reference, 4.11. */
#include "api/audit_log.h"
#include "api/build_start.h"
#include "api/job_show.h"
#include "api/workspace_load.h"
#include "api/workspaces.h"
#include "app.h"
#include "background/hub.h"
#include "options.h"

static enum cm_code build_list(struct api_req *r, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    struct store_build *rows = NULL;
    struct api_workspace_build *out = NULL;
    size_t n = 0;
    int64_t limit = 0, offset = 0;
    struct cm_uuid after = {{0}};
    struct cm_time since;
    if (workspace_param_live(r, 0, &w, err) != CM_OK)
        return err->code;
    api_query_i64(r, "limit", 0, INT32_MAX, &limit);
    api_query_i64(r, "offset", 0, INT32_MAX, &offset);
    api_query_uuid(r, "after_id", &after);
    struct cm_str since_text = api_query(r, "since");
    if (since_text.len && !cm_time_parse(since_text, &since))
        cm_violations_add(&r->violations, r->arena, CM_STR("since"),
                          "must be a time such as 2026-01-31T00:00:00Z");
    if (api_query_check(r, err) != CM_OK)
        return err->code;
    bool has_after = !cm_uuid_is_nil(after);
    if (has_after) {
        struct store_build *cursor = NULL;
        enum cm_code code = store_build_by_id(r->db, r->arena, after, &cursor, err);
        if (code == CM_NOT_FOUND || (code == CM_OK && !cm_uuid_eq(cursor->workspace_id, w->id)))
            return cm_err_set(err, CM_INVALID, "Record at \"after_id\" does not exist.");
        if (code != CM_OK)
            return code;
    }
    if (store_builds_page(r->db, r->arena, w->id, since_text.len ? &since : NULL,
                          has_after ? &after : NULL, limit, offset, &rows, &n, err) != CM_OK ||
        builds_show(r, rows, n, &out, err) != CM_OK)
        return err->code;
    return api_reply_list(r, 200, &api_workspace_build_msg, out, n);
}

static enum cm_code build_permission(struct api_req *r,
                                     const struct api_create_workspace_build_request *q,
                                     const struct store_workspace *w, struct cm_err *err)
{
    static const struct {
        enum rbac_action action;
        const char *text;
    } rules[] = {
        [API_WORKSPACE_TRANSITION_START] = {RBAC_do_start,
                                            "You do not have permission to start this workspace."},
        [API_WORKSPACE_TRANSITION_STOP] = {RBAC_do_stop,
                                           "You do not have permission to stop this workspace."},
        [API_WORKSPACE_TRANSITION_DELETE] = {
            RBAC_do_delete, "You do not have permission to delete this workspace."}};
    struct rbac_object o = workspace_object(r, w);
    if (!api_may(r, rules[q->transition].action, &o))
        return cm_err_set(err, CM_DENIED, "%s", rules[q->transition].text);
    struct store_template *t = NULL;
    if (template_load(r, w->template_id, &t, err) != CM_OK)
        return err->code;
    struct rbac_object to = template_object(r, t);
    /* Either would leave behind what the template's managers pay for. */
    if ((q->state.len || q->orphan) && !api_may(r, RBAC_do_update, &to))
        return cm_err_set(err, CM_DENIED, "Only template managers may provide custom state.");
    if (q->log_level == API_PROVISIONER_LOG_LEVEL_DEBUG) {
        struct rbac_object dc = {.resource = RBAC_deployment_config};
        if (!api_may(r, RBAC_do_read, &dc))
            return cm_err_set(
                err, CM_INVALID,
                "Workspace builds with a custom log level are restricted to administrators "
                "only.");
        if (!r->app->opt->enable_terraform_debug_mode)
            return cm_err_set(err, CM_INVALID,
                              "Terraform debug mode is disabled in the deployment configuration.");
    }
    if (t->require_active_version && q->transition == API_WORKSPACE_TRANSITION_START &&
        !api_may(r, RBAC_do_update, &to)) {
        struct cm_uuid version =
            cm_uuid_is_nil(q->template_version_id) ? w->latest_version_id : q->template_version_id;
        if (!cm_uuid_eq(version, t->active_version_id))
            return cm_err_set(err, CM_DENIED, "You must use the active version of the template.");
    }
    return CM_OK;
}

static enum api_build_reason build_reason(enum api_create_workspace_build_reason r)
{
    static const enum api_build_reason reasons[] = {
        [API_CREATE_WORKSPACE_BUILD_REASON_UNSET] = API_BUILD_REASON_INITIATOR,
        [API_CREATE_WORKSPACE_BUILD_REASON_DASHBOARD] = API_BUILD_REASON_DASHBOARD,
        [API_CREATE_WORKSPACE_BUILD_REASON_CLI] = API_BUILD_REASON_CLI,
        [API_CREATE_WORKSPACE_BUILD_REASON_SSH_CONNECTION] = API_BUILD_REASON_SSH_CONNECTION,
        [API_CREATE_WORKSPACE_BUILD_REASON_VSCODE_CONNECTION] = API_BUILD_REASON_VSCODE_CONNECTION,
        [API_CREATE_WORKSPACE_BUILD_REASON_JETBRAINS_CONNECTION] =
            API_BUILD_REASON_JETBRAINS_CONNECTION,
        [API_CREATE_WORKSPACE_BUILD_REASON_TASK_MANUAL_PAUSE] = API_BUILD_REASON_TASK_MANUAL_PAUSE,
        [API_CREATE_WORKSPACE_BUILD_REASON_TASK_RESUME] = API_BUILD_REASON_TASK_RESUME,
    };
    return reasons[r];
}

/* Forgetting resources needs no provisioner: where none is alive, the build ends at once. */
static enum cm_code orphan_alone(struct api_req *r, const struct store_workspace *w,
                                 struct cm_uuid build_id, struct cm_err *err)
{
    struct store_build *b = NULL;
    struct store_job *job = NULL;
    struct api_matched_provisioners *m = NULL;
    if (store_build_by_id(r->db, r->arena, build_id, &b, err) != CM_OK ||
        job_load(r, b->job_id, &job, err) != CM_OK ||
        matched_provisioners(r, w->organization_id, job->tags, job->n_tags, &m, err) != CM_OK)
        return err->code;
    if (m->available)
        return CM_OK;
    if (store_job_log_add(r->db, r->arena, job->id, CM_STR("info"), CM_STR("Cleaning Up"),
                          CM_STR("No provisioner is alive: the workspace's resources were left to "
                                 "themselves."),
                          NULL, err) != CM_OK ||
        store_job_succeed(r->db, r->arena, job->id, NULL, err) != CM_OK ||
        hub_notify(r->db, err, TOPIC_JOB_FMT, cm_uuid_text(job->id).s) != CM_OK)
        return err->code;
    return store_workspace_delete(r->db, r->arena, w->id, NULL, err);
}

static enum cm_code build_create(struct api_req *r, struct cm_err *err)
{
    const struct api_create_workspace_build_request *q = r->body;
    struct store_workspace *w = NULL;
    struct store_build *b = NULL;
    struct api_workspace_build *out = NULL;
    struct cm_uuid id = {{0}};
    if (workspace_param_live(r, 0, &w, err) != CM_OK)
        return err->code;
    if (build_permission(r, q, w, err) != CM_OK)
        return err->code;
    if (q->orphan && q->transition != API_WORKSPACE_TRANSITION_DELETE)
        return cm_err_set(err, CM_INVALID, "Orphan is only permitted when deleting a workspace.");
    if (q->orphan && q->state.len)
        return cm_err_set(err, CM_INVALID, "Custom state cannot be set when orphan intent.");
    struct build_request br = {.ws = w,
                               .version_id = q->template_version_id,
                               .preset_id = q->template_version_preset_id,
                               .transition = q->transition,
                               .reason = build_reason(q->reason),
                               .values = {q->rich_parameter_values, q->n_rich_parameter_values},
                               .state = q->orphan      ? CM_STR("")
                                        : q->state.len ? q->state
                                                       : CM_STR_NONE,
                               .orphan = q->orphan,
                               .debug_log = q->log_level == API_PROVISIONER_LOG_LEVEL_DEBUG};
    CM_AUTO(cm_db_tx) tx = NULL;
    if (cm_db_tx_begin(r->db, &tx, err) != CM_OK)
        return err->code;
    if (q->transition == API_WORKSPACE_TRANSITION_START &&
        cm_has(w->has, STORE_WORKSPACE_HAS_DORMANT_AT) &&
        store_workspace_set_dormant(r->db, r->arena, w->id, NULL, NULL, err) != CM_OK)
        return err->code;
    if (build_start(r, &br, &id, err) != CM_OK)
        return err->code;
    if (cm_uuid_is_nil(id))
        return CM_OK;
    if (q->orphan && orphan_alone(r, w, id, err) != CM_OK)
        return err->code;
    if (cm_db_tx_commit(tx, err) != CM_OK ||
        store_build_by_id(r->db, r->arena, id, &b, err) != CM_OK ||
        builds_show(r, b, 1, &out, err) != CM_OK)
        return err->code;
    if (matched_provisioners(r, w->organization_id, out->job->tags, out->job->n_tags,
                             &out->matched_provisioners, err) != CM_OK)
        return err->code;
    static const char *const actions[] = {"write", "start", "stop", "delete"};
    audit(r, &(struct audit_event){.action = actions[q->transition],
                                   .resource_type = "workspace_build",
                                   .resource_id = id,
                                   .target = w->name,
                                   .org_id = w->organization_id,
                                   .status = 201});
    return api_reply(r, 201, &api_workspace_build_msg, out);
}

#define W "/api/v2/workspaces/{workspace}"
static const struct route rows[] = {
    {CM_HTTP_GET, W "/builds", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL, build_list, NULL,
     "List builds", LIMIT_API, 0, false},
    {CM_HTTP_POST, W "/builds", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL, build_create,
     &api_create_workspace_build_request_msg, "Start, stop or delete", LIMIT_API,
     (uint64_t)16 * 1024 * 1024, false},
};

const struct route_table workspace_builds_routes = {rows, CM_COUNT_OF(rows)};
