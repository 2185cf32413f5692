/* What a finished job made: parameters and presets of a version; resources, agents, apps and
 * scripts of a build. */
#include "rpc/job.h"

#include "api/auth.h"
#include "api/builds.h"
#include "codec/json.h"
#include "base/enc.h"
#include "net/rpc/wire.h"
#include "store/agents.h"
#include "store/builds.h"
#include "store/files.h"
#include "store/schedule.h"
#include "store/template_versions.h"
#include "store/workspaces.h"

#define MODULES_PIECE ((size_t)1024 * 1024) /* as files are kept */

static struct cm_str str(const char *s)
{
    return cm_str(s ? s : "");
}

/* One of the words, or the first. */
static struct cm_str one_of(const char *s, const char *const *words)
{
    for (size_t i = 0; words[i]; i++) {
        if (s && strcmp(s, words[i]) == 0)
            return cm_str(s);
    }
    return cm_str(words[0]);
}

struct sink {
    struct cm_db *db;
    struct cm_arena *a;
    struct cm_uuid job_id;
    struct cm_err *err;
};

static enum cm_code store_app(struct sink *s, struct cm_uuid agent_id,
                              const Coder__Provisioner__V1__App *app)
{
    static const char *const levels[] = {"owner", "authenticated", "organization", "public", NULL};
    static const char *const open_in[] = {"slim-window", "tab", NULL};
    const Coder__Provisioner__V1__Healthcheck *hc = app->healthcheck;
    bool checked = hc && hc->url && hc->url[0];
    /* Ids are the row's own: a resource that a template keeps comes again with each build. */
    struct cm_uuid id = cm_uuid_random();
    struct store_app_insert_args row = {
        .id = id,
        .agent_id = agent_id,
        .slug = cm_str(app->slug),
        .display_name = str(app->display_name),
        .icon = str(app->icon),
        .command = str(app->command),
        .url = str(app->url),
        .external = app->external,
        .subdomain = app->subdomain,
        .sharing_level = one_of(app->sharing_level, levels),
        .healthcheck_url = checked ? cm_str(hc->url) : CM_STR(""),
        .healthcheck_interval = checked ? hc->interval : 0,
        .healthcheck_threshold = checked ? hc->threshold : 0,
        .health =
            checked ? API_WORKSPACE_APP_HEALTH_INITIALIZING : API_WORKSPACE_APP_HEALTH_DISABLED,
        .display_order = app->order,
        .display_group = str(app->group),
        .hidden = app->hidden,
        .open_in = one_of(app->open_in, open_in),
        .tooltip = str(app->tooltip),
    };
    if (store_app_insert(s->db, s->a, &row, NULL, s->err) != CM_OK)
        return s->err->code == CM_CONFLICT
                   ? cm_err_set(s->err, CM_INVALID,
                                "two applications of one agent have the slug \"%s\"", app->slug)
                   : s->err->code;
    return CM_OK;
}

static enum cm_code store_script(struct sink *s, struct cm_uuid agent_id,
                                 const Coder__Provisioner__V1__Script *sc)
{
    struct api_workspace_agent_log_source *source = NULL;
    struct cm_uuid source_id = cm_uuid_random();
    if (store_log_source_set(s->db, s->a, agent_id, source_id, str(sc->display_name), str(sc->icon),
                             &source, s->err) != CM_OK)
        return s->err->code;
    struct store_script_insert_args row = {.id = cm_uuid_random(),
                                           .agent_id = agent_id,
                                           .log_source_id = source_id,
                                           .log_path = str(sc->log_path),
                                           .display_name = str(sc->display_name),
                                           .script = str(sc->script),
                                           .cron = str(sc->cron),
                                           .start_blocks_login = sc->start_blocks_login,
                                           .run_on_start = sc->run_on_start,
                                           .run_on_stop = sc->run_on_stop,
                                           .timeout_seconds = sc->timeout_seconds};
    return store_script_insert(s->db, s->a, &row, NULL, s->err);
}

static enum cm_code store_metadata(struct sink *s, struct cm_uuid agent_id,
                                   const Coder__Provisioner__V1__Agent *ag)
{
    size_t n = ag->n_metadata;
    if (!n)
        return CM_OK;
    struct cm_str *keys = CM_NEW_ARRAY(s->a, struct cm_str, n),
                  *names = CM_NEW_ARRAY(s->a, struct cm_str, n);
    struct cm_str *scripts = CM_NEW_ARRAY(s->a, struct cm_str, n);
    int64_t *intervals = CM_NEW_ARRAY(s->a, int64_t, n), *timeouts = CM_NEW_ARRAY(s->a, int64_t, n);
    int64_t *orders = CM_NEW_ARRAY(s->a, int64_t, n);
    for (size_t i = 0; i < n; i++) {
        const Coder__Provisioner__V1__AgentMetadata *m = ag->metadata[i];
        keys[i] = cm_str(m->key);
        names[i] = str(m->display_name);
        scripts[i] = str(m->script);
        intervals[i] = m->interval;
        timeouts[i] = m->timeout;
        orders[i] = m->order;
    }
    struct store_agent_metadata_insert_args row = {.agent_id = agent_id,
                                                   .keys = keys,
                                                   .n_keys = n,
                                                   .display_names = names,
                                                   .n_display_names = n,
                                                   .scripts = scripts,
                                                   .n_scripts = n,
                                                   .intervals = intervals,
                                                   .n_intervals = n,
                                                   .timeouts = timeouts,
                                                   .n_timeouts = n,
                                                   .orders = orders,
                                                   .n_orders = n};
    return store_agent_metadata_insert(s->db, s->a, &row, NULL, s->err);
}

static enum cm_code store_agent(struct sink *s, struct cm_uuid resource_id,
                                const Coder__Provisioner__V1__Agent *ag)
{
    static const char *const behaviours[] = {"non-blocking", "blocking", NULL};
    static const char *const key_scopes[] = {"all", "no_user_data", NULL};
    struct cm_uuid id = cm_uuid_random();
    uint8_t hash[32];
    bool has_token = ag->token && ag->token[0];
    if (has_token)
        auth_sha256(cm_str(ag->token), hash);
    struct cm_pair *env = CM_NEW_ARRAY(s->a, struct cm_pair, ag->n_env);
    for (size_t i = 0; i < ag->n_env; i++)
        env[i] = (struct cm_pair){cm_str(ag->env[i]->name), str(ag->env[i]->value)};
    struct cm_str *display = CM_NEW_ARRAY(s->a, struct cm_str, ag->n_display_apps);
    for (size_t i = 0; i < ag->n_display_apps; i++)
        display[i] = cm_str(ag->display_apps[i]);
    struct store_agent_insert_args row = {
        .id = id,
        .resource_id = resource_id,
        .name = cm_str(ag->name),
        .hashed_token = has_token ? cm_str_n(hash, sizeof(hash)) : CM_STR(""),
        .instance_id = str(ag->instance_id),
        .architecture = str(ag->architecture),
        .operating_system = str(ag->operating_system),
        .environment_variables = env,
        .n_environment_variables = ag->n_env,
        .directory = str(ag->directory),
        .motd_file = str(ag->motd_file),
        .display_apps = display,
        .n_display_apps = ag->n_display_apps,
        .connection_timeout_seconds = ag->connection_timeout_seconds,
        .troubleshooting_url = str(ag->troubleshooting_url),
        .startup_script_behavior = one_of(ag->startup_script_behavior, behaviours),
        .api_key_scope = one_of(ag->api_key_scope, key_scopes),
        .resources_monitoring =
            ag->resources_monitoring_json ? cm_str(ag->resources_monitoring_json) : CM_STR("{}"),
        .display_order = ag->order,
    };
    if (store_agent_insert(s->db, s->a, &row, NULL, s->err) != CM_OK ||
        store_metadata(s, id, ag) != CM_OK)
        return cm_err_wrap(s->err, "agent \"%s\"", ag->name);
    for (size_t i = 0; i < ag->n_apps; i++) {
        if (store_app(s, id, ag->apps[i]) != CM_OK)
            return cm_err_wrap(s->err, "application \"%s\"", ag->apps[i]->slug);
    }
    for (size_t i = 0; i < ag->n_scripts; i++) {
        if (store_script(s, id, ag->scripts[i]) != CM_OK)
            return cm_err_wrap(s->err, "script of agent \"%s\"", ag->name);
    }
    return CM_OK;
}

static enum cm_code store_resource(struct sink *s, enum api_workspace_transition transition,
                                   const Coder__Provisioner__V1__Resource *r)
{
    struct store_resource_insert_args row = {.id = cm_uuid_random(),
                                             .job_id = s->job_id,
                                             .transition = transition,
                                             .type = cm_str(r->type),
                                             .name = cm_str(r->name),
                                             .hide = r->hide,
                                             .icon = str(r->icon),
                                             .instance_type = str(r->instance_type),
                                             .module_path = str(r->module_path),
                                             .daily_cost = r->daily_cost};
    if (store_resource_insert(s->db, s->a, &row, NULL, s->err) != CM_OK)
        return s->err->code;
    size_t n = r->n_metadata;
    struct cm_str *keys = CM_NEW_ARRAY(s->a, struct cm_str, n),
                  *values = CM_NEW_ARRAY(s->a, struct cm_str, n);
    bool *sensitive = CM_NEW_ARRAY(s->a, bool, n);
    for (size_t i = 0; i < n; i++) {
        keys[i] = cm_str(r->metadata[i]->key);
        values[i] = str(r->metadata[i]->value);
        sensitive[i] = r->metadata[i]->sensitive;
    }
    if (n && store_resource_metadata_insert(s->db, s->a, row.id, keys, n, values, n, sensitive, n,
                                            NULL, s->err) != CM_OK)
        return s->err->code;
    for (size_t i = 0; i < r->n_agents; i++) {
        if (store_agent(s, row.id, r->agents[i]) != CM_OK)
            return s->err->code;
    }
    return CM_OK;
}

static enum cm_code store_resources(struct sink *s, enum api_workspace_transition transition,
                                    Coder__Provisioner__V1__Resource **list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (store_resource(s, transition, list[i]) != CM_OK)
            return cm_err_wrap(s->err, "resource %s.%s", list[i]->type, list[i]->name);
    }
    return CM_OK;
}

static struct cm_str options_json(struct cm_arena *a, const Coder__Provisioner__V1__Parameter *p)
{
    struct api_template_version_parameter_option *o =
        CM_NEW_ARRAY(a, struct api_template_version_parameter_option, p->n_options);
    for (size_t i = 0; i < p->n_options; i++) {
        o[i].name = cm_str(p->options[i]->name);
        o[i].description = str(p->options[i]->description);
        o[i].value = str(p->options[i]->value);
        o[i].icon = str(p->options[i]->icon);
    }
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT((size_t)1024 * 1024);
    cm_json_encode_list(&b, &api_template_version_parameter_option_msg, o, p->n_options);
    return cm_arena_str(a, cm_buf_view(&b));
}

static enum cm_code store_parameter(struct sink *s, struct cm_uuid version_id,
                                    const Coder__Provisioner__V1__Parameter *p)
{
    static const char *const types[] = {"string", "number", "bool", "list(string)", NULL};
    static const char *const monotonic[] = {"", "increasing", "decreasing", NULL};
    struct store_template_version_parameter_insert_args row = {
        .template_version_id = version_id,
        .name = cm_str(p->name),
        .display_name = str(p->display_name),
        .description = str(p->description),
        .type = one_of(p->type, types),
        .form_type = str(p->form_type),
        .mutable = p->mutable_,
        .default_value = str(p->default_value),
        .icon = str(p->icon),
        .options = options_json(s->a, p),
        .validation_error = str(p->validation_error),
        .validation_regex = str(p->validation_regex),
        .validation_min = p->has_validation_min ? &p->validation_min : NULL,
        .validation_max = p->has_validation_max ? &p->validation_max : NULL,
        .validation_monotonic = one_of(p->validation_monotonic, monotonic),
        .required = p->required,
        .ephemeral = p->ephemeral,
        .display_order = p->order, /* 0 when the template gives none */
    };
    enum cm_code code = store_template_version_parameter_insert(s->db, s->a, &row, NULL, s->err);
    if (code == CM_CONFLICT)
        return cm_err_set(s->err, CM_INVALID, "two parameters have the name \"%s\"", p->name);
    return code;
}

static enum cm_code store_preset(struct sink *s, struct cm_uuid version_id,
                                 const Coder__Provisioner__V1__Preset *p)
{
    struct cm_pair *pairs = CM_NEW_ARRAY(s->a, struct cm_pair, p->n_parameters);
    for (size_t i = 0; i < p->n_parameters; i++)
        pairs[i] = (struct cm_pair){cm_str(p->parameters[i]->name), str(p->parameters[i]->value)};
    struct store_preset_insert_args row = {
        .id = cm_uuid_random(),
        .template_version_id = version_id,
        .name = cm_str(p->name),
        .description = str(p->description),
        .icon = str(p->icon),
        .is_default = p->is_default,
        .prebuild_instances = p->has_prebuild_instances ? &p->prebuild_instances : NULL,
        .parameters = pairs,
        .n_parameters = p->n_parameters};
    return store_preset_insert(s->db, s->a, &row, NULL, s->err);
}

/* The archive of modules that the daemon has uploaded, as a file like others; the same content is
 * kept once for each user. */
static enum cm_code store_modules(struct sink *s, struct cm_uuid owner_id, struct cm_uuid *ret,
                                  bool *ret_has)
{
    struct cm_str *data = NULL;
    struct store_file *old = NULL;
    int64_t size = 0;
    uint8_t sum[32];
    *ret_has = false;
    if (store_job_upload_size(s->db, s->a, s->job_id, CM_STR("modules"), &size, s->err) != CM_OK ||
        store_job_upload_get(s->db, s->a, s->job_id, CM_STR("modules"), &data, s->err) != CM_OK)
        return s->err->code;
    if (!data || !data->len || (int64_t)data->len != size)
        return CM_OK;
    auth_sha256(*data, sum);
    CM_AUTOBUF struct cm_buf hex = CM_BUF_INIT(64);
    cm_hex_encode(&hex, sum, sizeof(sum));
    if (store_file_by_hash(s->db, s->a, cm_buf_view(&hex), owner_id, &old, s->err) != CM_OK)
        return s->err->code;
    *ret = old ? old->id : cm_uuid_random();
    *ret_has = true;
    if (old)
        return CM_OK;
    if (store_file_insert(s->db, s->a, *ret, cm_buf_view(&hex), owner_id,
                          CM_STR("application/x-tar"), size, NULL, s->err) != CM_OK)
        return s->err->code;
    for (size_t at = 0, n = 0; at < data->len; at += MODULES_PIECE, n++) {
        if (store_file_chunk_insert(s->db, s->a, *ret, (int64_t)n,
                                    cm_str_sub(*data, at, MODULES_PIECE), NULL, s->err) != CM_OK)
            return s->err->code;
    }
    return store_job_upload_drop(s->db, s->a, s->job_id, CM_STR("modules"), NULL, s->err);
}

/* No site is connected for credentials yet: a template that cannot do without would be built with
 * empty ones. */
static enum cm_code check_external_auth(struct sink *s,
                                        const Coder__Provisioner__V1__CompleteRequest *q)
{
    for (size_t i = 0; i < q->n_external_auth_ids; i++) {
        bool optional = false;
        for (size_t k = 0; k < q->n_optional_external_auth_ids && !optional; k++)
            optional = strcmp(q->external_auth_ids[i], q->optional_external_auth_ids[k]) == 0;
        if (!optional)
            return cm_err_set(s->err, CM_INVALID,
                              "external auth provider \"%s\" is not configured; a template that "
                              "can do without says optional = true in its coder_external_auth",
                              q->external_auth_ids[i]);
    }
    return CM_OK;
}

static enum cm_code store_import(struct sink *s, struct cm_uuid version_id,
                                 struct cm_uuid initiator_id,
                                 const Coder__Provisioner__V1__CompleteRequest *q)
{
    if (check_external_auth(s, q) != CM_OK)
        return s->err->code;
    for (size_t i = 0; i < q->n_parameters; i++) {
        if (store_parameter(s, version_id, q->parameters[i]) != CM_OK)
            return s->err->code;
    }
    for (size_t i = 0; i < q->n_presets; i++) {
        if (store_preset(s, version_id, q->presets[i]) != CM_OK)
            return s->err->code;
    }
    struct cm_str *auth = CM_NEW_ARRAY(s->a, struct cm_str, q->n_external_auth_ids);
    for (size_t i = 0; i < q->n_external_auth_ids; i++)
        auth[i] = cm_str(q->external_auth_ids[i]);
    struct cm_pair *modules = CM_NEW_ARRAY(s->a, struct cm_pair, q->n_modules);
    for (size_t i = 0; i < q->n_modules; i++)
        modules[i] = (struct cm_pair){cm_str(q->modules[i]->name), str(q->modules[i]->value)};
    struct cm_uuid modules_file;
    bool has_modules = false;
    if (store_modules(s, initiator_id, &modules_file, &has_modules) != CM_OK ||
        store_template_version_set_import(
            s->db, s->a, version_id, auth, q->n_external_auth_ids, q->has_external_agent, modules,
            q->n_modules, has_modules ? &modules_file : NULL, NULL, s->err) != CM_OK ||
        store_resources(s, API_WORKSPACE_TRANSITION_START, q->resources, q->n_resources) != CM_OK)
        return s->err->code;
    return store_resources(s, API_WORKSPACE_TRANSITION_STOP, q->stop_resources,
                           q->n_stop_resources);
}

static enum cm_code store_timings(struct sink *s, const Coder__Provisioner__V1__CompleteRequest *q)
{
    static const char *const stages[] = {"plan", "init", "graph", "apply", NULL};
    size_t n = q->n_timings;
    if (!n)
        return CM_OK;
    struct cm_time *from = CM_NEW_ARRAY(s->a, struct cm_time, n),
                   *to = CM_NEW_ARRAY(s->a, struct cm_time, n);
    struct cm_str *stage = CM_NEW_ARRAY(s->a, struct cm_str, n),
                  *source = CM_NEW_ARRAY(s->a, struct cm_str, n);
    struct cm_str *action = CM_NEW_ARRAY(s->a, struct cm_str, n),
                  *res = CM_NEW_ARRAY(s->a, struct cm_str, n);
    for (size_t i = 0; i < n; i++) {
        from[i].us = q->timings[i]->started_at_us;
        to[i].us = q->timings[i]->ended_at_us;
        stage[i] = one_of(q->timings[i]->stage, stages);
        source[i] = cm_str(q->timings[i]->source);
        action[i] = cm_str(q->timings[i]->action);
        res[i] = cm_str(q->timings[i]->resource);
    }
    struct store_job_timings_insert_args row = {.job_id = s->job_id,
                                                .started_at = from,
                                                .n_started_at = n,
                                                .ended_at = to,
                                                .n_ended_at = n,
                                                .stages = stage,
                                                .n_stages = n,
                                                .sources = source,
                                                .n_sources = n,
                                                .actions = action,
                                                .n_actions = n,
                                                .resources = res,
                                                .n_resources = n};
    return store_job_timings_insert(s->db, s->a, &row, NULL, s->err);
}

static enum cm_code store_build_result(struct sink *s, struct cm_uuid build_id, bool succeeded,
                                       const Coder__Provisioner__V1__CompleteRequest *q)
{
    struct store_build *b = NULL;
    /* The state was taken when the last part of it arrived: what is left of uploads is incomplete.
     */
    if (store_build_by_id(s->db, s->a, build_id, &b, s->err) != CM_OK ||
        store_job_upload_drop(s->db, s->a, s->job_id, CM_STR("state"), NULL, s->err) != CM_OK ||
        store_resources(s, b->transition, q->resources, q->n_resources) != CM_OK ||
        store_build_set_cost(s->db, s->a, build_id, q->daily_cost, q->has_external_agent, NULL,
                             s->err) != CM_OK)
        return s->err->code;
    if (succeeded && b->transition == API_WORKSPACE_TRANSITION_DELETE)
        return store_workspace_delete(s->db, s->a, b->workspace_id, NULL, s->err);
    if (succeeded && b->transition == API_WORKSPACE_TRANSITION_START)
        return store_build_begin_deadline(s->db, s->a, build_id, NULL, s->err);
    return CM_OK;
}

enum cm_code job_store_result(struct cm_db *db, struct cm_arena *a, const struct store_job *job,
                              const Coder__Provisioner__V1__CompleteRequest *q, struct cm_err *err)
{
    struct sink s = {db, a, job->id, err};
    struct job_input in = job_input_parse(a, job->input);
    bool succeeded = q->outcome == CODER__PROVISIONER__V1__COMPLETE_REQUEST__OUTCOME__SUCCEEDED;
    if (store_timings(&s, q) != CM_OK)
        return err->code;
    switch (job->type) {
    case API_PROVISIONER_JOB_TYPE_TEMPLATE_VERSION_IMPORT:
        return succeeded ? store_import(&s, in.template_version_id, job->initiator_id, q) : CM_OK;
    case API_PROVISIONER_JOB_TYPE_TEMPLATE_VERSION_DRY_RUN:
        return succeeded ? store_resources(&s, API_WORKSPACE_TRANSITION_START, q->resources,
                                           q->n_resources)
                         : CM_OK;
    case API_PROVISIONER_JOB_TYPE_WORKSPACE_BUILD:
        return store_build_result(&s, in.workspace_build_id, succeeded, q);
    case API_PROVISIONER_JOB_TYPE_UNSET:
        break;
    }
    return cm_err_set(err, CM_INTERNAL, "a job of unknown type");
}
