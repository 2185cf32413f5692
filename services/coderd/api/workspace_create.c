/* Making workspaces. Source: api-behaviour reference, 4.10. */
#include "api/audit_log.h"
#include "api/build_start.h"
#include "api/targets.h"
#include "api/workspace_schedule.h"
#include "api/workspaces.h"
#include "app.h"

/* Template and version from the request: one of the two. *ret_t NULL: the reply says why not. */
static enum cm_code create_source(struct api_req *r, const struct api_create_workspace_request *q,
                                  struct store_template **ret_t, struct cm_uuid *ret_version,
                                  struct cm_err *err)
{
    bool by_version = !cm_uuid_is_nil(q->template_version_id);
    if (by_version == !cm_uuid_is_nil(q->template_id)) {
        static const char *const fields[] = {"template_id", "template_version_id"};
        for (size_t i = 0; i < CM_COUNT_OF(fields); i++)
            cm_violations_add(&r->violations, r->arena, cm_str(fields[i]),
                              "give either template_id or template_version_id");
        return api_reply_message(r, 400, "Validation failed.", NULL);
    }
    struct cm_uuid template_id = q->template_id;
    if (by_version) {
        struct store_template_version *v = NULL;
        enum cm_code code =
            store_template_version_by_id(r->db, r->arena, q->template_version_id, &v, err);
        if (code == CM_NOT_FOUND || (code == CM_OK && cm_uuid_is_nil(v->template_id)))
            return api_reply_invalid(r, "Invalid template version.", "template_version_id",
                                     "there is no such version");
        if (code != CM_OK)
            return code;
        template_id = v->template_id;
    }
    struct store_template *t = NULL;
    enum cm_code code = store_template_by_id(r->db, r->arena, template_id, &t, err);
    if (code != CM_OK && code != CM_NOT_FOUND)
        return code;
    struct rbac_object o = code == CM_OK ? template_object(r, t) : (struct rbac_object){0};
    if (code == CM_NOT_FOUND || !api_may(r, RBAC_do_read, &o))
        return api_reply_invalid(r, "Template doesn't exist.",
                                 by_version ? "template_version_id" : "template_id",
                                 "there is no such template");
    *ret_version = by_version ? q->template_version_id : t->active_version_id;
    *ret_t = t;
    return CM_OK;
}

/* May the caller make one from this template for this owner, and does the template allow it? */
static enum cm_code check_allowed(struct api_req *r, const struct store_template *t,
                                  const struct store_user *owner, struct cm_err *err)
{
    struct rbac_object o = {
        .resource = RBAC_workspace, .org_id = t->organization_id, .owner_id = owner->id};
    struct rbac_object to = template_object(r, t);
    if (!api_may(r, RBAC_do_use, &to))
        return cm_err_set(err, CM_DENIED, "You are not allowed to use this template.");
    if (!api_may(r, RBAC_do_create, &o))
        return cm_err_set(
            err, CM_DENIED,
            "You are not allowed to create a workspace for this user in this organization.");
    if (api_authorize(r, &o, err) != CM_OK)
        return err->code;
    if (t->deprecation_message.len)
        return cm_err_set(
            err, CM_INVALID,
            "Template \"%.*s\" has been deprecated, and cannot be used to create a new "
            "workspace.",
            CM_STR_ARG(t->name));
    return CM_OK;
}

/* The row and the build that starts it, in one transaction. ret_build nil: the reply says why not.
 */
static enum cm_code insert_and_start(struct api_req *r, const struct store_workspace *w,
                                     const struct store_workspace_insert_args *row,
                                     struct cm_uuid version_id, struct cm_uuid *ret_build,
                                     struct cm_err *err)
{
    const struct api_create_workspace_request *q = r->body;
    struct build_request b = {.ws = w,
                              .version_id = version_id,
                              .preset_id = q->template_version_preset_id,
                              .transition = API_WORKSPACE_TRANSITION_START,
                              .reason = API_BUILD_REASON_INITIATOR,
                              .values = {q->rich_parameter_values, q->n_rich_parameter_values},
                              .first = true};
    CM_AUTO(cm_db_tx) tx = NULL;
    if (cm_db_tx_begin(r->db, &tx, err) != CM_OK)
        return err->code;
    enum cm_code code = store_workspace_insert(r->db, r->arena, row, NULL, err);
    if (code == CM_CONFLICT) {
        cm_violations_add(&r->violations, r->arena, CM_STR("name"),
                          "this name is taken by another workspace of the user");
        return api_reply_message(
            r, 409,
            cm_arena_printf(r->arena, "Workspace \"%.*s\" already exists.", CM_STR_ARG(q->name)),
            NULL);
    }
    if (code != CM_OK || build_start(r, &b, ret_build, err) != CM_OK)
        return err->code;
    return cm_uuid_is_nil(*ret_build) ? CM_OK : cm_db_tx_commit(tx, err);
}

static enum cm_code create_for(struct api_req *r, const struct store_user *owner,
                               struct cm_err *err)
{
    const struct api_create_workspace_request *q = r->body;
    struct store_template *t = NULL;
    struct store_workspace *made = NULL;
    struct cm_uuid version_id, build_id = {{0}};
    struct cm_time next;
    if (create_source(r, q, &t, &version_id, err) != CM_OK)
        return err->code;
    if (!t)
        return CM_OK;
    if (check_allowed(r, t, owner, err) != CM_OK)
        return err->code;
    bool has_ttl = cm_has(q->has, API_CREATE_WORKSPACE_REQUEST_HAS_TTL_MS);
    if (has_ttl && !workspace_ttl_ok(r, q->ttl_ms))
        return CM_OK;
    struct cm_str schedule =
        q->autostart_schedule.ptr ? cm_str_trim(q->autostart_schedule) : CM_STR("");
    if (schedule.len && !t->allow_user_autostart)
        return cm_err_set(err, CM_INVALID,
                          "Autostart is not allowed for workspaces using this template.");
    if (workspace_schedule_check(r, t, schedule, "autostart_schedule", &next, err) != CM_OK)
        return err->code;
    struct store_workspace w = {.id = cm_uuid_random(),
                                .organization_id = t->organization_id,
                                .owner_id = owner->id,
                                .template_id = t->id,
                                .name = q->name};
    int64_t ttl = has_ttl ? q->ttl_ms : t->default_ttl_ms;
    struct store_workspace_insert_args row = {
        .id = w.id,
        .owner_id = owner->id,
        .organization_id = t->organization_id,
        .template_id = t->id,
        .name = q->name,
        .autostart_schedule = schedule,
        .next_start_at = cm_time_is_zero(next) ? NULL : &next,
        .ttl_ms = ttl ? &ttl : NULL,
        .automatic_updates =
            q->automatic_updates ? q->automatic_updates : API_AUTOMATIC_UPDATES_NEVER};
    if (insert_and_start(r, &w, &row, version_id, &build_id, err) != CM_OK)
        return err->code;
    if (cm_uuid_is_nil(build_id))
        return CM_OK;
    audit(r, &(struct audit_event){.action = "create",
                                   .resource_type = "workspace",
                                   .resource_id = w.id,
                                   .target = q->name,
                                   .org_id = t->organization_id,
                                   .status = 201});
    if (store_workspace_by_id(r->db, r->arena, w.id, &made, err) != CM_OK)
        return err->code;
    return workspace_reply(r, 201, made, err);
}

static enum cm_code workspace_create(struct api_req *r, struct cm_err *err)
{
    struct store_user *owner = NULL;
    if (target_any_user(r, 0, &owner, err) != CM_OK)
        return err->code;
    return create_for(r, owner, err);
}

static enum cm_code workspace_create_in_org(struct api_req *r, struct cm_err *err)
{
    struct store_organization *org = NULL;
    struct store_user *owner = NULL;
    if (target_org(r, 0, &org, err) != CM_OK || target_any_user(r, 1, &owner, err) != CM_OK)
        return err->code;
    return create_for(r, owner, err);
}

static const struct route rows[] = {
    {CM_HTTP_POST, "/api/v2/users/{user}/workspaces", AUTH_SESSION, RBAC(workspace, create),
     ROUTE_CALL, workspace_create, &api_create_workspace_request_msg, "Create a workspace",
     LIMIT_API, 0, false},
    {CM_HTTP_POST, "/api/v2/organizations/{organization}/members/{user}/workspaces", AUTH_SESSION,
     RBAC(workspace, create), ROUTE_CALL, workspace_create_in_org,
     &api_create_workspace_request_msg, "Create a workspace in an organization", LIMIT_API, 0,
     false},
};

const struct route_table workspace_create_routes = {rows, CM_COUNT_OF(rows)};
