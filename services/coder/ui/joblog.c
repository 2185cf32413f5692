#include "ui/joblog.h"
#include "api/builds.h"
#include "api/templates.h"

#include <signal.h>

#define TRIES_MAX 20
#define TRY_AGAIN (200 * CM_MSEC)

enum asked { ASKED_NOTHING, ASKED_TO_CANCEL, ASKED_THE_SERVER };

struct follow {
    struct cli *cli;
    const struct ui_job *job;
    char stage[128];
    cm_usec stage_since; /* wall clock; 0: no stage under way */
    int64_t last_id;
    struct cm_buf kept; /* what a quiet job printed, for the case that it fails */
    struct cm_sigwatch ctrl_c;
    enum asked asked;
    bool stream_over;
    struct cm_err stream_err;
};

/* Logs may come in one go, long after they were written: their own times count, not ours. */
static void end_stage(struct follow *f, bool ok, cm_usec now)
{
    CM_AUTOBUF struct cm_buf took = CM_BUF_INIT(64);

    if (!f->stage_since)
        return;
    cm_usec d = CM_MAX(now - f->stage_since, 0);
    cm_duration_format(&took, d / CM_MSEC * CM_MSEC);
    fprintf(f->job->out, "=== %s %s [%s]\n", ok ? "\u2714" : "\u2718", f->stage, took.ptr);
    f->stage_since = 0;
}

static void begin_stage(struct follow *f, struct cm_str name, cm_usec now)
{
    if (cm_str_eq_c(name, f->stage))
        return;
    end_stage(f, true, now);
    snprintf(f->stage, sizeof(f->stage), "%.*s", CM_STR_ARG(name));
    f->stage_since = now;
    fprintf(f->job->out, "==> \u29d7 %s\n", f->stage);
    fflush(f->job->out);
}

static bool on_log(void *ctx, struct cm_str message)
{
    struct follow *f = ctx;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct api_provisioner_job_log *log = NULL;

    if (cm_json_decode_answer(&api_provisioner_job_log_msg, a, message, (void **)&log, NULL) !=
            CM_OK ||
        !log)
        return true; /* a newer server may send more kinds of message */
    if (log->id <= f->last_id)
        return true;
    f->last_id = log->id;
    if (log->stage.len)
        begin_stage(f, log->stage, log->created_at.us);
    if (!log->output.len || cm_str_eq(log->output, log->stage))
        return true;
    bool shown = !f->job->quiet || log->log_level >= API_LOG_LEVEL_ERROR;
    if (log->log_level == API_LOG_LEVEL_DEBUG || log->log_level == API_LOG_LEVEL_TRACE)
        shown = f->cli->g.verbose;
    if (shown)
        fprintf(f->job->out, "%.*s\n", CM_STR_ARG(log->output));
    else if (f->kept.len < f->kept.max / 2)
        cm_buf_printf(&f->kept, "%.*s\n", CM_STR_ARG(log->output));
    return true;
}

static bool is_over(enum api_provisioner_job_status s)
{
    switch (s) {
    case API_PROVISIONER_JOB_STATUS_SUCCEEDED:
    case API_PROVISIONER_JOB_STATUS_CANCELED:
    case API_PROVISIONER_JOB_STATUS_FAILED:
    case API_PROVISIONER_JOB_STATUS_UNKNOWN:
        return true;
    case API_PROVISIONER_JOB_STATUS_UNSET:
    case API_PROVISIONER_JOB_STATUS_PENDING:
    case API_PROVISIONER_JOB_STATUS_RUNNING:
    case API_PROVISIONER_JOB_STATUS_CANCELING:
        return false;
    }
    return true;
}

static void on_stream_end(void *ctx, const struct cm_err *err)
{
    struct follow *f = ctx;

    f->stream_over = true;
    f->stream_err = err ? *err : (struct cm_err){.code = CM_OK};
}

/* The first Ctrl-C. From then on it does what it does to any program. */
static void on_ctrl_c(void *ctx, int signo)
{
    struct follow *f = ctx;

    (void)signo;
    cm_sigwatch_stop(&f->ctrl_c);
    f->asked = ASKED_TO_CANCEL;
}

/* Not in the callback: it waits for the server's answer, and logs go on meanwhile. */
static enum cm_code cancel_job(struct follow *f, struct cm_err *err)
{
    f->asked = ASKED_THE_SERVER;
    if (cm_sdk_send(f->cli->sdk, f->cli->arena, "PATCH", NULL, NULL, NULL, NULL, err, "%s",
                    f->job->cancel_path) == CM_OK) {
        fflush(f->job->out);
        fprintf(stderr, "\nCanceling gracefully; Ctrl-C once more leaves at once.\n");
        return CM_OK;
    }
    if (f->stream_over) /* it may just have ended by itself, which the job says */
        return CM_OK;
    f->cli->hint = "The job goes on without you.";
    return cm_err_wrap(err, "cancel");
}

/* Lets the loop run until the stream has ended, or for a while. */
static enum cm_code turn(struct follow *f, cm_usec until, struct cm_err *err)
{
    while (!f->stream_over && (!until || cm_monotonic_now() < until)) {
        cm_loop_turn(cm_sdk_loop(f->cli->sdk),
                     until ? CM_MAX(until - cm_monotonic_now(), 1) : CM_SECOND);
        if (f->asked == ASKED_TO_CANCEL && cancel_job(f, err) != CM_OK)
            return err->code;
    }
    return CM_OK;
}

/* The stream may break while the job goes on (a replica restarts): it is taken up again behind the
 * last line seen. */
static enum cm_code follow_logs(struct follow *f, const struct api_provisioner_job **ret,
                                struct cm_err *err)
{
    struct cli *cli = f->cli;

    for (int tries = 0; tries < TRIES_MAX; tries++) {
        int64_t before = f->last_id;
        f->stream_over = false;
        struct cm_sdk_follower *stream =
            cm_sdk_follow_start(cli->sdk, on_log, on_stream_end, f,
                                cm_arena_printf(cli->arena, "%s?follow&after=%lld",
                                                f->job->logs_path, (long long)f->last_id));
        if (turn(f, 0, err) != CM_OK) {
            cm_sdk_follow_stop(f->stream_over ? NULL : stream);
            return err->code;
        }
        enum cm_code code = f->stream_err.code;
        if (code == CM_NOT_FOUND || code == CM_UNAUTHENTICATED || code == CM_DENIED) {
            *err = f->stream_err;
            return cm_err_wrap(err, "follow logs");
        }
        enum cm_code fetched = f->job->fetch(cli, f->job->ctx, ret, err);
        if (fetched == CM_OK && is_over((*ret)->status))
            return CM_OK;
        if (fetched != CM_OK && fetched != CM_UNAVAILABLE && fetched != CM_IO)
            return fetched;
        if (f->last_id > before)
            tries = 0;
        f->stream_over = false;
        if (turn(f, cm_monotonic_now() + TRY_AGAIN, err) != CM_OK)
            return err->code;
    }
    if (f->stream_err.code == CM_OK)
        return cm_err_set(err, CM_UNAVAILABLE, "the job's logs ended before the job did");
    *err = f->stream_err;
    return err->code;
}

enum cm_code ui_follow_job(struct cli *cli, const struct ui_job *job,
                           enum api_job_error_code *ret_code, struct cm_err *err)
{
    struct follow f = {.cli = cli, .job = job};
    const struct api_provisioner_job *now = NULL;

    cm_buf_init(&f.kept, (size_t)4 << 20);
    if (job->cancel_path)
        cm_sigwatch_start(&f.ctrl_c, cm_sdk_loop(cli->sdk), SIGINT, on_ctrl_c, &f);
    begin_stage(&f, CM_STR("Queued"), cm_time_now().us);
    enum cm_code code = follow_logs(&f, &now, err);
    cm_sigwatch_stop(&f.ctrl_c);
    bool ok = code == CM_OK && now->status == API_PROVISIONER_JOB_STATUS_SUCCEEDED;
    end_stage(&f, ok, cm_time_now().us);
    if (!ok && f.kept.len)
        fwrite(f.kept.ptr, 1, f.kept.len, job->out);
    cm_buf_done(&f.kept);
    fflush(job->out);
    if (code != CM_OK)
        return code;
    if (ret_code)
        *ret_code = now->error_code;
    if (ok)
        return CM_OK;
    if (now->status == API_PROVISIONER_JOB_STATUS_CANCELED)
        return cm_err_set(err, CM_PRECONDITION, "job has been canceled%s%.*s",
                          now->error.len ? ": " : "", CM_STR_ARG(now->error));
    return cm_err_set(
        err, CM_PRECONDITION, "%.*s",
        CM_STR_ARG(now->error.len ? now->error : CM_STR("the job failed without a word")));
}

static enum cm_code fetch_build(struct cli *cli, void *ctx, const struct api_provisioner_job **ret,
                                struct cm_err *err)
{
    struct api_workspace_build *b = NULL;
    const struct cm_uuid *id = ctx;

    if (cm_sdk_get(cli->sdk, cli->arena, &api_workspace_build_msg, &b, err,
                   "/api/v2/workspacebuilds/%s", cm_uuid_text(*id).s) != CM_OK)
        return err->code;
    if (!b->job)
        return cm_err_set(err, CM_PROTOCOL, "the server's answer has no job");
    *ret = b->job;
    return CM_OK;
}

static enum cm_code watch_build(struct cli *cli, struct cm_uuid build, bool ours, FILE *out,
                                struct cm_err *err)
{
    const char *path =
        cm_arena_printf(cli->arena, "/api/v2/workspacebuilds/%s", cm_uuid_text(build).s);
    struct ui_job job = {
        .out = out,
        .logs_path = cm_arena_printf(cli->arena, "%s/logs", path),
        .cancel_path = ours ? cm_arena_printf(cli->arena, "%s/cancel", path) : NULL,
        .fetch = fetch_build,
        .ctx = &build,
    };
    return ui_follow_job(cli, &job, NULL, err);
}

enum cm_code ui_follow_build(struct cli *cli, struct cm_uuid build, FILE *out, struct cm_err *err)
{
    return watch_build(cli, build, true, out, err);
}

enum cm_code ui_watch_build(struct cli *cli, struct cm_uuid build, FILE *out, struct cm_err *err)
{
    return watch_build(cli, build, false, out, err);
}

static enum cm_code fetch_version(struct cli *cli, void *ctx,
                                  const struct api_provisioner_job **ret, struct cm_err *err)
{
    struct api_template_version *v = NULL;
    const struct cm_uuid *id = ctx;

    if (cm_sdk_get(cli->sdk, cli->arena, &api_template_version_msg, &v, err,
                   "/api/v2/templateversions/%s", cm_uuid_text(*id).s) != CM_OK)
        return err->code;
    if (!v->job)
        return cm_err_set(err, CM_PROTOCOL, "the server's answer has no job");
    *ret = v->job;
    return CM_OK;
}

enum cm_code ui_follow_version(struct cli *cli, struct cm_uuid version, FILE *out,
                               enum api_job_error_code *ret_code, struct cm_err *err)
{
    const char *path =
        cm_arena_printf(cli->arena, "/api/v2/templateversions/%s", cm_uuid_text(version).s);
    struct ui_job job = {
        .out = out,
        .logs_path = cm_arena_printf(cli->arena, "%s/logs", path),
        .cancel_path = cm_arena_printf(cli->arena, "%s/cancel", path),
        .fetch = fetch_version,
        .ctx = &version,
    };
    return ui_follow_job(cli, &job, ret_code, err);
}
