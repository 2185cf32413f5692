#include "ui/joblog.h"
#include "api/builds.h"
#include "api/templates.h"

#include <unistd.h>

#define TRIES_MAX 20

struct follow {
    struct cli *cli;
    const struct ui_job *job;
    char stage[128];
    cm_usec stage_since; /* wall clock; 0: no stage under way */
    int64_t last_id;
    struct cm_buf kept; /* what a quiet job printed, for the case that it fails */
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

/* The stream may break while the job goes on (a replica restarts): it is taken up again behind the
 * last line seen. */
static enum cm_code follow_logs(struct follow *f, const struct api_provisioner_job **ret,
                                struct cm_err *err)
{
    enum cm_code code = CM_OK;

    for (int tries = 0; tries < TRIES_MAX; tries++) {
        int64_t before = f->last_id;
        code = cm_sdk_follow(f->cli->sdk, on_log, f, err, "%s?follow&after=%lld", f->job->logs_path,
                             (long long)f->last_id);
        if (code == CM_NOT_FOUND || code == CM_UNAUTHENTICATED || code == CM_DENIED)
            return cm_err_wrap(err, "follow logs");
        enum cm_code fetched = f->job->fetch(f->cli, f->job->ctx, ret, err);
        if (fetched == CM_OK && is_over((*ret)->status))
            return CM_OK;
        if (fetched != CM_OK && fetched != CM_UNAVAILABLE && fetched != CM_IO)
            return fetched;
        if (f->last_id > before)
            tries = 0;
        cm_loop_turn(cm_sdk_loop(f->cli->sdk), 0);
        usleep(200000); /* before trying again; the loop has nothing to wait for */
    }
    return code != CM_OK
               ? code
               : cm_err_set(err, CM_UNAVAILABLE, "the job's logs ended before the job did");
}

enum cm_code ui_follow_job(struct cli *cli, const struct ui_job *job,
                           enum api_job_error_code *ret_code, struct cm_err *err)
{
    struct follow f = {.cli = cli, .job = job};
    const struct api_provisioner_job *now = NULL;

    cm_buf_init(&f.kept, (size_t)4 << 20);
    begin_stage(&f, CM_STR("Queued"), cm_time_now().us);
    enum cm_code code = follow_logs(&f, &now, err);
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

enum cm_code ui_follow_build(struct cli *cli, struct cm_uuid build, FILE *out, struct cm_err *err)
{
    struct ui_job job = {
        .out = out,
        .logs_path =
            cm_arena_printf(cli->arena, "/api/v2/workspacebuilds/%s/logs", cm_uuid_text(build).s),
        .fetch = fetch_build,
        .ctx = &build,
    };
    return ui_follow_job(cli, &job, NULL, err);
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
    struct ui_job job = {
        .out = out,
        .logs_path = cm_arena_printf(cli->arena, "/api/v2/templateversions/%s/logs",
                                     cm_uuid_text(version).s),
        .fetch = fetch_version,
        .ctx = &version,
    };
    return ui_follow_job(cli, &job, ret_code, err);
}
