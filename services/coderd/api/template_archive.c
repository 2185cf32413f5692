/* Versions that are kept out of sight. Source: api-behaviour reference, 4.7 and 4.8. */
#include "api/audit_log.h"
#include "api/template_load.h"
#include "app.h"

static enum cm_code archive_many(struct api_req *r, struct cm_err *err)
{
    const struct api_archive_template_versions_request *q = r->body;
    struct cm_uuid id;
    struct store_template *t = NULL;
    struct api_archive_template_versions_response out = {0};
    if (api_param_uuid(r, 0, &id, err) != CM_OK || template_load(r, id, &t, err) != CM_OK)
        return err->code;
    struct rbac_object o = template_object(r, t);
    if (api_authorize(r, &o, err) != CM_OK ||
        store_template_versions_archive(r->db, r->arena, t->id, q->all, &out.archived_ids,
                                        &out.n_archived_ids, err) != CM_OK)
        return err->code;
    out.template_id = t->id;
    if (out.n_archived_ids)
        audit(r, &(struct audit_event){.action = "write",
                                       .resource_type = "template",
                                       .resource_id = t->id,
                                       .target = t->name,
                                       .org_id = t->organization_id,
                                       .status = 200});
    return api_reply(r, 200, &api_archive_template_versions_response_msg, &out);
}

/* Why this version cannot be archived now, or NULL. */
static enum cm_code refusal(struct api_req *r, const struct version_view *v, const char **ret,
                            struct cm_err *err)
{
    bool used = false;
    *ret = NULL;
    if (store_template_version_in_use(r->db, r->arena, v->v->id, &used, err) != CM_OK)
        return err->code;
    if (cm_uuid_eq(v->t->active_version_id, v->v->id))
        *ret = "The active version of a template cannot be archived: promote another one first.";
    else if (used)
        *ret = "Workspaces use this version: update or delete them first.";
    else if (v->job->status == API_PROVISIONER_JOB_STATUS_PENDING ||
             v->job->status == API_PROVISIONER_JOB_STATUS_RUNNING ||
             v->job->status == API_PROVISIONER_JOB_STATUS_CANCELING)
        *ret = "The version is being imported still.";
    return CM_OK;
}

static enum cm_code set_archived(struct api_req *r, bool archived, struct cm_err *err)
{
    struct version_view v;
    const char *why = NULL;
    int64_t changed = 0;
    if (version_param(r, 0, &v, err) != CM_OK)
        return err->code;
    if (!v.t)
        return cm_err_set(err, CM_INVALID, "Cannot archive a version that belongs to no template.");
    if (v.v->archived == archived)
        return cm_err_set(err, CM_INVALID, "Template version is already %s.",
                          archived ? "archived" : "unarchived");
    if (archived && refusal(r, &v, &why, err) != CM_OK)
        return err->code;
    if (why)
        return cm_err_set(err, CM_INVALID, "%s", why);
    if (store_template_version_set_archived(r->db, r->arena, v.v->id, archived, &changed, err) !=
        CM_OK)
        return err->code;
    audit(r, &(struct audit_event){.action = "write",
                                   .resource_type = "template_version",
                                   .resource_id = v.v->id,
                                   .target = v.v->name,
                                   .org_id = v.v->organization_id,
                                   .status = 200});
    return api_reply_raw(r, 200, "application/json; charset=utf-8",
                         archived ? CM_STR("\"template version archived\"\n")
                                  : CM_STR("\"template version unarchived\"\n"));
}

static enum cm_code version_archive(struct api_req *r, struct cm_err *err)
{
    return set_archived(r, true, err);
}

static enum cm_code version_unarchive(struct api_req *r, struct cm_err *err)
{
    return set_archived(r, false, err);
}

#define V "/api/v2/templateversions/{templateversion}"
static const struct route rows[] = {
    {CM_HTTP_POST, "/api/v2/templates/{template}/versions/archive", AUTH_SESSION,
     RBAC(template, update), ROUTE_CALL, archive_many, &api_archive_template_versions_request_msg,
     "Archive unused versions", LIMIT_API, 0, false},
    {CM_HTTP_POST, V "/archive", AUTH_SESSION, RBAC(template, update), ROUTE_CALL, version_archive,
     NULL, "Archive a version", LIMIT_API, 0, false},
    {CM_HTTP_POST, V "/unarchive", AUTH_SESSION, RBAC(template, update), ROUTE_CALL,
     version_unarchive, NULL, "Take a version out of the archive", LIMIT_API, 0, false},
};

const struct route_table template_archive_routes = {rows, CM_COUNT_OF(rows)};
