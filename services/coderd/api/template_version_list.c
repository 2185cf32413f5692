/* Versions of a template: the list, by name, and which one is active. Source: api-behaviour
 * reference, 4.7. */
#include "api/audit_log.h"
#include "api/template_load.h"
#include "app.h"

static enum cm_code version_list(struct api_req *r, struct cm_err *err)
{
    struct store_template *t = NULL;
    struct store_template_version *rows = NULL;
    struct api_template_version *out = NULL;
    int64_t limit = 0, offset = 0;
    size_t n = 0;
    struct cm_uuid after = {{0}};
    if (template_param(r, 0, &t, err) != CM_OK)
        return err->code;
    api_query_i64(r, "limit", 0, INT32_MAX, &limit);
    api_query_i64(r, "offset", 0, INT32_MAX, &offset);
    api_query_uuid(r, "after_id", &after);
    if (api_query_check(r, err) != CM_OK)
        return err->code;
    if (!cm_uuid_is_nil(after)) {
        struct store_template_version *cursor = NULL;
        enum cm_code code = store_template_version_by_id(r->db, r->arena, after, &cursor, err);
        if (code == CM_NOT_FOUND || (code == CM_OK && !cm_uuid_eq(cursor->template_id, t->id)))
            return cm_err_set(err, CM_INVALID, "Record at \"after_id\" does not exist.");
        if (code != CM_OK)
            return code;
    }
    bool archived = cm_str_eq_c(api_query(r, "include_archived"), "true");
    if (store_template_versions_page(r->db, r->arena, t->id, archived,
                                     cm_uuid_is_nil(after) ? NULL : &after, limit, offset, &rows,
                                     &n, err) != CM_OK ||
        versions_show(r, rows, n, &out, err) != CM_OK)
        return err->code;
    return api_reply_list(r, 200, &api_template_version_msg, out, n);
}

static enum cm_code version_by_name(struct api_req *r, const struct store_template *t,
                                    struct cm_str name, struct cm_err *err)
{
    struct store_template_version *v = NULL;
    struct api_template_version *out = NULL;
    enum cm_code code = store_template_version_by_name(r->db, r->arena, t->id, name, &v, err);
    if (code != CM_OK)
        return code == CM_NOT_FOUND ? api_not_found(err) : code;
    if (versions_show(r, v, 1, &out, err) != CM_OK)
        return err->code;
    return api_reply(r, 200, &api_template_version_msg, out);
}

static enum cm_code version_named(struct api_req *r, struct cm_err *err)
{
    struct store_template *t = NULL;
    if (template_param(r, 0, &t, err) != CM_OK)
        return err->code;
    return version_by_name(r, t, r->params[1], err);
}

static enum cm_code version_named_org(struct api_req *r, struct cm_err *err)
{
    struct store_template *t = NULL;
    if (template_named(r, &t, err) != CM_OK)
        return err->code;
    return version_by_name(r, t, r->params[2], err);
}

static enum cm_code version_previous(struct api_req *r, struct cm_err *err)
{
    struct store_template *t = NULL;
    struct store_template_version *v = NULL;
    struct api_template_version *out = NULL;
    if (template_named(r, &t, err) != CM_OK ||
        store_template_version_previous(r->db, r->arena, t->id, r->params[2], &v, err) != CM_OK)
        return err->code;
    if (!v)
        return api_reply_none(r, 204);
    if (versions_show(r, v, 1, &out, err) != CM_OK)
        return err->code;
    return api_reply(r, 200, &api_template_version_msg, out);
}

static enum cm_code set_active(struct api_req *r, struct cm_err *err)
{
    const struct api_update_active_template_version *q = r->body;
    struct store_template *t = NULL;
    struct store_template_version *v = NULL;
    struct store_job *job = NULL;
    if (template_param(r, 0, &t, err) != CM_OK)
        return err->code;
    enum cm_code code = store_template_version_by_id(r->db, r->arena, q->id, &v, err);
    if (code == CM_NOT_FOUND)
        return cm_err_set(err, CM_NOT_FOUND, "Template version not found.");
    if (code != CM_OK)
        return code;
    if (!cm_uuid_eq(v->template_id, t->id))
        return cm_err_set(
            err, CM_INVALID,
            "The provided template version doesn't belong to the specified template.");
    if (job_load(r, v->job_id, &job, err) != CM_OK)
        return err->code;
    if (job->status != API_PROVISIONER_JOB_STATUS_SUCCEEDED)
        return cm_err_set(err, CM_DENIED,
                          "Only versions that have been built successfully can be promoted.");
    if (v->archived)
        return cm_err_set(err, CM_INVALID, "The provided template version is archived.");
    if (store_template_set_active(r->db, r->arena, t->id, v->id, NULL, err) != CM_OK)
        return err->code;
    audit(r, &(struct audit_event){.action = "write",
                                   .resource_type = "template",
                                   .resource_id = t->id,
                                   .target = t->name,
                                   .org_id = t->organization_id,
                                   .status = 200});
    return api_reply_message(r, 200, "Updated the active template version!", NULL);
}

#define O "/api/v2/organizations/{organization}"
#define T "/api/v2/templates/{template}"
static const struct route rows[] = {
    {CM_HTTP_GET, O "/templates/{templatename}/versions/{version}", AUTH_SESSION,
     RBAC(template, read), ROUTE_CALL, version_named_org, NULL, "Get a version by name", LIMIT_API,
     0, false},
    {CM_HTTP_GET, O "/templates/{templatename}/versions/{version}/previous", AUTH_SESSION,
     RBAC(template, read), ROUTE_CALL, version_previous, NULL, "Get the version before", LIMIT_API,
     0, false},
    {CM_HTTP_GET, T "/versions", AUTH_SESSION, RBAC(template, read), ROUTE_CALL, version_list, NULL,
     "List versions", LIMIT_API, 0, false},
    {CM_HTTP_PATCH, T "/versions", AUTH_SESSION, RBAC(template, update), ROUTE_CALL, set_active,
     &api_update_active_template_version_msg, "Promote a version", LIMIT_API, 0, false},
    {CM_HTTP_GET, T "/versions/{version}", AUTH_SESSION, RBAC(template, read), ROUTE_CALL,
     version_named, NULL, "Get a version by name", LIMIT_API, 0, false},
};

const struct route_table template_version_list_routes = {rows, CM_COUNT_OF(rows)};
