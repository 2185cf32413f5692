/* A job's definitions come from the cache, or, once for each job and replica, from the database;
 * what changes is then laid over a copy of the arrays, which share their texts with the cache. */
#include "api/build_parts.h"

#include "api/job_show.h"
#include "api/parts_cache.h"
#include "app.h"
#include "store/agents.h"
#include "store/builds.h"
#include "store/jobs.h"

struct build_parts {
    struct cm_arena *a;
    const struct cm_uuid *jobs;
    struct job_parts *of; /* by position in jobs */
    size_t n;
    /* Of all agents and scripts in them. */
    struct cm_uuid *agent_ids, *script_ids;
    size_t n_agent_ids, n_script_ids;
    /* Each ordered by the id by which it is looked up. */
    struct store_agent_state *agents;
    struct store_app_health *healths;
    struct store_app_status *statuses;
    struct store_script_result *results;
    struct api_workspace_agent_log_source *sources;
    size_t n_agents, n_healths, n_statuses, n_results, n_sources;
};

/* ---- rows that belong to an id ---- */

/* The run of rows whose id, at offset in each, is id; the rows are ordered by it. */
static const void *run_of(const void *rows, size_t n, size_t size, size_t offset,
                          const struct cm_uuid *id, size_t *ret_n)
{
    const char *base = rows;
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (memcmp(base + mid * size + offset, id, sizeof(*id)) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    size_t end = low;
    while (end < n && memcmp(base + end * size + offset, id, sizeof(*id)) == 0)
        end++;
    *ret_n = end - low;
    return end > low ? base + low * size : NULL;
}

#define RUN_OF(rows, n, member, id, ret_n)                                                         \
    run_of((rows), (n), sizeof((rows)[0]), offsetof(__typeof__((rows)[0]), member), (id), (ret_n))

/* ---- definitions ---- */

/* Everything that jobs made, in one round trip; each list ordered by what it belongs to. */
struct rows {
    struct store_resource *resources;
    struct store_resource_metadata *metadata;
    struct store_agent *agents;
    struct store_app *apps;
    struct store_script *scripts;
    struct store_job *jobs;
    size_t n_resources, n_metadata, n_agents, n_apps, n_scripts, n_jobs;
};

static enum cm_code load_rows(struct api_req *r, const struct cm_uuid *jobs, size_t n,
                              struct rows *p, struct cm_err *err)
{
    struct cm_db_batch *b = cm_db_batch_new(r->arena);
    /* First, so that a job that has ended by then has all its parts in what follows. */
    store_jobs_by_ids_batch(b, jobs, n, &p->jobs, &p->n_jobs);
    store_resources_by_jobs_batch(b, jobs, n, &p->resources, &p->n_resources);
    store_resource_metadata_by_jobs_batch(b, jobs, n, &p->metadata, &p->n_metadata);
    store_agents_by_jobs_batch(b, jobs, n, &p->agents, &p->n_agents);
    store_apps_by_jobs_batch(b, jobs, n, &p->apps, &p->n_apps);
    store_scripts_by_jobs_batch(b, jobs, n, &p->scripts, &p->n_scripts);
    return cm_db_batch_run(b, r->db, err);
}

static struct api_workspace_app *define_apps(struct cm_arena *a, const struct rows *p,
                                             const struct cm_uuid *agent_id, size_t *ret_n)
{
    const struct store_app *rows = RUN_OF(p->apps, p->n_apps, agent_id, agent_id, ret_n);
    struct api_workspace_app *out = CM_NEW_ARRAY(a, struct api_workspace_app, *ret_n);
    struct api_healthcheck *checks = CM_NEW_ARRAY(a, struct api_healthcheck, *ret_n);
    for (size_t i = 0; i < *ret_n; i++) {
        const struct store_app *s = &rows[i];
        checks[i] = (struct api_healthcheck){s->healthcheck_url, s->healthcheck_interval,
                                             s->healthcheck_threshold};
        out[i] = (struct api_workspace_app){.id = s->id,
                                            .url = s->url,
                                            .external = s->external,
                                            .slug = s->slug,
                                            .display_name = s->display_name,
                                            .command = s->command,
                                            .icon = s->icon,
                                            .subdomain = s->subdomain,
                                            .sharing_level = s->sharing_level,
                                            .healthcheck = &checks[i],
                                            .health = s->health,
                                            .group = s->display_group,
                                            .hidden = s->hidden,
                                            .open_in = s->open_in,
                                            .tooltip = s->tooltip};
    }
    return out;
}

static struct api_workspace_agent_script *define_scripts(struct cm_arena *a, const struct rows *p,
                                                         const struct cm_uuid *agent_id,
                                                         size_t *ret_n)
{
    const struct store_script *rows = RUN_OF(p->scripts, p->n_scripts, agent_id, agent_id, ret_n);
    struct api_workspace_agent_script *out =
        CM_NEW_ARRAY(a, struct api_workspace_agent_script, *ret_n);
    for (size_t i = 0; i < *ret_n; i++) {
        const struct store_script *s = &rows[i];
        out[i] = (struct api_workspace_agent_script){.id = s->id,
                                                     .log_source_id = s->log_source_id,
                                                     .log_path = s->log_path,
                                                     .script = s->script,
                                                     .cron = s->cron,
                                                     .run_on_start = s->run_on_start,
                                                     .run_on_stop = s->run_on_stop,
                                                     .start_blocks_login = s->start_blocks_login,
                                                     .timeout = s->timeout_seconds * 1000000000,
                                                     .display_name = s->display_name};
    }
    return out;
}

static void define_agent(struct cm_arena *a, const struct rows *p, const struct store_agent *s,
                         struct api_workspace_agent *o)
{
    *o = (struct api_workspace_agent){
        .id = s->id,
        .parent_id = s->parent_id,
        .created_at = s->created_at,
        .name = s->name,
        .resource_id = s->resource_id,
        .instance_id = s->instance_id,
        .architecture = s->architecture,
        .environment_variables = s->environment_variables,
        .n_environment_variables = s->n_environment_variables,
        .operating_system = s->operating_system,
        .directory = s->directory,
        .connection_timeout_seconds = s->connection_timeout_seconds,
        .troubleshooting_url = s->troubleshooting_url,
        .display_apps = s->display_apps,
        .n_display_apps = s->n_display_apps,
        .startup_script_behavior = s->startup_script_behavior,
    };
    o->apps = define_apps(a, p, &s->id, &o->n_apps);
    o->scripts = define_scripts(a, p, &s->id, &o->n_scripts);
}

static void define_resource(struct cm_arena *a, const struct rows *p,
                            const struct store_resource *s, struct api_workspace_resource *o)
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
    const struct store_agent *agents =
        RUN_OF(p->agents, p->n_agents, resource_id, &s->id, &o->n_agents);
    const struct store_resource_metadata *meta =
        RUN_OF(p->metadata, p->n_metadata, resource_id, &s->id, &o->n_metadata);
    o->agents = CM_NEW_ARRAY(a, struct api_workspace_agent, o->n_agents);
    for (size_t i = 0; i < o->n_agents; i++)
        define_agent(a, p, &agents[i], &o->agents[i]);
    o->metadata = CM_NEW_ARRAY(a, struct api_workspace_resource_metadata, o->n_metadata);
    for (size_t i = 0; i < o->n_metadata; i++)
        o->metadata[i] = (struct api_workspace_resource_metadata){
            meta[i].key, meta[i].sensitive ? CM_STR("") : meta[i].value, meta[i].sensitive};
}

static struct job_parts define_job(struct cm_arena *a, const struct rows *p,
                                   const struct cm_uuid *job_id, const struct store_job *job)
{
    struct job_parts d = {.job = job ? job_show(a, job) : NULL};
    const struct store_resource *rows = RUN_OF(p->resources, p->n_resources, job_id, job_id, &d.n);
    struct api_workspace_resource *out = CM_NEW_ARRAY(a, struct api_workspace_resource, d.n);
    for (size_t i = 0; i < d.n; i++)
        define_resource(a, p, &rows[i], &out[i]);
    d.resources = out;
    return d;
}

static const struct store_job *find_job(const struct rows *p, struct cm_uuid id)
{
    for (size_t i = 0; i < p->n_jobs; i++) {
        if (cm_uuid_eq(p->jobs[i].id, id))
            return &p->jobs[i];
    }
    return NULL;
}

static enum cm_code load_definitions(struct api_req *r, struct build_parts *p, struct cm_err *err)
{
    struct cm_uuid *missing = CM_NEW_ARRAY(p->a, struct cm_uuid, p->n);
    size_t *where = CM_NEW_ARRAY(p->a, size_t, p->n), n_missing = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (parts_cache_get(r->app->parts, p->jobs[i], p->a, &p->of[i]))
            continue;
        missing[n_missing] = p->jobs[i];
        where[n_missing++] = i;
    }
    struct rows rows = {0};
    if (n_missing && load_rows(r, missing, n_missing, &rows, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < n_missing; i++) {
        const struct store_job *job = find_job(&rows, missing[i]);
        struct job_parts d = define_job(p->a, &rows, &missing[i], job);
        if (job && !cm_time_is_zero(job->completed_at))
            parts_cache_put(r->app->parts, missing[i], &d);
        p->of[where[i]] = d;
    }
    return CM_OK;
}

/* ---- what changes ---- */

static void collect_ids(struct build_parts *p)
{
    size_t n_agents = 0, n_scripts = 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass) {
            p->agent_ids = CM_NEW_ARRAY(p->a, struct cm_uuid, n_agents);
            p->script_ids = CM_NEW_ARRAY(p->a, struct cm_uuid, n_scripts);
        }
        for (size_t i = 0; i < p->n; i++) {
            for (size_t k = 0; k < p->of[i].n; k++) {
                const struct api_workspace_resource *res = &p->of[i].resources[k];
                for (size_t m = 0; m < res->n_agents; m++) {
                    const struct api_workspace_agent *ag = &res->agents[m];
                    n_agents++;
                    n_scripts += ag->n_scripts;
                    if (!pass)
                        continue;
                    p->agent_ids[p->n_agent_ids++] = ag->id;
                    for (size_t s = 0; s < ag->n_scripts; s++)
                        p->script_ids[p->n_script_ids++] = ag->scripts[s].id;
                }
            }
        }
    }
}

enum cm_code build_parts_load(struct api_req *r, const struct cm_uuid *jobs, size_t n,
                              struct build_parts **ret, struct cm_err *err)
{
    struct build_parts *p = CM_NEW(r->arena, struct build_parts);
    p->a = r->arena;
    p->jobs = jobs;
    p->n = n;
    p->of = CM_NEW_ARRAY(p->a, struct job_parts, n);
    if (load_definitions(r, p, err) != CM_OK)
        return err->code;
    collect_ids(p);
    *ret = p;
    return CM_OK;
}

void build_parts_states(struct build_parts *p, struct cm_db_batch *b)
{
    const struct cm_uuid *ids = p->agent_ids;
    size_t n = p->n_agent_ids;
    if (!n)
        return;
    store_agent_states_batch(b, ids, n, &p->agents, &p->n_agents);
    store_app_healths_batch(b, ids, n, &p->healths, &p->n_healths);
    store_app_statuses_by_agents_batch(b, ids, n, &p->statuses, &p->n_statuses);
    store_log_sources_by_agents_batch(b, ids, n, &p->sources, &p->n_sources);
    if (p->n_script_ids)
        store_script_results_batch(b, p->script_ids, p->n_script_ids, &p->results, &p->n_results);
}

static void show_statuses(const struct build_parts *p, struct api_workspace_app *o)
{
    const struct store_app_status *rows =
        RUN_OF(p->statuses, p->n_statuses, app_id, &o->id, &o->n_statuses);
    o->statuses = CM_NEW_ARRAY(p->a, struct api_workspace_app_status, o->n_statuses);
    for (size_t i = 0; i < o->n_statuses; i++) {
        const struct store_app_status *s = &rows[i];
        o->statuses[i] = (struct api_workspace_app_status){.id = s->id,
                                                           .created_at = s->created_at,
                                                           .workspace_id = s->workspace_id,
                                                           .agent_id = s->agent_id,
                                                           .app_id = s->app_id,
                                                           .state = s->state,
                                                           .message = s->message,
                                                           .uri = s->uri};
    }
}

/* A copy of one array in the arena of the request, to write on. */
#define COPY_OF(a, items, n)                                                                       \
    ((n) ? memcpy(cm_arena_array((a), (n), sizeof((items)[0])), (items), (n) * sizeof((items)[0])) \
         : NULL)

static void show_apps(const struct build_parts *p, struct api_workspace_agent *o)
{
    o->apps = COPY_OF(p->a, o->apps, o->n_apps);
    for (size_t i = 0; i < o->n_apps; i++) {
        size_t found;
        const struct store_app_health *h =
            RUN_OF(p->healths, p->n_healths, id, &o->apps[i].id, &found);
        if (h)
            o->apps[i].health = h->health;
        show_statuses(p, &o->apps[i]);
    }
}

static void show_scripts(const struct build_parts *p, struct api_workspace_agent *o)
{
    o->scripts = COPY_OF(p->a, o->scripts, o->n_scripts);
    for (size_t i = 0; i < o->n_scripts; i++) {
        size_t found;
        const struct store_script_result *t =
            RUN_OF(p->results, p->n_results, script_id, &o->scripts[i].id, &found);
        if (!t)
            continue;
        o->scripts[i].status = t->status;
        o->scripts[i].exit_code = t->exit_code;
        cm_set_has(o->scripts[i].has, API_WORKSPACE_AGENT_SCRIPT_HAS_EXIT_CODE);
    }
}

static const char *unhealthy_reason(const struct store_agent_state *s)
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

/* False: the agent was deleted. */
static bool show_agent(const struct build_parts *p, const struct api_workspace_agent *def,
                       struct api_workspace_agent *o)
{
    size_t found;
    const struct store_agent_state *s = RUN_OF(p->agents, p->n_agents, id, &def->id, &found);
    if (!s)
        return false;
    struct api_workspace_agent_health *health = CM_NEW(p->a, struct api_workspace_agent_health);
    const char *reason = unhealthy_reason(s);
    health->healthy = !reason;
    health->reason = cm_str(reason);
    *o = *def;
    o->updated_at = s->updated_at;
    o->first_connected_at = s->first_connected_at;
    o->last_connected_at = s->last_connected_at;
    o->disconnected_at = s->disconnected_at;
    o->started_at = s->started_at;
    o->ready_at = s->ready_at;
    o->status = s->status;
    o->lifecycle_state = s->lifecycle_state;
    o->logs_length = s->logs_length;
    o->logs_overflowed = s->logs_overflowed;
    o->expanded_directory = s->expanded_directory;
    o->version = s->version;
    o->api_version = s->api_version;
    o->subsystems = s->subsystems;
    o->n_subsystems = s->n_subsystems;
    o->health = health;
    const struct api_workspace_agent_log_source *sources =
        RUN_OF(p->sources, p->n_sources, workspace_agent_id, &o->id, &o->n_log_sources);
    o->log_sources = COPY_OF(p->a, sources, o->n_log_sources);
    show_apps(p, o);
    show_scripts(p, o);
    return true;
}

const struct api_provisioner_job *build_parts_job(const struct build_parts *p, size_t i)
{
    return p->of[i].job;
}

struct api_workspace_resource *build_parts_show(const struct build_parts *p, size_t i,
                                                size_t *ret_n)
{
    const struct job_parts *d = &p->of[i];
    struct api_workspace_resource *out = COPY_OF(p->a, d->resources, d->n);
    for (size_t k = 0; k < d->n; k++) {
        struct api_workspace_resource *o = &out[k];
        const struct api_workspace_agent *defs = o->agents;
        size_t n_defs = o->n_agents;
        o->agents = CM_NEW_ARRAY(p->a, struct api_workspace_agent, n_defs);
        o->n_agents = 0;
        for (size_t m = 0; m < n_defs; m++)
            o->n_agents += show_agent(p, &defs[m], &o->agents[o->n_agents]);
    }
    *ret_n = d->n;
    return out;
}
