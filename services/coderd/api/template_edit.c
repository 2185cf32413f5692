/* Making templates and changing what they say. Source: api-behaviour reference, 4.7. */
#include "api/acl.h"
#include "api/audit_log.h"
#include "api/targets.h"
#include "api/template_load.h"
#include "api/template_show.h"
#include "app.h"
#include "store/schedule.h"
#include "store/workspaces.h"

#define TTL_STEP_MS    ((int64_t)60 * 1000)
#define ACTIVITY_BUMP  ((int64_t)3600 * 1000)
#define AUTOSTOP_WEEKS 16

static void check_days(struct api_req *r, const char *field, const struct cm_str *days, size_t n)
{
    static const char *const week[] = {"monday", "tuesday",  "wednesday", "thursday",
                                       "friday", "saturday", "sunday"};
    for (size_t i = 0; i < n; i++) {
        bool known = false;
        for (size_t k = 0; k < CM_COUNT_OF(week); k++)
            known = known || cm_str_eq_c(days[i], week[k]);
        if (!known)
            cm_violations_add(&r->violations, r->arena, cm_str(field),
                              "\"%.*s\" is no day of the week",
                              (int)CM_MIN(days[i].len, (size_t)64), days[i].ptr);
    }
}

static void check_requirements(struct api_req *r,
                               const struct api_template_autostop_requirement *stop,
                               const struct api_template_autostart_requirement *start)
{
    if (stop) {
        check_days(r, "autostop_requirement.days_of_week", stop->days_of_week,
                   stop->n_days_of_week);
        if (stop->weeks < 0 || stop->weeks > AUTOSTOP_WEEKS)
            cm_violations_add(&r->violations, r->arena, CM_STR("autostop_requirement.weeks"),
                              "must be from 0 to %d", AUTOSTOP_WEEKS);
    }
    if (start)
        check_days(r, "autostart_requirement.days_of_week", start->days_of_week,
                   start->n_days_of_week);
}

/* The version that the template begins with: of this organization, and of no template yet. Without
 * one, *ret stays NULL and the reply says why. */
static enum cm_code first_version(struct api_req *r, const struct store_organization *org,
                                  struct store_template_version **ret, struct cm_err *err)
{
    const struct api_create_template_request *q = r->body;
    struct store_template_version *v = NULL;
    enum cm_code code =
        store_template_version_by_id(r->db, r->arena, q->template_version_id, &v, err);
    if (code == CM_NOT_FOUND || (code == CM_OK && !cm_uuid_eq(v->organization_id, org->id))) {
        cm_violations_add(&r->violations, r->arena, CM_STR("template_version_id"),
                          "there is no such version");
        return api_reply_message(r, 404, "Template version does not exist.", NULL);
    }
    if (code != CM_OK)
        return code;
    if (!cm_uuid_is_nil(v->template_id))
        return api_reply_invalid(
            r, "The provided template version is already attached to another template.",
            "template_version_id", "is attached to a template already");
    *ret = v;
    return CM_OK;
}

/* What the request leaves out has the reference's defaults. */
static struct store_template_insert_args new_row(struct api_req *r,
                                                 const struct store_template_version *v)
{
    static const struct cm_str all_days[] = {{"monday", 6},   {"tuesday", 7}, {"wednesday", 9},
                                             {"thursday", 8}, {"friday", 6},  {"saturday", 8},
                                             {"sunday", 6}};
    static const struct api_template_autostop_requirement no_stop = {.weeks = 1};
    const struct api_create_template_request *q = r->body;
    const struct api_template_autostop_requirement *stop =
        q->autostop_requirement ? q->autostop_requirement : &no_stop;
    const struct api_template_autostart_requirement *start = q->autostart_requirement;
    return (struct store_template_insert_args){
        .id = cm_uuid_random(),
        .organization_id = v->organization_id,
        .created_by = r->who->user_id,
        .name = q->name,
        .display_name = q->display_name.ptr ? q->display_name : CM_STR(""),
        .description = q->description.ptr ? q->description : CM_STR(""),
        .icon = q->icon.ptr ? q->icon : CM_STR(""),
        .provisioner = API_PROVISIONER_TYPE_TERRAFORM,
        .active_version_id = v->id,
        .group_acl = q->disable_everyone_group_access
                         ? CM_STR("{}")
                         : cm_arena_fmt(r->arena, "{\"%s\":[\"read\",\"use\"]}",
                                        cm_uuid_text(v->organization_id).s),
        .default_ttl_ms = q->default_ttl_ms,
        .activity_bump_ms = cm_has(q->has, API_CREATE_TEMPLATE_REQUEST_HAS_ACTIVITY_BUMP_MS)
                                ? q->activity_bump_ms
                                : ACTIVITY_BUMP,
        .time_til_autostop_notify_ms = q->time_til_autostop_notify_ms,
        .autostop_days_of_week = stop->days_of_week,
        .n_autostop_days_of_week = stop->n_days_of_week,
        .autostop_weeks = stop->weeks ? stop->weeks : 1,
        .autostart_days_of_week = start ? start->days_of_week : all_days,
        .n_autostart_days_of_week = start ? start->n_days_of_week : CM_COUNT_OF(all_days),
        .allow_user_autostart =
            !cm_has(q->has, API_CREATE_TEMPLATE_REQUEST_HAS_ALLOW_USER_AUTOSTART) ||
            q->allow_user_autostart,
        .allow_user_autostop =
            !cm_has(q->has, API_CREATE_TEMPLATE_REQUEST_HAS_ALLOW_USER_AUTOSTOP) ||
            q->allow_user_autostop,
        .allow_user_cancel_workspace_jobs = q->allow_user_cancel_workspace_jobs,
        .failure_ttl_ms = q->failure_ttl_ms,
        .time_til_dormant_ms = q->dormant_ttl_ms,
        .time_til_dormant_autodelete_ms = q->delete_ttl_ms,
        .require_active_version = q->require_active_version,
        .max_port_share_level = q->max_port_share_level
                                    ? q->max_port_share_level
                                    : API_WORKSPACE_AGENT_PORT_SHARE_LEVEL_OWNER,
        .cors_behavior = q->cors_behavior ? q->cors_behavior : API_CORS_BEHAVIOR_SIMPLE,
        .use_classic_parameter_flow = q->template_use_classic_parameter_flow,
    };
}

static enum cm_code template_create(struct api_req *r, struct cm_err *err)
{
    const struct api_create_template_request *q = r->body;
    struct store_organization *org = NULL;
    struct store_template_version *v = NULL;
    if (target_org(r, 0, &org, err) != CM_OK)
        return err->code;
    struct rbac_object o = {.resource = RBAC_template, .org_id = org->id};
    if (api_authorize_known(r, &o, err) != CM_OK)
        return err->code;
    enum cm_code code = first_version(r, org, &v, err);
    if (code != CM_OK || !v)
        return code;
    check_requirements(r, q->autostop_requirement, q->autostart_requirement);
    if (r->violations.n)
        return cm_err_set(err, CM_INVALID, "Invalid create template request.");
    struct store_template_insert_args row = new_row(r, v);
    int64_t attached = 0;
    CM_AUTO(cm_db_tx) tx = NULL;
    if (cm_db_tx_begin(r->db, &tx, err) != CM_OK)
        return err->code;
    code = store_template_insert(r->db, r->arena, &row, NULL, err);
    if (code == CM_CONFLICT) {
        cm_violations_add(&r->violations, r->arena, CM_STR("name"),
                          "this name is taken by another template");
        return api_reply_message(r, 409,
                                 cm_arena_printf(r->arena,
                                                 "Template with name \"%.*s\" already exists.",
                                                 CM_STR_ARG(q->name)),
                                 NULL);
    }
    if (code != CM_OK ||
        store_template_version_attach(r->db, r->arena, v->id, row.id, &attached, err) != CM_OK)
        return err->code;
    if (!attached)
        return cm_err_set(err, CM_INVALID,
                          "The provided template version is already attached to another template.");
    if (cm_db_tx_commit(tx, err) != CM_OK)
        return err->code;
    audit(r, &(struct audit_event){.action = "create",
                                   .resource_type = "template",
                                   .resource_id = row.id,
                                   .target = q->name,
                                   .org_id = org->id,
                                   .status = 201});
    return template_reply(r, 201, row.id, err);
}

static void check_ttl(struct api_req *r, const char *field, bool has, int64_t ms)
{
    if (has && ms != 0 && ms < TTL_STEP_MS)
        cm_violations_add(&r->violations, r->arena, cm_str(field),
                          "must be 0 or at least one minute (60000)");
}

#define HAS(bit) cm_has(q->has, API_UPDATE_TEMPLATE_META_HAS_##bit)

/* Absent keys keep their values, but for clients of the 2.30 line: those send the whole form, leave
 * out what is false or 0 in it, and are known by three switches that they always send. */
static bool is_whole_form(const struct api_update_template_meta *q)
{
    return HAS(UPDATE_WORKSPACE_LAST_USED_AT) && HAS(UPDATE_WORKSPACE_DORMANT_AT) &&
           HAS(DISABLE_EVERYONE_GROUP_ACCESS);
}

#define IF_HAS_OR_WHOLE(bit, member) (HAS(bit) || is_whole_form(q) ? &q->member : NULL)
#define IF_HAS(bit, member)          (HAS(bit) ? &q->member : NULL)
#define IF_TEXT(bit, member)         (HAS(bit) ? q->member : CM_STR_NONE)

/* What follows from the new values: who may use it, and when its workspaces start and are deleted.
 */
static enum cm_code after_update(struct api_req *r, const struct store_template *t,
                                 const struct api_update_template_meta *q, struct cm_err *err)
{
    if (HAS(DISABLE_EVERYONE_GROUP_ACCESS) && q->disable_everyone_group_access) {
        struct acl groups = acl_read(r->arena, t->group_acl, ACL_OF_TEMPLATE);
        struct acl_change c = {cm_arena_str(r->arena, cm_str(cm_uuid_text(t->organization_id).s)),
                               ACL_NONE};
        acl_apply(r, &groups, &c, 1, "disable_everyone_group_access");
        if (store_template_set_acl(r->db, r->arena, t->id, t->user_acl,
                                   acl_write(r->arena, &groups, ACL_OF_TEMPLATE), NULL,
                                   err) != CM_OK)
            return err->code;
    }
    bool restart = HAS(UPDATE_WORKSPACE_DORMANT_AT) && q->update_workspace_dormant_at;
    if (store_workspaces_dormant_again(r->db, r->arena, t->id, restart, NULL, err) != CM_OK)
        return err->code;
    if (HAS(UPDATE_WORKSPACE_LAST_USED_AT) && q->update_workspace_last_used_at &&
        store_workspaces_of_template_used(r->db, r->arena, t->id, NULL, err) != CM_OK)
        return err->code;
    return store_template_forget_next_starts(r->db, r->arena, t->id, NULL, err);
}

/* What the request leaves alone is NULL. */
static struct store_template_update_args changed_row(struct cm_uuid id,
                                                     const struct api_update_template_meta *q)
{
    const struct api_template_autostop_requirement *stop = q->autostop_requirement;
    const struct api_template_autostart_requirement *start = q->autostart_requirement;
    return (struct store_template_update_args){
        .id = id,
        .name = q->name.len ? q->name : CM_STR_NONE,
        .display_name = IF_TEXT(DISPLAY_NAME, display_name),
        .description = IF_TEXT(DESCRIPTION, description),
        .icon = IF_TEXT(ICON, icon),
        .deprecation_message = IF_TEXT(DEPRECATION_MESSAGE, deprecation_message),
        .default_ttl_ms = IF_HAS_OR_WHOLE(DEFAULT_TTL_MS, default_ttl_ms),
        .activity_bump_ms = IF_HAS_OR_WHOLE(ACTIVITY_BUMP_MS, activity_bump_ms),
        .time_til_autostop_notify_ms =
            IF_HAS(TIME_TIL_AUTOSTOP_NOTIFY_MS, time_til_autostop_notify_ms),
        .autostop_days_of_week = stop ? stop->days_of_week : NULL,
        .n_autostop_days_of_week = stop ? stop->n_days_of_week : 0,
        .autostop_weeks = stop ? &stop->weeks : NULL,
        .autostart_days_of_week = start ? start->days_of_week : NULL,
        .n_autostart_days_of_week = start ? start->n_days_of_week : 0,
        .allow_user_autostart = IF_HAS_OR_WHOLE(ALLOW_USER_AUTOSTART, allow_user_autostart),
        .allow_user_autostop = IF_HAS_OR_WHOLE(ALLOW_USER_AUTOSTOP, allow_user_autostop),
        .allow_user_cancel_workspace_jobs =
            IF_HAS_OR_WHOLE(ALLOW_USER_CANCEL_WORKSPACE_JOBS, allow_user_cancel_workspace_jobs),
        .failure_ttl_ms = IF_HAS_OR_WHOLE(FAILURE_TTL_MS, failure_ttl_ms),
        .time_til_dormant_ms = IF_HAS_OR_WHOLE(TIME_TIL_DORMANT_MS, time_til_dormant_ms),
        .time_til_dormant_autodelete_ms =
            IF_HAS_OR_WHOLE(TIME_TIL_DORMANT_AUTODELETE_MS, time_til_dormant_autodelete_ms),
        .require_active_version = IF_HAS_OR_WHOLE(REQUIRE_ACTIVE_VERSION, require_active_version),
        .max_port_share_level = q->max_port_share_level,
        .cors_behavior = q->cors_behavior,
        .use_classic_parameter_flow =
            IF_HAS(USE_CLASSIC_PARAMETER_FLOW, use_classic_parameter_flow),
        .disable_module_cache = IF_HAS(DISABLE_MODULE_CACHE, disable_module_cache),
    };
}

static enum cm_code template_update(struct api_req *r, struct cm_err *err)
{
    const struct api_update_template_meta *q = r->body;
    struct store_template *t = NULL;
    if (template_param(r, 0, &t, err) != CM_OK)
        return err->code;
    check_ttl(r, "default_ttl_ms", HAS(DEFAULT_TTL_MS), q->default_ttl_ms);
    check_ttl(r, "failure_ttl_ms", HAS(FAILURE_TTL_MS), q->failure_ttl_ms);
    if (q->activity_bump_ms < 0)
        cm_violations_add(&r->violations, r->arena, CM_STR("activity_bump_ms"),
                          "must not be negative");
    check_requirements(r, q->autostop_requirement, q->autostart_requirement);
    if (r->violations.n)
        return cm_err_set(err, CM_INVALID, "Invalid request to update template metadata!");
    struct store_template_update_args row = changed_row(t->id, q);
    CM_AUTO(cm_db_tx) tx = NULL;
    if (cm_db_tx_begin(r->db, &tx, err) != CM_OK)
        return err->code;
    enum cm_code code = store_template_update(r->db, r->arena, &row, NULL, err);
    if (code == CM_CONFLICT) {
        cm_violations_add(&r->violations, r->arena, CM_STR("name"),
                          "this name is taken by another template");
        return api_reply_message(r, 409, "A template with this name already exists.", NULL);
    }
    if (code != CM_OK || after_update(r, t, q, err) != CM_OK || cm_db_tx_commit(tx, err) != CM_OK)
        return err->code;
    audit(r, &(struct audit_event){.action = "write",
                                   .resource_type = "template",
                                   .resource_id = t->id,
                                   .target = t->name,
                                   .org_id = t->organization_id,
                                   .status = 200});
    return template_reply(r, 200, t->id, err);
}

static const struct route rows[] = {
    {CM_HTTP_POST, "/api/v2/organizations/{organization}/templates", AUTH_SESSION,
     RBAC(template, create), ROUTE_CALL, template_create, &api_create_template_request_msg,
     "Create a template", LIMIT_API, 0, false},
    {CM_HTTP_PATCH, "/api/v2/templates/{template}", AUTH_SESSION, RBAC(template, update),
     ROUTE_CALL, template_update, &api_update_template_meta_msg, "Change a template", LIMIT_API, 0,
     false},
};

const struct route_table template_edit_routes = {rows, CM_COUNT_OF(rows)};
