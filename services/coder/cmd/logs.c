/* logs and state: what a build left behind. */
#include <poll.h>
#include <stdlib.h>

#include "cmd/cmd.h"
#include "sys/fd.h"
#include "sys/fs.h"

#define STATE_MAX ((size_t)12 << 20)

/* A build by number: 0 is the latest, a negative one counts back from it. */
static enum cm_code find_build(struct cli *cli, const struct api_workspace *w, int64_t number,
                               const struct api_workspace_build **ret, struct cm_err *err)
{
    struct api_workspace_build *b = NULL;

    if (number < 0)
        number += w->latest_build->build_number;
    if (!number || number == w->latest_build->build_number) {
        *ret = w->latest_build;
        return CM_OK;
    }
    if (cm_sdk_get(cli->sdk, cli->arena, &api_workspace_build_msg, &b, err,
                   "/api/v2/users/%s/workspace/%s/builds/%lld",
                   cm_sdk_part(cli->arena, w->owner_name), cm_sdk_part(cli->arena, w->name),
                   (long long)number) != CM_OK)
        return cm_err_wrap(err, "get build %lld", (long long)number);
    *ret = b;
    return CM_OK;
}

struct line {
    struct cm_time at;
    size_t order;
    const char *text;
};

struct lines {
    struct cm_arena *a;
    struct line *v;
    size_t n, cap;
};

static void add_line(struct lines *l, struct cm_time at, const char *text)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 64;
        l->v = cm_xrealloc_array(l->v, l->cap, sizeof(*l->v));
    }
    l->v[l->n] = (struct line){at, l->n, text};
    l->n++;
}

static int by_time(const void *pa, const void *pb)
{
    const struct line *a = pa, *b = pb;
    if (a->at.us != b->at.us)
        return a->at.us < b->at.us ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static const char *build_line(struct cm_arena *a, const struct api_provisioner_job_log *l)
{
    return cm_arena_printf(a, "%s [%s] [provisioner|%.*s] %.*s", ui_time(a, l->created_at),
                           api_log_level_enum.texts[l->log_level], CM_STR_ARG(l->stage),
                           CM_STR_ARG(l->output));
}

static const char *agent_line(struct cm_arena *a, const struct api_workspace_agent *agent,
                              const struct api_workspace_agent_log *l)
{
    struct cm_str source = CM_STR("");
    for (size_t i = 0; i < agent->n_log_sources; i++)
        if (cm_uuid_eq(agent->log_sources[i].id, l->source_id))
            source = agent->log_sources[i].display_name;
    return cm_arena_printf(a, "%s [%s] [agent.%.*s|%.*s] %.*s", ui_time(a, l->created_at),
                           api_log_level_enum.texts[l->level], CM_STR_ARG(agent->name),
                           CM_STR_ARG(source), CM_STR_ARG(l->output));
}

static enum cm_code collect(struct cli *cli, const struct api_workspace_build *b, struct lines *out,
                            bool with_build, struct cm_err *err)
{
    struct api_provisioner_job_log *logs = NULL;
    size_t n = 0;

    if (with_build &&
        cm_sdk_get_list(cli->sdk, cli->arena, &api_provisioner_job_log_msg, &logs, &n, err,
                        "/api/v2/workspacebuilds/%s/logs", cm_uuid_text(b->id).s) != CM_OK)
        return cm_err_wrap(err, "get build logs");
    for (size_t i = 0; i < n; i++)
        add_line(out, logs[i].created_at, build_line(cli->arena, &logs[i]));
    for (size_t r = 0; r < b->n_resources; r++) {
        for (size_t k = 0; k < b->resources[r].n_agents; k++) {
            const struct api_workspace_agent *agent = &b->resources[r].agents[k];
            struct api_workspace_agent_log *al = NULL;
            if (cm_sdk_get_list(cli->sdk, cli->arena, &api_workspace_agent_log_msg, &al, &n, err,
                                "/api/v2/workspaceagents/%s/logs",
                                cm_uuid_text(agent->id).s) != CM_OK)
                return cm_err_wrap(err, "get agent logs");
            for (size_t i = 0; i < n; i++)
                add_line(out, al[i].created_at, agent_line(cli->arena, agent, &al[i]));
        }
    }
    return CM_OK;
}

struct follow {
    struct cli *cli;
    const struct api_workspace_agent *agent;
    size_t *running;
    struct cm_sdk_follower *follower; /* NULL: over */
    struct cm_err err;
};

/* Whoever read our output may be gone, and nothing to write tells for a long time. */
static bool is_unheard(void)
{
    struct pollfd out = {.fd = 1, .events = 0};
    return fflush(stdout) != 0 || (poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLNVAL)));
}

static bool on_build_log(void *ctx, struct cm_str message)
{
    (void)ctx;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct api_provisioner_job_log *l = NULL;
    if (cm_json_decode_answer(&api_provisioner_job_log_msg, a, message, (void **)&l, NULL) ==
            CM_OK &&
        l)
        printf("%s\n", build_line(a, l));
    return !is_unheard();
}

static bool on_agent_logs(void *ctx, struct cm_str message)
{
    struct follow *f = ctx;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct api_workspace_agent_log *l = NULL;
    size_t n = 0;
    if (cm_json_decode_answer_list(&api_workspace_agent_log_msg, a, message, (void **)&l, &n,
                                   NULL) != CM_OK)
        return true;
    for (size_t i = 0; i < n; i++)
        printf("%s\n", agent_line(a, f->agent, &l[i]));
    return !is_unheard();
}

static void on_end(void *ctx, const struct cm_err *err)
{
    struct follow *f = ctx;
    --*f->running;
    f->follower = NULL;
    if (err)
        f->err = *err;
}

static enum cm_code follow(struct cli *cli, const struct api_workspace_build *b, struct cm_err *err)
{
    struct api_workspace_build *done = NULL;
    struct follow fs[64];
    size_t n = 0, running = 0;

    if (cm_sdk_follow(cli->sdk, on_build_log, NULL, err,
                      "/api/v2/workspacebuilds/%s/logs?follow&after=0",
                      cm_uuid_text(b->id).s) != CM_OK)
        return is_unheard() ? CM_OK : cm_err_wrap(err, "follow build logs");
    if (cm_sdk_get(cli->sdk, cli->arena, &api_workspace_build_msg, &done, err,
                   "/api/v2/workspacebuilds/%s", cm_uuid_text(b->id).s) != CM_OK)
        return err->code;
    for (size_t r = 0; r < done->n_resources; r++) {
        for (size_t k = 0; k < done->resources[r].n_agents && n < CM_COUNT_OF(fs); k++) {
            fs[n] = (struct follow){
                .cli = cli, .agent = &done->resources[r].agents[k], .running = &running};
            running++;
            fs[n].follower = cm_sdk_follow_start(
                cli->sdk, on_agent_logs, on_end, &fs[n],
                cm_arena_printf(cli->arena, "/api/v2/workspaceagents/%s/logs?follow&after=0",
                                cm_uuid_text(fs[n].agent->id).s));
            n++;
        }
    }
    while (running && !is_unheard())
        cm_loop_turn(cm_sdk_loop(cli->sdk), CM_SECOND);
    for (size_t i = 0; i < n; i++)
        if (fs[i].follower)
            cm_sdk_follow_stop(fs[i].follower);
    for (size_t i = 0; i < n && !is_unheard(); i++) {
        if (fs[i].err.code != CM_OK) {
            *err = fs[i].err;
            return cm_err_wrap(err, "follow agent logs");
        }
    }
    return CM_OK;
}

struct logs_opts {
    int64_t build;
    bool follow;
};

static const struct cm_opt logs_opts[] = {
    {CM_OPT_INT, offsetof(struct logs_opts, build), "build-number", 'n', .def = "0",
     .help = "Only show logs for a specific build number. Defaults to 0, which maps to the most "
             "recent build (build "
             "numbers start at 1). Negative values are treated as offsets: for example, -1 refers "
             "to the previous "
             "build."},
    {CM_OPT_BOOL, offsetof(struct logs_opts, follow), "follow", 'f',
     .help = "Follow logs as they are emitted."},
};

static enum cm_code run_logs(struct cli *cli, struct cm_err *err)
{
    const struct logs_opts *o = cli->opts;
    struct api_workspace *w = NULL;
    const struct api_workspace_build *b = NULL;
    struct lines lines = {.a = cli->arena};

    if (cli_session(cli, err) != CM_OK || find_workspace(cli, cli_arg(cli, 0), &w, err) != CM_OK ||
        find_build(cli, w, o->build, &b, err) != CM_OK)
        return err->code;
    if (o->follow)
        return follow(cli, b, err);
    enum cm_code code = collect(cli, b, &lines, true, err);
    if (code == CM_OK && lines.n)
        qsort(lines.v, lines.n, sizeof(*lines.v), by_time);
    for (size_t i = 0; code == CM_OK && i < lines.n; i++)
        printf("%s\n", lines.v[i].text);
    cm_free(lines.v);
    return code;
}

const struct command command_logs = {
    .name = "logs",
    .args = "<workspace>",
    .brief = "View logs for a workspace",
    .opts = logs_opts,
    .n_opts = CM_COUNT_OF(logs_opts),
    .opts_size = sizeof(struct logs_opts),
    .min_args = 1,
    .max_args = 1,
    .run = run_logs,
};

struct state_opts {
    int64_t build;
    bool no_build;
};

static const struct cm_opt state_opts[] = {
    {CM_OPT_INT, offsetof(struct state_opts, build), "build", 'b',
     .help = "Specify a workspace build to target by number. Defaults to latest."},
    {CM_OPT_BOOL, offsetof(struct state_opts, no_build), "no-build", 'n',
     .help = "Update the state without triggering a workspace build."},
};

static enum cm_code state_build(struct cli *cli, struct api_workspace **ret_w,
                                const struct api_workspace_build **ret, struct cm_err *err)
{
    const struct state_opts *o = cli->opts;
    if (cli_session(cli, err) != CM_OK || find_workspace(cli, cli_arg(cli, 0), ret_w, err) != CM_OK)
        return err->code;
    return find_build(cli, *ret_w, o->build, ret, err);
}

static enum cm_code run_pull(struct cli *cli, struct cm_err *err)
{
    struct api_workspace *w = NULL;
    const struct api_workspace_build *b = NULL;
    struct cm_str state;

    if (state_build(cli, &w, &b, err) != CM_OK)
        return err->code;
    if (cm_sdk_raw(cli->sdk, cli->arena, "GET", NULL, NULL, &state, err,
                   "/api/v2/workspacebuilds/%s/state", cm_uuid_text(b->id).s) != CM_OK)
        return err->code;
    if (!cli_arg(cli, 1)) {
        fwrite(state.ptr, 1, state.len, stdout);
        fputc('\n', stdout);
        return CM_OK;
    }
    return cm_fs_write(cli_arg(cli, 1), state, 0600, false, err);
}

static enum cm_code run_push(struct cli *cli, struct cm_err *err)
{
    const struct state_opts *o = cli->opts;
    struct api_workspace *w = NULL;
    const struct api_workspace_build *b = NULL;
    struct api_workspace_build *made = NULL;
    CM_AUTOBUF struct cm_buf state = CM_BUF_INIT(STATE_MAX);
    bool from_stdin = strcmp(cli_arg(cli, 1), "-") == 0;

    state.wipe = true;
    if (state_build(cli, &w, &b, err) != CM_OK ||
        (from_stdin ? cm_fd_read_all(0, &state, err) : cm_fs_read(cli_arg(cli, 1), &state, err)) !=
            CM_OK)
        return err->code;
    if (o->no_build) {
        struct api_update_workspace_build_state_request put = {.state = cm_buf_view(&state)};
        if (cm_sdk_send(cli->sdk, cli->arena, "PUT", &api_update_workspace_build_state_request_msg,
                        &put, NULL, NULL, err, "/api/v2/workspacebuilds/%s/state",
                        cm_uuid_text(b->id).s) != CM_OK)
            return err->code;
        printf("State updated successfully.\n");
        return CM_OK;
    }
    struct api_create_workspace_build_request req = {.template_version_id = b->template_version_id,
                                                     .transition = b->transition,
                                                     .state = cm_buf_view(&state)};
    if (cm_sdk_send(cli->sdk, cli->arena, "POST", &api_create_workspace_build_request_msg, &req,
                    &api_workspace_build_msg, &made, err, "/api/v2/workspaces/%s/builds",
                    cm_uuid_text(w->id).s) != CM_OK)
        return err->code;
    return ui_follow_build(cli, made->id, stderr, err);
}

static const struct command state_pull = {
    .name = "pull",
    .args = "<workspace> [file]",
    .brief = "Pull a Terraform state file from a workspace.",
    .opts = state_opts,
    .n_opts = 1,
    .opts_size = sizeof(struct state_opts),
    .min_args = 1,
    .max_args = 2,
    .run = run_pull,
};

static const struct command state_push = {
    .name = "push",
    .args = "<workspace> <file>",
    .brief = "Push a Terraform state file to a workspace.",
    .opts = state_opts,
    .n_opts = CM_COUNT_OF(state_opts),
    .opts_size = sizeof(struct state_opts),
    .min_args = 2,
    .max_args = 2,
    .run = run_push,
};

static const struct command *const state_subs[] = {&state_pull, &state_push, NULL};

const struct command command_state = {
    .name = "state",
    .brief = "Manually manage Terraform state to fix broken workspaces",
    .sub = state_subs,
};
