#include "api/build_show.h"

#include "api/build_parts.h"
#include "api/job_show.h"
#include "api/workspaces.h"
#include "app.h"
#include "options.h"

enum cm_code resources_show(struct api_req *r, struct cm_uuid job_id,
                            struct api_workspace_resource **ret, size_t *ret_n, struct cm_err *err)
{
    struct build_parts *p = NULL;
    struct cm_db_batch *b = cm_db_batch_new(r->arena);
    if (build_parts_load(r, &job_id, 1, &p, err) != CM_OK)
        return err->code;
    build_parts_states(p, b);
    if (cm_db_batch_run(b, r->db, err) != CM_OK)
        return err->code;
    *ret = build_parts_show(p, 0, ret_n);
    return CM_OK;
}

enum cm_code agent_show(struct api_req *r, struct cm_uuid agent_id,
                        struct api_workspace_agent **ret, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    struct api_workspace_resource *resources = NULL;
    size_t n = 0;
    enum cm_code code = store_workspace_by_agent(r->db, r->arena, agent_id, &w, err);
    if (code != CM_OK)
        return code == CM_NOT_FOUND ? api_not_found(err) : code;
    if (resources_show(r, w->latest_job_id, &resources, &n, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < resources[i].n_agents; k++) {
            *ret = &resources[i].agents[k];
            if (cm_uuid_eq((*ret)->id, agent_id))
                return CM_OK;
        }
    }
    return api_not_found(err);
}

/* As the schema's workspace_status() has it, of the job that is shown: one that was read a moment
 * later may have ended meanwhile, and the two are not to contradict each other. */
static enum api_workspace_status status_of(enum api_workspace_transition transition,
                                           enum api_provisioner_job_status job)
{
    bool stop = transition == API_WORKSPACE_TRANSITION_STOP,
         delete = transition == API_WORKSPACE_TRANSITION_DELETE;
    switch (job) {
    case API_PROVISIONER_JOB_STATUS_PENDING:
        return API_WORKSPACE_STATUS_PENDING;
    case API_PROVISIONER_JOB_STATUS_RUNNING:
        return delete ? API_WORKSPACE_STATUS_DELETING
               : stop ? API_WORKSPACE_STATUS_STOPPING
                      : API_WORKSPACE_STATUS_STARTING;
    case API_PROVISIONER_JOB_STATUS_SUCCEEDED:
        return delete ? API_WORKSPACE_STATUS_DELETED
               : stop ? API_WORKSPACE_STATUS_STOPPED
                      : API_WORKSPACE_STATUS_RUNNING;
    case API_PROVISIONER_JOB_STATUS_CANCELING:
        return API_WORKSPACE_STATUS_CANCELING;
    case API_PROVISIONER_JOB_STATUS_CANCELED:
        return API_WORKSPACE_STATUS_CANCELED;
    case API_PROVISIONER_JOB_STATUS_FAILED:
        return API_WORKSPACE_STATUS_FAILED;
    case API_PROVISIONER_JOB_STATUS_UNSET:
    case API_PROVISIONER_JOB_STATUS_UNKNOWN:
        break;
    }
    return API_WORKSPACE_STATUS_UNSET;
}

/* Without resources. */
static void show_build(const struct store_build *s, const struct api_provisioner_job *job,
                       struct api_workspace_build *o)
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
        .job = (void *)(uintptr_t)job,
        .reason = s->reason,
        .deadline = s->deadline,
        .max_deadline = s->max_deadline,
        .status = job ? status_of(s->transition, job->status) : s->status,
        .daily_cost = s->daily_cost,
        .template_version_preset_id = s->template_version_preset_id,
        .has_external_agent = s->has_external_agent,
    };
}

enum cm_code builds_show(struct api_req *r, const struct store_build *rows, size_t n,
                         struct api_workspace_build **ret, struct cm_err *err)
{
    struct cm_uuid *jobs = CM_NEW_ARRAY(r->arena, struct cm_uuid, n);
    for (size_t i = 0; i < n; i++)
        jobs[i] = rows[i].job_id;
    struct build_parts *p = NULL;
    if (build_parts_load(r, jobs, n, &p, err) != CM_OK)
        return err->code;
    struct cm_db_batch *b = cm_db_batch_new(r->arena);
    build_parts_states(p, b);
    if (cm_db_batch_run(b, r->db, err) != CM_OK)
        return err->code;
    struct api_workspace_build *out = CM_NEW_ARRAY(r->arena, struct api_workspace_build, n);
    for (size_t i = 0; i < n; i++) {
        show_build(&rows[i], build_parts_job(p, i), &out[i]);
        out[i].resources = build_parts_show(p, i, &out[i].n_resources);
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

/* What store_builds_brief leaves to the workspace; the job tells the status. */
static void complete_build(struct store_build *b, const struct store_workspace *w)
{
    b->workspace_name = w->name;
    b->workspace_owner_id = w->owner_id;
    b->workspace_owner_name = w->owner_username;
    b->workspace_owner_avatar_url = w->owner_avatar_url;
    b->organization_id = w->organization_id;
    b->template_id = w->template_id;
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
    struct build_parts *p = NULL;
    struct store_build *build_rows = NULL;
    size_t n_builds = 0;
    if (build_parts_load(r, jobs, n, &p, err) != CM_OK)
        return err->code;
    struct cm_db_batch *b = cm_db_batch_new(r->arena);
    if (n)
        store_builds_brief_batch(b, ids, n, &build_rows, &n_builds);
    build_parts_states(p, b);
    if (cm_db_batch_run(b, r->db, err) != CM_OK)
        return err->code;
    struct api_workspace *out = CM_NEW_ARRAY(r->arena, struct api_workspace, n);
    for (size_t i = 0; i < n; i++) {
        struct api_workspace_build *build = NULL;
        const struct api_provisioner_job *job = build_parts_job(p, i);
        for (size_t k = 0; k < n_builds && job && !build; k++) {
            if (!cm_uuid_eq(build_rows[k].id, ids[i]))
                continue;
            complete_build(&build_rows[k], &rows[i]);
            build = CM_NEW(r->arena, struct api_workspace_build);
            show_build(&build_rows[k], job, build);
            build->resources = build_parts_show(p, i, &build->n_resources);
        }
        show_workspace(r, &rows[i], build, &out[i]);
    }
    *ret = out;
    return workspaces_show_shared(r, rows, n, out, err);
}

enum cm_code workspace_reply(struct api_req *r, int status, const struct store_workspace *w,
                             struct cm_err *err)
{
    struct api_workspace *out = NULL;
    if (workspaces_show(r, w, 1, &out, err) != CM_OK)
        return err->code;
    return api_reply(r, status, &api_workspace_msg, out);
}
