/* Builds of workspaces. Source: api-behaviour reference, 4.11. */
#include "api/audit_log.h"
#include "api/build_show.h"
#include "api/job_show.h"
#include "api/template_load.h"
#include "app.h"
#include "background/hub.h"
#include "store/agents.h"

struct view {
    struct store_build *b;
    struct store_workspace *w;
};

/* params[0] as a build whose workspace the route's rule allows. */
static enum cm_code param(struct api_req *r, struct view *ret, struct cm_err *err)
{
    struct cm_uuid id;
    if (api_param_uuid(r, 0, &id, err) != CM_OK)
        return err->code;
    enum cm_code code = store_build_by_id(r->db, r->arena, id, &ret->b, err);
    if (code == CM_OK)
        code = store_workspace_by_id(r->db, r->arena, ret->b->workspace_id, &ret->w, err);
    if (code != CM_OK)
        return code == CM_NOT_FOUND ? api_not_found(err) : code;
    struct rbac_object o = workspace_object(r, ret->w);
    return r->route->rule.resource == RBAC_workspace ? api_authorize(r, &o, err) : CM_OK;
}

static enum cm_code build_get(struct api_req *r, struct cm_err *err)
{
    struct view v;
    struct api_workspace_build *out = NULL;
    if (param(r, &v, err) != CM_OK || builds_show(r, v.b, 1, &out, err) != CM_OK)
        return err->code;
    if (v.b->job_status == API_PROVISIONER_JOB_STATUS_PENDING &&
        matched_provisioners(r, v.w->organization_id, out->job->tags, out->job->n_tags,
                             &out->matched_provisioners, err) != CM_OK)
        return err->code;
    return api_reply(r, 200, &api_workspace_build_msg, out);
}

static bool is_over(enum api_provisioner_job_status s)
{
    return s == API_PROVISIONER_JOB_STATUS_SUCCEEDED || s == API_PROVISIONER_JOB_STATUS_FAILED ||
           s == API_PROVISIONER_JOB_STATUS_CANCELED;
}

/* Pending builds may always be canceled; running ones if the template lets users, or by its
 * administrators. */
static enum cm_code may_cancel(struct api_req *r, const struct view *v, struct cm_err *err)
{
    struct store_template *t = NULL;
    struct rbac_object o = workspace_object(r, v->w);
    if (api_authorize_also(r, RBAC_do_update, &o, err) != CM_OK ||
        template_load(r, v->w->template_id, &t, err) != CM_OK)
        return err->code;
    struct rbac_object to = template_object(r, t);
    if (v->b->job_status != API_PROVISIONER_JOB_STATUS_PENDING &&
        !t->allow_user_cancel_workspace_jobs && !api_may(r, RBAC_do_update, &to))
        return cm_err_set(
            err, CM_DENIED,
            "User is not allowed to cancel workspace builds. Owner role is required.");
    return CM_OK;
}

static enum cm_code build_cancel(struct api_req *r, struct cm_err *err)
{
    struct view v;
    int64_t changed = 0;
    struct cm_str expect = api_query(r, "expect_status");
    if (param(r, &v, err) != CM_OK)
        return err->code;
    if (expect.len && !cm_str_eq_c(expect, "running") && !cm_str_eq_c(expect, "pending"))
        return api_reply_invalid(r, "Query parameters have invalid values.", "expect_status",
                                 "must be running or pending");
    if (may_cancel(r, &v, err) != CM_OK)
        return err->code;
    if (expect.len && !cm_str_eq_c(expect, api_provisioner_job_status_enum.texts[v.b->job_status]))
        return cm_err_set(err, CM_PRECONDITION, "Job is not in the expected state \"%.*s\".",
                          CM_STR_ARG(expect));
    if (is_over(v.b->job_status))
        return cm_err_set(err, CM_INVALID, "Job has already completed!");
    if (store_job_cancel(r->db, r->arena, v.b->job_id, expect.len ? expect : CM_STR_NONE, &changed,
                         err) != CM_OK)
        return err->code;
    if (!changed && expect.len)
        return cm_err_set(err, CM_PRECONDITION, "Job is not in the expected state \"%.*s\".",
                          CM_STR_ARG(expect));
    if (!changed)
        return cm_err_set(err, CM_INVALID, "Job has already been marked as canceled!");
    if (hub_notify(r->db, err, TOPIC_JOB_FMT, cm_uuid_text(v.b->job_id).s) != CM_OK ||
        hub_notify(r->db, err, TOPIC_WS_FMT, cm_uuid_text(v.w->id).s) != CM_OK)
        return err->code;
    return api_reply_message(r, 200, "Job has been marked as canceled...", NULL);
}

static enum cm_code build_logs(struct api_req *r, struct cm_err *err)
{
    struct view v;
    if (param(r, &v, err) != CM_OK)
        return err->code;
    return job_logs_reply(r, v.b->job_id, err);
}

static enum cm_code build_parameters(struct api_req *r, struct cm_err *err)
{
    struct view v;
    struct api_workspace_build_parameter *rows = NULL;
    size_t n = 0;
    if (param(r, &v, err) != CM_OK ||
        store_build_parameters(r->db, r->arena, v.b->id, &rows, &n, err) != CM_OK)
        return err->code;
    return api_reply_list(r, 200, &api_workspace_build_parameter_msg, rows, n);
}

static enum cm_code build_resources(struct api_req *r, struct cm_err *err)
{
    struct view v;
    struct api_workspace_resource *rows = NULL;
    size_t n = 0;
    if (param(r, &v, err) != CM_OK || resources_show(r, v.b->job_id, &rows, &n, err) != CM_OK)
        return err->code;
    return api_reply_list(r, 200, &api_workspace_resource_msg, rows, n);
}

/* State holds secrets of the template: its administrators only. */
static enum cm_code template_rule(struct api_req *r, struct view *v, struct cm_err *err)
{
    struct store_template *t = NULL;
    if (param(r, v, err) != CM_OK || template_load(r, v->w->template_id, &t, err) != CM_OK)
        return err->code;
    struct rbac_object o = template_object(r, t);
    if (api_authorize(r, &o, err) != CM_OK)
        return err->code == CM_DENIED ? api_not_found(err) : err->code;
    return CM_OK;
}

static enum cm_code state_get(struct api_req *r, struct cm_err *err)
{
    struct view v;
    struct cm_str *state = NULL;
    if (template_rule(r, &v, err) != CM_OK ||
        store_build_state(r->db, r->arena, v.b->id, &state, err) != CM_OK)
        return err->code;
    return api_reply_raw(r, 200, "application/json", state ? *state : CM_STR(""));
}

static enum cm_code state_put(struct api_req *r, struct cm_err *err)
{
    const struct api_update_workspace_build_state_request *q = r->body;
    struct view v;
    if (template_rule(r, &v, err) != CM_OK ||
        store_build_set_state(r->db, r->arena, v.b->id, q->state.ptr ? q->state : CM_STR(""), NULL,
                              err) != CM_OK)
        return err->code;
    audit(r, &(struct audit_event){.action = "write",
                                   .resource_type = "workspace_build",
                                   .resource_id = v.b->id,
                                   .target = v.w->name,
                                   .org_id = v.w->organization_id,
                                   .status = 204});
    return api_reply_none(r, 204);
}

static enum cm_code timings_reply(struct api_req *r, struct cm_uuid job_id, struct cm_err *err)
{
    struct store_job_timing *rows = NULL;
    struct store_script_timing *scripts = NULL;
    size_t n = 0, n_scripts = 0;
    if (store_job_timings(r->db, r->arena, job_id, &rows, &n, err) != CM_OK ||
        store_script_timings_by_job(r->db, r->arena, job_id, &scripts, &n_scripts, err) != CM_OK)
        return err->code;
    struct api_workspace_build_timings out = {0};
    out.provisioner_timings = CM_NEW_ARRAY(r->arena, struct api_provisioner_timing, n);
    out.n_provisioner_timings = n;
    out.agent_script_timings = CM_NEW_ARRAY(r->arena, struct api_agent_script_timing, n_scripts);
    out.n_agent_script_timings = n_scripts;
    for (size_t i = 0; i < n; i++) {
        int stage = 0;
        cm_ignore(!cm_enum_parse(&api_timing_stage_enum, rows[i].stage, &stage),
                  "the column has a CHECK");
        out.provisioner_timings[i] =
            (struct api_provisioner_timing){.job_id = rows[i].job_id,
                                            .started_at = rows[i].started_at,
                                            .ended_at = rows[i].ended_at,
                                            .stage = (enum api_timing_stage)stage,
                                            .source = rows[i].source,
                                            .action = rows[i].action,
                                            .resource = rows[i].resource};
    }
    for (size_t i = 0; i < n_scripts; i++) {
        int stage = 0;
        char *agent = cm_arena_cstr(r->arena, cm_str(cm_uuid_text(scripts[i].agent_id).s));
        cm_ignore(!cm_enum_parse(&api_timing_stage_enum, scripts[i].stage, &stage),
                  "the column has a CHECK");
        out.agent_script_timings[i] =
            (struct api_agent_script_timing){.started_at = scripts[i].started_at,
                                             .ended_at = scripts[i].ended_at,
                                             .exit_code = scripts[i].exit_code,
                                             .stage = (enum api_timing_stage)stage,
                                             .status = scripts[i].status,
                                             .display_name = scripts[i].display_name,
                                             .workspace_agent_id = cm_str(agent),
                                             .workspace_agent_name = scripts[i].agent_name};
    }
    return api_reply(r, 200, &api_workspace_build_timings_msg, &out);
}

static enum cm_code build_timings(struct api_req *r, struct cm_err *err)
{
    struct view v;
    if (param(r, &v, err) != CM_OK)
        return err->code;
    return timings_reply(r, v.b->job_id, err);
}

static enum cm_code workspace_timings(struct api_req *r, struct cm_err *err)
{
    struct cm_uuid id;
    struct store_workspace *w = NULL;
    if (api_param_uuid(r, 0, &id, err) != CM_OK)
        return err->code;
    enum cm_code code = store_workspace_by_id(r->db, r->arena, id, &w, err);
    if (code != CM_OK)
        return code == CM_NOT_FOUND ? api_not_found(err) : code;
    struct rbac_object o = workspace_object(r, w);
    if (api_authorize(r, &o, err) != CM_OK)
        return err->code;
    return timings_reply(r, w->latest_job_id, err);
}

#define B "/api/v2/workspacebuilds/{workspacebuild}"
static const struct route rows[] = {
    {CM_HTTP_GET, B, AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL, build_get, NULL,
     "Get a build", LIMIT_API, 0, false},
    {CM_HTTP_PATCH, B "/cancel", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL, build_cancel,
     NULL, "Cancel a build", LIMIT_API, 0, false},
    {CM_HTTP_GET, B "/logs", AUTH_SESSION, RBAC(workspace, read), ROUTE_STREAM, build_logs, NULL,
     "Logs of a build", LIMIT_API, 0, false},
    {CM_HTTP_GET, B "/parameters", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL,
     build_parameters, NULL, "Parameters of a build", LIMIT_API, 0, false},
    {CM_HTTP_GET, B "/resources", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL, build_resources,
     NULL, "Resources of a build", LIMIT_API, 0, false},
    {CM_HTTP_GET, B "/state", AUTH_SESSION, RBAC(template, update), ROUTE_CALL, state_get, NULL,
     "Terraform state", LIMIT_API, 0, false},
    {CM_HTTP_PUT, B "/state", AUTH_SESSION, RBAC(template, update), ROUTE_CALL, state_put,
     &api_update_workspace_build_state_request_msg, "Replace the Terraform state", LIMIT_API,
     (uint64_t)16 * 1024 * 1024, false},
    {CM_HTTP_GET, B "/timings", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL, build_timings,
     NULL, "How long each step took", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/workspaces/{workspace}/timings", AUTH_SESSION, RBAC(workspace, read),
     ROUTE_CALL, workspace_timings, NULL, "How long the latest build took", LIMIT_API, 0, false},
};

const struct route_table builds_routes = {rows, CM_COUNT_OF(rows)};
