#include "app.h"

#include <signal.h>
#include <unistd.h>

#include "base/version.h"
#include "env/environ.h"
#include "lifecycle.h"
#include "link/services.h"
#include "link/uplink.h"
#include "logs/logs.h"
#include "manifest/manifest.h"
#include "net/dial/dial.h"
#include "net/dial/http_client.h"
#include "net/rpc/client.h"
#include "net/session/session.h"
#include "obs/log.h"
#include "priority.h"
#include "pty/pty.h"
#include "scripts/scripts.h"
#include "ssh/server.h"
#include "stats/apphealth.h"
#include "stats/metadata.h"
#include "stats/stats.h"
#include "sys/fs.h"
#include "sys/signals.h"

#define HEARTBEAT      (15 * CM_SECOND)
#define CALL_TIMEOUT   (30 * CM_SECOND)
#define RETRY_MANIFEST (5 * CM_SECOND)
#define SSH_GRACE      (5 * CM_SECOND)
#define LAST_WORDS     (5 * CM_SECOND)
#define START_WORDS    (5 * CM_SECOND) /* the same, before it says that it has started */
#define API_VERSION    1

enum phase {
    PHASE_CONNECTING, /* no manifest yet */
    PHASE_RUNNING,
    PHASE_CLOSING_SSH,
    PHASE_STOP_SCRIPTS,
    PHASE_LAST_WORDS, /* what is still to be told to coderd */
};

struct app {
    struct agent_context ctx;
    const char *token, *manifest_path;
    struct cm_arena *arena;
    struct cm_loop *loop;
    struct cm_dialer *dialer;
    struct cm_httpc *http;
    struct cm_rpc_client *rpc;
    struct cm_session_identity *identity;
    struct agent_counters counters;
    struct manifest_process process;
    struct manifest *manifest;
    struct lifecycle *lifecycle;
    struct logs *logs;
    struct scripts *scripts;
    struct metadata *metadata;
    struct apphealth *apphealth;
    struct stats *stats;
    struct ssh_server *ssh;
    struct ptys *ptys;
    struct services *services;
    struct cm_session_server *sessions;
    struct uplink *uplink;
    struct cm_sigwatch sigint, sigterm;
    struct cm_timer heartbeat, retry, start_words, last_words;
    Coder__Agent__V1__LifecycleState started_as;
    cm_usec last_words_until;
    enum phase phase;
    bool manifest_asked, introduced, outdated, stop_scripts_ran;
};

/* Manifest. */

static void ask_manifest(struct app *app);

static void use_manifest(struct app *app, struct manifest *m)
{
    struct manifest *old = app->manifest;
    app->manifest = m;
    app->ctx.manifest = m->message;
    app->ctx.environment = m->environment;
    struct cm_ticket_public keys[CM_TICKET_KEYS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < m->message->n_ticket_keys && n < CM_TICKET_KEYS_MAX; i++)
        if (m->message->ticket_keys[i].len == sizeof(keys[n].key))
            memcpy(keys[n++].key, m->message->ticket_keys[i].data, sizeof(keys[n].key));
    cm_session_server_set_keys(app->sessions, keys, n);
    if (!old || !manifest_same(old->message, m->message)) {
        metadata_refresh(app->metadata);
        apphealth_refresh(app->apphealth);
        struct cm_err err;
        if (manifest_save(app->manifest_path, app->token, m->message, &err) != CM_OK)
            CM_WARN("the manifest was not kept: without coderd, stop scripts will not run",
                    CM_F_ERR(&err));
    }
    manifest_free(old);
}

static void on_session_stream(void *ctx, struct cm_tunnel_call *call, enum cm_kind kind,
                              struct cm_str arg, const struct cm_ticket *who)
{
    struct app *app = ctx;
    CM_INFO("a client opens a stream", CM_F_CSTR(kind, cm_kind_name(kind)),
            CM_F_CSTR(user, who->user_name));
    services_accept(app->services, call, kind, arg);
}

static void on_manifest_changed(void *ctx)
{
    ask_manifest(ctx);
}

/* What needs to know which agent we are. */
static enum cm_code make_links(struct app *app, const Coder__Agent__V1__Manifest *m,
                               struct cm_err *err)
{
    struct cm_uuid id;
    if (!cm_rpc_get_uuid(m->agent_id, &id))
        return cm_err_set(err, CM_PROTOCOL, "the manifest names no agent");
    struct cm_session_server_config sessions = {
        .id = app->identity, .agent_id = id, .accept = on_session_stream, .ctx = app};
    app->sessions = cm_session_server_new(app->loop, &sessions);
    struct uplink_config uplink = {
        .ctx = &app->ctx,
        .http = app->http,
        .services = app->services,
        .sessions = app->sessions,
        .token = cm_str(app->token),
        .manifest_changed = on_manifest_changed,
        .cb_ctx = app,
    };
    app->uplink = uplink_new(&uplink);
    return CM_OK;
}

/* Start. */

static void tell_started(void *ctx)
{
    struct app *app = ctx;
    cm_timer_stop(&app->start_words);
    lifecycle_set(app->lifecycle, app->started_as);
}

/* Who sees that the agent is ready finds all that its scripts have said. */
static void on_start_scripts(void *ctx, enum stage_outcome outcome)
{
    struct app *app = ctx;
    static const Coder__Agent__V1__LifecycleState states[] = {
        [STAGE_OK] = CODER__AGENT__V1__LIFECYCLE_STATE__READY,
        [STAGE_ERROR] = CODER__AGENT__V1__LIFECYCLE_STATE__START_ERROR,
        [STAGE_TIMEOUT] = CODER__AGENT__V1__LIFECYCLE_STATE__START_TIMEOUT,
    };
    if (app->phase == PHASE_RUNNING)
        scripts_start_cron(app->scripts);
    app->started_as = states[outcome];
    cm_timer_start(&app->start_words, START_WORDS);
    logs_flush(app->logs);
    logs_when_empty(app->logs, tell_started, app);
}

static void on_introduced(void *ctx, enum cm_code code, const void *reply, const struct cm_err *err)
{
    (void)reply;
    struct app *app = ctx;
    if (code != CM_OK) {
        CM_WARN("coderd does not take our introduction", CM_F_ERR(err));
        cm_timer_start(&app->retry, RETRY_MANIFEST);
        return;
    }
    if (app->phase > PHASE_RUNNING)
        return;
    uplink_start(app->uplink);
    stats_start(app->stats);
}

static void introduce(struct app *app)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct environ_set *env =
        environ_build(a, app->ctx.environment, app->ctx.base_env, NULL, 0, &app->ctx.user);
    const char *home = environ_home(env, &app->ctx.user), *dir = app->ctx.manifest->directory;
    Coder__Agent__V1__StartupRequest q = CODER__AGENT__V1__STARTUP_REQUEST__INIT;
    static char version[] = CM_VERSION;
    char *subsystems[AGENT_SUBSYSTEMS_MAX];
    for (; q.n_subsystems < app->ctx.opt->n_subsystems; q.n_subsystems++)
        subsystems[q.n_subsystems] =
            cm_arena_cstr(a, cm_str(app->ctx.opt->subsystems[q.n_subsystems]));
    uint8_t cert[CM_SHA256_LEN];
    memcpy(cert, cm_session_identity_sha256(app->identity), sizeof(cert));
    q.version = version;
    q.expanded_directory =
        cm_arena_cstr(a, cm_str(dir && *dir ? environ_path(env, a, cm_str(dir), home) : ""));
    q.subsystems = subsystems;
    q.session_cert_sha256 = (ProtobufCBinaryData){.len = sizeof(cert), .data = cert};
    struct cm_rpc_call_opts opts = {.deadline = CALL_TIMEOUT};
    cm_rpc_call(app->rpc, "agent.Startup", &q.base, &coder__agent__v1__startup_reply__descriptor,
                &opts, on_introduced, app);
}

static void on_manifest(void *ctx, enum cm_code code, const void *reply, const struct cm_err *err)
{
    struct app *app = ctx;
    struct cm_err why;
    app->manifest_asked = false;
    if (code == CM_CANCELED)
        return;
    if (code == CM_OK && !app->sessions && make_links(app, reply, &why) != CM_OK) {
        err = &why;
        code = why.code;
    }
    if (code != CM_OK) {
        CM_WARN("no manifest from coderd", CM_F_ERR(err));
        cm_timer_start(&app->retry, RETRY_MANIFEST);
        return;
    }
    use_manifest(app, manifest_new(reply, &app->process));
    introduce(app);
    if (app->phase != PHASE_CONNECTING)
        return;
    app->phase = PHASE_RUNNING;
    CM_INFO("agent is starting", CM_F_CSTR(agent, app->ctx.manifest->agent_name),
            CM_F_CSTR(workspace, app->ctx.manifest->workspace_name));
    lifecycle_set(app->lifecycle, CODER__AGENT__V1__LIFECYCLE_STATE__STARTING);
    scripts_run_stage(app->scripts, STAGE_START, on_start_scripts, app);
}

static void ask_manifest(struct app *app)
{
    if (app->manifest_asked || app->phase > PHASE_RUNNING)
        return;
    app->manifest_asked = true;
    Coder__Agent__V1__ManifestRequest q = CODER__AGENT__V1__MANIFEST_REQUEST__INIT;
    struct cm_rpc_call_opts opts = {.deadline = CALL_TIMEOUT};
    cm_rpc_call(app->rpc, "agent.Manifest", &q.base, &coder__agent__v1__manifest__descriptor, &opts,
                on_manifest, app);
}

static void on_retry(void *ctx)
{
    struct app *app = ctx;
    if (cm_rpc_client_state(app->rpc) == CM_RPC_READY)
        ask_manifest(app);
}

/* Connection. */

static void on_pong(void *ctx, enum cm_code code, const void *reply, const struct cm_err *err)
{
    struct app *app = ctx;
    const Coder__Agent__V1__PingReply *r = reply;
    if (code != CM_OK) {
        CM_DEBUG("no answer to the heartbeat", CM_F_ERR(err));
        return;
    }
    if (r->outdated && !app->outdated)
        CM_WARN("the workspace has a newer build: this agent is no longer its own and will not be "
                "reachable");
    app->outdated = r->outdated;
}

static void on_heartbeat(void *ctx)
{
    struct app *app = ctx;
    if (cm_rpc_client_state(app->rpc) != CM_RPC_READY || !app->manifest)
        return;
    Coder__Agent__V1__PingRequest q = CODER__AGENT__V1__PING_REQUEST__INIT;
    struct cm_rpc_call_opts opts = {.deadline = HEARTBEAT, .once = true};
    cm_rpc_call(app->rpc, "agent.Ping", &q.base, &coder__agent__v1__ping_reply__descriptor, &opts,
                on_pong, app);
}

static void on_rpc_state(void *ctx, enum cm_rpc_state state, const struct cm_err *err)
{
    struct app *app = ctx;
    switch (state) {
    case CM_RPC_READY:
        CM_INFO("connected to coderd");
        ask_manifest(app);
        logs_flush(app->logs);
        break;
    case CM_RPC_OFFLINE:
        CM_WARN("not connected to coderd; trying again", CM_F_ERR(err));
        break;
    case CM_RPC_REFUSED:
        CM_ERROR("coderd refuses this agent", CM_F_ERR(err));
        break;
    }
}

/* Shutdown: each step begins when the one before is done (or its time is over). */

static void on_last_words(void *ctx)
{
    struct app *app = ctx;
    bool told = lifecycle_reported(app->lifecycle) && logs_empty(app->logs);
    if (told || cm_monotonic_now() >= app->last_words_until) {
        cm_loop_stop(app->loop);
        return;
    }
    logs_flush(app->logs);
}

static void on_stop_scripts(void *ctx, enum stage_outcome outcome)
{
    struct app *app = ctx;
    static const Coder__Agent__V1__LifecycleState states[] = {
        [STAGE_OK] = CODER__AGENT__V1__LIFECYCLE_STATE__OFF,
        [STAGE_ERROR] = CODER__AGENT__V1__LIFECYCLE_STATE__SHUTDOWN_ERROR,
        [STAGE_TIMEOUT] = CODER__AGENT__V1__LIFECYCLE_STATE__SHUTDOWN_TIMEOUT,
    };
    lifecycle_set(app->lifecycle, states[outcome]);
    app->phase = PHASE_LAST_WORDS;
    app->last_words_until = cm_monotonic_now() + LAST_WORDS;
    logs_flush(app->logs);
    cm_timer_every(&app->last_words, 20 * CM_MSEC);
}

static void on_ssh_closed(void *ctx)
{
    struct app *app = ctx;
    struct cm_err err;
    app->phase = PHASE_STOP_SCRIPTS;
    cm_timer_stop(&app->heartbeat);
    metadata_free(CM_TAKE(app->metadata));
    apphealth_free(CM_TAKE(app->apphealth));
    stats_free(CM_TAKE(app->stats));
    ptys_free(CM_TAKE(app->ptys));
    if (app->uplink)
        uplink_drain(app->uplink);
    if (!app->manifest && manifest_load(app->manifest_path, app->token, &app->process,
                                        &app->manifest, &err) == CM_OK) {
        CM_INFO("stopping by the manifest kept from before");
        app->ctx.manifest = app->manifest->message;
        app->ctx.environment = app->manifest->environment;
    }
    scripts_run_stage(app->scripts, STAGE_STOP, on_stop_scripts, app);
}

static void on_signal(void *ctx, int signo)
{
    struct app *app = ctx;
    if (app->phase > PHASE_RUNNING) {
        CM_WARN("told twice to end: leaving at once", CM_F_CSTR(signal, cm_signal_name(signo)));
        cm_loop_stop(app->loop);
        return;
    }
    CM_INFO("agent is shutting down", CM_F_CSTR(signal, cm_signal_name(signo)));
    app->phase = PHASE_CLOSING_SSH;
    cm_timer_stop(&app->retry);
    scripts_stop_cron(app->scripts);
    lifecycle_set(app->lifecycle, CODER__AGENT__V1__LIFECYCLE_STATE__SHUTTING_DOWN);
    ssh_server_stop(app->ssh, SSH_GRACE, on_ssh_closed, app);
}

/* Making and unmaking. */

static enum cm_code connect_to(struct app *app, struct cm_err *err)
{
    const struct agent_options *opt = app->ctx.opt;
    struct cm_dialer_config dial = {.tls = {.extra_ca_file = opt->extra_ca_file}};
    cm_dialer_config_env(&dial, agent_getenv);
    enum cm_code code = cm_dialer_new(&dial, &app->dialer, err);
    if (code != CM_OK)
        return code;
    app->http = cm_httpc_new(app->loop, app->dialer);
    struct cm_rpc_client_config rpc = {
        .loop = app->loop,
        .url = cm_str(opt->url),
        .dialer = app->dialer,
        .kind = CM_RPC_AGENT,
        .token = cm_str(app->token),
        .name = cm_str(opt->name),
        .program_version = CM_STR(CM_VERSION),
        .api_min = API_VERSION,
        .api_max = API_VERSION,
        .on_state = on_rpc_state,
        .ctx = app,
    };
    return cm_rpc_client_new(&rpc, &app->rpc, err);
}

static enum cm_code app_init(struct app *app, struct cm_err *err)
{
    const struct agent_options *opt = app->ctx.opt;
    struct cm_arena *a = app->arena;
    app->ctx.loop = app->loop;
    app->ctx.user = environ_user(a, app->ctx.base_env);
    app->ctx.script_data_dir = cm_fs_join(a, opt->script_data_dir, "coder-script-data");
    app->manifest_path = cm_fs_join(a, app->ctx.script_data_dir, "agent-manifest");
    struct priority prio = priority_setup(opt);
    CM_AUTOFREE char *exe = NULL;
    if (cm_fs_self_exe(&exe, err) != CM_OK)
        return CM_IO;
    const char *own = cm_arena_cstr(a, cm_str(exe));
    app->process = (struct manifest_process){
        .token = app->token,
        .url = opt->url,
        .exe = strcmp(cm_fs_basename(own), "coder-agent") == 0 ? NULL : own,
        .exe_dir = cm_fs_dirname(a, own),
        .script_bin = cm_fs_join(a, app->ctx.script_data_dir, "bin"),
        .set_priority = prio.set,
        .nice = prio.nice,
        .oom_score_adj = prio.oom_score_adj,
    };
    enum cm_code code = cm_session_identity_new(&app->identity, err);
    if (code == CM_OK)
        code = connect_to(app, err);
    if (code != CM_OK)
        return code;
    app->ctx.rpc = app->rpc;
    app->lifecycle = lifecycle_new(app->loop, app->rpc);
    app->logs = logs_new(app->loop, app->rpc);
    app->scripts = scripts_new(&app->ctx, app->logs);
    app->metadata = metadata_new(&app->ctx);
    app->apphealth = apphealth_new(&app->ctx, app->http);
    app->counters.median_latency_ms = -1;
    app->stats = stats_new(&app->ctx, &app->counters);
    app->ssh = ssh_server_new(&app->ctx, &app->counters);
    app->ptys = ptys_new(&app->ctx, &app->counters);
    struct services_config services = {
        .ctx = &app->ctx, .counters = &app->counters, .ssh = app->ssh, .ptys = app->ptys};
    app->services = services_new(&services, err);
    return app->services ? CM_OK : CM_INTERNAL;
}

static void app_done(struct app *app)
{
    uplink_free(app->uplink);
    cm_session_server_free(app->sessions);
    services_free(app->services);
    ptys_free(app->ptys);
    ssh_server_free(app->ssh);
    stats_free(app->stats);
    apphealth_free(app->apphealth);
    metadata_free(app->metadata);
    scripts_free(app->scripts);
    logs_free(app->logs);
    lifecycle_free(app->lifecycle);
    cm_rpc_client_free(app->rpc);
    cm_httpc_free(app->http);
    cm_sigwatch_stop(&app->sigint);
    cm_sigwatch_stop(&app->sigterm);
    cm_timer_done(&app->heartbeat);
    cm_timer_done(&app->retry);
    cm_timer_done(&app->start_words);
    cm_timer_done(&app->last_words);
    manifest_free(app->manifest);
    cm_session_identity_free(app->identity);
    cm_loop_free(app->loop); /* runs what the above has posted */
    cm_dialer_free(app->dialer);
    cm_arena_free(app->arena);
}

int app_run(const struct agent_options *opt, const char *token, const char *const *base_env)
{
    struct app app = {.ctx = {.opt = opt, .base_env = base_env}, .token = token};
    struct cm_err err;
    app.arena = cm_arena_new();
    app.loop = cm_loop_new();
    cm_timer_init(&app.heartbeat, app.loop, on_heartbeat, &app);
    cm_timer_init(&app.retry, app.loop, on_retry, &app);
    cm_timer_init(&app.start_words, app.loop, tell_started, &app);
    cm_timer_init(&app.last_words, app.loop, on_last_words, &app);
    enum cm_code code = app_init(&app, &err);
    if (code == CM_OK) {
        cm_sigwatch_start(&app.sigint, app.loop, SIGINT, on_signal, &app);
        cm_sigwatch_start(&app.sigterm, app.loop, SIGTERM, on_signal, &app);
        cm_timer_every(&app.heartbeat, HEARTBEAT);
        cm_loop_run(app.loop);
    } else {
        CM_ERROR("the agent cannot start", CM_F_ERR(&err));
    }
    app_done(&app);
    return code == CM_OK ? 0 : 1;
}
