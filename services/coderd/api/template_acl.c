/* Who may use a template. Source: api-behaviour reference, 4.7. */
#include "api/acl.h"
#include "api/audit_log.h"
#include "api/groups.h"
#include "api/targets.h"
#include "api/template_load.h"
#include "app.h"

static enum cm_code param(struct api_req *r, struct store_template **ret, struct cm_err *err)
{
    struct cm_uuid id;
    if (api_param_uuid(r, 0, &id, err) != CM_OK || template_load(r, id, ret, err) != CM_OK)
        return err->code;
    struct rbac_object o = template_object(r, *ret);
    return api_authorize(r, &o, err);
}

static void show_template_user(struct cm_arena *a, const struct store_user *u, enum acl_role role,
                               struct api_template_user *out)
{
    *out = (struct api_template_user){.id = u->id,
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
                                      .n_organization_ids = u->n_organization_ids,
                                      .role = (enum api_template_role)role};
    out->roles = show_roles(a, u->rbac_roles, u->n_rbac_roles, &out->n_roles);
}

static enum cm_code acl_get(struct api_req *r, struct cm_err *err)
{
    struct store_template *t = NULL;
    struct store_user *u = NULL;
    struct store_group *g = NULL;
    size_t n_u = 0, n_g = 0;
    if (param(r, &t, err) != CM_OK)
        return err->code;
    struct acl users = acl_read(r->arena, t->user_acl, ACL_OF_TEMPLATE);
    struct acl groups = acl_read(r->arena, t->group_acl, ACL_OF_TEMPLATE);
    if (acl_load_users(r, &users, &u, &n_u, err) != CM_OK ||
        acl_load_groups(r, &groups, t->organization_id, &g, &n_g, err) != CM_OK)
        return err->code;
    struct api_template_acl out = {.users = CM_NEW_ARRAY(r->arena, struct api_template_user, n_u),
                                   .n_users = n_u,
                                   .group = CM_NEW_ARRAY(r->arena, struct api_template_group, n_g),
                                   .n_group = n_g};
    for (size_t i = 0; i < n_u; i++)
        show_template_user(r->arena, &u[i], acl_role_of(&users, u[i].id), &out.users[i]);
    for (size_t i = 0; i < n_g; i++)
        out.group[i] = (struct api_template_group){
            .id = g[i].id,
            .name = g[i].name,
            .display_name = g[i].display_name,
            .organization_id = g[i].organization_id,
            .total_member_count = g[i].total_member_count,
            .avatar_url = g[i].avatar_url,
            .quota_allowance = g[i].quota_allowance,
            .source = g[i].source,
            .organization_name = g[i].organization_name,
            .organization_display_name = g[i].organization_display_name,
            .role = (enum api_template_role)acl_role_of(&groups, g[i].id)};
    return api_reply(r, 200, &api_template_acl_msg, &out);
}

static enum cm_code acl_patch(struct api_req *r, struct cm_err *err)
{
    const struct api_update_template_acl *q = r->body;
    struct store_template *t = NULL;
    if (param(r, &t, err) != CM_OK)
        return err->code;
    struct acl users = acl_read(r->arena, t->user_acl, ACL_OF_TEMPLATE);
    struct acl groups = acl_read(r->arena, t->group_acl, ACL_OF_TEMPLATE);
    struct acl given_users = {0}, given_groups = {0};
    for (size_t i = 0; i < q->n_user_perms; i++) {
        struct acl_change c = {q->user_perms[i].key, (enum acl_role)q->user_perms[i].value};
        acl_apply(r, &users, &c, 1, "user_perms");
        acl_apply(r, &given_users, &c, 1, "user_perms");
    }
    for (size_t i = 0; i < q->n_group_perms; i++) {
        struct acl_change c = {q->group_perms[i].key, (enum acl_role)q->group_perms[i].value};
        acl_apply(r, &groups, &c, 1, "group_perms");
        acl_apply(r, &given_groups, &c, 1, "group_perms");
    }
    if (acl_check_given(r, &given_users, "user_perms", &given_groups, "group_perms",
                        t->organization_id, err) != CM_OK)
        return err->code;
    if (r->violations.n)
        return cm_err_set(err, CM_INVALID, "Invalid request to update template ACL!");
    if (store_template_set_acl(r->db, r->arena, t->id, acl_write(r->arena, &users, ACL_OF_TEMPLATE),
                               acl_write(r->arena, &groups, ACL_OF_TEMPLATE), NULL, err) != CM_OK)
        return err->code;
    audit(r, &(struct audit_event){.action = "write",
                                   .resource_type = "template",
                                   .resource_id = t->id,
                                   .target = t->name,
                                   .org_id = t->organization_id,
                                   .status = 200});
    return api_reply_message(r, 200, "Successfully updated template ACL list.", NULL);
}

/* Who could be put on the list. */
static enum cm_code acl_available(struct api_req *r, struct cm_err *err)
{
    struct store_template *t = NULL;
    struct store_user *u = NULL;
    struct store_group *g = NULL;
    size_t n_u = 0, n_g = 0;
    if (param(r, &t, err) != CM_OK ||
        store_users_of_organization(r->db, r->arena, t->organization_id, &u, &n_u, err) != CM_OK ||
        store_groups(r->db, r->arena, &t->organization_id, NULL, NULL, 0, CM_STR_NONE, &g, &n_g,
                     err) != CM_OK)
        return err->code;
    struct api_acl_available out = {.users = CM_NEW_ARRAY(r->arena, struct api_reduced_user, n_u),
                                    .n_users = n_u,
                                    .groups = CM_NEW_ARRAY(r->arena, struct api_group, n_g),
                                    .n_groups = n_g};
    for (size_t i = 0; i < n_u; i++)
        show_reduced_user(&u[i], &out.users[i]);
    for (size_t i = 0; i < n_g; i++)
        out.groups[i] =
            (struct api_group){.id = g[i].id,
                               .name = g[i].name,
                               .display_name = g[i].display_name,
                               .organization_id = g[i].organization_id,
                               .total_member_count = g[i].total_member_count,
                               .avatar_url = g[i].avatar_url,
                               .quota_allowance = g[i].quota_allowance,
                               .source = g[i].source,
                               .organization_name = g[i].organization_name,
                               .organization_display_name = g[i].organization_display_name};
    return api_reply(r, 200, &api_acl_available_msg, &out);
}

#define T "/api/v2/templates/{template}"
static const struct route rows[] = {
    {CM_HTTP_GET, T "/acl", AUTH_SESSION, RBAC(template, update), ROUTE_CALL, acl_get, NULL,
     "Who may use a template", LIMIT_API, 0, false},
    {CM_HTTP_PATCH, T "/acl", AUTH_SESSION, RBAC(template, update), ROUTE_CALL, acl_patch,
     &api_update_template_acl_msg, "Change who may use a template", LIMIT_API, 0, false},
    {CM_HTTP_GET, T "/acl/available", AUTH_SESSION, RBAC(template, update), ROUTE_CALL,
     acl_available, NULL, "Who could be allowed to use a template", LIMIT_API, 0, false},
};

const struct route_table template_acl_routes = {rows, CM_COUNT_OF(rows)};
