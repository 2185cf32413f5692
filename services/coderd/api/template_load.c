#include "api/template_load.h"

#include "api/acl.h"
#include "api/targets.h"
#include "app.h"
#include "store/provisioners.h"

/* What a role on a template's list allows. */
static uint32_t acl_actions(struct api_req *r, const struct store_template *t)
{
    switch (acl_my_role(r, t->user_acl, t->group_acl, ACL_OF_TEMPLATE)) {
    case ACL_ADMIN:
        return RBAC_ALL_ACTIONS;
    case ACL_USE:
        return (uint32_t)RBAC_do_read | (uint32_t)RBAC_do_use;
    case ACL_NONE:
        break;
    }
    return 0;
}

struct rbac_object template_object(struct api_req *r, const struct store_template *t)
{
    return (struct rbac_object){.resource = RBAC_template,
                                .id = t->id,
                                .org_id = t->organization_id,
                                .acl_actions = acl_actions(r, t)};
}

enum cm_code template_load(struct api_req *r, struct cm_uuid id, struct store_template **ret,
                           struct cm_err *err)
{
    enum cm_code code = store_template_by_id(r->db, r->arena, id, ret, err);
    return code == CM_NOT_FOUND ? api_not_found(err) : code;
}

enum cm_code template_param(struct api_req *r, size_t i, struct store_template **ret,
                            struct cm_err *err)
{
    struct cm_uuid id;
    if (api_param_uuid(r, i, &id, err) != CM_OK || template_load(r, id, ret, err) != CM_OK)
        return err->code;
    struct rbac_object o = template_object(r, *ret);
    return api_authorize(r, &o, err);
}

enum cm_code template_named(struct api_req *r, struct store_template **ret, struct cm_err *err)
{
    struct store_organization *org = NULL;
    if (target_org(r, 0, &org, err) != CM_OK)
        return err->code;
    enum cm_code code = store_template_by_name(r->db, r->arena, org->id, r->params[1], ret, err);
    if (code != CM_OK)
        return code == CM_NOT_FOUND ? api_not_found(err) : code;
    struct rbac_object o = template_object(r, *ret);
    return api_authorize(r, &o, err);
}

static enum cm_code view_of(struct api_req *r, struct store_template_version *v,
                            struct version_view *ret, struct cm_err *err)
{
    *ret = (struct version_view){.v = v};
    if (job_load(r, v->job_id, &ret->job, err) != CM_OK)
        return err->code;
    if (!cm_uuid_is_nil(v->template_id)) {
        if (template_load(r, v->template_id, &ret->t, err) != CM_OK)
            return err->code;
        ret->object = template_object(r, ret->t);
    } else {
        ret->object = (struct rbac_object){.resource = RBAC_template, .org_id = v->organization_id};
        /* Whoever made a version may see and use it before it belongs to a template. */
        if (r->who && cm_uuid_eq(r->who->user_id, v->created_by))
            ret->object.acl_actions = (uint32_t)RBAC_do_read | (uint32_t)RBAC_do_update;
    }
    return CM_OK;
}

enum cm_code version_view_load(struct api_req *r, struct cm_uuid id, struct version_view *ret,
                               struct cm_err *err)
{
    struct store_template_version *v = NULL;
    enum cm_code code = store_template_version_by_id(r->db, r->arena, id, &v, err);
    if (code != CM_OK)
        return code == CM_NOT_FOUND ? api_not_found(err) : code;
    return view_of(r, v, ret, err);
}

enum cm_code version_param(struct api_req *r, size_t i, struct version_view *ret,
                           struct cm_err *err)
{
    struct cm_uuid id;
    if (api_param_uuid(r, i, &id, err) != CM_OK || version_view_load(r, id, ret, err) != CM_OK)
        return err->code;
    return api_authorize(r, &ret->object, err);
}

void version_show(struct cm_arena *a, const struct store_template_version *v,
                  const struct store_job *job, struct api_template_version *out)
{
    struct api_minimal_user *by = CM_NEW(a, struct api_minimal_user);
    *by = (struct api_minimal_user){.id = v->created_by,
                                    .username = v->created_by_username,
                                    .name = v->created_by_name,
                                    .avatar_url = v->created_by_avatar_url};
    *out = (struct api_template_version){.id = v->id,
                                         .template_id = v->template_id,
                                         .organization_id = v->organization_id,
                                         .created_at = v->created_at,
                                         .updated_at = v->updated_at,
                                         .name = v->name,
                                         .message = v->message,
                                         .job = job ? job_show(a, job) : NULL,
                                         .readme = v->readme,
                                         .created_by = by,
                                         .archived = v->archived,
                                         .has_external_agent = v->has_external_agent};
}

enum cm_code versions_show(struct api_req *r, const struct store_template_version *v, size_t n,
                           struct api_template_version **ret, struct cm_err *err)
{
    struct cm_uuid *ids = CM_NEW_ARRAY(r->arena, struct cm_uuid, n);
    for (size_t i = 0; i < n; i++)
        ids[i] = v[i].job_id;
    struct store_job *jobs = NULL;
    size_t n_jobs = 0;
    if (n && store_jobs_by_ids(r->db, r->arena, ids, n, &jobs, &n_jobs, err) != CM_OK)
        return err->code;
    struct api_template_version *out = CM_NEW_ARRAY(r->arena, struct api_template_version, n);
    for (size_t i = 0; i < n; i++) {
        const struct store_job *job = NULL;
        for (size_t k = 0; k < n_jobs && !job; k++) {
            if (cm_uuid_eq(jobs[k].id, v[i].job_id))
                job = &jobs[k];
        }
        version_show(r->arena, &v[i], job, &out[i]);
    }
    *ret = out;
    return CM_OK;
}

enum cm_code matched_provisioners(struct api_req *r, struct cm_uuid org_id,
                                  const struct cm_pair *tags, size_t n,
                                  struct api_matched_provisioners **ret, struct cm_err *err)
{
    struct store_matched *m = NULL;
    if (store_provisioner_daemons_match(r->db, r->arena, org_id, CM_STR("terraform"), tags, n, 90,
                                        &m, err) != CM_OK)
        return err->code;
    struct api_matched_provisioners *out = CM_NEW(r->arena, struct api_matched_provisioners);
    out->count = m->count;
    out->available = m->available;
    out->most_recently_seen = m->most_recently_seen;
    *ret = out;
    return CM_OK;
}
