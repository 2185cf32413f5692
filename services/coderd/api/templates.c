/* Templates. Source: api-behaviour reference, 4.7. */
#include "api/templates.h"

#include <math.h>

#include "api/acl.h"
#include "api/audit_log.h"
#include "api/search.h"
#include "api/targets.h"
#include "api/template_load.h"
#include "app.h"
#include "store/workspaces.h"
#include "store/schedule.h"

#define TTL_STEP_MS    ((int64_t)60 * 1000)
#define ACTIVITY_BUMP  ((int64_t)3600 * 1000)
#define AUTOSTOP_WEEKS 16

static void show_one(struct cm_arena *a, const struct store_template *t,
                     const struct store_template_build_time *times, size_t n_times,
                     struct api_template *o)
{
    struct api_template_autostop_requirement *stop =
        CM_NEW(a, struct api_template_autostop_requirement);
    struct api_template_autostart_requirement *start =
        CM_NEW(a, struct api_template_autostart_requirement);
    struct api_template_build_time_stats *stats = CM_NEW(a, struct api_template_build_time_stats);
    *stop = (struct api_template_autostop_requirement){
        t->autostop_days_of_week, t->n_autostop_days_of_week, t->autostop_weeks};
    *start = (struct api_template_autostart_requirement){t->autostart_days_of_week,
                                                         t->n_autostart_days_of_week};
    stats->start = CM_NEW(a, struct api_transition_stats);
    stats->stop = CM_NEW(a, struct api_transition_stats);
    stats->delete = CM_NEW(a, struct api_transition_stats);
    for (size_t i = 0; i < n_times; i++) {
        if (!cm_uuid_eq(times[i].template_id, t->id))
            continue;
        struct api_transition_stats *s =
            times[i].transition == API_WORKSPACE_TRANSITION_START  ? stats->start
            : times[i].transition == API_WORKSPACE_TRANSITION_STOP ? stats->stop
                                                                   : stats->delete;
        s->p50 = llround(times[i].p50);
        s->p95 = llround(times[i].p95);
        cm_set_has(s->has, API_TRANSITION_STATS_HAS_P50);
        cm_set_has(s->has, API_TRANSITION_STATS_HAS_P95);
    }
    *o = (struct api_template){
        .id = t->id,
        .created_at = t->created_at,
        .updated_at = t->updated_at,
        .organization_id = t->organization_id,
        .organization_name = t->organization_name,
        .organization_display_name = t->organization_display_name,
        .organization_icon = t->organization_icon,
        .name = t->name,
        .display_name = t->display_name,
        .provisioner = t->provisioner,
        .active_version_id = t->active_version_id,
        .active_user_count = t->active_user_count,
        .build_time_stats = stats,
        .description = t->description,
        .deprecated = t->deprecation_message.len > 0,
        .deprecation_message = t->deprecation_message,
        .deleted = t->deleted,
        .icon = t->icon,
        .default_ttl_ms = t->default_ttl_ms,
        .activity_bump_ms = t->activity_bump_ms,
        .time_til_autostop_notify_ms = t->time_til_autostop_notify_ms,
        .autostop_requirement = stop,
        .autostart_requirement = start,
        .created_by_id = t->created_by,
        .created_by_name = t->created_by_name,
        .allow_user_autostart = t->allow_user_autostart,
        .allow_user_autostop = t->allow_user_autostop,
        .allow_user_cancel_workspace_jobs = t->allow_user_cancel_workspace_jobs,
        .failure_ttl_ms = t->failure_ttl_ms,
        .time_til_dormant_ms = t->time_til_dormant_ms,
        .time_til_dormant_autodelete_ms = t->time_til_dormant_autodelete_ms,
        .require_active_version = t->require_active_version,
        .max_port_share_level = t->max_port_share_level,
        .cors_behavior = t->cors_behavior,
        .use_classic_parameter_flow = t->use_classic_parameter_flow,
        .disable_module_cache = t->disable_module_cache,
    };
}

static enum cm_code show(struct api_req *r, const struct store_template *rows, size_t n,
                         struct api_template **ret, struct cm_err *err)
{
    struct cm_uuid *ids = CM_NEW_ARRAY(r->arena, struct cm_uuid, n);
    struct store_template_build_time *times = NULL;
    size_t n_times = 0;
    for (size_t i = 0; i < n; i++)
        ids[i] = rows[i].id;
    if (n && store_template_build_times(r->db, r->arena, ids, n, &times, &n_times, err) != CM_OK)
        return err->code;
    *ret = CM_NEW_ARRAY(r->arena, struct api_template, n);
    for (size_t i = 0; i < n; i++)
        show_one(r->arena, &rows[i], times, n_times, &(*ret)[i]);
    return CM_OK;
}

static enum cm_code reply_template(struct api_req *r, int status, struct cm_uuid id,
                                   struct cm_err *err)
{
    struct store_template *t = NULL;
    struct api_template *out = NULL;
    if (template_load(r, id, &t, err) != CM_OK || show(r, t, 1, &out, err) != CM_OK)
        return err->code;
    return api_reply(r, status, &api_template_msg, out);
}

static enum cm_code template_get(struct api_req *r, struct cm_err *err)
{
    struct store_template *t = NULL;
    if (template_param(r, 0, &t, err) != CM_OK)
        return err->code;
    return reply_template(r, 200, t->id, err);
}

static enum cm_code template_by_name(struct api_req *r, struct cm_err *err)
{
    struct store_template *t = NULL;
    if (template_named(r, &t, err) != CM_OK)
        return err->code;
    return reply_template(r, 200, t->id, err);
}

/* ---- lists ---- */

static const struct cm_uuid nowhere = {{0xff}};

/* By name, or "me"; somebody that there is not wrote nothing. */
static const struct cm_uuid *author_of(struct api_req *r, struct cm_str name)
{
    struct store_user *u = NULL;
    struct cm_err ignored;
    if (cm_str_eq_c(name, "me"))
        return &r->who->user_id;
    return store_user_by_username(r->db, r->arena, name, &u, &ignored) == CM_OK ? &u->id : &nowhere;
}

static void read_ids(struct api_req *r, const struct search_term *t,
                     struct store_templates_list_args *f)
{
    struct cm_uuid *ids = CM_NEW_ARRAY(r->arena, struct cm_uuid, t->n);
    for (size_t i = 0; i < t->n; i++) {
        if (!cm_uuid_parse(t->values[i], &ids[i]))
            cm_violations_add(&r->violations, r->arena, cm_str(t->key), "must be UUIDs");
    }
    f->ids = ids;
    f->n_ids = t->n;
}

static void read_filter(struct api_req *r, const struct search *s,
                        struct store_templates_list_args *f)
{
    const struct search_term *ids = search_get(s, "ids");
    const bool *deleted = search_bool(r, s, "deleted");
    struct cm_str author = search_text(s, "author");
    f->exact_name = search_text(s, "exact_name");
    f->exact_display_name = search_text(s, "exact_display_name");
    f->name = search_text(s, "name");
    f->display_name = search_text(s, "display_name");
    f->organization_id = search_org(r, s, "organization");
    f->author_id = author.ptr ? author_of(r, author) : search_uuid(r, s, "author_id");
    f->has_external_agent = search_bool(r, s, "has_external_agent");
    f->deleted = deleted && *deleted;
    if (search_get(s, "deprecated"))
        f->deprecated = search_bool(r, s, "deprecated");
    if (ids)
        read_ids(r, ids, f);
}

static enum cm_code list(struct api_req *r, const struct cm_uuid *org_id, struct cm_err *err)
{
    static const char *const keys[] = {
        "organization", "exact_name", "exact_display_name", "name",
        "display_name", "ids",        "deprecated",         "deleted",
        "author",       "author_id",  "has_external_agent", NULL};
    static const bool no = false;
    struct store_templates_list_args f = {.deprecated = &no};
    struct search s;
    search_parse(r, api_query(r, "q"), keys, "display_name", &s);
    read_filter(r, &s, &f);
    if (api_query_check(r, err) != CM_OK)
        return err->code;
    if (org_id)
        f.organization_id = org_id;
    struct rbac_object any = {.resource = RBAC_template};
    f.see_all = api_may(r, RBAC_do_read, &any);
    struct cm_uuid *see = CM_NEW_ARRAY(r->arena, struct cm_uuid, r->who->n_orgs);
    for (size_t i = 0; i < r->who->n_orgs; i++) {
        struct rbac_object o = {.resource = RBAC_template, .org_id = r->who->orgs[i].org_id};
        if (api_may(r, RBAC_do_read, &o))
            see[f.n_see_orgs++] = r->who->orgs[i].org_id;
    }
    f.see_orgs = see;
    f.groups = acl_my_groups_text(r, &f.n_groups);
    f.caller = cm_arena_str(r->arena, cm_str(cm_uuid_text(r->who->user_id).s));
    api_authorize_list(r);
    struct store_template *rows = NULL;
    struct api_template *out = NULL;
    size_t n = 0;
    if (store_templates_list(r->db, r->arena, &f, &rows, &n, err) != CM_OK ||
        show(r, rows, n, &out, err) != CM_OK)
        return err->code;
    return api_reply_list(r, 200, &api_template_msg, out, n);
}

static enum cm_code template_list(struct api_req *r, struct cm_err *err)
{
    return list(r, NULL, err);
}

static enum cm_code template_list_org(struct api_req *r, struct cm_err *err)
{
    struct store_organization *org = NULL;
    if (target_org(r, 0, &org, err) != CM_OK)
        return err->code;
    return list(r, &org->id, err);
}

/* ---- create and change ---- */

static bool is_set(const uint32_t *has, unsigned bit)
{
    return cm_has(has, bit);
}

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

static enum cm_code template_create(struct api_req *r, struct cm_err *err)
{
    const struct api_create_template_request *q = r->body;
    static const struct cm_str all_days[] = {{"monday", 6},   {"tuesday", 7}, {"wednesday", 9},
                                             {"thursday", 8}, {"friday", 6},  {"saturday", 8},
                                             {"sunday", 6}};
    struct store_organization *org = NULL;
    struct store_template_version *v = NULL;
    if (target_org(r, 0, &org, err) != CM_OK)
        return err->code;
    struct rbac_object o = {.resource = RBAC_template, .org_id = org->id};
    if (api_authorize(r, &o, err) != CM_OK)
        return err->code;
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
    check_requirements(r, q->autostop_requirement, q->autostart_requirement);
    if (r->violations.n)
        return cm_err_set(err, CM_INVALID, "Invalid create template request.");
    struct cm_uuid id = cm_uuid_random();
    struct store_template_insert_args row = {
        .id = id,
        .organization_id = org->id,
        .created_by = r->who->user_id,
        .name = q->name,
        .display_name = q->display_name.ptr ? q->display_name : CM_STR(""),
        .description = q->description.ptr ? q->description : CM_STR(""),
        .icon = q->icon.ptr ? q->icon : CM_STR(""),
        .provisioner = API_PROVISIONER_TYPE_TERRAFORM,
        .active_version_id = v->id,
        .group_acl =
            q->disable_everyone_group_access
                ? CM_STR("{}")
                : cm_arena_fmt(r->arena, "{\"%s\":[\"read\",\"use\"]}", cm_uuid_text(org->id).s),
        .default_ttl_ms = q->default_ttl_ms,
        .activity_bump_ms = is_set(q->has, API_CREATE_TEMPLATE_REQUEST_HAS_ACTIVITY_BUMP_MS)
                                ? q->activity_bump_ms
                                : ACTIVITY_BUMP,
        .time_til_autostop_notify_ms = q->time_til_autostop_notify_ms,
        .autostop_days_of_week =
            q->autostop_requirement ? q->autostop_requirement->days_of_week : NULL,
        .n_autostop_days_of_week =
            q->autostop_requirement ? q->autostop_requirement->n_days_of_week : 0,
        .autostop_weeks = q->autostop_requirement && q->autostop_requirement->weeks
                              ? q->autostop_requirement->weeks
                              : 1,
        .autostart_days_of_week =
            q->autostart_requirement ? q->autostart_requirement->days_of_week : all_days,
        .n_autostart_days_of_week = q->autostart_requirement
                                        ? q->autostart_requirement->n_days_of_week
                                        : CM_COUNT_OF(all_days),
        .allow_user_autostart = is_set(q->has, API_CREATE_TEMPLATE_REQUEST_HAS_ALLOW_USER_AUTOSTART)
                                    ? q->allow_user_autostart
                                    : true,
        .allow_user_autostop = is_set(q->has, API_CREATE_TEMPLATE_REQUEST_HAS_ALLOW_USER_AUTOSTOP)
                                   ? q->allow_user_autostop
                                   : true,
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
        store_template_version_attach(r->db, r->arena, v->id, id, &attached, err) != CM_OK)
        return err->code;
    if (!attached)
        return cm_err_set(err, CM_INVALID,
                          "The provided template version is already attached to another template.");
    if (cm_db_tx_commit(tx, err) != CM_OK)
        return err->code;
    audit(r, &(struct audit_event){.action = "create",
                                   .resource_type = "template",
                                   .resource_id = id,
                                   .target = q->name,
                                   .org_id = org->id,
                                   .status = 201});
    return reply_template(r, 201, id, err);
}

static void check_ttl(struct api_req *r, const char *field, bool has, int64_t ms)
{
    if (has && ms != 0 && ms < TTL_STEP_MS)
        cm_violations_add(&r->violations, r->arena, cm_str(field),
                          "must be 0 or at least one minute (60000)");
}

#define HAS(bit) is_set(q->has, API_UPDATE_TEMPLATE_META_HAS_##bit)

/* Absent keys keep their values, but for clients of the 2.30 line: those send the whole form, leave
 * out what is false or 0 in it, and are known by three switches that they always send. */
static bool is_whole_form(const struct api_update_template_meta *q)
{
    return HAS(UPDATE_WORKSPACE_LAST_USED_AT) && HAS(UPDATE_WORKSPACE_DORMANT_AT) &&
           HAS(DISABLE_EVERYONE_GROUP_ACCESS);
}

#define IF_HAS_OR_WHOLE(bit, member) (HAS(bit) || is_whole_form(q) ? &q->member : NULL)
#define IF_HAS(bit, member)          (is_set(q->has, API_UPDATE_TEMPLATE_META_HAS_##bit) ? &q->member : NULL)
#define IF_TEXT(bit, member)                                                                       \
    (is_set(q->has, API_UPDATE_TEMPLATE_META_HAS_##bit) ? q->member : CM_STR_NONE)

/* What follows from the new values: who may use it, and when its workspaces start and are deleted.
 */
static enum cm_code after_update(struct api_req *r, const struct store_template *t,
                                 const struct api_update_template_meta *q, struct cm_err *err)
{
    if (is_set(q->has, API_UPDATE_TEMPLATE_META_HAS_DISABLE_EVERYONE_GROUP_ACCESS) &&
        q->disable_everyone_group_access) {
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

static enum cm_code template_update(struct api_req *r, struct cm_err *err)
{
    const struct api_update_template_meta *q = r->body;
    struct store_template *t = NULL;
    if (template_param(r, 0, &t, err) != CM_OK)
        return err->code;
    check_ttl(r, "default_ttl_ms", IF_HAS(DEFAULT_TTL_MS, default_ttl_ms) != NULL,
              q->default_ttl_ms);
    check_ttl(r, "failure_ttl_ms", IF_HAS(FAILURE_TTL_MS, failure_ttl_ms) != NULL,
              q->failure_ttl_ms);
    if (q->activity_bump_ms < 0)
        cm_violations_add(&r->violations, r->arena, CM_STR("activity_bump_ms"),
                          "must not be negative");
    check_requirements(r, q->autostop_requirement, q->autostart_requirement);
    if (r->violations.n)
        return cm_err_set(err, CM_INVALID, "Invalid request to update template metadata!");
    struct store_template_update_args row = {
        .id = t->id,
        .name = q->name.len ? q->name : CM_STR_NONE,
        .display_name = IF_TEXT(DISPLAY_NAME, display_name),
        .description = IF_TEXT(DESCRIPTION, description),
        .icon = IF_TEXT(ICON, icon),
        .deprecation_message = IF_TEXT(DEPRECATION_MESSAGE, deprecation_message),
        .default_ttl_ms = IF_HAS_OR_WHOLE(DEFAULT_TTL_MS, default_ttl_ms),
        .activity_bump_ms = IF_HAS_OR_WHOLE(ACTIVITY_BUMP_MS, activity_bump_ms),
        .time_til_autostop_notify_ms =
            IF_HAS(TIME_TIL_AUTOSTOP_NOTIFY_MS, time_til_autostop_notify_ms),
        .autostop_days_of_week =
            q->autostop_requirement ? q->autostop_requirement->days_of_week : NULL,
        .n_autostop_days_of_week =
            q->autostop_requirement ? q->autostop_requirement->n_days_of_week : 0,
        .autostop_weeks = q->autostop_requirement ? &q->autostop_requirement->weeks : NULL,
        .autostart_days_of_week =
            q->autostart_requirement ? q->autostart_requirement->days_of_week : NULL,
        .n_autostart_days_of_week =
            q->autostart_requirement ? q->autostart_requirement->n_days_of_week : 0,
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
    return reply_template(r, 200, t->id, err);
}

static enum cm_code template_delete(struct api_req *r, struct cm_err *err)
{
    struct store_template *t = NULL;
    int64_t workspaces = 0;
    if (template_param(r, 0, &t, err) != CM_OK ||
        store_template_workspaces(r->db, r->arena, t->id, &workspaces, err) != CM_OK)
        return err->code;
    if (workspaces)
        return cm_err_set(err, CM_INVALID,
                          "All workspaces must be deleted before a template can be removed.");
    if (store_template_delete(r->db, r->arena, t->id, NULL, err) != CM_OK)
        return err->code;
    audit(r, &(struct audit_event){.action = "delete",
                                   .resource_type = "template",
                                   .resource_id = t->id,
                                   .target = t->name,
                                   .org_id = t->organization_id,
                                   .status = 200});
    return api_reply_message(r, 200, "Template has been deleted!", NULL);
}

#define O "/api/v2/organizations/{organization}"
#define T "/api/v2/templates/{template}"
static const struct route rows[] = {
    {CM_HTTP_GET, "/api/v2/templates", AUTH_SESSION, RBAC(template, read), ROUTE_CALL,
     template_list, NULL, "List templates", LIMIT_API, 0, false},
    {CM_HTTP_GET, O "/templates", AUTH_SESSION, RBAC(template, read), ROUTE_CALL, template_list_org,
     NULL, "List an organization's templates", LIMIT_API, 0, false},
    {CM_HTTP_POST, O "/templates", AUTH_SESSION, RBAC(template, create), ROUTE_CALL,
     template_create, &api_create_template_request_msg, "Create a template", LIMIT_API, 0, false},
    {CM_HTTP_GET, O "/templates/{templatename}", AUTH_SESSION, RBAC(template, read), ROUTE_CALL,
     template_by_name, NULL, "Get a template by name", LIMIT_API, 0, false},
    {CM_HTTP_GET, T, AUTH_SESSION, RBAC(template, read), ROUTE_CALL, template_get, NULL,
     "Get a template", LIMIT_API, 0, false},
    {CM_HTTP_PATCH, T, AUTH_SESSION, RBAC(template, update), ROUTE_CALL, template_update,
     &api_update_template_meta_msg, "Change a template", LIMIT_API, 0, false},
    {CM_HTTP_DELETE, T, AUTH_SESSION, RBAC(template, delete), ROUTE_CALL, template_delete, NULL,
     "Delete a template", LIMIT_API, 0, false},
};

const struct route_table templates_routes = {rows, CM_COUNT_OF(rows)};
