/* Users: reading, listing, creating, changing, deleting. Source: api-behaviour reference, 4.3;
 * their settings are in user_settings.c. */
#include "api/audit_log.h"
#include "api/role_change.h"
#include "api/search.h"
#include "api/targets.h"
#include "api/user_make.h"
#include "app.h"
#include "domain/password.h"
#include "store/workspaces.h"

/* params[0] as a user, and what the route's rule says of it. */
static enum cm_code param(struct api_req *r, struct store_user **ret, struct cm_err *err)
{
    if (target_user(r, 0, ret, err) != CM_OK)
        return err->code;
    struct rbac_object o = object_user((*ret)->id);
    return api_authorize(r, &o, err);
}

/* The user as it is now, after a change. */
static enum cm_code reply_user(struct api_req *r, int status, struct cm_uuid id, struct cm_err *err)
{
    struct store_user *u = NULL;
    struct api_user out;
    if (store_user_by_id(r->db, r->arena, id, &u, err) != CM_OK)
        return err->code;
    show_user(r->arena, u, &out);
    return api_reply(r, status, &api_user_msg, &out);
}

static void note(struct api_req *r, const char *action, const struct store_user *u, int status)
{
    audit(r, &(struct audit_event){.action = action,
                                   .resource_type = "user",
                                   .resource_id = u->id,
                                   .target = u->username,
                                   .status = status});
}

static bool is_self(const struct api_req *r, const struct store_user *u)
{
    return cm_uuid_eq(r->who->user_id, u->id);
}

static struct role_list roles_of(const struct store_user *u)
{
    return (struct role_list){u->rbac_roles, u->n_rbac_roles};
}

static enum cm_code user_get(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    if (param(r, &u, err) != CM_OK)
        return err->code;
    struct api_user out;
    show_user(r->arena, u, &out);
    return api_reply(r, 200, &api_user_msg, &out);
}

/* ---- list ---- */

static const char *const search_keys[] = {"search",           "name",
                                          "status",           "role",
                                          "service_account",  "last_seen_after",
                                          "last_seen_before", "created_after",
                                          "created_before",   "github_com_user_id",
                                          "login_type",       NULL};

static void read_lists(struct api_req *r, const struct search *s, struct store_users_page_args *f)
{
    const struct search_term *status = search_get(s, "status"), *role = search_get(s, "role"),
                             *login = search_get(s, "login_type");
    if (status)
        search_check_enum(r, status, &api_user_status_enum);
    if (login)
        search_check_enum(r, login, &api_login_type_enum);
    f->statuses = status ? status->values : NULL;
    f->n_statuses = status ? status->n : 0;
    f->roles = role ? role->values : NULL;
    f->n_roles = role ? role->n : 0;
    f->login_types = login ? login->values : NULL;
    f->n_login_types = login ? login->n : 0;
}

static void show_page_row(struct cm_arena *a, const struct store_user_page *u, struct api_user *out)
{
    struct store_user row = {.id = u->id,
                             .username = u->username,
                             .email = u->email,
                             .name = u->name,
                             .avatar_url = u->avatar_url,
                             .status = u->status,
                             .login_type = u->login_type,
                             .rbac_roles = u->rbac_roles,
                             .n_rbac_roles = u->n_rbac_roles,
                             .is_service_account = u->is_service_account,
                             .created_at = u->created_at,
                             .updated_at = u->updated_at,
                             .last_seen_at = u->last_seen_at,
                             .organization_ids = u->organization_ids,
                             .n_organization_ids = u->n_organization_ids};
    show_user(a, &row, out);
}

static enum cm_code user_list(struct api_req *r, struct cm_err *err)
{
    struct cm_uuid after = {{0}};
    struct search s;
    struct store_users_page_args f = {0};
    search_parse(r, api_query(r, "q"), search_keys, "search", &s);
    read_lists(r, &s, &f);
    f.search = search_text(&s, "search");
    f.name = search_text(&s, "name");
    f.is_service_account = search_bool(r, &s, "service_account");
    f.last_seen_after = search_time(r, &s, "last_seen_after");
    f.last_seen_before = search_time(r, &s, "last_seen_before");
    f.created_after = search_time(r, &s, "created_after");
    f.created_before = search_time(r, &s, "created_before");
    f.github_com_user_id = search_int(r, &s, "github_com_user_id");
    api_query_i64(r, "limit", 0, INT32_MAX, &f.limit);
    api_query_i64(r, "offset", 0, INT32_MAX, &f.offset);
    api_query_uuid(r, "after_id", &after);
    if (api_query_check(r, err) != CM_OK)
        return err->code;
    f.after_id = cm_uuid_is_nil(after) ? NULL : &after;
    /* Reading users is a right for all of them, or for oneself. */
    struct rbac_object anybody = {.resource = RBAC_user}, self = object_user(r->who->user_id);
    f.only_id = api_may(r, RBAC_do_read, &anybody) ? NULL : &r->who->user_id;
    api_authorize_list(r);
    struct store_user_page *rows = NULL;
    struct api_get_users_response out = {0};
    size_t n = 0;
    if ((!f.only_id || api_may(r, RBAC_do_read, &self)) &&
        store_users_page(r->db, r->arena, &f, &rows, &n, err) != CM_OK)
        return err->code;
    out.users = CM_NEW_ARRAY(r->arena, struct api_user, n);
    out.n_users = n;
    out.count = n ? rows[0].total : 0;
    for (size_t i = 0; i < n; i++)
        show_page_row(r->arena, &rows[i], &out.users[i]);
    return api_reply(r, 200, &api_get_users_response_msg, &out);
}

/* ---- create ---- */

static void complain(struct api_req *r, const char *field, const char *detail)
{
    cm_violations_add(&r->violations, r->arena, cm_str(field), "%s", detail);
}

/* What the parts of the request must be to each other. */
static void check_new_user(struct api_req *r, const struct api_create_user_request_with_orgs *q,
                           enum api_login_type login)
{
    bool by_password = login == API_LOGIN_TYPE_PASSWORD;
    if (q->service_account) {
        if (q->email.len)
            complain(r, "email", "must be empty for a service account");
        if (q->password.len)
            complain(r, "password", "must be empty for a service account");
        if (login != API_LOGIN_TYPE_NONE)
            complain(r, "login_type", "must be \"none\" for a service account");
        return;
    }
    if (!q->email.len)
        complain(r, "email", "is required");
    if (login == API_LOGIN_TYPE_OIDC)
        complain(r, "login_type", "there is no OIDC provider configured here");
    if (login == API_LOGIN_TYPE_TOKEN || login == API_LOGIN_TYPE_OAUTH2_PROVIDER_APP)
        complain(r, "login_type", "must be password, github, oidc or none");
    if (!by_password && q->password.len)
        complain(r, "password", "must be empty unless the user signs in with a password");
    if (by_password) {
        const char *weak = password_weakness(q->password);
        if (weak)
            complain(r, "password", weak);
    }
}

static enum api_login_type login_type_of(const struct api_create_user_request_with_orgs *q)
{
    if (q->login_type)
        return q->login_type;
    return q->disable_login || q->service_account ? API_LOGIN_TYPE_NONE : API_LOGIN_TYPE_PASSWORD;
}

/* The organizations must exist, and take members from the caller. */
static enum cm_code check_orgs(struct api_req *r, const struct cm_uuid *ids, size_t n,
                               struct cm_err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct store_organization *org = NULL;
        enum cm_code code = store_organization_by_id(r->db, r->arena, ids[i], &org, err);
        if (code == CM_NOT_FOUND)
            return cm_err_set(err, CM_NOT_FOUND,
                              "Organization does not exist with the provided id \"%s\".",
                              cm_uuid_text(ids[i]).s);
        struct rbac_object o = {.resource = RBAC_organization_member, .org_id = ids[i]};
        if (code != CM_OK || api_authorize_also(r, RBAC_do_create, &o, err) != CM_OK)
            return err->code;
    }
    return CM_OK;
}

static enum cm_code user_create(struct api_req *r, struct cm_err *err)
{
    const struct api_create_user_request_with_orgs *q = r->body;
    const struct rbac_object anybody = {.resource = RBAC_user};
    static const struct cm_uuid site;
    enum api_login_type login = login_type_of(q);
    bool legacy = !q->n_organization_ids && !cm_uuid_is_nil(q->organization_id);
    const struct cm_uuid *orgs = legacy ? &q->organization_id : q->organization_ids;
    size_t n_orgs = legacy ? 1 : q->n_organization_ids;
    if (api_authorize_known(r, &anybody, err) != CM_OK)
        return err->code;
    check_new_user(r, q, login);
    if (!n_orgs)
        complain(r, "organization_ids", "must name one organization at least");
    if (r->violations.n)
        return api_reply_message(r, 400, "Validation failed.", NULL);
    const struct role_list none = {0}, wanted = {q->roles, q->n_roles};
    if (check_orgs(r, orgs, n_orgs, err) != CM_OK ||
        role_change_check(r, site, none, wanted, err) != CM_OK)
        return err->code;
    bool hashed = login == API_LOGIN_TYPE_PASSWORD;
    struct store_user_insert_args row = {
        .id = cm_uuid_random(),
        .email = q->email.ptr ? q->email : CM_STR(""),
        .username = q->username,
        .name = q->name.ptr ? q->name : CM_STR(""),
        .avatar_url = CM_STR(""),
        .hashed_password = hashed ? cm_str(password_hash(r->arena, q->password)) : CM_STR(""),
        .status = q->user_status ? q->user_status : API_USER_STATUS_DORMANT,
        .login_type = login,
        .rbac_roles = q->roles,
        .n_rbac_roles = q->n_roles,
        .is_service_account = q->service_account};
    if (user_make(r, &row, orgs, n_orgs, err) != CM_OK)
        return r->reply.status ? CM_OK : err->code;
    note(r, "create", &(struct store_user){.id = row.id, .username = q->username}, 201);
    return reply_user(r, 201, row.id, err);
}

/* ---- change and delete ---- */

static enum cm_code user_delete(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    int64_t workspaces = 0;
    if (param(r, &u, err) != CM_OK)
        return err->code;
    if (is_self(r, u))
        return cm_err_set(err, CM_DENIED, "You cannot delete yourself!");
    if (!role_outranks(r, roles_of(u)))
        return cm_err_set(err, CM_DENIED, "Only an owner may delete a user with site roles.");
    if (store_user_workspace_count(r->db, r->arena, u->id, &workspaces, err) != CM_OK)
        return err->code;
    if (workspaces)
        return api_reply_message(
            r, 417,
            "You cannot delete a user that has workspaces. Delete their workspaces and try again!",
            NULL);
    if (store_user_delete(r->db, r->arena, u->id, NULL, err) != CM_OK)
        return err->code;
    note(r, "delete", u, 200);
    return api_reply_message(r, 200, "User has been deleted!", NULL);
}

static enum cm_code user_put_profile(struct api_req *r, struct cm_err *err)
{
    const struct api_update_user_profile_request *q = r->body;
    struct store_user *u = NULL;
    if (param(r, &u, err) != CM_OK)
        return err->code;
    struct rbac_object o = object_user(u->id);
    if (!cm_str_eq(q->username, u->username) && !api_may(r, RBAC_do_update, &o))
        return api_not_found(err);
    enum cm_code code = store_user_update_profile(r->db, r->arena, u->id, q->username,
                                                  q->name.ptr ? q->name : CM_STR(""), NULL, err);
    if (code == CM_CONFLICT) {
        complain(r, "username", "is taken by another user");
        return api_reply_message(r, 409, "A user with this username already exists.", NULL);
    }
    if (code != CM_OK)
        return code;
    note(r, "write", u, 200);
    return reply_user(r, 200, u->id, err);
}

static enum cm_code set_status(struct api_req *r, const struct store_user *u,
                               enum api_user_status status, struct cm_err *err)
{
    if (store_user_update_status(r->db, r->arena, u->id, status, NULL, err) != CM_OK)
        return err->code;
    note(r, "write", u, 200);
    return reply_user(r, 200, u->id, err);
}

static enum cm_code user_suspend(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    if (param(r, &u, err) != CM_OK)
        return err->code;
    if (is_self(r, u))
        return cm_err_set(err, CM_INVALID, "You cannot suspend yourself.");
    for (size_t i = 0; i < u->n_rbac_roles; i++) {
        if (cm_str_eq_c(u->rbac_roles[i], "owner"))
            return cm_err_set(err, CM_INVALID,
                              "You cannot suspend a user with the \"owner\" role. You must remove "
                              "the role first.");
    }
    return set_status(r, u, API_USER_STATUS_SUSPENDED, err);
}

static enum cm_code user_activate(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    if (param(r, &u, err) != CM_OK)
        return err->code;
    return set_status(r, u, API_USER_STATUS_ACTIVE, err);
}

static enum cm_code user_put_password(struct api_req *r, struct cm_err *err)
{
    const struct api_update_user_password_request *q = r->body;
    struct store_user *u = NULL;
    struct store_user_password *row = NULL;
    if (param(r, &u, err) != CM_OK)
        return err->code;
    if (!is_self(r, u) && !role_outranks(r, roles_of(u)))
        return cm_err_set(err, CM_DENIED,
                          "Only an owner may change the password of a user with site roles.");
    if (u->login_type != API_LOGIN_TYPE_PASSWORD)
        return cm_err_set(err, CM_INVALID,
                          "Users without password login type cannot change their password.");
    const char *weak = password_weakness(q->password);
    if (weak)
        return api_reply_invalid(r, "Invalid password.", "password", "%s", weak);
    if (store_user_password_by_id(r->db, r->arena, u->id, &row, err) != CM_OK)
        return err->code;
    /* Whoever changes the own password must know the old one: a browser left open is not enough. */
    if ((is_self(r, u) || q->old_password.len) &&
        !password_verify(row->hashed_password, q->old_password))
        return api_reply_invalid(r, "Old password is incorrect.", "old_password",
                                 "is not the password of this user");
    if (password_verify(row->hashed_password, q->password))
        return api_reply_invalid(r, "New password cannot match old password.", "password",
                                 "must differ from the old one");
    char *hash = password_hash(r->arena, q->password);
    if (store_user_update_password(r->db, r->arena, u->id, cm_str(hash), NULL, err) != CM_OK)
        return err->code;
    note(r, "write", u, 204);
    return api_reply_none(r, 204);
}

static enum cm_code user_login_type(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    if (param(r, &u, err) != CM_OK)
        return err->code;
    if (!is_self(r, u))
        return cm_err_set(err, CM_DENIED, "You are not authorized to view this user's login type.");
    struct api_user_login_type out = {.login_type = u->login_type};
    return api_reply(r, 200, &api_user_login_type_msg, &out);
}

#define U "/api/v2/users/{user}"
static const struct route rows[] = {
    {CM_HTTP_GET, "/api/v2/users", AUTH_SESSION, RBAC(user, read), ROUTE_CALL, user_list, NULL,
     "List users", LIMIT_API, 0, false},
    {CM_HTTP_POST, "/api/v2/users", AUTH_SESSION, RBAC(user, create), ROUTE_CALL, user_create,
     &api_create_user_request_with_orgs_msg, "Create a user", LIMIT_API, 0, false},
    {CM_HTTP_GET, U, AUTH_SESSION, RBAC(user, read), ROUTE_CALL, user_get, NULL, "Get a user",
     LIMIT_API, 0, false},
    {CM_HTTP_DELETE, U, AUTH_SESSION, RBAC(user, delete), ROUTE_CALL, user_delete, NULL,
     "Delete a user", LIMIT_API, 0, false},
    {CM_HTTP_PUT, U "/profile", AUTH_SESSION, RBAC(user, update_personal), ROUTE_CALL,
     user_put_profile, &api_update_user_profile_request_msg, "Change names", LIMIT_API, 0, false},
    {CM_HTTP_PUT, U "/status/suspend", AUTH_SESSION, RBAC(user, update), ROUTE_CALL, user_suspend,
     NULL, "Suspend a user", LIMIT_API, 0, false},
    {CM_HTTP_PUT, U "/status/activate", AUTH_SESSION, RBAC(user, update), ROUTE_CALL, user_activate,
     NULL, "Activate a user", LIMIT_API, 0, false},
    {CM_HTTP_PUT, U "/password", AUTH_SESSION, RBAC(user, update_personal), ROUTE_CALL,
     user_put_password, &api_update_user_password_request_msg, "Change a password", LIMIT_LOGIN, 0,
     false},
    {CM_HTTP_GET, U "/login-type", AUTH_SESSION, RBAC(user, read_personal), ROUTE_CALL,
     user_login_type, NULL, "Get how a user signs in", LIMIT_API, 0, false},
};

const struct route_table users_routes = {rows, CM_COUNT_OF(rows)};
