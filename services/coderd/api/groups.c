/* Groups of users. Source: api-behaviour reference, 4.5. The group Everyone of an organization has
 * the organization's id and all its members. */
#include "api/groups.h"

#include "api/audit_log.h"
#include "api/organizations.h"
#include "api/lookup.h"
#include "api/search.h"
#include "api/targets.h"
#include "app.h"
#include "store/groups.h"

#define GROUP_IDS_MAX 256
#define QUOTA_MAX     INT32_MAX

static struct rbac_object object_of(const struct store_group *g)
{
    return (struct rbac_object){.resource = RBAC_group, .id = g->id, .org_id = g->organization_id};
}

static bool is_everyone(const struct store_group *g)
{
    return cm_uuid_eq(g->id, g->organization_id);
}

static enum cm_code load(struct api_req *r, const struct cm_uuid *org_id, const struct cm_uuid *id,
                         struct cm_str name, struct store_group **ret, struct cm_err *err)
{
    size_t n = 0;
    if (store_groups(r->db, r->arena, org_id, NULL, id, id ? 1 : 0, name, ret, &n, err) != CM_OK)
        return err->code;
    return n ? CM_OK : api_not_found(err);
}

/* params[0] as a group that the route's rule allows. */
static enum cm_code param(struct api_req *r, struct store_group **ret, struct cm_err *err)
{
    struct cm_uuid id;
    if (api_param_uuid(r, 0, &id, err) != CM_OK ||
        load(r, NULL, &id, CM_STR_NONE, ret, err) != CM_OK)
        return err->code;
    struct rbac_object o = object_of(*ret);
    return api_authorize(r, &o, err);
}

/* Organization and name of a group in the path. */
static enum cm_code param_named(struct api_req *r, struct store_group **ret, struct cm_err *err)
{
    struct store_organization *org = NULL;
    if (target_org(r, 0, &org, err) != CM_OK ||
        load(r, &org->id, NULL, r->params[1], ret, err) != CM_OK)
        return err->code;
    struct rbac_object o = object_of(*ret);
    return api_authorize(r, &o, err);
}

static void note(struct api_req *r, const char *action, const struct store_group *g, int status)
{
    audit(r, &(struct audit_event){.action = action,
                                   .resource_type = "group",
                                   .resource_id = g->id,
                                   .target = g->name,
                                   .org_id = g->organization_id,
                                   .status = status});
}

/* ---- showing ---- */

/* Members of several groups, and the users among them. */
struct membership {
    struct store_group_member *pairs;
    size_t n;
    struct store_user *users;
    size_t n_users;
};

static enum cm_code load_members(struct api_req *r, const struct store_group *groups, size_t n,
                                 struct membership *ret, struct cm_err *err)
{
    struct cm_uuid *ids = CM_NEW_ARRAY(r->arena, struct cm_uuid, n);
    for (size_t i = 0; i < n; i++)
        ids[i] = groups[i].id;
    if (store_group_members(r->db, r->arena, ids, n, &ret->pairs, &ret->n, err) != CM_OK)
        return err->code;
    struct cm_uuid *users = CM_NEW_ARRAY(r->arena, struct cm_uuid, ret->n);
    for (size_t i = 0; i < ret->n; i++)
        users[i] = ret->pairs[i].user_id;
    return store_users_by_ids(r->db, r->arena, users, ret->n, &ret->users, &ret->n_users, err);
}

static const struct store_user *find_user(const struct membership *m, struct cm_uuid id)
{
    for (size_t i = 0; i < m->n_users; i++) {
        if (cm_uuid_eq(m->users[i].id, id))
            return &m->users[i];
    }
    return NULL;
}

/* Everybody sees himself in a group; the others need a right. */
static bool sees(const struct api_req *r, const struct store_group *g, struct cm_uuid user_id)
{
    struct rbac_object o = object_org(RBAC_group_member, g->organization_id, user_id);
    return api_may(r, RBAC_do_read, &o);
}

static struct api_reduced_user *show_members(struct api_req *r, const struct store_group *g,
                                             const struct membership *m, size_t *ret_n)
{
    struct api_reduced_user *out = CM_NEW_ARRAY(r->arena, struct api_reduced_user, m->n);
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct store_user *u = find_user(m, m->pairs[i].user_id);
        if (u && cm_uuid_eq(m->pairs[i].group_id, g->id) && sees(r, g, u->id))
            show_reduced_user(u, &out[n++]);
    }
    *ret_n = n;
    return out;
}

static void show_group(struct api_req *r, const struct store_group *g, const struct membership *m,
                       struct api_group *out)
{
    *out = (struct api_group){.id = g->id,
                              .name = g->name,
                              .display_name = g->display_name,
                              .organization_id = g->organization_id,
                              .total_member_count = g->total_member_count,
                              .avatar_url = g->avatar_url,
                              .quota_allowance = g->quota_allowance,
                              .source = g->source,
                              .organization_name = g->organization_name,
                              .organization_display_name = g->organization_display_name};
    out->members = show_members(r, g, m, &out->n_members);
}

static enum cm_code reply_group(struct api_req *r, int status, const struct store_group *g,
                                bool members, struct cm_err *err)
{
    struct membership m = {0};
    struct api_group out;
    if (members && load_members(r, g, 1, &m, err) != CM_OK)
        return err->code;
    show_group(r, g, &m, &out);
    return api_reply(r, status, &api_group_msg, &out);
}

static enum cm_code reply_changed(struct api_req *r, int status, struct cm_uuid id,
                                  struct cm_err *err)
{
    struct store_group *g = NULL;
    if (load(r, NULL, &id, CM_STR_NONE, &g, err) != CM_OK)
        return err->code;
    return reply_group(r, status, g, true, err);
}

static enum cm_code reply_visible(struct api_req *r, struct store_group *rows, size_t n,
                                  struct cm_err *err)
{
    struct membership m = {0};
    size_t visible = 0;
    for (size_t i = 0; i < n; i++) {
        struct rbac_object o = object_of(&rows[i]);
        if (api_may(r, RBAC_do_read, &o))
            rows[visible++] = rows[i];
    }
    api_authorize_list(r);
    if (load_members(r, rows, visible, &m, err) != CM_OK)
        return err->code;
    struct api_group *out = CM_NEW_ARRAY(r->arena, struct api_group, visible);
    for (size_t i = 0; i < visible; i++)
        show_group(r, &rows[i], &m, &out[i]);
    return api_reply_list(r, 200, &api_group_msg, out, visible);
}

/* ---- reading ---- */

static struct cm_uuid *query_ids(struct api_req *r, size_t *ret_n)
{
    struct cm_str rest = api_query(r, "group_ids"), one;
    if (!rest.len)
        return NULL;
    struct cm_uuid *ids = CM_NEW_ARRAY(r->arena, struct cm_uuid, GROUP_IDS_MAX);
    while (rest.ptr) {
        rest = cm_str_split(rest, ',', &one);
        if (*ret_n == GROUP_IDS_MAX || !cm_uuid_parse(one, &ids[*ret_n])) {
            cm_violations_add(&r->violations, r->arena, CM_STR("group_ids"),
                              "must be UUIDs with commas between them, %d at most", GROUP_IDS_MAX);
            return ids;
        }
        (*ret_n)++;
    }
    return ids;
}

static enum cm_code list(struct api_req *r, struct cm_err *err)
{
    struct cm_str org = api_query(r, "organization"), member = api_query(r, "has_member");
    const struct cm_uuid *org_id = org.len ? lookup_org(r, org) : NULL;
    const struct cm_uuid *member_id = member.len ? lookup_user(r, member) : NULL;
    struct store_group *rows = NULL;
    size_t n = 0, n_ids = 0;
    static const char *const names[] = {"organization", "has_member", "group_ids", NULL};
    api_query_only(r, names);
    struct cm_uuid *ids = query_ids(r, &n_ids);
    if (api_query_check(r, err) != CM_OK ||
        store_groups(r->db, r->arena, org_id, member_id, ids, n_ids, CM_STR_NONE, &rows, &n, err) !=
            CM_OK)
        return err->code;
    return reply_visible(r, rows, n, err);
}

static enum cm_code list_org(struct api_req *r, struct cm_err *err)
{
    struct store_organization *org = NULL;
    struct store_group *rows = NULL;
    size_t n = 0;
    if (target_org(r, 0, &org, err) != CM_OK)
        return err->code;
    const struct rbac_object o = {.resource = RBAC_organization, .id = org->id, .org_id = org->id};
    if (!api_may(r, RBAC_do_read, &o))
        return api_not_found(err);
    if (store_groups(r->db, r->arena, &org->id, NULL, NULL, 0, CM_STR_NONE, &rows, &n, err) !=
        CM_OK)
        return err->code;
    return reply_visible(r, rows, n, err);
}

static enum cm_code get(struct api_req *r, struct cm_err *err)
{
    struct store_group *g = NULL;
    if (param(r, &g, err) != CM_OK)
        return err->code;
    return reply_group(r, 200, g, !cm_str_eq_c(api_query(r, "exclude_members"), "true"), err);
}

static enum cm_code get_named(struct api_req *r, struct cm_err *err)
{
    struct store_group *g = NULL;
    if (param_named(r, &g, err) != CM_OK)
        return err->code;
    return reply_group(r, 200, g, true, err);
}

/* The page of them that q, limit and offset ask for. */
static enum cm_code reply_members(struct api_req *r, const struct store_group *g,
                                  struct cm_err *err)
{
    static const char *const keys[] = {"search", NULL};
    struct membership m = {0};
    struct search s;
    int64_t limit = 0, offset = 0;
    size_t all = 0;
    search_parse(r, api_query(r, "q"), keys, "search", &s);
    api_query_i64(r, "limit", 0, INT32_MAX, &limit);
    api_query_i64(r, "offset", 0, INT32_MAX, &offset);
    if (api_query_check(r, err) != CM_OK || load_members(r, g, 1, &m, err) != CM_OK)
        return err->code;
    struct cm_str part = search_text(&s, "search");
    struct api_reduced_user *users = show_members(r, g, &m, &all);
    struct api_group_members_response out = {.users = users};
    for (size_t i = 0; i < all; i++) {
        if (part.len && !cm_str_contains(users[i].username, part) &&
            !cm_str_contains(users[i].email, part))
            continue;
        if (out.count++ >= offset && (!limit || (int64_t)out.n_users < limit))
            users[out.n_users++] = users[i];
    }
    return api_reply(r, 200, &api_group_members_response_msg, &out);
}

static enum cm_code members(struct api_req *r, struct cm_err *err)
{
    struct store_group *g = NULL;
    if (param(r, &g, err) != CM_OK)
        return err->code;
    return reply_members(r, g, err);
}

static enum cm_code members_named(struct api_req *r, struct cm_err *err)
{
    struct store_group *g = NULL;
    if (param_named(r, &g, err) != CM_OK)
        return err->code;
    return reply_members(r, g, err);
}

/* ---- changing ---- */

static enum cm_code name_taken(struct api_req *r, struct cm_str name)
{
    cm_violations_add(&r->violations, r->arena, CM_STR("name"),
                      "this name is taken by another group of the organization");
    return api_reply_message(
        r, 409,
        cm_arena_printf(r->arena, "A group named \"%.*s\" already exists.", CM_STR_ARG(name)),
        NULL);
}

static void check_quota(struct api_req *r, int64_t quota)
{
    if (quota < 0 || quota > QUOTA_MAX)
        cm_violations_add(&r->violations, r->arena, CM_STR("quota_allowance"),
                          "must be from 0 to %d", QUOTA_MAX);
}

static enum cm_code create(struct api_req *r, struct cm_err *err)
{
    const struct api_create_group_request *q = r->body;
    struct store_organization *org = NULL;
    if (target_org(r, 0, &org, err) != CM_OK)
        return err->code;
    struct store_group g = {.id = cm_uuid_random(), .organization_id = org->id, .name = q->name};
    const struct rbac_object o = {.resource = RBAC_group, .org_id = org->id};
    if (api_authorize(r, &o, err) != CM_OK)
        return err->code;
    if (cm_str_eq_nocase(q->name, CM_STR("Everyone")))
        return api_reply_invalid(r, "\"Everyone\" is a reserved group name.", "name",
                                 "is the group of all members");
    check_quota(r, q->quota_allowance);
    if (r->violations.n)
        return api_reply_message(r, 400, "Validation failed.", NULL);
    enum cm_code code = store_group_insert(
        r->db, r->arena, g.id, org->id, q->name, q->display_name.ptr ? q->display_name : CM_STR(""),
        q->avatar_url.ptr ? q->avatar_url : CM_STR(""), q->quota_allowance, NULL, err);
    if (code != CM_OK)
        return code == CM_CONFLICT ? name_taken(r, q->name) : code;
    note(r, "create", &g, 201);
    return reply_changed(r, 201, g.id, err);
}

static struct cm_uuid *read_users(struct api_req *r, const char *field, const struct cm_str *texts,
                                  size_t n)
{
    struct cm_uuid *ids = CM_NEW_ARRAY(r->arena, struct cm_uuid, n);
    for (size_t i = 0; i < n; i++) {
        bool again = false;
        if (!cm_uuid_parse(texts[i], &ids[i]))
            cm_violations_add(&r->violations, r->arena, cm_str(field), "must be UUIDs of users");
        for (size_t k = 0; k < i; k++)
            again = again || cm_uuid_eq(ids[k], ids[i]);
        if (again)
            cm_violations_add(&r->violations, r->arena, cm_str(field), "names a user twice");
    }
    return ids;
}

static enum cm_code check_members(struct api_req *r, const struct store_group *g,
                                  const struct cm_uuid *ids, size_t n, struct cm_err *err)
{
    int64_t found = 0;
    if (store_members_count(r->db, r->arena, g->organization_id, ids, n, &found, err) != CM_OK)
        return err->code;
    if ((size_t)found != n)
        return cm_err_set(err, CM_INVALID,
                          "Users must be members of the organization before they can be added to a "
                          "group of it.");
    return CM_OK;
}

static enum cm_code store_change(struct api_req *r, const struct store_group *g,
                                 const struct cm_uuid *add, const struct cm_uuid *drop,
                                 struct cm_err *err)
{
    const struct api_patch_group_request *q = r->body;
    bool has_quota = cm_has(q->has, API_PATCH_GROUP_REQUEST_HAS_QUOTA_ALLOWANCE);
    struct cm_str display_name =
        cm_has(q->has, API_PATCH_GROUP_REQUEST_HAS_DISPLAY_NAME) ? q->display_name : CM_STR_NONE;
    struct cm_str avatar =
        cm_has(q->has, API_PATCH_GROUP_REQUEST_HAS_AVATAR_URL) ? q->avatar_url : CM_STR_NONE;
    CM_AUTO(cm_db_tx) tx = NULL;
    if (cm_db_tx_begin(r->db, &tx, err) != CM_OK ||
        store_group_update(r->db, r->arena, g->id, q->name.len ? q->name : CM_STR_NONE,
                           display_name, avatar, has_quota ? &q->quota_allowance : NULL, NULL,
                           err) != CM_OK ||
        store_group_members_remove(r->db, r->arena, g->id, drop, q->n_remove_users, NULL, err) !=
            CM_OK ||
        store_group_members_add(r->db, r->arena, g->id, add, q->n_add_users, NULL, err) != CM_OK)
        return err->code;
    return cm_db_tx_commit(tx, err);
}

static enum cm_code update(struct api_req *r, struct cm_err *err)
{
    const struct api_patch_group_request *q = r->body;
    struct store_group *g = NULL;
    if (param(r, &g, err) != CM_OK)
        return err->code;
    if (is_everyone(g) && (q->n_add_users || q->n_remove_users))
        return cm_err_set(err, CM_DENIED, "The members of \"Everyone\" are all members.");
    if (is_everyone(g) && q->name.len && !cm_str_eq(q->name, g->name))
        return cm_err_set(err, CM_INVALID, "Cannot rename the \"Everyone\" group!");
    if (!is_everyone(g) && cm_str_eq_nocase(q->name, CM_STR("Everyone")))
        return api_reply_invalid(r, "\"Everyone\" is a reserved group name.", "name",
                                 "is the group of all members");
    struct cm_uuid *add = read_users(r, "add_users", q->add_users, q->n_add_users);
    struct cm_uuid *drop = read_users(r, "remove_users", q->remove_users, q->n_remove_users);
    check_quota(r, q->quota_allowance);
    if (r->violations.n)
        return api_reply_message(r, 400, "Validation failed.", NULL);
    if (check_members(r, g, add, q->n_add_users, err) != CM_OK)
        return err->code;
    enum cm_code code = store_change(r, g, add, drop, err);
    if (code != CM_OK)
        return code == CM_CONFLICT ? name_taken(r, q->name) : code;
    note(r, "write", g, 200);
    return reply_changed(r, 200, g->id, err);
}

static enum cm_code delete (struct api_req *r, struct cm_err *err) {
    struct store_group *g = NULL; if (param(r, &g, err) != CM_OK) return err->code;
    if (is_everyone(g)) return cm_err_set(
        err, CM_INVALID, "\"Everyone\" is a reserved group and cannot be deleted!");
    if (store_group_delete(r->db, r->arena, g->id, NULL, err) != CM_OK) return err->code;
    note(r, "delete", g, 200);
    return api_reply_message(r, 200, "Successfully deleted group!", NULL);
}

#define G "/api/v2/groups"
#define O "/api/v2/organizations/{organization}/groups"
static const struct route rows[] = {
    {CM_HTTP_GET, G, AUTH_SESSION, RBAC(group, read), ROUTE_CALL, list, NULL, "List groups",
     LIMIT_API, 0, false},
    {CM_HTTP_GET, G "/{group}", AUTH_SESSION, RBAC(group, read), ROUTE_CALL, get, NULL,
     "Get a group", LIMIT_API, 0, false},
    {CM_HTTP_PATCH, G "/{group}", AUTH_SESSION, RBAC(group, update), ROUTE_CALL, update,
     &api_patch_group_request_msg, "Change a group", LIMIT_API, 0, false},
    {CM_HTTP_DELETE, G "/{group}", AUTH_SESSION, RBAC(group, delete), ROUTE_CALL, delete, NULL,
     "Delete a group", LIMIT_API, 0, false},
    {CM_HTTP_GET, G "/{group}/members", AUTH_SESSION, RBAC(group, read), ROUTE_CALL, members, NULL,
     "List a group's members", LIMIT_API, 0, false},
    {CM_HTTP_GET, O, AUTH_SESSION, RBAC(group, read), ROUTE_CALL, list_org, NULL,
     "List an organization's groups", LIMIT_API, 0, false},
    {CM_HTTP_POST, O, AUTH_SESSION, RBAC(group, create), ROUTE_CALL, create,
     &api_create_group_request_msg, "Create a group", LIMIT_API, 0, false},
    {CM_HTTP_GET, O "/{group}", AUTH_SESSION, RBAC(group, read), ROUTE_CALL, get_named, NULL,
     "Get a group by name", LIMIT_API, 0, false},
    {CM_HTTP_GET, O "/{group}/members", AUTH_SESSION, RBAC(group, read), ROUTE_CALL, members_named,
     NULL, "List the members of a group by name", LIMIT_API, 0, false},
};

const struct route_table groups_routes = {rows, CM_COUNT_OF(rows)};
