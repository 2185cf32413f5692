/* With whom workspaces are shared, and what that allows. */
#include "api/acl.h"
#include "api/build_show.h"
#include "api/workspaces.h"

static enum api_workspace_role *one_role(struct cm_arena *a, enum acl_role role)
{
    enum api_workspace_role *v = CM_NEW(a, enum api_workspace_role);
    *v = (enum api_workspace_role)role;
    return v;
}

/* With whom one workspace is shared; users and groups are of many. */
static void show_shared(struct cm_arena *a, const struct acl *users, const struct acl *groups,
                        const struct store_user *u, size_t n_u, const struct store_group *g,
                        size_t n_g, struct api_workspace *o)
{
    o->shared_with = CM_NEW_ARRAY(a, struct api_shared_workspace_actor, users->n + groups->n);
    for (size_t i = 0; i < n_u; i++) {
        enum acl_role role = acl_role_of(users, u[i].id);
        if (role != ACL_NONE)
            o->shared_with[o->n_shared_with++] = (struct api_shared_workspace_actor){
                .id = u[i].id,
                .actor_type = API_SHARED_WORKSPACE_ACTOR_TYPE_USER,
                .name = u[i].username,
                .avatar_url = u[i].avatar_url,
                .roles = one_role(a, role),
                .n_roles = 1};
    }
    for (size_t i = 0; i < n_g; i++) {
        enum acl_role role = acl_role_of(groups, g[i].id);
        if (role != ACL_NONE)
            o->shared_with[o->n_shared_with++] = (struct api_shared_workspace_actor){
                .id = g[i].id,
                .actor_type = API_SHARED_WORKSPACE_ACTOR_TYPE_GROUP,
                .name = g[i].name,
                .avatar_url = g[i].avatar_url,
                .roles = one_role(a, role),
                .n_roles = 1};
    }
}

/* Names of all whom any of the workspaces is shared with: two queries, and none when there is
 * nobody. */
enum cm_code workspaces_show_shared(struct api_req *r, const struct store_workspace *rows, size_t n,
                                    struct api_workspace *out, struct cm_err *err)
{
    struct acl *users = CM_NEW_ARRAY(r->arena, struct acl, n),
               *groups = CM_NEW_ARRAY(r->arena, struct acl, n);
    struct cm_uuid *user_ids, *group_ids;
    size_t n_users = 0, n_groups = 0, k_u = 0, k_g = 0, n_u = 0, n_g = 0;
    struct store_user *u = NULL;
    struct store_group *g = NULL;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].user_acl.len <= 2 && rows[i].group_acl.len <= 2)
            continue;
        users[i] = acl_read(r->arena, rows[i].user_acl, ACL_OF_WORKSPACE);
        groups[i] = acl_read(r->arena, rows[i].group_acl, ACL_OF_WORKSPACE);
        n_users += users[i].n;
        n_groups += groups[i].n;
    }
    user_ids = CM_NEW_ARRAY(r->arena, struct cm_uuid, n_users);
    group_ids = CM_NEW_ARRAY(r->arena, struct cm_uuid, n_groups);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < users[i].n; k++)
            user_ids[k_u++] = users[i].v[k].id;
        for (size_t k = 0; k < groups[i].n; k++)
            group_ids[k_g++] = groups[i].v[k].id;
    }
    if (n_users && store_users_by_ids(r->db, r->arena, user_ids, n_users, &u, &n_u, err) != CM_OK)
        return err->code;
    if (n_groups && store_groups(r->db, r->arena, NULL, NULL, group_ids, n_groups, CM_STR_NONE, &g,
                                 &n_g, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < n; i++)
        show_shared(r->arena, &users[i], &groups[i], u, n_u, g, n_g, &out[i]);
    return CM_OK;
}

/* What a role on a workspace's list allows. */
static uint32_t acl_actions(enum acl_role role)
{
    uint32_t use = (uint32_t)RBAC_do_read | (uint32_t)RBAC_do_start | (uint32_t)RBAC_do_stop |
                   (uint32_t)RBAC_do_ssh | (uint32_t)RBAC_do_application_connect;
    switch (role) {
    case ACL_ADMIN:
        return RBAC_ALL_ACTIONS & ~((uint32_t)RBAC_do_delete | (uint32_t)RBAC_do_share);
    case ACL_USE:
        return use;
    case ACL_NONE:
        break;
    }
    return 0;
}

struct rbac_object workspace_object(struct api_req *r, const struct store_workspace *w)
{
    enum acl_role role = acl_my_role(r, w->user_acl, w->group_acl, ACL_OF_WORKSPACE);
    return (struct rbac_object){.resource = RBAC_workspace,
                                .id = w->id,
                                .org_id = w->organization_id,
                                .owner_id = w->owner_id,
                                .acl_actions = acl_actions(role)};
}
