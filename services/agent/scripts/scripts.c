#include "scripts/scripts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/list.h"
#include "env/environ.h"
#include "logs/text.h"
#include "net/rpc/client.h"
#include "net/rpc/wire.h"
#include "obs/log.h"
#include "scripts/cron.h"
#include "scripts/run.h"
#include "sys/fd.h"
#include "sys/fs.h"

#define KILL_AFTER     (5 * CM_SECOND)
#define PIPE_GRACE     (10 * CM_SECOND)
#define REPORT_TIMEOUT (30 * CM_SECOND)
#define CRON_MAX       64

struct job {
    struct cm_link link;
    struct scripts *scripts;
    struct cm_uuid script_id, source;
    char *name;
    enum script_stage stage;
    struct run *run;
    int log_fd;
    struct line_splitter lines[2];
};

struct schedule {
    struct scripts *scripts;
    struct cron cron;
    struct cm_timer timer;
    struct cm_uuid script_id;
    struct cm_time next;
};

struct scripts {
    const struct agent_context *ctx;
    struct logs *logs;
    struct cm_link jobs;
    struct schedule *schedules;
    size_t n_schedules;
    bool stage_runs;
    enum script_stage stage;
    enum stage_outcome outcome;
    size_t stage_left;
    void (*done)(void *ctx, enum stage_outcome outcome);
    void *done_ctx;
};

static const char *stage_name(enum script_stage s)
{
    switch (s) {
    case STAGE_START:
        return "start";
    case STAGE_STOP:
        return "stop";
    case STAGE_CRON:
        return "cron";
    }
    return "start";
}

static void job_free(struct job *j)
{
    cm_list_unlink(&j->link);
    for (int i = 0; i < 2; i++)
        line_splitter_done(&j->lines[i]);
    cm_cleanup_fd(&j->log_fd);
    cm_free(j->name);
    cm_free(j);
}

static void stage_settle(struct scripts *s)
{
    if (!s->stage_runs || s->stage_left)
        return;
    s->stage_runs = false;
    s->done(s->done_ctx, s->outcome);
}

/* Output. */

static void add_line(const struct job *j, bool is_stderr, struct cm_str line)
{
    logs_add(j->scripts->logs, j->source, is_stderr ? "error" : "info", cm_time_now(), line);
}

static void on_out_line(void *ctx, struct cm_str line)
{
    add_line(ctx, false, line);
}

static void on_err_line(void *ctx, struct cm_str line)
{
    add_line(ctx, true, line);
}

static void on_output(void *ctx, struct cm_str piece, bool is_stderr)
{
    struct job *j = ctx;
    if (j->log_fd >= 0 && cm_fd_write_all(j->log_fd, piece.ptr, piece.len, NULL) != CM_OK) {
        close(j->log_fd); /* a full disk: coderd still gets the lines */
        j->log_fd = -1;
    }
    line_splitter_add(&j->lines[is_stderr], piece);
}

/* A rerun overwrites from the start, as people expect who have the file open. */
static int open_log(const struct agent_context *c, const struct environ_set *env,
                    struct cm_arena *a, const Coder__Agent__V1__Script *sc, struct cm_uuid source)
{
    const char *path =
        sc->log_path && *sc->log_path
            ? environ_path(env, a, cm_str(sc->log_path), c->opt->log_dir)
            : cm_arena_printf(a, "%s/coder-script-%s.log", c->opt->log_dir, cm_uuid_text(source).s);
    cm_ignore(cm_fs_mkdirs(cm_fs_dirname(a, path), 0700, NULL) != CM_OK, "open says it better");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0)
        CM_WARN("script has no log file", CM_F_CSTR(path, path));
    return fd;
}

/* Runs. */

static void on_reported(void *ctx, enum cm_code code, const void *reply, const struct cm_err *err)
{
    (void)ctx;
    (void)reply;
    if (code != CM_OK)
        CM_DEBUG("script timing was not reported", CM_F_ERR(err));
}

static void report(const struct job *j, const struct run_result *result)
{
    if (!j->scripts->ctx->rpc)
        return;
    union {
        const char *in;
        char *out;
    } stage = {.in = stage_name(j->stage)}, status = {.in = run_status_name(result->status)};
    struct cm_uuid id = j->script_id;
    Coder__Agent__V1__ScriptTimingRequest q = CODER__AGENT__V1__SCRIPT_TIMING_REQUEST__INIT;
    q.script_id = (ProtobufCBinaryData){.len = sizeof(id.b), .data = id.b};
    q.started_at_us = result->started_at.us;
    q.ended_at_us = result->ended_at.us;
    q.exit_code = result->exit_code;
    q.stage = stage.out;
    q.status = status.out;
    struct cm_rpc_call_opts opts = {.deadline = REPORT_TIMEOUT};
    cm_rpc_call(j->scripts->ctx->rpc, "agent.ScriptTiming", &q.base,
                &coder__agent__v1__script_timing_reply__descriptor, &opts, on_reported, NULL);
}

static void on_done(void *ctx, const struct run_result *result, const struct cm_err *err)
{
    struct job *j = ctx;
    struct scripts *s = j->scripts;
    for (int i = 0; i < 2; i++)
        line_splitter_end(&j->lines[i]);
    if (result->status == RUN_NOT_STARTED)
        add_line(j, true, cm_str(err->text));
    if (result->status == RUN_PIPES_LEFT_OPEN)
        add_line(j, true,
                 CM_STR("The script ended, but something it started keeps its output open. "
                        "Redirect the output "
                        "of background processes, e.g. `server >/tmp/server.log 2>&1 &`."));
    CM_INFO("script has ended", CM_F_CSTR(script, j->name), CM_F_CSTR(stage, stage_name(j->stage)),
            CM_F_CSTR(status, run_status_name(result->status)),
            CM_F_INT(exit_code, result->exit_code));
    logs_flush(s->logs); /* who sees that it has ended looks for what it said */
    report(j, result);
    if (j->stage != STAGE_CRON) {
        if (result->status == RUN_TIMED_OUT)
            s->outcome = STAGE_TIMEOUT;
        else if (result->status != RUN_OK && s->outcome == STAGE_OK)
            s->outcome = STAGE_ERROR;
        s->stage_left--;
    }
    job_free(j);
    stage_settle(s);
}

static void start(struct scripts *s, const Coder__Agent__V1__Script *sc, enum script_stage stage)
{
    const struct agent_context *c = s->ctx;
    struct job *j = cm_xcalloc(1, sizeof(*j));
    CM_AUTO(cm_arena) a = cm_arena_new();
    j->scripts = s;
    j->stage = stage;
    j->name = cm_xstrdup(sc->display_name ? sc->display_name : "");
    cm_ignore(!cm_rpc_get_uuid(sc->id, &j->script_id), "coderd's own; a wrong one fails there");
    cm_ignore(!cm_rpc_get_uuid(sc->log_source_id, &j->source),
              "coderd's own; a wrong one fails there");
    line_splitter_init(&j->lines[0], on_out_line, j);
    line_splitter_init(&j->lines[1], on_err_line, j);
    cm_list_push(&s->jobs, &j->link);

    struct environ_set *env = environ_build(a, c->environment, c->base_env, NULL, 0, &c->user);
    j->log_fd = open_log(c, env, a, sc, j->source);
    const char *data = cm_arena_printf(a, "%s/%s", c->script_data_dir, cm_uuid_text(j->source).s);
    const char *bin = cm_arena_printf(a, "%s/bin", c->script_data_dir);
    cm_ignore(cm_fs_mkdirs(data, 0700, NULL) != CM_OK, "the script says so when it needs it");
    cm_ignore(cm_fs_mkdirs(bin, 0700, NULL) != CM_OK, "the script says so when it needs it");
    struct environ_pair extra[] = {
        {CM_STR("CODER_SCRIPT_DATA_DIR"), cm_str(data)},
        {CM_STR("CODER_SCRIPT_BIN_DIR"), cm_str(bin)},
    };
    struct run_spec spec = {
        .environment = c->environment,
        .base_env = c->base_env,
        .extra = extra,
        .extra_count = CM_COUNT_OF(extra),
        .user = &c->user,
        .script = cm_str(sc->script),
        .timeout = sc->timeout_us,
        .kill_after = KILL_AFTER,
        .pipe_grace = PIPE_GRACE,
        .output = on_output,
        .done = on_done,
        .ctx = j,
    };
    j->run = run_start(c->loop, &spec);
}

static void settle_later(void *ctx)
{
    stage_settle(ctx);
}

void scripts_run_stage(struct scripts *s, enum script_stage stage,
                       void (*done)(void *ctx, enum stage_outcome outcome), void *ctx)
{
    const Coder__Agent__V1__Manifest *m = s->ctx->manifest;
    s->stage_runs = true;
    s->stage = stage;
    s->outcome = STAGE_OK;
    s->stage_left = 0;
    s->done = done;
    s->done_ctx = ctx;
    for (size_t i = 0; m && i < m->n_scripts; i++) {
        const Coder__Agent__V1__Script *sc = m->scripts[i];
        if (!(stage == STAGE_START ? sc->run_on_start : sc->run_on_stop) || !sc->script ||
            !*sc->script)
            continue;
        s->stage_left++;
        start(s, sc, stage);
    }
    if (!s->stage_left)
        cm_loop_post(s->ctx->loop, settle_later, s);
}

/* Schedules. */

static void schedule_next(struct schedule *d)
{
    if (cron_next(&d->cron, cm_time_now(), &d->next))
        cm_timer_start(&d->timer,
                       CM_MIN(CM_MAX(d->next.us - cm_time_now().us, (int64_t)0), (int64_t)CM_HOUR));
}

static void on_schedule(void *ctx)
{
    struct schedule *d = ctx;
    const Coder__Agent__V1__Manifest *m = d->scripts->ctx->manifest;
    /* Timers are at most an hour long, so that a clock that was set is noticed. */
    bool due = cm_time_now().us >= d->next.us;
    for (size_t i = 0; due && i < m->n_scripts; i++) {
        struct cm_uuid id;
        if (cm_rpc_get_uuid(m->scripts[i]->id, &id) && cm_uuid_eq(id, d->script_id))
            start(d->scripts, m->scripts[i], STAGE_CRON);
    }
    schedule_next(d);
}

void scripts_start_cron(struct scripts *s)
{
    const Coder__Agent__V1__Manifest *m = s->ctx->manifest;
    scripts_stop_cron(s);
    s->schedules = cm_xcalloc(CRON_MAX, sizeof(*s->schedules));
    for (size_t i = 0; i < m->n_scripts && s->n_schedules < CRON_MAX; i++) {
        const Coder__Agent__V1__Script *sc = m->scripts[i];
        struct schedule *d = &s->schedules[s->n_schedules];
        struct cm_err err;
        if (!sc->cron || !*sc->cron || !cm_rpc_get_uuid(sc->id, &d->script_id))
            continue;
        if (cron_parse(cm_str(sc->cron), &d->cron, &err) != CM_OK) {
            CM_WARN("script is never run by its schedule", CM_F_CSTR(script, sc->display_name),
                    CM_F_ERR(&err));
            continue;
        }
        d->scripts = s;
        cm_timer_init(&d->timer, s->ctx->loop, on_schedule, d);
        s->n_schedules++;
        schedule_next(d);
    }
}

void scripts_stop_cron(struct scripts *s)
{
    for (size_t i = 0; i < s->n_schedules; i++)
        cm_timer_done(&s->schedules[i].timer);
    cm_free(s->schedules);
    s->schedules = NULL;
    s->n_schedules = 0;
}

struct scripts *scripts_new(const struct agent_context *ctx, struct logs *logs)
{
    struct scripts *s = cm_xcalloc(1, sizeof(*s));
    s->ctx = ctx;
    s->logs = logs;
    cm_list_init(&s->jobs);
    return s;
}

void scripts_free(struct scripts *s)
{
    if (!s)
        return;
    scripts_stop_cron(s);
    CM_LIST_EACH(l, &s->jobs)
    {
        struct job *j = cm_container_of(l, struct job, link);
        run_abort(j->run);
        job_free(j);
    }
    cm_free(s);
}
