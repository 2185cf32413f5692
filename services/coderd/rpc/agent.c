/* What agents ask and tell. Each method touches only the caller's own rows: the id comes from its
 * ticket. */
#include "rpc/rpc.h"

#include "agent.pb-c.h"
#include "api/agents.h"
#include "api/job_show.h"
#include "app.h"
#include "keyring.h"
#include "background/hub.h"
#include "options.h"
#include "store/agents.h"
#include "store/schedule.h"
#include "store/workspaces.h"

#define LOGS_MAX       ((int64_t)1024 * 1024)
#define LINES_MAX      4096
#define METADATA_VALUE ((size_t)2048)
#define STATS_INTERVAL (5 * CM_MINUTE)

static struct cm_db *db_of(const struct cm_rpc_request *rq)
{
    return ((struct worker *)rq->thread_ctx)->db;
}

static char *text(struct cm_arena *a, struct cm_str s)
{
    return cm_arena_cstr(a, s);
}

static enum cm_code notify_workspace(struct cm_rpc_request *rq, struct cm_err *err)
{
    struct store_workspace *ws = NULL;
    enum cm_code code =
        store_workspace_by_agent(db_of(rq), rq->arena, rq->who->subject_id, &ws, err);
    if (code != CM_OK)
        return code == CM_NOT_FOUND ? CM_OK : code;
    return hub_notify(db_of(rq), err, TOPIC_WS_FMT, cm_uuid_text(ws->id).s);
}

static void add_scripts(struct cm_rpc_request *rq, const struct store_script *s, size_t n,
                        Coder__Agent__V1__Manifest *m)
{
    m->scripts = CM_NEW_ARRAY(rq->arena, Coder__Agent__V1__Script *, n);
    m->n_scripts = n;
    for (size_t i = 0; i < n; i++) {
        Coder__Agent__V1__Script *out = CM_NEW(rq->arena, Coder__Agent__V1__Script);
        coder__agent__v1__script__init(out);
        out->id = cm_rpc_uuid(rq->arena, s[i].id);
        out->log_source_id = cm_rpc_uuid(rq->arena, s[i].log_source_id);
        out->display_name = text(rq->arena, s[i].display_name);
        out->log_path = text(rq->arena, s[i].log_path);
        out->script = text(rq->arena, s[i].script);
        out->cron = text(rq->arena, s[i].cron);
        out->has_run_on_start = out->has_run_on_stop = out->has_start_blocks_login =
            out->has_timeout_us = true;
        out->run_on_start = s[i].run_on_start;
        out->run_on_stop = s[i].run_on_stop;
        out->start_blocks_login = s[i].start_blocks_login;
        out->timeout_us = s[i].timeout_seconds * CM_SECOND;
        m->scripts[i] = out;
    }
}

static void add_apps(struct cm_rpc_request *rq, const struct store_app *s, size_t n,
                     Coder__Agent__V1__Manifest *m)
{
    m->apps = CM_NEW_ARRAY(rq->arena, Coder__Agent__V1__App *, n);
    m->n_apps = n;
    for (size_t i = 0; i < n; i++) {
        Coder__Agent__V1__App *out = CM_NEW(rq->arena, Coder__Agent__V1__App);
        coder__agent__v1__app__init(out);
        out->id = cm_rpc_uuid(rq->arena, s[i].id);
        out->slug = text(rq->arena, s[i].slug);
        out->health_url = text(rq->arena, s[i].healthcheck_url);
        out->has_health_interval_us = out->has_health_threshold = true;
        out->health_interval_us = s[i].healthcheck_interval * CM_SECOND;
        out->health_threshold = (int32_t)s[i].healthcheck_threshold;
        m->apps[i] = out;
    }
}

static void add_metadata(struct cm_rpc_request *rq, const struct store_agent_metadata_row *s,
                         size_t n, Coder__Agent__V1__Manifest *m)
{
    m->metadata = CM_NEW_ARRAY(rq->arena, Coder__Agent__V1__MetadataDescription *, n);
    m->n_metadata = n;
    for (size_t i = 0; i < n; i++) {
        Coder__Agent__V1__MetadataDescription *out =
            CM_NEW(rq->arena, Coder__Agent__V1__MetadataDescription);
        coder__agent__v1__metadata_description__init(out);
        out->key = text(rq->arena, s[i].key);
        out->display_name = text(rq->arena, s[i].display_name);
        out->script = text(rq->arena, s[i].script);
        out->has_interval_us = out->has_timeout_us = true;
        out->interval_us = s[i].interval_seconds * CM_SECOND;
        out->timeout_us = s[i].timeout_seconds * CM_SECOND;
        m->metadata[i] = out;
    }
}

/* https://{{port}}--agent--workspace--owner.example.com, or empty without a wildcard host. */
static char *port_proxy_uri(struct cm_rpc_request *rq, const struct coderd *app,
                            const struct store_agent *ag, const struct store_workspace *ws)
{
    const char *wildcard = app->opt->wildcard_access_url;
    if (wildcard[0] != '*')
        return text(rq->arena, CM_STR(""));
    struct cm_str scheme;
    cm_ignore(cm_str_split(cm_str(app->access_url), ':', &scheme).len == 0,
              "only the scheme is wanted");
    return cm_arena_printf(rq->arena, "%.*s://{{port}}--%.*s--%.*s--%.*s%s", CM_STR_ARG(scheme),
                           CM_STR_ARG(ag->name), CM_STR_ARG(ws->name),
                           CM_STR_ARG(ws->owner_username), wildcard + 1);
}

static void add_ticket_keys(struct cm_rpc_request *rq, struct keyring *k,
                            Coder__Agent__V1__Manifest *m)
{
    struct cm_ticket_public keys[CM_TICKET_KEYS_MAX];
    m->n_ticket_keys = keyring_publics(k, keys);
    m->ticket_keys = CM_NEW_ARRAY(rq->arena, ProtobufCBinaryData, m->n_ticket_keys);
    for (size_t i = 0; i < m->n_ticket_keys; i++)
        m->ticket_keys[i] = cm_rpc_bytes(rq->arena, cm_str_n(keys[i].key, sizeof(keys[i].key)));
}

static enum cm_code manifest(struct cm_rpc_request *rq, const void *request, void *reply,
                             struct cm_err *err)
{
    (void)request;
    struct coderd *app = rq->app;
    Coder__Agent__V1__Manifest *m = reply;
    struct cm_uuid id = rq->who->subject_id;
    struct store_agent *ag = NULL;
    struct store_workspace *ws = NULL;
    struct store_script *scripts = NULL;
    struct store_app *apps = NULL;
    struct store_agent_metadata_row *metadata = NULL;
    size_t n_scripts = 0, n_apps = 0, n_metadata = 0;
    struct cm_db_batch *b = cm_db_batch_new(rq->arena);
    store_agent_by_id_batch(b, id, &ag);
    store_workspace_by_agent_batch(b, id, &ws);
    store_scripts_by_agent_batch(b, id, &scripts, &n_scripts);
    store_apps_by_agent_batch(b, id, &apps, &n_apps);
    store_agent_metadata_batch(b, id, &metadata, &n_metadata);
    if (cm_db_batch_run(b, db_of(rq), err) != CM_OK)
        return err->code;
    if (!ag || !ws)
        return cm_err_set(err, CM_UNAUTHENTICATED, "the agent's workspace is gone");
    m->agent_id = cm_rpc_uuid(rq->arena, ag->id);
    m->agent_name = text(rq->arena, ag->name);
    m->owner_name = text(rq->arena, ws->owner_username);
    m->workspace_id = cm_rpc_uuid(rq->arena, ws->id);
    m->workspace_name = text(rq->arena, ws->name);
    m->access_url = text(rq->arena, cm_str(app->access_url));
    m->directory = text(rq->arena, ag->directory);
    m->motd_file = text(rq->arena, ag->motd_file);
    m->vscode_port_proxy_uri = port_proxy_uri(rq, app, ag, ws);
    m->has_owner_id = true;
    m->owner_id = cm_rpc_uuid(rq->arena, ws->owner_id);
    m->environment =
        CM_NEW_ARRAY(rq->arena, Coder__Agent__V1__EnvVar *, ag->n_environment_variables);
    m->n_environment = ag->n_environment_variables;
    for (size_t i = 0; i < ag->n_environment_variables; i++) {
        m->environment[i] = CM_NEW(rq->arena, Coder__Agent__V1__EnvVar);
        coder__agent__v1__env_var__init(m->environment[i]);
        m->environment[i]->name = text(rq->arena, ag->environment_variables[i].key);
        m->environment[i]->value = text(rq->arena, ag->environment_variables[i].value);
    }
    add_ticket_keys(rq, app->keyring, m);
    add_scripts(rq, scripts, n_scripts, m);
    add_apps(rq, apps, n_apps, m);
    add_metadata(rq, metadata, n_metadata, m);
    return CM_OK;
}

/* Marks the agent alive; watchers hear of it when it was not before. */
static enum cm_code alive(struct cm_rpc_request *rq, struct cm_err *err)
{
    struct cm_uuid *changed = NULL;
    size_t n = 0;
    if (store_agents_alive(db_of(rq), rq->arena, &rq->who->subject_id, 1, cm_time_now(), &changed,
                           &n, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        if (!cm_uuid_is_nil(changed[i]))
            return notify_workspace(rq, err);
    }
    return CM_OK;
}

static enum cm_code startup(struct cm_rpc_request *rq, const void *request, void *reply,
                            struct cm_err *err)
{
    (void)reply;
    const Coder__Agent__V1__StartupRequest *q = request;
    struct cm_str *subsystems = CM_NEW_ARRAY(rq->arena, struct cm_str, q->n_subsystems);
    for (size_t i = 0; i < q->n_subsystems; i++)
        subsystems[i] = cm_str(q->subsystems[i]);
    struct cm_str sum = cm_rpc_str(q->session_cert_sha256);
    if (sum.len != CM_SHA256_LEN)
        return cm_err_set(err, CM_INVALID, "session_cert_sha256 must have %d bytes", CM_SHA256_LEN);
    if (store_agent_set_startup(db_of(rq), rq->arena, rq->who->subject_id, cm_str(q->version),
                                CM_STR("1.0"),
                                cm_str(q->expanded_directory ? q->expanded_directory : ""),
                                subsystems, q->n_subsystems, sum, NULL, err) != CM_OK)
        return err->code;
    return alive(rq, err);
}

static enum cm_code ping(struct cm_rpc_request *rq, const void *request, void *reply,
                         struct cm_err *err)
{
    (void)request;
    Coder__Agent__V1__PingReply *out = reply;
    bool current = false;
    if (alive(rq, err) != CM_OK ||
        store_agent_current(db_of(rq), rq->arena, rq->who->subject_id, &current, err) != CM_OK)
        return err->code;
    out->has_outdated = true;
    out->outdated = !current;
    return CM_OK;
}

static enum cm_code lifecycle(struct cm_rpc_request *rq, const void *request, void *reply,
                              struct cm_err *err)
{
    (void)reply;
    const Coder__Agent__V1__LifecycleRequest *q = request;
    static const enum api_workspace_agent_lifecycle states[] = {
        [CODER__AGENT__V1__LIFECYCLE_STATE__CREATED] = API_WORKSPACE_AGENT_LIFECYCLE_CREATED,
        [CODER__AGENT__V1__LIFECYCLE_STATE__STARTING] = API_WORKSPACE_AGENT_LIFECYCLE_STARTING,
        [CODER__AGENT__V1__LIFECYCLE_STATE__START_TIMEOUT] =
            API_WORKSPACE_AGENT_LIFECYCLE_START_TIMEOUT,
        [CODER__AGENT__V1__LIFECYCLE_STATE__START_ERROR] =
            API_WORKSPACE_AGENT_LIFECYCLE_START_ERROR,
        [CODER__AGENT__V1__LIFECYCLE_STATE__READY] = API_WORKSPACE_AGENT_LIFECYCLE_READY,
        [CODER__AGENT__V1__LIFECYCLE_STATE__SHUTTING_DOWN] =
            API_WORKSPACE_AGENT_LIFECYCLE_SHUTTING_DOWN,
        [CODER__AGENT__V1__LIFECYCLE_STATE__SHUTDOWN_TIMEOUT] =
            API_WORKSPACE_AGENT_LIFECYCLE_SHUTDOWN_TIMEOUT,
        [CODER__AGENT__V1__LIFECYCLE_STATE__SHUTDOWN_ERROR] =
            API_WORKSPACE_AGENT_LIFECYCLE_SHUTDOWN_ERROR,
        [CODER__AGENT__V1__LIFECYCLE_STATE__OFF] = API_WORKSPACE_AGENT_LIFECYCLE_OFF,
    };
    if ((size_t)q->state >= CM_COUNT_OF(states) || !states[q->state])
        return cm_err_set(err, CM_INVALID, "lifecycle state %d is unknown", (int)q->state);
    if (store_agent_set_lifecycle(db_of(rq), rq->arena, rq->who->subject_id, states[q->state],
                                  (struct cm_time){q->changed_at_us}, NULL, err) != CM_OK)
        return err->code;
    return notify_workspace(rq, err);
}

static bool is_level(const char *s)
{
    static const char *const levels[] = {"trace", "debug", "info", "warn", "error"};
    for (size_t i = 0; i < CM_COUNT_OF(levels); i++) {
        if (strcmp(s, levels[i]) == 0)
            return true;
    }
    return false;
}

static enum cm_code logs(struct cm_rpc_request *rq, const void *request, void *reply,
                         struct cm_err *err)
{
    const Coder__Agent__V1__LogsRequest *q = request;
    Coder__Agent__V1__LogsReply *out = reply;
    struct cm_uuid source;
    if (!cm_rpc_get_uuid(q->log_source_id, &source) || q->n_lines > LINES_MAX)
        return cm_err_set(err, CM_INVALID, "a log batch needs a source id and at most %d lines",
                          LINES_MAX);
    struct cm_time *times = CM_NEW_ARRAY(rq->arena, struct cm_time, q->n_lines);
    struct cm_str *levels = CM_NEW_ARRAY(rq->arena, struct cm_str, q->n_lines);
    struct cm_str *outputs = CM_NEW_ARRAY(rq->arena, struct cm_str, q->n_lines);
    for (size_t i = 0; i < q->n_lines; i++) {
        times[i].us = q->lines[i]->created_at_us;
        levels[i] = is_level(q->lines[i]->level) ? cm_str(q->lines[i]->level) : CM_STR("info");
        outputs[i] = cm_str(q->lines[i]->output);
        if (!cm_str_is_utf8(outputs[i]))
            outputs[i] = CM_STR("(a line that is not UTF-8)");
    }
    struct store_agent_logs_append_args row = {.agent_id = rq->who->subject_id,
                                               .log_source_id = source,
                                               .first_seq = (int64_t)q->first_seq,
                                               .max_bytes = LOGS_MAX,
                                               .times = times,
                                               .n_times = q->n_lines,
                                               .levels = levels,
                                               .n_levels = q->n_lines,
                                               .outputs = outputs,
                                               .n_outputs = q->n_lines};
    struct store_logs_state *state = NULL;
    if (store_agent_logs_append(db_of(rq), rq->arena, &row, &state, err) != CM_OK ||
        hub_notify(db_of(rq), err, TOPIC_AGENT_LOGS, cm_uuid_text(rq->who->subject_id).s) != CM_OK)
        return err->code;
    out->has_overflowed = true;
    out->overflowed = !state || state->overflowed;
    return CM_OK;
}

static enum cm_code script_timing(struct cm_rpc_request *rq, const void *request, void *reply,
                                  struct cm_err *err)
{
    (void)reply;
    const Coder__Agent__V1__ScriptTimingRequest *q = request;
    struct cm_uuid script;
    if (!cm_rpc_get_uuid(q->script_id, &script))
        return cm_err_set(err, CM_INVALID, "script_id must have 16 bytes");
    struct store_script_timing_insert_args row = {.agent_id = rq->who->subject_id,
                                                  .script_id = script,
                                                  .started_at = {q->started_at_us},
                                                  .ended_at = {q->ended_at_us},
                                                  .exit_code = q->exit_code,
                                                  .stage = cm_str(q->stage),
                                                  .status = cm_str(q->status)};
    return store_script_timing_insert(db_of(rq), rq->arena, &row, NULL, err);
}

static enum cm_code metadata(struct cm_rpc_request *rq, const void *request, void *reply,
                             struct cm_err *err)
{
    (void)reply;
    const Coder__Agent__V1__MetadataRequest *q = request;
    size_t n = q->n_results;
    struct cm_uuid *agents = CM_NEW_ARRAY(rq->arena, struct cm_uuid, n);
    struct cm_str *keys = CM_NEW_ARRAY(rq->arena, struct cm_str, n);
    struct cm_str *values = CM_NEW_ARRAY(rq->arena, struct cm_str, n);
    struct cm_str *errors = CM_NEW_ARRAY(rq->arena, struct cm_str, n);
    struct cm_time *times = CM_NEW_ARRAY(rq->arena, struct cm_time, n);
    for (size_t i = 0; i < n; i++) {
        const Coder__Agent__V1__MetadataResult *m = q->results[i];
        agents[i] = rq->who->subject_id;
        keys[i] = cm_str(m->key);
        values[i] = cm_str_trim(cm_str(m->value ? m->value : ""));
        errors[i] = cm_str(m->error ? m->error : "");
        if (values[i].len > METADATA_VALUE) {
            values[i].len = METADATA_VALUE;
            /* Not in the middle of a character. */
            while (values[i].len && ((unsigned char)values[i].ptr[values[i].len] & 0xc0) == 0x80)
                values[i].len--;
            errors[i] = CM_STR("The value was cut: at most 2048 bytes are kept.");
        }
        if (!cm_str_is_utf8(values[i])) {
            values[i] = CM_STR("");
            errors[i] = CM_STR("The value is not UTF-8.");
        }
        times[i] = cm_time_now();
    }
    return store_agent_metadata_set(db_of(rq), rq->arena, agents, n, keys, n, values, n, errors, n,
                                    times, n, NULL, err);
}

static enum cm_code app_health(struct cm_rpc_request *rq, const void *request, void *reply,
                               struct cm_err *err)
{
    (void)reply;
    const Coder__Agent__V1__AppHealthRequest *q = request;
    struct cm_uuid *ids = CM_NEW_ARRAY(rq->arena, struct cm_uuid, q->n_apps);
    struct cm_str *healths = CM_NEW_ARRAY(rq->arena, struct cm_str, q->n_apps);
    for (size_t i = 0; i < q->n_apps; i++) {
        if (!cm_rpc_get_uuid(q->apps[i]->app_id, &ids[i]))
            return cm_err_set(err, CM_INVALID, "app_id must have 16 bytes");
        healths[i] = cm_str(q->apps[i]->health);
    }
    if (store_apps_set_health(db_of(rq), rq->arena, rq->who->subject_id, ids, q->n_apps, healths,
                              q->n_apps, NULL, err) != CM_OK)
        return err->code;
    return notify_workspace(rq, err);
}

static enum cm_code stats(struct cm_rpc_request *rq, const void *request, void *reply,
                          struct cm_err *err)
{
    const Coder__Agent__V1__StatsRequest *q = request;
    Coder__Agent__V1__StatsReply *out = reply;
    out->has_interval_us = true;
    out->interval_us = STATS_INTERVAL;
    struct store_workspace *ws = NULL;
    enum cm_code code =
        store_workspace_by_agent(db_of(rq), rq->arena, rq->who->subject_id, &ws, err);
    if (code != CM_OK)
        return code == CM_NOT_FOUND ? CM_OK : code;
    struct cm_time now = cm_time_now();
    double latency = q->has_median_latency_ms ? q->median_latency_ms : -1;
    struct store_agent_stats_insert_args row = {.times = &now,
                                                .n_times = 1,
                                                .users = &ws->owner_id,
                                                .n_users = 1,
                                                .workspaces = &ws->id,
                                                .n_workspaces = 1,
                                                .templates = &ws->template_id,
                                                .n_templates = 1,
                                                .agents = &rq->who->subject_id,
                                                .n_agents = 1,
                                                .connections = &q->connection_count,
                                                .n_connections = 1,
                                                .rx_bytes = &q->rx_bytes,
                                                .n_rx_bytes = 1,
                                                .tx_bytes = &q->tx_bytes,
                                                .n_tx_bytes = 1,
                                                .vscode = &q->sessions_vscode,
                                                .n_vscode = 1,
                                                .jetbrains = &q->sessions_jetbrains,
                                                .n_jetbrains = 1,
                                                .reconnecting_pty = &q->sessions_pty,
                                                .n_reconnecting_pty = 1,
                                                .ssh = &q->sessions_ssh,
                                                .n_ssh = 1,
                                                .latency_ms = &latency,
                                                .n_latency_ms = 1};
    if (store_agent_stats_insert(db_of(rq), rq->arena, &row, NULL, err) != CM_OK)
        return err->code;
    if (q->connection_count > 0 &&
        (store_workspaces_used(db_of(rq), rq->arena, &ws->id, 1, now, NULL, err) != CM_OK ||
         store_workspace_bump(db_of(rq), rq->arena, ws->id, NULL, err) != CM_OK))
        return err->code;
    return CM_OK;
}

#define METHOD(name, fn, Q, R)                                                                     \
    {                                                                                              \
        "agent." name, CM_RPC_KIND_BIT(CM_RPC_AGENT), &coder__agent__v1__##Q##__descriptor,        \
            &coder__agent__v1__##R##__descriptor, fn                                               \
    }
const struct cm_rpc_method agent_methods[] = {
    METHOD("Manifest", manifest, manifest_request, manifest),
    METHOD("Startup", startup, startup_request, startup_reply),
    METHOD("Ping", ping, ping_request, ping_reply),
    METHOD("Lifecycle", lifecycle, lifecycle_request, lifecycle_reply),
    METHOD("Logs", logs, logs_request, logs_reply),
    METHOD("ScriptTiming", script_timing, script_timing_request, script_timing_reply),
    METHOD("Metadata", metadata, metadata_request, metadata_reply),
    METHOD("AppHealth", app_health, app_health_request, app_health_reply),
    METHOD("Stats", stats, stats_request, stats_reply),
    {0},
};
