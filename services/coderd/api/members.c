/* Members of organizations. Source: api-behaviour reference, 4.4; their roles are in roles.c. */
#include "api/audit_log.h"
#include "api/organizations.h"
#include "api/search.h"
#include "api/targets.h"
#include "app.h"

/* The organization in params[0], whose members the route's rule is about. */
static enum cm_code param_org(struct api_req *r, struct store_organization **ret,
                              struct cm_err *err)
{
    if (target_org(r, 0, ret, err) != CM_OK)
        return err->code;
    const struct rbac_object o = {.resource = RBAC_organization_member, .org_id = (*ret)->id};
    return api_authorize(r, &o, err);
}

/* The same for one user, in params[1]. */
static enum cm_code param_member(struct api_req *r, struct store_organization **ret_org,
                                 struct store_user **ret_user, struct cm_err *err)
{
    if (target_org(r, 0, ret_org, err) != CM_OK || target_any_user(r, 1, ret_user, err) != CM_OK)
        return err->code;
    const struct rbac_object o =
        object_org(RBAC_organization_member, (*ret_org)->id, (*ret_user)->id);
    return api_authorize(r, &o, err);
}

static void show_member(struct cm_arena *a, const struct store_member *m,
                        struct api_organization_member_with_user_data *out)
{
    *out =
        (struct api_organization_member_with_user_data){.username = m->username,
                                                        .name = m->name,
                                                        .avatar_url = m->avatar_url,
                                                        .email = m->email,
                                                        .status = m->status,
                                                        .login_type = m->login_type,
                                                        .last_seen_at = m->last_seen_at,
                                                        .user_created_at = m->user_created_at,
                                                        .user_updated_at = m->user_updated_at,
                                                        .is_service_account = m->is_service_account,
                                                        .user_id = m->user_id,
                                                        .organization_id = m->organization_id,
                                                        .created_at = m->created_at,
                                                        .updated_at = m->updated_at};
    out->global_roles = show_roles(a, m->global_roles, m->n_global_roles, &out->n_global_roles);
    out->roles = show_roles(a, m->roles, m->n_roles, &out->n_roles);
}

static void note(struct api_req *r, const char *action, const struct store_organization *org,
                 const struct store_user *u, int status)
{
    audit(r, &(struct audit_event){.action = action,
                                   .resource_type = "organization_member",
                                   .resource_id = u->id,
                                   .target = u->username,
                                   .org_id = org->id,
                                   .status = status});
}

struct page {
    struct store_member *rows;
    size_t n;
};

/* As q, limit and offset say. */
static enum cm_code read_page(struct api_req *r, struct cm_uuid org_id, struct page *ret,
                              struct cm_err *err)
{
    static const char *const keys[] = {"search", "user_id", "include_system", NULL};
    int64_t limit = 0, offset = 0;
    struct search s;
    search_parse(r, api_query(r, "q"), keys, "search", &s);
    const struct cm_uuid *user_id = search_uuid(r, &s, "user_id");
    const bool *system = search_bool(r, &s, "include_system");
    api_query_i64(r, "limit", 0, INT32_MAX, &limit);
    api_query_i64(r, "offset", 0, INT32_MAX, &offset);
    if (api_query_check(r, err) != CM_OK)
        return err->code;
    return store_members_page(r->db, r->arena, org_id, user_id, search_text(&s, "search"),
                              system && *system, limit, offset, &ret->rows, &ret->n, err);
}

static struct api_organization_member_with_user_data *show_page(struct cm_arena *a,
                                                                const struct page *p)
{
    struct api_organization_member_with_user_data *out =
        CM_NEW_ARRAY(a, struct api_organization_member_with_user_data, p->n);
    for (size_t i = 0; i < p->n; i++)
        show_member(a, &p->rows[i], &out[i]);
    return out;
}

static enum cm_code list(struct api_req *r, struct cm_err *err)
{
    struct store_organization *org = NULL;
    struct page p = {0};
    if (param_org(r, &org, err) != CM_OK || read_page(r, org->id, &p, err) != CM_OK)
        return err->code;
    return api_reply_list(r, 200, &api_organization_member_with_user_data_msg,
                          show_page(r->arena, &p), p.n);
}

static enum cm_code list_paginated(struct api_req *r, struct cm_err *err)
{
    struct store_organization *org = NULL;
    struct page p = {0};
    if (param_org(r, &org, err) != CM_OK || read_page(r, org->id, &p, err) != CM_OK)
        return err->code;
    struct api_paginated_members_response out = {
        .members = show_page(r->arena, &p), .n_members = p.n, .count = p.n ? p.rows[0].total : 0};
    return api_reply(r, 200, &api_paginated_members_response_msg, &out);
}

static enum cm_code get(struct api_req *r, struct cm_err *err)
{
    struct store_organization *org = NULL;
    struct store_user *u = NULL;
    struct store_member *m = NULL;
    struct api_organization_member_with_user_data out;
    if (param_member(r, &org, &u, err) != CM_OK)
        return err->code;
    enum cm_code code = store_member_get(r->db, r->arena, org->id, u->id, &m, err);
    if (code != CM_OK)
        return code == CM_NOT_FOUND ? api_not_found(err) : code;
    show_member(r->arena, m, &out);
    return api_reply(r, 200, &api_organization_member_with_user_data_msg, &out);
}

static enum cm_code add(struct api_req *r, struct cm_err *err)
{
    struct store_organization *org = NULL;
    struct store_user *u = NULL;
    struct store_member *m = NULL;
    if (param_member(r, &org, &u, err) != CM_OK)
        return err->code;
    enum cm_code code = store_member_insert(r->db, r->arena, org->id, u->id, NULL, 0, NULL, err);
    if (code == CM_CONFLICT)
        return cm_err_set(err, CM_INVALID, "User is already an organization member.");
    if (code != CM_OK || store_member_get(r->db, r->arena, org->id, u->id, &m, err) != CM_OK)
        return err->code;
    note(r, "create", org, u, 200);
    struct api_organization_member out = {.user_id = m->user_id,
                                          .organization_id = m->organization_id,
                                          .created_at = m->created_at,
                                          .updated_at = m->updated_at};
    return api_reply(r, 200, &api_organization_member_msg, &out);
}

static enum cm_code remove_member(struct api_req *r, struct cm_err *err)
{
    struct store_organization *org = NULL;
    struct store_user *u = NULL;
    int64_t gone = 0;
    if (param_member(r, &org, &u, err) != CM_OK)
        return err->code;
    if (cm_uuid_eq(r->who->user_id, u->id))
        return cm_err_set(err, CM_INVALID, "You cannot remove yourself from an organization.");
    if (store_member_delete(r->db, r->arena, org->id, u->id, &gone, err) != CM_OK)
        return err->code;
    if (!gone)
        return api_not_found(err);
    note(r, "delete", org, u, 204);
    return api_reply_none(r, 204);
}

/* For whom could the caller make a workspace here? */
static enum cm_code available_users(struct api_req *r, struct cm_err *err)
{
    struct store_organization *org = NULL;
    struct page p = {0};
    if (target_org(r, 0, &org, err) != CM_OK)
        return err->code;
    const struct rbac_object anybodys = {.resource = RBAC_workspace, .org_id = org->id};
    if (api_authorize(r, &anybodys, err) != CM_OK || read_page(r, org->id, &p, err) != CM_OK)
        return err->code;
    struct api_minimal_user *out = CM_NEW_ARRAY(r->arena, struct api_minimal_user, p.n);
    for (size_t i = 0; i < p.n; i++)
        out[i] = (struct api_minimal_user){.id = p.rows[i].user_id,
                                           .username = p.rows[i].username,
                                           .name = p.rows[i].name,
                                           .avatar_url = p.rows[i].avatar_url};
    return api_reply_list(r, 200, &api_minimal_user_msg, out, p.n);
}

#define O "/api/v2/organizations/{organization}"
static const struct route rows[] = {
    {CM_HTTP_GET, O "/members", AUTH_SESSION, RBAC(organization_member, read), ROUTE_CALL, list,
     NULL, "List members", LIMIT_API, 0, false},
    {CM_HTTP_GET, O "/paginated-members", AUTH_SESSION, RBAC(organization_member, read), ROUTE_CALL,
     list_paginated, NULL, "List members by pages", LIMIT_API, 0, false},
    {CM_HTTP_GET, O "/members/{user}", AUTH_SESSION, RBAC(organization_member, read), ROUTE_CALL,
     get, NULL, "Get a member", LIMIT_API, 0, false},
    {CM_HTTP_POST, O "/members/{user}", AUTH_SESSION, RBAC(organization_member, create), ROUTE_CALL,
     add, NULL, "Add a member", LIMIT_API, 0, false},
    {CM_HTTP_DELETE, O "/members/{user}", AUTH_SESSION, RBAC(organization_member, delete),
     ROUTE_CALL, remove_member, NULL, "Remove a member", LIMIT_API, 0, false},
    {CM_HTTP_GET, O "/members/{user}/workspaces/available-users", AUTH_SESSION,
     RBAC(workspace, create), ROUTE_CALL, available_users, NULL,
     "List users to make workspaces for", LIMIT_API, 0, false},
};

const struct route_table members_routes = {rows, CM_COUNT_OF(rows)};
