#include "api/template_show.h"

#include <math.h>

#include "api/template_load.h"

/* Medians and 95th percentiles of the builds of each kind. */
static struct api_template_build_time_stats *show_times(
    struct cm_arena *a, const struct store_template *t,
    const struct store_template_build_time *times, size_t n)
{
    struct api_template_build_time_stats *stats = CM_NEW(a, struct api_template_build_time_stats);
    stats->start = CM_NEW(a, struct api_transition_stats);
    stats->stop = CM_NEW(a, struct api_transition_stats);
    stats->delete = CM_NEW(a, struct api_transition_stats);
    for (size_t i = 0; i < n; i++) {
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
    return stats;
}

static void show_one(struct cm_arena *a, const struct store_template *t,
                     struct api_template_build_time_stats *stats, struct api_template *o)
{
    struct api_template_autostop_requirement *stop =
        CM_NEW(a, struct api_template_autostop_requirement);
    struct api_template_autostart_requirement *start =
        CM_NEW(a, struct api_template_autostart_requirement);
    *stop = (struct api_template_autostop_requirement){
        t->autostop_days_of_week, t->n_autostop_days_of_week, t->autostop_weeks};
    *start = (struct api_template_autostart_requirement){t->autostart_days_of_week,
                                                         t->n_autostart_days_of_week};
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

enum cm_code templates_show(struct api_req *r, const struct store_template *rows, size_t n,
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
        show_one(r->arena, &rows[i], show_times(r->arena, &rows[i], times, n_times), &(*ret)[i]);
    return CM_OK;
}

enum cm_code template_reply(struct api_req *r, int status, struct cm_uuid id, struct cm_err *err)
{
    struct store_template *t = NULL;
    struct api_template *out = NULL;
    if (template_load(r, id, &t, err) != CM_OK || templates_show(r, t, 1, &out, err) != CM_OK)
        return err->code;
    return api_reply(r, status, &api_template_msg, out);
}
