#include "remote/target.h"

#include <unistd.h>

#define POLL_EVERY    (200 * CM_MSEC)
#define POLL_MAX      (2 * CM_SECOND)
#define AGENT_TIMEOUT (10 * CM_MINUTE)

enum cm_code remote_name_parse(struct cm_arena *a, const char *text, struct remote_name *ret,
                               struct cm_err *err)
{
    struct cm_str parts[3] = {{NULL, 0}}, s = cm_str(text);
    size_t n = 0, start = 0;
    bool only_dots = true;

    for (size_t i = 0; i <= s.len; i++) {
        bool dashes = i + 1 < s.len && s.ptr[i] == '-' && s.ptr[i + 1] == '-';
        if (i < s.len && s.ptr[i] != '/' && s.ptr[i] != '.' && !dashes)
            continue;
        if (n == 3 || i == start)
            return cm_err_set(err, CM_INVALID, "invalid workspace name: \"%s\"", text);
        parts[n++] = cm_str_sub(s, start, i - start);
        if (i < s.len && s.ptr[i] != '.')
            only_dots = false;
        start = i + 1 + (dashes ? 1 : 0);
        i = dashes ? i + 1 : i;
    }
    *ret = (struct remote_name){.owner = "me", .agent = ""};
    if (n == 1) {
        ret->workspace = cm_arena_cstr(a, parts[0]);
    } else if (n == 2 && only_dots) {
        ret->workspace = cm_arena_cstr(a, parts[0]);
        ret->agent = cm_arena_cstr(a, parts[1]);
    } else if (n == 2) {
        ret->owner = cm_arena_cstr(a, parts[0]);
        ret->workspace = cm_arena_cstr(a, parts[1]);
    } else {
        ret->owner = cm_arena_cstr(a, parts[only_dots ? 2 : 0]);
        ret->workspace = cm_arena_cstr(a, parts[1]);
        ret->agent = cm_arena_cstr(a, parts[only_dots ? 0 : 2]);
    }
    return CM_OK;
}

static void pause_for(struct cli *cli, cm_usec d)
{
    /* Keeps the session's connections alive meanwhile. */
    cm_usec until = cm_monotonic_now() + d;
    for (cm_usec left = d; left > 0; left = until - cm_monotonic_now())
        cm_loop_turn(cm_sdk_loop(cli->sdk), left);
}

static enum cm_code get_workspace(struct cli *cli, const struct remote_name *name,
                                  struct api_workspace **ret, struct cm_err *err)
{
    return find_workspace(cli, cm_arena_printf(cli->arena, "%s/%s", name->owner, name->workspace),
                          ret, err);
}

static enum cm_code start_stopped(struct cli *cli, const struct remote_name *name,
                                  const struct remote_wish *wish, struct api_workspace **ws,
                                  struct cm_err *err)
{
    struct build_order order = {.transition = API_WORKSPACE_TRANSITION_START,
                                .version = (*ws)->latest_build->template_version_id,
                                .reason = wish->reason,
                                .no_wait = true,
                                .out = stderr};
    struct api_workspace_build *build = NULL;

    if (!wish->autostart)
        return cm_err_set(err, CM_PRECONDITION,
                          "workspace must be started; autostart is disabled: run 'coder start %s'",
                          name->workspace);
    fprintf(stderr, "Workspace was stopped, starting workspace to allow connecting to \"%s\"...\n",
            name->workspace);
    enum cm_code code = run_build(cli, *ws, &order, &build, err);
    if (code == CM_DENIED) {
        order.version = (*ws)->template_active_version_id;
        code = run_build(cli, *ws, &order, &build, err);
    }
    if (code != CM_OK && code != CM_CONFLICT) /* conflict: somebody else has started it */
        return cm_err_wrap(err, "start workspace");
    return get_workspace(cli, name, ws, err);
}

/* Sees to it that the last build is a start that has succeeded. */
static enum cm_code ensure_started(struct cli *cli, const struct remote_name *name,
                                   const struct remote_wish *wish, struct api_workspace **ws,
                                   struct cm_err *err)
{
    for (int tries = 0; tries < 4; tries++) {
        const struct api_workspace_build *b = (*ws)->latest_build;
        enum api_provisioner_job_status job = b->job->status;
        bool over = job == API_PROVISIONER_JOB_STATUS_SUCCEEDED ||
                    job == API_PROVISIONER_JOB_STATUS_FAILED ||
                    job == API_PROVISIONER_JOB_STATUS_CANCELED ||
                    job == API_PROVISIONER_JOB_STATUS_UNKNOWN;
        if (!over) {
            if (ui_watch_build(cli, b->id, stderr, err) != CM_OK && err->code != CM_PRECONDITION)
                return err->code;
            if (get_workspace(cli, name, ws, err) != CM_OK)
                return err->code;
            continue;
        }
        if (b->transition == API_WORKSPACE_TRANSITION_DELETE &&
            job == API_PROVISIONER_JOB_STATUS_SUCCEEDED)
            return cm_err_set(err, CM_GONE, "workspace \"%.*s\" is deleted",
                              CM_STR_ARG((*ws)->name));
        if (b->transition == API_WORKSPACE_TRANSITION_START) {
            if (job == API_PROVISIONER_JOB_STATUS_SUCCEEDED)
                return CM_OK;
            return cm_err_set(err, CM_PRECONDITION, "the workspace's last build has failed: %.*s",
                              CM_STR_ARG(b->job->error));
        }
        if (b->transition == API_WORKSPACE_TRANSITION_DELETE)
            return cm_err_set(err, CM_PRECONDITION, "the workspace's deletion has failed: %.*s",
                              CM_STR_ARG(b->job->error));
        if (start_stopped(cli, name, wish, ws, err) != CM_OK)
            return err->code;
    }
    return cm_err_set(err, CM_PRECONDITION, "the workspace does not stay started");
}

static enum cm_code choose_agent(struct cli *cli, const struct api_workspace *ws, const char *name,
                                 struct api_workspace_agent **ret, struct cm_err *err)
{
    const struct api_workspace_build *b = ws->latest_build;
    struct api_workspace_agent *found = NULL;
    CM_AUTOBUF struct cm_buf names = CM_BUF_INIT(4096);
    size_t n = 0;

    for (size_t r = 0; r < b->n_resources; r++) {
        for (size_t k = 0; k < b->resources[r].n_agents; k++) {
            struct api_workspace_agent *a = &b->resources[r].agents[k];
            cm_buf_printf(&names, "\n  coder ssh %.*s.%.*s.%.*s", CM_STR_ARG(a->name),
                          CM_STR_ARG(ws->name), CM_STR_ARG(ws->owner_name));
            n++;
            if (!*name || cm_str_eq_c(a->name, name))
                found = a;
        }
    }
    (void)cli;
    if (!n)
        return cm_err_set(err, CM_NOT_FOUND, "workspace \"%.*s\" has no agents",
                          CM_STR_ARG(ws->name));
    if (*name && !found)
        return cm_err_set(err, CM_NOT_FOUND,
                          "agent not found by name \"%s\", available agents:%.*s", name,
                          CM_STR_ARG(cm_buf_view(&names)));
    if (!*name && n > 1)
        return cm_err_set(
            err, CM_INVALID,
            "multiple agents found, please specify the agent name, available agents:%.*s",
            CM_STR_ARG(cm_buf_view(&names)));
    *ret = found;
    return CM_OK;
}

static bool scripts_block(const struct api_workspace_agent *a)
{
    for (size_t i = 0; i < a->n_scripts; i++)
        if (a->scripts[i].start_blocks_login)
            return true;
    return a->startup_script_behavior == API_WORKSPACE_AGENT_STARTUP_SCRIPT_BEHAVIOR_BLOCKING;
}

/* Startup is over, one way or the other. */
static bool is_settled(const struct api_workspace_agent *a)
{
    switch (a->lifecycle_state) {
    case API_WORKSPACE_AGENT_LIFECYCLE_UNSET:
    case API_WORKSPACE_AGENT_LIFECYCLE_CREATED:
    case API_WORKSPACE_AGENT_LIFECYCLE_STARTING:
        return false;
    case API_WORKSPACE_AGENT_LIFECYCLE_START_TIMEOUT:
        fprintf(
            stderr,
            "Warning: A startup script has not ended in time; your workspace may be incomplete.\n");
        return true;
    case API_WORKSPACE_AGENT_LIFECYCLE_START_ERROR:
        fprintf(stderr, "Warning: A startup script exited with an error and your workspace may be "
                        "incomplete.\n");
        return true;
    case API_WORKSPACE_AGENT_LIFECYCLE_READY:
    case API_WORKSPACE_AGENT_LIFECYCLE_SHUTTING_DOWN:
    case API_WORKSPACE_AGENT_LIFECYCLE_SHUTDOWN_TIMEOUT:
    case API_WORKSPACE_AGENT_LIFECYCLE_SHUTDOWN_ERROR:
    case API_WORKSPACE_AGENT_LIFECYCLE_OFF:
        return true;
    }
    return true;
}

struct log_follow {
    bool done;
};

static bool on_agent_logs(void *ctx, struct cm_str message)
{
    (void)ctx;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct api_workspace_agent_log *l = NULL;
    size_t n = 0;
    if (cm_json_decode_answer_list(&api_workspace_agent_log_msg, a, message, (void **)&l, &n,
                                   NULL) == CM_OK)
        for (size_t i = 0; i < n; i++)
            fprintf(stderr, "%.*s\n", CM_STR_ARG(l[i].output));
    return true;
}

static void on_logs_end(void *ctx, const struct cm_err *err)
{
    (void)err;
    ((struct log_follow *)ctx)->done = true;
}

/* What to look at when an agent does not come. */
static void explain_silence(const struct cli *cli, const struct api_workspace_agent *a)
{
    bool never = a->status == API_WORKSPACE_AGENT_STATUS_TIMEOUT;

    fprintf(
        stderr,
        "Warning: The workspace agent %s. Does the workspace run, and can it reach %s? What its "
        "init script prints there says why it fails.\n",
        never ? "has not connected in the time that the template gives it"
              : "has lost its connection",
        cm_sdk_url(cli->sdk));
    if (a->troubleshooting_url.len)
        fprintf(stderr, "The template's author says more: %.*s\n",
                CM_STR_ARG(a->troubleshooting_url));
}

/* The agent is gone: its workspace has been stopped, or built anew, while it was waited for. */
static enum cm_code explain_loss(struct cli *cli, const struct remote_name *name,
                                 struct cm_uuid build, struct cm_err *err)
{
    struct api_workspace *now = NULL;
    struct cm_err gone = *err;

    if (get_workspace(cli, name, &now, err) != CM_OK)
        return err->code;
    if (!cm_uuid_eq(now->latest_build->id, build))
        return cm_err_set(err, CM_PRECONDITION, "the workspace has been %s meanwhile: try again",
                          now->latest_build->transition == API_WORKSPACE_TRANSITION_START
                              ? "started anew"
                              : "stopped or deleted");
    *err = gone;
    return cm_err_wrap(err, "await agent");
}

static enum cm_code await_agent(struct cli *cli, const struct remote_name *name,
                                struct cm_uuid build, const struct remote_wish *wish,
                                struct api_workspace_agent **agent, struct cm_err *err)
{
    cm_usec until = cm_monotonic_now() + AGENT_TIMEOUT, nap = POLL_EVERY;
    struct log_follow logs = {.done = true};
    struct cm_sdk_follower *follower = NULL;
    bool waiting_said = false, explained = false;
    enum cm_code code = CM_OK;

    for (;;) {
        bool connected = (*agent)->status == API_WORKSPACE_AGENT_STATUS_CONNECTED;
        bool wait = strcmp(wish->wait, "yes") == 0 ||
                    (strcmp(wish->wait, "auto") == 0 && scripts_block(*agent));
        if (connected && (!wait || is_settled(*agent)))
            break;
        if (!connected && !waiting_said)
            fprintf(stderr, "Waiting for the workspace agent to connect...\n");
        waiting_said = true;
        if (!explained && ((*agent)->status == API_WORKSPACE_AGENT_STATUS_TIMEOUT ||
                           (*agent)->status == API_WORKSPACE_AGENT_STATUS_DISCONNECTED)) {
            explain_silence(cli, *agent);
            explained = true;
        }
        if (connected && !follower) {
            logs.done = false;
            fprintf(stderr, "Waiting for the startup scripts...\n");
            follower = cm_sdk_follow_start(
                cli->sdk, on_agent_logs, on_logs_end, &logs,
                cm_arena_printf(cli->arena, "/api/v2/workspaceagents/%s/logs?follow&after=0",
                                cm_uuid_text((*agent)->id).s));
        }
        if (cm_monotonic_now() > until) {
            code = cm_err_set(err, CM_TIMEOUT,
                              "the workspace agent has not connected within %lld minutes",
                              (long long)(AGENT_TIMEOUT / CM_MINUTE));
            break;
        }
        pause_for(cli, nap);
        nap = CM_MIN(nap + nap / 4, POLL_MAX);
        if (cm_sdk_get(cli->sdk, cli->arena, &api_workspace_agent_msg, agent, err,
                       "/api/v2/workspaceagents/%s", cm_uuid_text((*agent)->id).s) != CM_OK) {
            code = err->code == CM_NOT_FOUND ? explain_loss(cli, name, build, err)
                                             : cm_err_wrap(err, "await agent");
            break;
        }
    }
    if (!logs.done)
        cm_sdk_follow_stop(follower);
    return code;
}

enum cm_code remote_find(struct cli *cli, const char *host, const struct remote_wish *wish,
                         struct api_workspace **ret_ws, struct api_workspace_agent **ret_agent,
                         struct cm_err *err)
{
    struct remote_name name;

    if (remote_name_parse(cli->arena, host, &name, err) != CM_OK ||
        cli_session(cli, err) != CM_OK || get_workspace(cli, &name, ret_ws, err) != CM_OK ||
        ensure_started(cli, &name, wish, ret_ws, err) != CM_OK ||
        choose_agent(cli, *ret_ws, name.agent, ret_agent, err) != CM_OK)
        return err->code;
    return await_agent(cli, &name, (*ret_ws)->latest_build->id, wish, ret_agent, err);
}
