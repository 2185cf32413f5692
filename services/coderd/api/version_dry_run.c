/* What a version would make, without making it: the plan of a start with given parameters. Source:
 * api-behaviour reference, 4.8. */
#include "api/build_show.h"
#include "api/job_show.h"
#include "api/template_load.h"
#include "app.h"
#include "background/hub.h"
#include "codec/json.h"

#define INPUT_MAX ((size_t)4 * 1024 * 1024)

static bool is_over(enum api_provisioner_job_status s)
{
    return s == API_PROVISIONER_JOB_STATUS_SUCCEEDED || s == API_PROVISIONER_JOB_STATUS_FAILED ||
           s == API_PROVISIONER_JOB_STATUS_CANCELED;
}

/* Who may make a workspace of it may see what it would be; a dry run is its initiator's. */
static bool may_dry_run(struct api_req *r, const struct version_view *v, struct cm_uuid owner)
{
    struct rbac_object o = {
        .resource = RBAC_workspace, .org_id = v->v->organization_id, .owner_id = owner};
    return api_may(r, RBAC_do_create, &o);
}

static enum cm_code make_input(struct api_req *r, struct cm_uuid version_id,
                               const struct api_create_template_version_dry_run_request *q,
                               struct cm_str *ret, struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(INPUT_MAX);
    cm_buf_printf(
        &b, "{\"template_version_id\":\"%s\",\"workspace_name\":", cm_uuid_text(version_id).s);
    cm_json_write_str(&b, q->workspace_name.ptr ? q->workspace_name : CM_STR(""));
    cm_buf_cstr(&b, ",\"rich_parameter_values\":");
    cm_json_encode_list(&b, &api_workspace_build_parameter_msg, q->rich_parameter_values,
                        q->n_rich_parameter_values);
    cm_buf_char(&b, '}');
    if (cm_buf_check(&b, "the parameters", err) != CM_OK)
        return err->code;
    *ret = cm_arena_str(r->arena, cm_buf_view(&b));
    return CM_OK;
}

static enum cm_code create(struct api_req *r, struct cm_err *err)
{
    const struct api_create_template_version_dry_run_request *q = r->body;
    struct version_view v;
    struct cm_str input;
    struct store_job *made = NULL;
    if (version_param(r, 0, &v, err) != CM_OK)
        return err->code;
    if (!may_dry_run(r, &v, r->who->user_id))
        return api_not_found(err);
    if (!is_over(v.job->status))
        return api_reply_message(r, 425, "Template version import job hasn't finished!", NULL);
    if (v.job->status != API_PROVISIONER_JOB_STATUS_SUCCEEDED)
        return cm_err_set(err, CM_INVALID,
                          "The template version could not be imported, so it cannot be tried.");
    if (make_input(r, v.v->id, q, &input, err) != CM_OK)
        return err->code;
    struct store_job_insert_args job = {.id = cm_uuid_random(),
                                        .organization_id = v.v->organization_id,
                                        .initiator_id = r->who->user_id,
                                        .type = API_PROVISIONER_JOB_TYPE_TEMPLATE_VERSION_DRY_RUN,
                                        .provisioner = API_PROVISIONER_TYPE_TERRAFORM,
                                        .file_id = v.job->file_id,
                                        .tags = v.job->tags,
                                        .n_tags = v.job->n_tags,
                                        .input = input};
    CM_AUTO(cm_db_tx) tx = NULL;
    if (cm_db_tx_begin(r->db, &tx, err) != CM_OK ||
        store_job_insert(r->db, r->arena, &job, NULL, err) != CM_OK ||
        hub_notify(r->db, err, TOPIC_JOBS) != CM_OK || cm_db_tx_commit(tx, err) != CM_OK ||
        job_load(r, job.id, &made, err) != CM_OK)
        return err->code;
    return api_reply(r, 201, &api_provisioner_job_msg, job_show(r->arena, made));
}

/* params[1] as a dry run of the version params[0]. */
static enum cm_code param(struct api_req *r, struct version_view *v, struct store_job **ret,
                          struct cm_err *err)
{
    struct cm_uuid id, of = {{0}};
    const struct cm_json *input = NULL;
    if (version_param(r, 0, v, err) != CM_OK || api_param_uuid(r, 1, &id, err) != CM_OK ||
        job_load(r, id, ret, err) != CM_OK)
        return err->code;
    cm_ignore(cm_json_parse(r->arena, (*ret)->input, NULL, &input, NULL) != CM_OK,
              "our own JSON; broken belongs to no version");
    cm_ignore(!cm_uuid_parse(cm_json_str(cm_json_get(input, "template_version_id")), &of),
              "absent reads as nil");
    if ((*ret)->type != API_PROVISIONER_JOB_TYPE_TEMPLATE_VERSION_DRY_RUN ||
        !cm_uuid_eq(of, v->v->id) || !may_dry_run(r, v, (*ret)->initiator_id))
        return api_not_found(err);
    return CM_OK;
}

static enum cm_code get(struct api_req *r, struct cm_err *err)
{
    struct version_view v;
    struct store_job *job = NULL;
    if (param(r, &v, &job, err) != CM_OK)
        return err->code;
    return api_reply(r, 200, &api_provisioner_job_msg, job_show(r->arena, job));
}

static enum cm_code resources_of(struct api_req *r, const struct store_job *job, struct cm_err *err)
{
    struct api_workspace_resource *rows = NULL;
    size_t n = 0;
    if (!is_over(job->status))
        return api_reply_message(r, 400, "Job hasn't completed!", NULL);
    if (resources_show(r, job->id, &rows, &n, err) != CM_OK)
        return err->code;
    return api_reply_list(r, 200, &api_workspace_resource_msg, rows, n);
}

static enum cm_code resources(struct api_req *r, struct cm_err *err)
{
    struct version_view v;
    struct store_job *job = NULL;
    if (param(r, &v, &job, err) != CM_OK)
        return err->code;
    return resources_of(r, job, err);
}

/* Of the version's import: what there is when a workspace runs, and what stays when it is stopped.
 */
static enum cm_code version_resources(struct api_req *r, struct cm_err *err)
{
    struct version_view v;
    if (version_param(r, 0, &v, err) != CM_OK)
        return err->code;
    return resources_of(r, v.job, err);
}

static enum cm_code logs(struct api_req *r, struct cm_err *err)
{
    struct version_view v;
    struct store_job *job = NULL;
    if (param(r, &v, &job, err) != CM_OK)
        return err->code;
    return job_logs_reply(r, job->id, err);
}

static enum cm_code provisioners(struct api_req *r, struct cm_err *err)
{
    struct version_view v;
    struct store_job *job = NULL;
    struct api_matched_provisioners *out = NULL;
    if (param(r, &v, &job, err) != CM_OK ||
        matched_provisioners(r, job->organization_id, job->tags, job->n_tags, &out, err) != CM_OK)
        return err->code;
    return api_reply(r, 200, &api_matched_provisioners_msg, out);
}

static enum cm_code cancel(struct api_req *r, struct cm_err *err)
{
    struct version_view v;
    struct store_job *job = NULL;
    int64_t changed = 0;
    if (param(r, &v, &job, err) != CM_OK)
        return err->code;
    if (is_over(job->status))
        return cm_err_set(err, CM_INVALID, "Job has already completed.");
    if (store_job_cancel(r->db, r->arena, job->id, CM_STR_NONE, &changed, err) != CM_OK)
        return err->code;
    if (!changed)
        return cm_err_set(err, CM_INVALID, "Job has already been marked as canceled.");
    if (hub_notify(r->db, err, TOPIC_JOB_FMT, cm_uuid_text(job->id).s) != CM_OK)
        return err->code;
    return api_reply_message(r, 200, "Job has been marked as canceled.", NULL);
}

#define V "/api/v2/templateversions/{templateversion}"
#define J V "/dry-run/{jobID}"
static const struct route rows[] = {
    {CM_HTTP_GET, V "/resources", AUTH_SESSION, RBAC(template, read), ROUTE_CALL, version_resources,
     NULL, "Resources of a version", LIMIT_API, 0, false},
    {CM_HTTP_POST, V "/dry-run", AUTH_SESSION, RBAC(template, read), ROUTE_CALL, create,
     &api_create_template_version_dry_run_request_msg, "Try a version", LIMIT_API, 0, false},
    {CM_HTTP_GET, J, AUTH_SESSION, RBAC(template, read), ROUTE_CALL, get, NULL, "Get a dry run",
     LIMIT_API, 0, false},
    {CM_HTTP_GET, J "/resources", AUTH_SESSION, RBAC(template, read), ROUTE_CALL, resources, NULL,
     "Resources of a dry run", LIMIT_API, 0, false},
    {CM_HTTP_GET, J "/logs", AUTH_SESSION, RBAC(template, read), ROUTE_STREAM, logs, NULL,
     "Logs of a dry run", LIMIT_API, 0, false},
    {CM_HTTP_GET, J "/matched-provisioners", AUTH_SESSION, RBAC(template, read), ROUTE_CALL,
     provisioners, NULL, "Provisioners for a dry run", LIMIT_API, 0, false},
    {CM_HTTP_PATCH, J "/cancel", AUTH_SESSION, RBAC(template, read), ROUTE_CALL, cancel, NULL,
     "Cancel a dry run", LIMIT_API, 0, false},
};

const struct route_table version_dry_run_routes = {rows, CM_COUNT_OF(rows)};
