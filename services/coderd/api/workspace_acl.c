/* Who may use a workspace beside its owner. Source: api-behaviour reference, 4.10. */
#include "api/acl.h"
#include "api/audit_log.h"
#include "api/job_show.h"
#include "api/workspace_load.h"
#include "api/workspaces.h"
#include "app.h"
#include "background/hub.h"
#include "store/organizations.h"

static enum cm_code acl_get(struct api_req *r, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    struct store_user *u = NULL;
    struct store_group *g = NULL;
    size_t n_u = 0, n_g = 0;
    if (workspace_param_live(r, 0, &w, err) != CM_OK)
        return err->code;
    struct acl users = acl_read(r->arena, w->user_acl, ACL_OF_WORKSPACE);
    struct acl groups = acl_read(r->arena, w->group_acl, ACL_OF_WORKSPACE);
    if (acl_load_users(r, &users, &u, &n_u, err) != CM_OK ||
        acl_load_groups(r, &groups, w->organization_id, &g, &n_g, err) != CM_OK)
        return err->code;
    struct api_workspace_acl out = {.users = CM_NEW_ARRAY(r->arena, struct api_workspace_user, n_u),
                                    .n_users = n_u,
                                    .group =
                                        CM_NEW_ARRAY(r->arena, struct api_workspace_group, n_g),
                                    .n_group = n_g};
    for (size_t i = 0; i < n_u; i++)
        out.users[i] = (struct api_workspace_user){
            .id = u[i].id,
            .username = u[i].username,
            .name = u[i].name,
            .avatar_url = u[i].avatar_url,
            .role = (enum api_workspace_role)acl_role_of(&users, u[i].id)};
    for (size_t i = 0; i < n_g; i++)
        out.group[i] = (struct api_workspace_group){
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
            .role = (enum api_workspace_role)acl_role_of(&groups, g[i].id)};
    return api_reply(r, 200, &api_workspace_acl_msg, &out);
}

static enum cm_code store_lists(struct api_req *r, const struct store_workspace *w,
                                const struct acl *users, const struct acl *groups,
                                struct cm_err *err)
{
    CM_AUTO(cm_db_tx) tx = NULL;
    if (cm_db_tx_begin(r->db, &tx, err) != CM_OK ||
        store_workspace_set_acl(
            r->db, r->arena, w->id, acl_write(r->arena, users, ACL_OF_WORKSPACE),
            acl_write(r->arena, groups, ACL_OF_WORKSPACE), NULL, err) != CM_OK ||
        hub_notify(r->db, err, TOPIC_WS_FMT, cm_uuid_text(w->id).s) != CM_OK ||
        cm_db_tx_commit(tx, err) != CM_OK)
        return err->code;
    audit(r, &(struct audit_event){.action = "write",
                                   .resource_type = "workspace",
                                   .resource_id = w->id,
                                   .target = w->name,
                                   .org_id = w->organization_id,
                                   .status = 204});
    return api_reply_none(r, 204);
}

/* An organization may keep its workspaces to their owners. */
static enum cm_code may_share(struct api_req *r, const struct store_workspace *w,
                              struct cm_err *err)
{
    struct store_organization *org = NULL;
    struct store_user *owner = NULL;
    if (store_organization_by_id(r->db, r->arena, w->organization_id, &org, err) != CM_OK ||
        store_user_by_id(r->db, r->arena, w->owner_id, &owner, err) != CM_OK)
        return err->code;
    bool none = cm_str_eq_c(org->shareable_workspace_owners, "none");
    bool only_service = cm_str_eq_c(org->shareable_workspace_owners, "service_accounts");
    if (none || (only_service && !owner->is_service_account))
        return cm_err_set(err, CM_DENIED, "Workspace sharing is disabled for this organization.");
    return CM_OK;
}

static enum cm_code acl_patch(struct api_req *r, struct cm_err *err)
{
    const struct api_update_workspace_acl *q = r->body;
    struct store_workspace *w = NULL;
    if (workspace_param_live(r, 0, &w, err) != CM_OK || may_share(r, w, err) != CM_OK)
        return err->code;
    struct acl users = acl_read(r->arena, w->user_acl, ACL_OF_WORKSPACE);
    struct acl groups = acl_read(r->arena, w->group_acl, ACL_OF_WORKSPACE);
    struct acl given_users = {0}, given_groups = {0};
    for (size_t i = 0; i < q->n_user_roles; i++) {
        struct acl_change c = {q->user_roles[i].key, (enum acl_role)q->user_roles[i].value};
        acl_apply(r, &users, &c, 1, "user_roles");
        acl_apply(r, &given_users, &c, 1, "user_roles");
    }
    for (size_t i = 0; i < q->n_group_roles; i++) {
        struct acl_change c = {q->group_roles[i].key, (enum acl_role)q->group_roles[i].value};
        acl_apply(r, &groups, &c, 1, "group_roles");
        acl_apply(r, &given_groups, &c, 1, "group_roles");
    }
    if (acl_role_of(&given_users, w->owner_id) != ACL_NONE)
        cm_violations_add(&r->violations, r->arena, CM_STR("user_roles"),
                          "the owner needs no role");
    if (acl_check_given(r, &given_users, "user_roles", &given_groups, "group_roles",
                        w->organization_id, err) != CM_OK)
        return err->code;
    if (r->violations.n)
        return cm_err_set(err, CM_INVALID, "Invalid request to update workspace ACL.");
    return store_lists(r, w, &users, &groups, err);
}

static enum cm_code acl_delete(struct api_req *r, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    static const struct acl none;
    if (workspace_param_live(r, 0, &w, err) != CM_OK)
        return err->code;
    return store_lists(r, w, &none, &none, err);
}

#define W "/api/v2/workspaces/{workspace}"
static const struct route rows[] = {
    {CM_HTTP_GET, W "/acl", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL, acl_get, NULL,
     "Who may use a workspace", LIMIT_API, 0, false},
    {CM_HTTP_PATCH, W "/acl", AUTH_SESSION, RBAC(workspace, share), ROUTE_CALL, acl_patch,
     &api_update_workspace_acl_msg, "Share a workspace", LIMIT_API, 0, false},
    {CM_HTTP_DELETE, W "/acl", AUTH_SESSION, RBAC(workspace, share), ROUTE_CALL, acl_delete, NULL,
     "Share a workspace no longer", LIMIT_API, 0, false},
};

const struct route_table workspace_acl_routes = {rows, CM_COUNT_OF(rows)};
