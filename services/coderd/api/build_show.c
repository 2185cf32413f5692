#include "api/build_show.h"

#include "api/agents.h"
#include "api/job_show.h"
#include "api/workspaces.h"
#include "app.h"
#include "options.h"
#include "store/agents.h"

/* Everything below the jobs, in one round trip; each list ordered by what it belongs to. */
struct parts {
    struct store_resource *resources;
    struct store_resource_metadata *metadata;
    struct store_agent *agents;
    struct store_app *apps;
    struct store_app_status *statuses;
    struct store_script *scripts;
    struct api_workspace_agent_log_source *sources;
    size_t n_resources, n_metadata, n_agents, n_apps, n_statuses, n_scripts, n_sources;
};

static void parts_add(struct cm_db_batch *b, const struct cm_uuid *jobs, size_t n, struct parts *p)
{
    store_resources_by_jobs_batch(b, jobs, n, &p->resources, &p->n_resources);
    store_resource_metadata_by_jobs_batch(b, jobs, n, &p->metadata, &p->n_metadata);
    store_agents_by_jobs_batch(b, jobs, n, &p->agents, &p->n_agents);
    store_apps_by_jobs_batch(b, jobs, n, &p->apps, &p->n_apps);
    store_app_statuses_by_jobs_batch(b, jobs, n, &p->statuses, &p->n_statuses);
    store_scripts_by_jobs_batch(b, jobs, n, &p->scripts, &p->n_scripts);
    store_log_sources_by_jobs_batch(b, jobs, n, &p->sources, &p->n_sources);
}

/* Collects the elements of list whose key is id into a new array: out[k] = make(list[i]). The lists
 * are short. */
#define COUNT_IF(list, n, key, id)                                                                 \
    __extension__({                                                                                \
        size_t count_ = 0;                                                                         \
        for (size_t i_ = 0; i_ < (n); i_++)                                                        \
            count_ += cm_uuid_eq((list)[i_].key, (id));                                            \
        count_;                                                                                    \
    })

static struct api_workspace_app_status *show_statuses(struct cm_arena *a, const struct parts *p,
                                                      struct cm_uuid app_id, size_t *ret_n)
{
    size_t n = COUNT_IF(p->statuses, p->n_statuses, app_id, app_id), k = 0;
    struct api_workspace_app_status *out = CM_NEW_ARRAY(a, struct api_workspace_app_status, n);
    for (size_t i = 0; i < p->n_statuses; i++) {
        const struct store_app_status *s = &p->statuses[i];
        if (!cm_uuid_eq(s->app_id, app_id))
            continue;
        out[k++] = (struct api_workspace_app_status){.id = s->id,
                                                     .created_at = s->created_at,
                                                     .workspace_id = s->workspace_id,
                                                     .agent_id = s->agent_id,
                                                     .app_id = s->app_id,
                                                     .state = s->state,
                                                     .message = s->message,
                                                     .uri = s->uri};
    }
    *ret_n = n;
    return out;
}

static struct api_workspace_app *show_apps(struct cm_arena *a, const struct parts *p,
                                           struct cm_uuid agent_id, size_t *ret_n)
{
    size_t n = COUNT_IF(p->apps, p->n_apps, agent_id, agent_id), k = 0;
    struct api_workspace_app *out = CM_NEW_ARRAY(a, struct api_workspace_app, n);
    for (size_t i = 0; i < p->n_apps; i++) {
        const struct store_app *s = &p->apps[i];
        if (!cm_uuid_eq(s->agent_id, agent_id))
            continue;
        struct api_healthcheck *hc = CM_NEW(a, struct api_healthcheck);
        *hc = (struct api_healthcheck){s->healthcheck_url, s->healthcheck_interval,
                                       s->healthcheck_threshold};
        struct api_workspace_app *o = &out[k++];
        *o = (struct api_workspace_app){.id = s->id,
                                        .url = s->url,
                                        .external = s->external,
                                        .slug = s->slug,
                                        .display_name = s->display_name,
                                        .command = s->command,
                                        .icon = s->icon,
                                        .subdomain = s->subdomain,
                                        .sharing_level = s->sharing_level,
                                        .healthcheck = hc,
                                        .health = s->health,
                                        .group = s->display_group,
                                        .hidden = s->hidden,
                                        .open_in = s->open_in,
                                        .tooltip = s->tooltip};
        o->statuses = show_statuses(a, p, s->id, &o->n_statuses);
    }
    *ret_n = n;
    return out;
}

static struct api_workspace_agent_script *show_scripts(struct cm_arena *a, const struct parts *p,
                                                       struct cm_uuid agent_id, size_t *ret_n)
{
    size_t n = COUNT_IF(p->scripts, p->n_scripts, agent_id, agent_id), k = 0;
    struct api_workspace_agent_script *out = CM_NEW_ARRAY(a, struct api_workspace_agent_script, n);
    for (size_t i = 0; i < p->n_scripts; i++) {
        const struct store_script *s = &p->scripts[i];
        if (!cm_uuid_eq(s->agent_id, agent_id))
            continue;
        struct api_workspace_agent_script *o = &out[k++];
        *o = (struct api_workspace_agent_script){.id = s->id,
                                                 .log_source_id = s->log_source_id,
                                                 .log_path = s->log_path,
                                                 .script = s->script,
                                                 .cron = s->cron,
                                                 .run_on_start = s->run_on_start,
                                                 .run_on_stop = s->run_on_stop,
                                                 .start_blocks_login = s->start_blocks_login,
                                                 .timeout = s->timeout_seconds * 1000000000,
                                                 .display_name = s->display_name,
                                                 .status = s->status};
        if (cm_has(s->has, STORE_SCRIPT_HAS_EXIT_CODE)) {
            o->exit_code = s->exit_code;
            cm_set_has(o->has, API_WORKSPACE_AGENT_SCRIPT_HAS_EXIT_CODE);
        }
    }
    *ret_n = n;
    return out;
}

static struct api_workspace_agent_log_source *show_sources(struct cm_arena *a,
                                                           const struct parts *p,
                                                           struct cm_uuid agent_id, size_t *ret_n)
{
    size_t n = COUNT_IF(p->sources, p->n_sources, workspace_agent_id, agent_id), k = 0;
    struct api_workspace_agent_log_source *out =
        CM_NEW_ARRAY(a, struct api_workspace_agent_log_source, n);
    for (size_t i = 0; i < p->n_sources; i++) {
        if (cm_uuid_eq(p->sources[i].workspace_agent_id, agent_id))
            out[k++] = p->sources[i];
    }
    *ret_n = n;
    return out;
}

static const char *unhealthy_reason(const struct store_agent *s)
{
    switch (s->status) {
    case API_WORKSPACE_AGENT_STATUS_CONNECTING:
        return "agent has not yet connected";
    case API_WORKSPACE_AGENT_STATUS_TIMEOUT:
        return "agent is taking too long to connect";
    case API_WORKSPACE_AGENT_STATUS_DISCONNECTED:
        return "agent has lost connection";
    case API_WORKSPACE_AGENT_STATUS_CONNECTED:
    case API_WORKSPACE_AGENT_STATUS_UNSET:
        break;
    }
    if (s->lifecycle_state == API_WORKSPACE_AGENT_LIFECYCLE_START_ERROR)
        return "agent startup script exited with an error";
    if (s->lifecycle_state >= API_WORKSPACE_AGENT_LIFECYCLE_SHUTTING_DOWN)
        return "agent is shutting down";
    return NULL;
}

static void show_agent(struct cm_arena *a, const struct parts *p, const struct store_agent *s,
                       struct api_workspace_agent *o)
{
    struct api_workspace_agent_health *health = CM_NEW(a, struct api_workspace_agent_health);
    const char *reason = unhealthy_reason(s);
    health->healthy = !reason;
    health->reason = cm_str(reason);
    *o = (struct api_workspace_agent){
        .id = s->id,
        .parent_id = s->parent_id,
        .created_at = s->created_at,
        .updated_at = s->updated_at,
        .first_connected_at = s->first_connected_at,
        .last_connected_at = s->last_connected_at,
        .disconnected_at = s->disconnected_at,
        .started_at = s->started_at,
        .ready_at = s->ready_at,
        .status = s->status,
        .lifecycle_state = s->lifecycle_state,
        .name = s->name,
        .resource_id = s->resource_id,
        .instance_id = s->instance_id,
        .architecture = s->architecture,
        .environment_variables = s->environment_variables,
        .n_environment_variables = s->n_environment_variables,
        .operating_system = s->operating_system,
        .logs_length = s->logs_length,
        .logs_overflowed = s->logs_overflowed,
        .directory = s->directory,
        .expanded_directory = s->expanded_directory,
        .version = s->version,
        .api_version = s->api_version,
        .connection_timeout_seconds = s->connection_timeout_seconds,
        .troubleshooting_url = s->troubleshooting_url,
        .subsystems = s->subsystems,
        .n_subsystems = s->n_subsystems,
        .health = health,
        .display_apps = s->display_apps,
        .n_display_apps = s->n_display_apps,
        .startup_script_behavior = s->startup_script_behavior,
    };
    o->apps = show_apps(a, p, s->id, &o->n_apps);
    o->scripts = show_scripts(a, p, s->id, &o->n_scripts);
    o->log_sources = show_sources(a, p, s->id, &o->n_log_sources);
}

static void show_resource(struct cm_arena *a, const struct parts *p, const struct store_resource *s,
                          struct api_workspace_resource *o)
{
    *o = (struct api_workspace_resource){.id = s->id,
                                         .created_at = s->created_at,
                                         .job_id = s->job_id,
                                         .workspace_transition = s->transition,
                                         .type = s->type,
                                         .name = s->name,
                                         .hide = s->hide,
                                         .icon = s->icon,
                                         .daily_cost = s->daily_cost};
    size_t n_agents = COUNT_IF(p->agents, p->n_agents, resource_id, s->id);
    size_t n_meta = COUNT_IF(p->metadata, p->n_metadata, resource_id, s->id);
    o->agents = CM_NEW_ARRAY(a, struct api_workspace_agent, n_agents);
    o->metadata = CM_NEW_ARRAY(a, struct api_workspace_resource_metadata, n_meta);
    for (size_t i = 0; i < p->n_agents; i++) {
        if (cm_uuid_eq(p->agents[i].resource_id, s->id))
            show_agent(a, p, &p->agents[i], &o->agents[o->n_agents++]);
    }
    for (size_t i = 0; i < p->n_metadata; i++) {
        const struct store_resource_metadata *m = &p->metadata[i];
        if (cm_uuid_eq(m->resource_id, s->id))
            o->metadata[o->n_metadata++] = (struct api_workspace_resource_metadata){
                m->key, m->sensitive ? CM_STR("") : m->value, m->sensitive};
    }
}

static struct api_workspace_resource *show_resources(struct cm_arena *a, const struct parts *p,
                                                     const struct cm_uuid *job_id, size_t *ret_n)
{
    size_t n = job_id ? COUNT_IF(p->resources, p->n_resources, job_id, *job_id) : p->n_resources,
           k = 0;
    struct api_workspace_resource *out = CM_NEW_ARRAY(a, struct api_workspace_resource, n);
    for (size_t i = 0; i < p->n_resources; i++) {
        if (!job_id || cm_uuid_eq(p->resources[i].job_id, *job_id))
            show_resource(a, p, &p->resources[i], &out[k++]);
    }
    *ret_n = n;
    return out;
}

enum cm_code resources_show(struct api_req *r, const struct cm_uuid *job_ids, size_t n,
                            struct api_workspace_resource **ret, size_t *ret_n, struct cm_err *err)
{
    struct parts p = {0};
    struct cm_db_batch *b = cm_db_batch_new(r->arena);
    parts_add(b, job_ids, n, &p);
    if (cm_db_batch_run(b, r->db, err) != CM_OK)
        return err->code;
    *ret = show_resources(r->arena, &p, NULL, ret_n);
    return CM_OK;
}

enum cm_code agent_show(struct api_req *r, struct cm_uuid agent_id,
                        struct api_workspace_agent **ret, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    struct parts p = {0};
    enum cm_code code = store_workspace_by_agent(r->db, r->arena, agent_id, &w, err);
    if (code != CM_OK)
        return code == CM_NOT_FOUND ? api_not_found(err) : code;
    struct cm_db_batch *b = cm_db_batch_new(r->arena);
    parts_add(b, &w->latest_job_id, 1, &p);
    if (cm_db_batch_run(b, r->db, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < p.n_agents; i++) {
        if (!cm_uuid_eq(p.agents[i].id, agent_id))
            continue;
        *ret = CM_NEW(r->arena, struct api_workspace_agent);
        show_agent(r->arena, &p, &p.agents[i], *ret);
        return CM_OK;
    }
    return api_not_found(err);
}

static void show_build(struct cm_arena *a, const struct parts *p, const struct store_build *s,
                       const struct store_job *job, struct api_workspace_build *o)
{
    *o = (struct api_workspace_build){
        .id = s->id,
        .created_at = s->created_at,
        .updated_at = s->updated_at,
        .workspace_id = s->workspace_id,
        .workspace_name = s->workspace_name,
        .workspace_owner_id = s->workspace_owner_id,
        .workspace_owner_name = s->workspace_owner_name,
        .workspace_owner_avatar_url = s->workspace_owner_avatar_url,
        .template_version_id = s->template_version_id,
        .template_version_name = s->template_version_name,
        .build_number = s->build_number,
        .transition = s->transition,
        .initiator_id = s->initiator_id,
        .initiator_name = s->initiator_name,
        .job = job ? job_show(a, job) : NULL,
        .reason = s->reason,
        .deadline = s->deadline,
        .max_deadline = s->max_deadline,
        .status = s->status,
        .daily_cost = s->daily_cost,
        .template_version_preset_id = s->template_version_preset_id,
        .has_external_agent = s->has_external_agent,
    };
    o->resources = show_resources(a, p, &s->job_id, &o->n_resources);
}

enum cm_code builds_show(struct api_req *r, const struct store_build *rows, size_t n,
                         struct api_workspace_build **ret, struct cm_err *err)
{
    struct cm_uuid *jobs = CM_NEW_ARRAY(r->arena, struct cm_uuid, n);
    for (size_t i = 0; i < n; i++)
        jobs[i] = rows[i].job_id;
    struct parts p = {0};
    struct store_job *job_rows = NULL;
    size_t n_jobs = 0;
    if (n) {
        struct cm_db_batch *b = cm_db_batch_new(r->arena);
        store_jobs_by_ids_batch(b, jobs, n, &job_rows, &n_jobs);
        parts_add(b, jobs, n, &p);
        if (cm_db_batch_run(b, r->db, err) != CM_OK)
            return err->code;
    }
    struct api_workspace_build *out = CM_NEW_ARRAY(r->arena, struct api_workspace_build, n);
    for (size_t i = 0; i < n; i++) {
        const struct store_job *job = NULL;
        for (size_t k = 0; k < n_jobs && !job; k++) {
            if (cm_uuid_eq(job_rows[k].id, rows[i].job_id))
                job = &job_rows[k];
        }
        show_build(r->arena, &p, &rows[i], job, &out[i]);
    }
    *ret = out;
    return CM_OK;
}

/* Healthy unless a top-level agent is not. */
static struct api_workspace_health *show_health(struct cm_arena *a,
                                                const struct api_workspace_build *b)
{
    struct api_workspace_health *h = CM_NEW(a, struct api_workspace_health);
    size_t n = 0;
    for (size_t i = 0; b && i < b->n_resources; i++)
        n += b->resources[i].n_agents;
    h->failing_agents = CM_NEW_ARRAY(a, struct cm_uuid, n);
    for (size_t i = 0; b && i < b->n_resources; i++) {
        for (size_t k = 0; k < b->resources[i].n_agents; k++) {
            const struct api_workspace_agent *ag = &b->resources[i].agents[k];
            if (cm_uuid_is_nil(ag->parent_id) && !ag->health->healthy)
                h->failing_agents[h->n_failing_agents++] = ag->id;
        }
    }
    h->healthy = h->n_failing_agents == 0;
    return h;
}

static void show_workspace(struct api_req *r, const struct store_workspace *s,
                           struct api_workspace_build *build, struct api_workspace *o)
{
    *o = (struct api_workspace){
        .id = s->id,
        .created_at = s->created_at,
        .updated_at = s->updated_at,
        .owner_id = s->owner_id,
        .owner_name = s->owner_username,
        .owner_avatar_url = s->owner_avatar_url,
        .organization_id = s->organization_id,
        .organization_name = s->organization_name,
        .template_id = s->template_id,
        .template_name = s->template_name,
        .template_display_name = s->template_display_name,
        .template_icon = s->template_icon,
        .template_allow_user_cancel_workspace_jobs = s->template_allow_user_cancel_workspace_jobs,
        .template_active_version_id = s->template_active_version_id,
        .template_require_active_version = s->template_require_active_version,
        .template_use_classic_parameter_flow = s->template_use_classic_parameter_flow,
        .latest_build = build,
        .outdated = s->outdated,
        .name = s->name,
        .autostart_schedule = s->autostart_schedule,
        .last_used_at = s->last_used_at,
        .deleting_at = s->deleting_at,
        .dormant_at = s->dormant_at,
        .health = show_health(r->arena, build),
        .automatic_updates = s->automatic_updates,
        .allow_renames = r->app->opt->allow_workspace_renames,
        .favorite = s->favorite && r->who && cm_uuid_eq(r->who->user_id, s->owner_id),
        .next_start_at = s->next_start_at,
        .is_prebuild = s->is_prebuild,
    };
    int64_t ttl = s->template_allow_user_autostop ? s->ttl_ms : s->template_default_ttl_ms;
    if (ttl) {
        o->ttl_ms = ttl;
        cm_set_has(o->has, API_WORKSPACE_HAS_TTL_MS);
    }
}

enum cm_code workspaces_show(struct api_req *r, const struct store_workspace *rows, size_t n,
                             struct api_workspace **ret, struct cm_err *err)
{
    struct cm_uuid *ids = CM_NEW_ARRAY(r->arena, struct cm_uuid, n),
                   *jobs = CM_NEW_ARRAY(r->arena, struct cm_uuid, n);
    for (size_t i = 0; i < n; i++) {
        ids[i] = rows[i].latest_build_id;
        jobs[i] = rows[i].latest_job_id;
    }
    struct parts p = {0};
    struct store_build *build_rows = NULL;
    struct store_job *job_rows = NULL;
    size_t n_builds = 0, n_jobs = 0;
    if (n) {
        struct cm_db_batch *b = cm_db_batch_new(r->arena);
        store_builds_by_ids_batch(b, ids, n, &build_rows, &n_builds);
        store_jobs_by_ids_batch(b, jobs, n, &job_rows, &n_jobs);
        parts_add(b, jobs, n, &p);
        if (cm_db_batch_run(b, r->db, err) != CM_OK)
            return err->code;
    }
    struct api_workspace *out = CM_NEW_ARRAY(r->arena, struct api_workspace, n);
    for (size_t i = 0; i < n; i++) {
        struct api_workspace_build *build = NULL;
        const struct store_job *job = NULL;
        for (size_t k = 0; k < n_jobs && !job; k++) {
            if (cm_uuid_eq(job_rows[k].id, rows[i].latest_job_id))
                job = &job_rows[k];
        }
        for (size_t k = 0; k < n_builds && !build; k++) {
            if (cm_uuid_eq(build_rows[k].id, rows[i].latest_build_id)) {
                build = CM_NEW(r->arena, struct api_workspace_build);
                show_build(r->arena, &p, &build_rows[k], job, build);
            }
        }
        show_workspace(r, &rows[i], build, &out[i]);
    }
    *ret = out;
    return workspaces_show_shared(r, rows, n, out, err);
}
