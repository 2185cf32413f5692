/* Roles: which there are and who has them. Source: api-behaviour reference, 3.2 and 3.4. */
#include "api/audit_log.h"
#include "api/organizations.h"
#include "api/role_change.h"
#include "api/targets.h"
#include "app.h"

/* ---- what a role may, as lists of permissions ---- */

struct perm_list {
    struct api_permission *v;
    size_t n;
};

static void add_mask(struct cm_arena *a, struct perm_list *l, bool negate, enum rbac_resource res,
                     uint32_t mask)
{
    uint32_t all = rbac_resource_actions(res);
    struct cm_str type = cm_str(rbac_resource_name(res));
    mask &= all;
    if (mask && mask == all) {
        l->v[l->n++] = (struct api_permission){negate, type, CM_STR("*")};
        return;
    }
    for (unsigned i = 0; i < RBAC_N_ACTIONS; i++) {
        if (mask >> i & 1)
            l->v[l->n++] = (struct api_permission){
                negate, type,
                cm_arena_str(a, cm_str(rbac_action_name((enum rbac_action)(1u << i))))};
    }
}

/* What the list grants (or denies) of one type, wildcards included. */
static uint32_t mask_of(const struct rbac_perm *p, enum rbac_resource res, bool negate)
{
    uint32_t mask = 0;
    for (; p && p->resource; p++) {
        if (p->negate == negate && (p->resource == res || p->resource == RBAC_ANY_RESOURCE))
            mask |= p->actions;
    }
    return mask;
}

/* Type by type: what "everything but" leaves is spelled out; a denial is shown where nothing is
 * granted that it could be taken from. */
static struct api_permission *show_perms(struct cm_arena *a, const struct rbac_perm *p,
                                         size_t *ret_n)
{
    size_t max = p ? RBAC_ANY_RESOURCE * RBAC_N_ACTIONS : 0;
    struct perm_list l = {CM_NEW_ARRAY(a, struct api_permission, max), 0};
    for (int i = RBAC_RESOURCE_UNSET + 1; p && i < RBAC_ANY_RESOURCE; i++) {
        enum rbac_resource res = (enum rbac_resource)i;
        uint32_t yes = mask_of(p, res, false), no = mask_of(p, res, true);
        add_mask(a, &l, false, res, yes & ~no);
        if (!yes)
            add_mask(a, &l, true, res, no);
    }
    *ret_n = l.n;
    return l.v;
}

static void show_role(struct api_req *r, const struct rbac_role *role, struct cm_uuid org_id,
                      struct api_assignable_roles *out)
{
    *out = (struct api_assignable_roles){.name = cm_str(role->name),
                                         .display_name = cm_str(role->display_name),
                                         .organization_id = org_id,
                                         .assignable = rbac_may_assign(r->who, role, org_id),
                                         .built_in = true};
    out->site_permissions = show_perms(r->arena, role->site, &out->n_site_permissions);
    out->organization_permissions =
        show_perms(r->arena, role->org, &out->n_organization_permissions);
    out->organization_member_permissions =
        show_perms(r->arena, role->org_member, &out->n_organization_member_permissions);
    out->user_permissions = show_perms(r->arena, role->user, &out->n_user_permissions);
}

static enum cm_code reply_roles(struct api_req *r, struct cm_uuid org_id)
{
    struct api_assignable_roles *out =
        CM_NEW_ARRAY(r->arena, struct api_assignable_roles, rbac_n_roles);
    size_t n = 0;
    for (size_t i = 0; i < rbac_n_roles; i++) {
        if (!rbac_roles[i].implicit && rbac_roles[i].org_role == !cm_uuid_is_nil(org_id))
            show_role(r, &rbac_roles[i], org_id, &out[n++]);
    }
    return api_reply_list(r, 200, &api_assignable_roles_msg, out, n);
}

static enum cm_code site_roles(struct api_req *r, struct cm_err *err)
{
    static const struct cm_uuid site;
    const struct rbac_object o = {.resource = RBAC_assign_role};
    if (api_authorize_known(r, &o, err) != CM_OK)
        return err->code;
    return reply_roles(r, site);
}

static enum cm_code org_roles(struct api_req *r, struct cm_err *err)
{
    struct store_organization *org = NULL;
    if (target_org(r, 0, &org, err) != CM_OK)
        return err->code;
    const struct rbac_object o = {.resource = RBAC_assign_org_role, .org_id = org->id};
    if (api_authorize(r, &o, err) != CM_OK)
        return err->code;
    return reply_roles(r, org->id);
}

/* ---- roles of a user ---- */

static enum cm_code user_roles(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    struct store_user_org_roles *rows = NULL;
    size_t n = 0;
    if (target_user(r, 0, &u, err) != CM_OK)
        return err->code;
    struct rbac_object o = object_user(u->id);
    if (api_authorize(r, &o, err) != CM_OK ||
        store_user_org_roles_get(r->db, r->arena, u->id, &rows, &n, err) != CM_OK)
        return err->code;
    struct api_user_roles out = {.roles = u->rbac_roles, .n_roles = u->n_rbac_roles};
    out.organization_roles =
        CM_NEW_ARRAY(r->arena, struct api_user_roles_organization_roles_entry, n);
    for (size_t i = 0; i < n; i++) {
        struct rbac_object m = object_org(RBAC_organization_member, rows[i].organization_id, u->id);
        if (!api_may(r, RBAC_do_read, &m))
            continue;
        struct api_role_names *names = CM_NEW(r->arena, struct api_role_names);
        names->names = rows[i].roles;
        names->n_names = rows[i].n_roles;
        out.organization_roles[out.n_organization_roles++] =
            (struct api_user_roles_organization_roles_entry){
                cm_arena_str(r->arena, cm_str(cm_uuid_text(rows[i].organization_id).s)), names};
    }
    return api_reply(r, 200, &api_user_roles_msg, &out);
}

static enum cm_code user_put_roles(struct api_req *r, struct cm_err *err)
{
    const struct api_update_roles *q = r->body;
    static const struct cm_uuid site;
    const struct rbac_object any_role = {.resource = RBAC_assign_role};
    struct store_user *u = NULL;
    if (target_user(r, 0, &u, err) != CM_OK)
        return err->code;
    struct rbac_object o = object_user(u->id);
    if (!api_may(r, RBAC_do_read, &o))
        return api_not_found(err);
    if (api_authorize_known(r, &any_role, err) != CM_OK)
        return err->code;
    if (cm_uuid_eq(r->who->user_id, u->id))
        return cm_err_set(err, CM_INVALID, "You cannot change your own roles.");
    const struct role_list now = {u->rbac_roles, u->n_rbac_roles}, wanted = {q->roles, q->n_roles};
    if (role_change_check(r, site, now, wanted, err) != CM_OK ||
        store_user_update_roles(r->db, r->arena, u->id, q->roles, q->n_roles, NULL, err) != CM_OK ||
        store_user_by_id(r->db, r->arena, u->id, &u, err) != CM_OK)
        return err->code;
    audit(r, &(struct audit_event){.action = "write",
                                   .resource_type = "user",
                                   .resource_id = u->id,
                                   .target = u->username,
                                   .status = 200});
    struct api_user out;
    show_user(r->arena, u, &out);
    return api_reply(r, 200, &api_user_msg, &out);
}

static enum cm_code member_put_roles(struct api_req *r, struct cm_err *err)
{
    const struct api_update_roles *q = r->body;
    struct store_organization *org = NULL;
    struct store_user *u = NULL;
    struct store_member *m = NULL;
    if (target_org(r, 0, &org, err) != CM_OK || target_any_user(r, 1, &u, err) != CM_OK)
        return err->code;
    const struct rbac_object member = object_org(RBAC_organization_member, org->id, u->id);
    const struct rbac_object any_role = {.resource = RBAC_assign_org_role, .org_id = org->id};
    if (!api_may(r, RBAC_do_read, &member))
        return api_not_found(err);
    if (api_authorize(r, &any_role, err) != CM_OK)
        return err->code;
    enum cm_code code = store_member_get(r->db, r->arena, org->id, u->id, &m, err);
    if (code != CM_OK)
        return code == CM_NOT_FOUND ? api_not_found(err) : code;
    if (cm_uuid_eq(r->who->user_id, u->id))
        return cm_err_set(err, CM_INVALID, "You cannot change your own organization roles.");
    const struct role_list now = {m->roles, m->n_roles}, wanted = {q->roles, q->n_roles};
    if (role_change_check(r, org->id, now, wanted, err) != CM_OK ||
        store_member_update_roles(r->db, r->arena, org->id, u->id, q->roles, q->n_roles, NULL,
                                  err) != CM_OK ||
        store_member_get(r->db, r->arena, org->id, u->id, &m, err) != CM_OK)
        return err->code;
    audit(r, &(struct audit_event){.action = "write",
                                   .resource_type = "organization_member",
                                   .resource_id = u->id,
                                   .target = u->username,
                                   .org_id = org->id,
                                   .status = 200});
    struct api_organization_member out = {.user_id = m->user_id,
                                          .organization_id = m->organization_id,
                                          .created_at = m->created_at,
                                          .updated_at = m->updated_at};
    out.roles = show_roles(r->arena, m->roles, m->n_roles, &out.n_roles);
    return api_reply(r, 200, &api_organization_member_msg, &out);
}

#define M "/api/v2/organizations/{organization}/members"
static const struct route rows[] = {
    {CM_HTTP_GET, "/api/v2/users/roles", AUTH_SESSION, RBAC(assign_role, read), ROUTE_CALL,
     site_roles, NULL, "List site roles", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/users/{user}/roles", AUTH_SESSION, RBAC(user, read), ROUTE_CALL,
     user_roles, NULL, "Get a user's roles", LIMIT_API, 0, false},
    {CM_HTTP_PUT, "/api/v2/users/{user}/roles", AUTH_SESSION, RBAC(assign_role, assign), ROUTE_CALL,
     user_put_roles, &api_update_roles_msg, "Set a user's site roles", LIMIT_API, 0, false},
    {CM_HTTP_GET, M "/roles", AUTH_SESSION, RBAC(assign_org_role, read), ROUTE_CALL, org_roles,
     NULL, "List an organization's roles", LIMIT_API, 0, false},
    {CM_HTTP_PUT, M "/{user}/roles", AUTH_SESSION, RBAC(assign_org_role, assign), ROUTE_CALL,
     member_put_roles, &api_update_roles_msg, "Set a member's roles", LIMIT_API, 0, false},
};

const struct route_table roles_routes = {rows, CM_COUNT_OF(rows)};
