/* Organizations and those that a user is in. Source: api-behaviour reference, 4.4; members are in
 * members.c. */
#include "api/organizations.h"

#include "api/audit_log.h"
#include "api/role_change.h"
#include "api/targets.h"
#include "app.h"

static struct rbac_object object_of(const struct store_organization *o)
{
    return (struct rbac_object){.resource = RBAC_organization, .id = o->id, .org_id = o->id};
}

/* params[i] as an organization that the route's rule allows. */
static enum cm_code param(struct api_req *r, size_t i, struct store_organization **ret,
                          struct cm_err *err)
{
    if (target_org(r, i, ret, err) != CM_OK)
        return err->code;
    struct rbac_object o = object_of(*ret);
    return api_authorize(r, &o, err);
}

static enum cm_code reply_one(struct api_req *r, int status, const struct store_organization *o)
{
    struct api_organization out;
    show_organization(o, &out);
    return api_reply(r, status, &api_organization_msg, &out);
}

/* Those that the caller may see. */
static enum cm_code reply_some(struct api_req *r, const struct store_organization *rows, size_t n)
{
    struct api_organization *out = CM_NEW_ARRAY(r->arena, struct api_organization, n);
    size_t shown = 0;
    for (size_t i = 0; i < n; i++) {
        struct rbac_object o = object_of(&rows[i]);
        if (api_may(r, RBAC_do_read, &o))
            show_organization(&rows[i], &out[shown++]);
    }
    api_authorize_list(r);
    return api_reply_list(r, 200, &api_organization_msg, out, shown);
}

static void note(struct api_req *r, const char *action, const struct store_organization *o,
                 int status)
{
    audit(r, &(struct audit_event){.action = action,
                                   .resource_type = "organization",
                                   .resource_id = o->id,
                                   .target = o->name,
                                   .org_id = o->id,
                                   .status = status});
}

static enum cm_code list(struct api_req *r, struct cm_err *err)
{
    struct store_organization *rows = NULL;
    size_t n = 0;
    if (store_organizations(r->db, r->arena, NULL, 0, &rows, &n, err) != CM_OK)
        return err->code;
    return reply_some(r, rows, n);
}

static enum cm_code get(struct api_req *r, struct cm_err *err)
{
    struct store_organization *o = NULL;
    if (param(r, 0, &o, err) != CM_OK)
        return err->code;
    return reply_one(r, 200, o);
}

static enum cm_code name_taken(struct api_req *r)
{
    cm_violations_add(&r->violations, r->arena, CM_STR("name"),
                      "this name is taken by another organization");
    return api_reply_message(r, 409, "Organization already exists with that name.", NULL);
}

/* Whoever makes an organization administers it. */
static enum cm_code insert(struct api_req *r, const struct api_create_organization_request *q,
                           struct store_organization **ret, struct cm_err *err)
{
    static const struct cm_str admin[] = {{"organization-admin", 18}};
    CM_AUTO(cm_db_tx) tx = NULL;
    if (cm_db_tx_begin(r->db, &tx, err) != CM_OK ||
        store_organization_insert(r->db, r->arena, cm_uuid_random(), q->name,
                                  q->display_name.len ? q->display_name : q->name,
                                  q->description.ptr ? q->description : CM_STR(""),
                                  q->icon.ptr ? q->icon : CM_STR(""), ret, err) != CM_OK ||
        store_member_insert(r->db, r->arena, (*ret)->id, r->who->user_id, admin, 1, NULL, err) !=
            CM_OK)
        return err->code;
    return cm_db_tx_commit(tx, err);
}

static enum cm_code create(struct api_req *r, struct cm_err *err)
{
    const struct api_create_organization_request *q = r->body;
    const struct rbac_object any = {.resource = RBAC_organization};
    struct store_organization *o = NULL;
    if (api_authorize_known(r, &any, err) != CM_OK)
        return err->code;
    if (cm_str_eq_nocase(q->name, CM_STR("default")))
        return api_reply_invalid(r, "Organization name \"default\" is reserved.", "name",
                                 "is how the default organization is called in URLs");
    enum cm_code code = insert(r, q, &o, err);
    if (code != CM_OK)
        return code == CM_CONFLICT ? name_taken(r) : code;
    note(r, "create", o, 201);
    return reply_one(r, 201, o);
}

static enum cm_code check_default_roles(struct api_req *r,
                                        const struct api_update_organization_request *q,
                                        const struct store_organization *o, struct cm_err *err)
{
    const struct role_list now = {o->default_org_member_roles, o->n_default_org_member_roles},
                           wanted = {q->default_org_member_roles, q->n_default_org_member_roles};
    return role_change_check(r, o->id, now, wanted, err);
}

static enum cm_code update(struct api_req *r, struct cm_err *err)
{
    const struct api_update_organization_request *q = r->body;
    struct store_organization *o = NULL;
    if (param(r, 0, &o, err) != CM_OK)
        return err->code;
    if (cm_str_eq_nocase(q->name, CM_STR("default")))
        return api_reply_invalid(r, "Organization name \"default\" is reserved.", "name",
                                 "is how the default organization is called in URLs");
    if (q->default_org_member_roles && check_default_roles(r, q, o, err) != CM_OK)
        return err->code;
    bool described = cm_has(q->has, API_UPDATE_ORGANIZATION_REQUEST_HAS_DESCRIPTION);
    bool has_icon = cm_has(q->has, API_UPDATE_ORGANIZATION_REQUEST_HAS_ICON);
    enum cm_code code = store_organization_update(
        r->db, r->arena, o->id, q->name.len ? q->name : CM_STR_NONE,
        q->display_name.len ? q->display_name : CM_STR_NONE,
        described ? q->description : CM_STR_NONE, has_icon ? q->icon : CM_STR_NONE,
        q->default_org_member_roles, q->n_default_org_member_roles, &o, err);
    if (code != CM_OK)
        return code == CM_CONFLICT ? name_taken(r) : code;
    note(r, "write", o, 200);
    return reply_one(r, 200, o);
}

static enum cm_code delete (struct api_req *r, struct cm_err *err) {
    struct store_organization *o = NULL; struct store_organization_use *use = NULL;
    if (param(r, 0, &o, err) != CM_OK) return err->code;
    if (o->is_default) return cm_err_set(err, CM_INVALID,
                                         "Default organization cannot be deleted.");
    if (store_organization_use_of(r->db, r->arena, o->id, r->who->user_id, &use, err) !=
        CM_OK) return err->code;
    if (use->workspaces || use->templates || use->members || use->groups ||
        use->provisioner_keys) return api_reply_message(r, 400, "Error deleting organization.",
                                                        cm_arena_printf(
                                                            r->arena,
                                                            "it still has %lld workspaces, %lld "
                                                            "templates, %lld other members, "
                                                            "%lld groups and %lld provisioner "
                                                            "keys: delete them first",
                                                            (long long)use->workspaces,
                                                            (long long)use->templates,
                                                            (long long)use->members,
                                                            (long long)use->groups,
                                                            (long long)use->provisioner_keys));
    if (store_organization_delete(r->db, r->arena, o->id, NULL, err) != CM_OK) return err->code;
    note(r, "delete", o, 200);
    return api_reply_message(r, 200, "Organization has been deleted.", NULL);
}

/* ---- of a user ---- */

/* params[0] as a user whom the caller may see. */
static enum cm_code param_user(struct api_req *r, struct store_user **ret, struct cm_err *err)
{
    if (target_user(r, 0, ret, err) != CM_OK)
        return err->code;
    struct rbac_object o = object_user((*ret)->id);
    return api_may(r, RBAC_do_read, &o) ? CM_OK : api_not_found(err);
}

static enum cm_code user_list(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    struct store_organization *rows = NULL;
    size_t n = 0;
    if (param_user(r, &u, err) != CM_OK ||
        store_organizations_of_user(r->db, r->arena, u->id, &rows, &n, err) != CM_OK)
        return err->code;
    return reply_some(r, rows, n);
}

static enum cm_code user_get(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    struct store_organization *o = NULL;
    if (param_user(r, &u, err) != CM_OK || param(r, 1, &o, err) != CM_OK)
        return err->code;
    return reply_one(r, 200, o);
}

#define O "/api/v2/organizations"
#define U "/api/v2/users/{user}/organizations"
static const struct route rows[] = {
    {CM_HTTP_GET, O, AUTH_SESSION, RBAC(organization, read), ROUTE_CALL, list, NULL,
     "List organizations", LIMIT_API, 0, false},
    {CM_HTTP_POST, O, AUTH_SESSION, RBAC(organization, create), ROUTE_CALL, create,
     &api_create_organization_request_msg, "Create an organization", LIMIT_API, 0, false},
    {CM_HTTP_GET, O "/{organization}", AUTH_SESSION, RBAC(organization, read), ROUTE_CALL, get,
     NULL, "Get an organization", LIMIT_API, 0, false},
    {CM_HTTP_PATCH, O "/{organization}", AUTH_SESSION, RBAC(organization, update), ROUTE_CALL,
     update, &api_update_organization_request_msg, "Change an organization", LIMIT_API, 0, false},
    {CM_HTTP_DELETE, O "/{organization}", AUTH_SESSION, RBAC(organization, delete), ROUTE_CALL,
     delete, NULL, "Delete an organization", LIMIT_API, 0, false},
    {CM_HTTP_GET, U, AUTH_SESSION, RBAC(organization, read), ROUTE_CALL, user_list, NULL,
     "List a user's organizations", LIMIT_API, 0, false},
    {CM_HTTP_GET, U "/{organization}", AUTH_SESSION, RBAC(organization, read), ROUTE_CALL, user_get,
     NULL, "Get an organization of a user", LIMIT_API, 0, false},
};

const struct route_table organizations_routes = {rows, CM_COUNT_OF(rows)};
