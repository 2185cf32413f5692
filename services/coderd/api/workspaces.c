/* Workspaces. Source: api-behaviour reference, 4.10. */
#include "api/workspaces.h"

#include "api/acl.h"
#include "api/lookup.h"
#include "api/search.h"
#include "api/targets.h"
#include "api/workspace_load.h"
#include "app.h"
#include "options.h"
#include "store/groups.h"
#include "store/organizations.h"
#include "store/schedule.h"
#include "store/users.h"
#include "store/workspace_list.h"

static enum cm_code workspace_get(struct api_req *r, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    bool deleted_too = cm_str_eq_c(api_query(r, "include_deleted"), "true");
    if ((deleted_too ? workspace_param : workspace_param_live)(r, 0, &w, err) != CM_OK)
        return err->code;
    return workspace_reply(r, 200, w, err);
}

static enum cm_code by_name(struct api_req *r, struct store_workspace **ret, struct cm_err *err)
{
    struct store_user *u = NULL;
    if (target_any_user(r, 0, &u, err) != CM_OK)
        return err->code;
    enum cm_code code = store_workspace_by_name(r->db, r->arena, u->id, r->params[1], ret, err);
    if (code == CM_NOT_FOUND && cm_str_eq_c(api_query(r, "include_deleted"), "true"))
        code = store_workspace_by_name_deleted(r->db, r->arena, u->id, r->params[1], ret, err);
    if (code != CM_OK)
        return code == CM_NOT_FOUND ? api_not_found(err) : code;
    struct rbac_object o = workspace_object(r, *ret);
    return api_authorize(r, &o, err);
}

static enum cm_code workspace_by_name(struct api_req *r, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    if (by_name(r, &w, err) != CM_OK)
        return err->code;
    return workspace_reply(r, 200, w, err);
}

static enum cm_code build_by_number(struct api_req *r, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    struct store_build *b = NULL;
    struct api_workspace_build *out = NULL;
    int64_t number;
    if (by_name(r, &w, err) != CM_OK)
        return err->code;
    if (!cm_str_to_i64(r->params[2], &number))
        return cm_err_set(err, CM_INVALID, "Failed to parse build number as integer.");
    enum cm_code code = store_build_by_number(r->db, r->arena, w->id, number, &b, err);
    if (code != CM_OK)
        return code == CM_NOT_FOUND ? api_not_found(err) : code;
    if (builds_show(r, b, 1, &out, err) != CM_OK)
        return err->code;
    return api_reply(r, 200, &api_workspace_build_msg, out);
}

/* ---- the list ---- */

/* A user by name, "me" or id. Whom the caller may not see is as unknown as whom there is not. */
static struct cm_str search_user(struct api_req *r, const struct search *s, const char *key)
{
    struct cm_str v = search_text(s, key);
    struct store_user *u = NULL;
    struct cm_err why;
    if (!v.ptr)
        return CM_STR_NONE;
    if (lookup_found(r, store_user_by_id(r->db, r->arena, *lookup_user(r, v), &u, &why), &why)) {
        struct rbac_object o = object_user(u->id);
        if (api_may(r, RBAC_do_read, &o))
            return cm_arena_str(r->arena, cm_str(cm_uuid_text(u->id).s));
    }
    cm_violations_add(&r->violations, r->arena, cm_str(key), "must be a user whom you may see");
    return CM_STR_NONE;
}

/* A group by id, or by name, of the default organization unless it says organization/name. */
static struct cm_str search_group(struct api_req *r, const struct search *s, const char *key)
{
    struct cm_str v = search_text(s, key);
    struct store_organization *org = NULL;
    struct store_group *g = NULL;
    size_t n = 0;
    struct cm_err why;
    struct cm_uuid id;
    struct cm_str org_name, name = cm_str_split(v, '/', &org_name);
    enum cm_code code = CM_OK;
    if (!v.ptr)
        return CM_STR_NONE;
    if (cm_uuid_parse(v, &id)) {
        code = store_groups(r->db, r->arena, NULL, NULL, &id, 1, CM_STR_NONE, &g, &n, &why);
    } else {
        code = name.ptr ? store_organization_by_name(r->db, r->arena, org_name, &org, &why)
                        : store_organization_default(r->db, r->arena, &org, &why);
        if (code == CM_OK)
            code = store_groups(r->db, r->arena, &org->id, NULL, NULL, 0, name.ptr ? name : v, &g,
                                &n, &why);
    }
    struct rbac_object o = {.resource = RBAC_group};
    if (lookup_found(r, code, &why) && n) {
        o.id = g[0].id;
        o.org_id = g[0].organization_id;
        if (api_may(r, RBAC_do_read, &o))
            return cm_arena_str(r->arena, cm_str(cm_uuid_text(g[0].id).s));
    }
    cm_violations_add(&r->violations, r->arena, cm_str(key), "must be a group that you may see");
    return CM_STR_NONE;
}

/* Owner and name; "name:owner/dev" says both. */
static void read_names(struct api_req *r, const struct search *s, struct store_workspace_filter *f)
{
    struct cm_str owner = search_text(s, "owner"), name = search_text(s, "name"), head;
    struct cm_str tail = cm_str_split(name, '/', &head);
    f->name = tail.ptr ? tail : name;
    if (tail.ptr)
        f->owner_username = head;
    else if (cm_str_eq_c(owner, "me"))
        f->owner_id = &r->who->user_id;
    else
        f->owner_username = owner;
}

static void read_ids(struct api_req *r, const struct search_term *t,
                     struct store_workspace_filter *f)
{
    struct cm_uuid *ids = CM_NEW_ARRAY(r->arena, struct cm_uuid, t->n);
    for (size_t i = 0; i < t->n; i++) {
        if (!cm_uuid_parse(t->values[i], &ids[i]))
            cm_violations_add(&r->violations, r->arena, cm_str(t->key), "must be a UUID");
    }
    f->ids = ids;
    f->n_ids = t->n;
}

/* "name=value", or a name with any value. */
static void read_params(struct api_req *r, const struct search_term *t,
                        struct store_workspace_filter *f)
{
    struct cm_str *names = CM_NEW_ARRAY(r->arena, struct cm_str, t->n),
                  *values = CM_NEW_ARRAY(r->arena, struct cm_str, t->n);
    for (size_t i = 0; i < t->n; i++) {
        values[i] = cm_str_split(t->values[i], '=', &names[i]);
        if (!values[i].ptr)
            values[i] = CM_STR("");
    }
    f->param_names = names;
    f->param_values = values;
    f->n_params = t->n;
}

static void read_filter(struct api_req *r, const struct search *s, struct store_workspace_filter *f)
{
    const struct search_term *t;
    read_names(r, s, f);
    f->template_name = search_text(s, "template");
    f->organization_id = search_org(r, s, "organization");
    f->dormant = search_bool(r, s, "dormant");
    f->outdated = search_bool(r, s, "outdated");
    f->healthy = search_bool(r, s, "healthy");
    f->has_external_agent = search_bool(r, s, "has_external_agent");
    f->last_used_after = search_time(r, s, "last_used_after");
    f->last_used_before = search_time(r, s, "last_used_before");
    f->shared = search_bool(r, s, "shared");
    f->shared_with_user = search_user(r, s, "shared_with_user");
    f->shared_with_group = search_group(r, s, "shared_with_group");
    if ((t = search_get(s, "id")))
        read_ids(r, t, f);
    if ((t = search_get(s, "param")))
        read_params(r, t, f);
    if ((t = search_get(s, "status"))) {
        search_check_enum(r, t, &api_workspace_status_enum);
        f->statuses = t->values;
        f->n_statuses = t->n;
    }
    if ((t = search_get(s, "has-agent"))) {
        f->agent_statuses = t->values;
        f->n_agent_statuses = t->n;
    }
}

static enum cm_code workspace_list(struct api_req *r, struct cm_err *err)
{
    static const char *const keys[] = {"id",
                                       "owner",
                                       "template",
                                       "name",
                                       "status",
                                       "has-agent",
                                       "dormant",
                                       "last_used_after",
                                       "last_used_before",
                                       "outdated",
                                       "has_external_agent",
                                       "organization",
                                       "shared",
                                       "shared_with_user",
                                       "shared_with_group",
                                       "healthy",
                                       "param",
                                       NULL};
    struct store_workspace_filter f = {.caller = r->who->user_id};
    api_query_i64(r, "limit", 0, INT32_MAX, &f.limit);
    api_query_i64(r, "offset", 0, INT32_MAX, &f.offset);
    struct search s;
    search_parse(r, api_query(r, "q"), keys, "name", &s);
    read_filter(r, &s, &f);
    if (api_query_check(r, err) != CM_OK)
        return err->code;
    struct rbac_object any = {.resource = RBAC_workspace};
    f.see_all = api_may(r, RBAC_do_read, &any);
    struct cm_uuid *see = CM_NEW_ARRAY(r->arena, struct cm_uuid, r->who->n_orgs);
    for (size_t i = 0; i < r->who->n_orgs; i++) {
        struct rbac_object in_org = {.resource = RBAC_workspace, .org_id = r->who->orgs[i].org_id};
        if (api_may(r, RBAC_do_read, &in_org))
            see[f.n_see_orgs++] = r->who->orgs[i].org_id;
    }
    f.see_orgs = see;
    f.groups = acl_my_groups_text(r, &f.n_groups);
    api_authorize_list(r);
    struct store_workspace *rows = NULL;
    size_t n = 0;
    struct api_workspaces_response out = {0};
    /* A key whose scopes do not reach workspaces sees none of them. */
    struct rbac_object own = {
        .resource = RBAC_workspace, .owner_id = r->who->user_id, .any_org = true};
    if (!api_may(r, RBAC_do_read, &own) && !f.see_all && !f.n_see_orgs)
        return api_reply(r, 200, &api_workspaces_response_msg, &out);
    if (store_workspaces_list(r->db, r->arena, &f, &rows, &n, &out.count, err) != CM_OK ||
        workspaces_show(r, rows, n, &out.workspaces, err) != CM_OK)
        return err->code;
    out.n_workspaces = n;
    return api_reply(r, 200, &api_workspaces_response_msg, &out);
}

/* ---- small changes ---- */

static enum cm_code workspace_rename(struct api_req *r, struct cm_err *err)
{
    const struct api_update_workspace_request *q = r->body;
    struct store_workspace *w = NULL;
    if (workspace_param_live(r, 0, &w, err) != CM_OK)
        return err->code;
    if (!q->name.len || cm_str_eq(q->name, w->name))
        return api_reply_none(r, 204);
    if (!r->app->opt->allow_workspace_renames)
        return cm_err_set(err, CM_INVALID, "Workspace renames are not allowed on this deployment.");
    enum cm_code code = store_workspace_rename(r->db, r->arena, w->id, q->name, NULL, err);
    if (code == CM_CONFLICT) {
        cm_violations_add(&r->violations, r->arena, CM_STR("name"),
                          "this name is taken by another workspace of the user");
        return api_reply_message(r, 409, "A workspace with this name already exists.", NULL);
    }
    return code == CM_OK ? api_reply_none(r, 204) : code;
}

static enum cm_code workspace_favorite(struct api_req *r, bool favorite, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    if (workspace_param_live(r, 0, &w, err) != CM_OK)
        return err->code;
    if (!cm_uuid_eq(w->owner_id, r->who->user_id))
        return cm_err_set(err, CM_DENIED, "You can only favorite workspaces that you own.");
    if (store_workspace_set_favorite(r->db, r->arena, w->id, favorite, NULL, err) != CM_OK)
        return err->code;
    return api_reply_none(r, 204);
}

static enum cm_code favorite_put(struct api_req *r, struct cm_err *err)
{
    return workspace_favorite(r, true, err);
}

static enum cm_code favorite_delete(struct api_req *r, struct cm_err *err)
{
    return workspace_favorite(r, false, err);
}

static enum cm_code workspace_autoupdates(struct api_req *r, struct cm_err *err)
{
    const struct api_update_workspace_automatic_updates_request *q = r->body;
    struct store_workspace *w = NULL;
    if (workspace_param_live(r, 0, &w, err) != CM_OK ||
        store_workspace_set_automatic_updates(r->db, r->arena, w->id, q->automatic_updates, NULL,
                                              err) != CM_OK)
        return err->code;
    return api_reply_none(r, 204);
}

static enum cm_code workspace_dormant(struct api_req *r, struct cm_err *err)
{
    const struct api_update_workspace_dormancy *q = r->body;
    struct store_workspace *w = NULL;
    struct cm_time now = cm_time_now();
    if (workspace_param_live(r, 0, &w, err) != CM_OK)
        return err->code;
    if (q->dormant == cm_has(w->has, STORE_WORKSPACE_HAS_DORMANT_AT))
        return api_reply_none(r, 304);
    if (store_workspace_set_dormant(r->db, r->arena, w->id, q->dormant ? &now : NULL, NULL, err) !=
            CM_OK ||
        store_workspace_by_id(r->db, r->arena, w->id, &w, err) != CM_OK)
        return err->code;
    return workspace_reply(r, 200, w, err);
}

/* The body may be missing; when it says something it says who used what. */
static enum cm_code check_usage(struct api_req *r, struct cm_err *err)
{
    const struct api_post_workspace_usage_request *q = NULL;
    if (!cm_str_trim(r->http->body).len)
        return CM_OK;
    enum cm_code code = cm_json_decode(&api_post_workspace_usage_request_msg, r->arena,
                                       r->http->body, (void **)(uintptr_t)&q, &r->violations, err);
    if (code == CM_INVALID && !r->violations.n)
        return cm_err_set(err, CM_INVALID, "Request body must be valid JSON.");
    if (code == CM_OK && cm_uuid_is_nil(q->agent_id) != !q->app_name) {
        const char *missing = q->app_name ? "agent_id" : "app_name";
        cm_violations_add(&r->violations, r->arena, cm_str(missing), "is required with the other");
        code = CM_INVALID;
    }
    return code == CM_INVALID ? cm_err_set(err, CM_INVALID, "Invalid request") : code;
}

static enum cm_code workspace_usage(struct api_req *r, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    if (workspace_param_live(r, 0, &w, err) != CM_OK || check_usage(r, err) != CM_OK ||
        store_workspaces_used(r->db, r->arena, &w->id, 1, cm_time_now(), NULL, err) != CM_OK ||
        store_workspace_bump(r->db, r->arena, w->id, NULL, err) != CM_OK)
        return err->code;
    return api_reply_none(r, 204);
}

static enum cm_code resolve_autostart(struct api_req *r, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    struct api_resolve_autostart_response out = {0};
    if (workspace_param_live(r, 0, &w, err) != CM_OK)
        return err->code;
    return api_reply(r, 200, &api_resolve_autostart_response_msg, &out);
}

#define W "/api/v2/workspaces/{workspace}"
static const struct route rows[] = {
    {CM_HTTP_GET, "/api/v2/workspaces", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL,
     workspace_list, NULL, "List workspaces", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/users/{user}/workspace/{workspacename}", AUTH_SESSION,
     RBAC(workspace, read), ROUTE_CALL, workspace_by_name, NULL, "Get a workspace by name",
     LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/users/{user}/workspace/{workspacename}/builds/{buildnumber}",
     AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL, build_by_number, NULL,
     "Get a build by number", LIMIT_API, 0, false},
    {CM_HTTP_GET, W, AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL, workspace_get, NULL,
     "Get a workspace", LIMIT_API, 0, false},
    {CM_HTTP_PATCH, W, AUTH_SESSION, RBAC(workspace, update), ROUTE_CALL, workspace_rename,
     &api_update_workspace_request_msg, "Rename a workspace", LIMIT_API, 0, false},
    {CM_HTTP_PUT, W "/favorite", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL, favorite_put,
     NULL, "Make a favourite", LIMIT_API, 0, false},
    {CM_HTTP_DELETE, W "/favorite", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL,
     favorite_delete, NULL, "No favourite any more", LIMIT_API, 0, false},
    {CM_HTTP_PUT, W "/autoupdates", AUTH_SESSION, RBAC(workspace, update), ROUTE_CALL,
     workspace_autoupdates, &api_update_workspace_automatic_updates_request_msg,
     "Set automatic updates", LIMIT_API, 0, false},
    {CM_HTTP_PUT, W "/dormant", AUTH_SESSION, RBAC(workspace, update), ROUTE_CALL,
     workspace_dormant, &api_update_workspace_dormancy_msg, "Set dormancy", LIMIT_API, 0, false},
    {CM_HTTP_POST, W "/usage", AUTH_SESSION, RBAC(workspace, update), ROUTE_CALL, workspace_usage,
     NULL, "Note usage", LIMIT_API, 0, false},
    {CM_HTTP_GET, W "/resolve-autostart", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL,
     resolve_autostart, NULL, "Will autostart need new parameters?", LIMIT_API, 0, false},
};

const struct route_table workspaces_routes = {rows, CM_COUNT_OF(rows)};
