#include "api/targets.h"

#include "app.h"
#include "store/auth.h"

/* The caller, from the row that authenticated the request: what it says is as fresh as a query of
 * its own would be. */
static struct store_user *user_of_session(struct api_req *r)
{
    const struct store_auth *row = r->auth;
    struct store_user *u = CM_NEW(r->arena, struct store_user);
    int status = 0, login_type = 0;
    cm_ignore(!cm_enum_parse(&api_user_status_enum, row->status, &status),
              "the column has a CHECK");
    cm_ignore(!cm_enum_parse(&api_login_type_enum, row->login_type, &login_type),
              "the column has a CHECK");
    *u = (struct store_user){.id = row->user_id,
                             .username = row->username,
                             .email = row->email,
                             .name = row->name,
                             .avatar_url = row->avatar_url,
                             .status = (enum api_user_status)status,
                             .login_type = (enum api_login_type)login_type,
                             .rbac_roles = row->rbac_roles,
                             .n_rbac_roles = row->n_rbac_roles,
                             .is_service_account = row->is_service_account,
                             .created_at = row->user_created_at,
                             .updated_at = row->user_updated_at,
                             .last_seen_at = row->last_seen_at,
                             .organization_ids = row->org_ids,
                             .n_organization_ids = row->n_org_ids};
    return u;
}

enum cm_code target_any_user(struct api_req *r, size_t i, struct store_user **ret,
                             struct cm_err *err)
{
    struct cm_str text = r->params[i];
    struct cm_uuid id;
    enum cm_code code;
    if (r->auth && cm_str_eq_c(text, "me")) {
        *ret = user_of_session(r);
        return CM_OK;
    }
    if (cm_uuid_parse(text, &id))
        code = store_user_by_id(r->db, r->arena, id, ret, err);
    else
        code = store_user_by_username(r->db, r->arena, text, ret, err);
    return code == CM_NOT_FOUND ? api_not_found(err) : code;
}

enum cm_code target_user(struct api_req *r, size_t i, struct store_user **ret, struct cm_err *err)
{
    enum cm_code code = target_any_user(r, i, ret, err);
    if (code == CM_OK) {
        struct rbac_object o = object_user((*ret)->id);
        if ((r->who && cm_uuid_eq(r->who->user_id, (*ret)->id)) || api_may(r, RBAC_do_read, &o))
            return CM_OK;
    } else if (code != CM_NOT_FOUND) {
        return code;
    }
    r->detail.code = CM_INVALID;
    r->detail.text = cm_arena_printf(r->arena, "queried user=\"%.*s\"",
                                     (int)CM_MIN(r->params[i].len, (size_t)64), r->params[i].ptr);
    return cm_err_set(err, CM_INVALID, "\"user\" must be an existing uuid or username.");
}

enum cm_code target_org(struct api_req *r, size_t i, struct store_organization **ret,
                        struct cm_err *err)
{
    struct cm_str text = r->params[i];
    struct cm_uuid id;
    enum cm_code code;
    if (cm_uuid_parse(text, &id))
        code = store_organization_by_id(r->db, r->arena,
                                        cm_uuid_is_nil(id) ? r->app->default_org_id : id, ret, err);
    else if (cm_str_eq_c(text, "default"))
        code = store_organization_default(r->db, r->arena, ret, err);
    else
        code = store_organization_by_name(r->db, r->arena, text, ret, err);
    return code == CM_NOT_FOUND ? api_not_found(err) : code;
}

struct rbac_object object_user(struct cm_uuid user_id)
{
    return (struct rbac_object){.resource = RBAC_user, .id = user_id, .owner_id = user_id};
}

struct rbac_object object_owned(enum rbac_resource res, struct cm_uuid owner_id)
{
    return (struct rbac_object){.resource = res, .owner_id = owner_id};
}

struct rbac_object object_org(enum rbac_resource res, struct cm_uuid org_id,
                              struct cm_uuid owner_id)
{
    return (struct rbac_object){.resource = res, .org_id = org_id, .owner_id = owner_id};
}

struct api_slim_role *show_roles(struct cm_arena *a, const struct cm_str *names, size_t n,
                                 size_t *ret_n)
{
    struct api_slim_role *roles = CM_NEW_ARRAY(a, struct api_slim_role, n);
    *ret_n = 0;
    for (size_t i = 0; i < n; i++) {
        const struct rbac_role *role = rbac_role_find(names[i]);
        if (role && role->implicit)
            continue;
        roles[(*ret_n)++] = (struct api_slim_role){
            .name = names[i], .display_name = role ? cm_str(role->display_name) : names[i]};
    }
    return roles;
}

void show_user(struct cm_arena *a, const struct store_user *u, struct api_user *out)
{
    *out = (struct api_user){.id = u->id,
                             .username = u->username,
                             .name = u->name,
                             .avatar_url = u->avatar_url,
                             .email = u->email,
                             .created_at = u->created_at,
                             .updated_at = u->updated_at,
                             .last_seen_at = u->last_seen_at,
                             .status = u->status,
                             .login_type = u->login_type,
                             .is_service_account = u->is_service_account,
                             .organization_ids = u->organization_ids,
                             .n_organization_ids = u->n_organization_ids};
    out->roles = show_roles(a, u->rbac_roles, u->n_rbac_roles, &out->n_roles);
}

void show_reduced_user(const struct store_user *u, struct api_reduced_user *out)
{
    *out = (struct api_reduced_user){.id = u->id,
                                     .username = u->username,
                                     .name = u->name,
                                     .avatar_url = u->avatar_url,
                                     .email = u->email,
                                     .created_at = u->created_at,
                                     .updated_at = u->updated_at,
                                     .last_seen_at = u->last_seen_at,
                                     .status = u->status,
                                     .login_type = u->login_type,
                                     .is_service_account = u->is_service_account};
}

void show_organization(const struct store_organization *o, struct api_organization *out)
{
    *out = (struct api_organization){.id = o->id,
                                     .name = o->name,
                                     .display_name = o->display_name,
                                     .icon = o->icon,
                                     .description = o->description,
                                     .created_at = o->created_at,
                                     .updated_at = o->updated_at,
                                     .is_default = o->is_default,
                                     .default_org_member_roles = o->default_org_member_roles,
                                     .n_default_org_member_roles = o->n_default_org_member_roles};
}
