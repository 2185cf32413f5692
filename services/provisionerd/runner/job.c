#include "runner/job.h"

#include <stdarg.h>

#include "obs/log.h"
#include "runner/job_impl.h"
#include "sys/fs.h"

void job_log(struct job *j, const char *source, const char *level, struct cm_str text)
{
    struct cm_time now = cm_time_now();
    for (bool more = true; more && !j->log_full;) {
        struct cm_str line;
        more = cm_str_find(text, '\n') >= 0;
        text = cm_str_split(text, '\n', &line);
        j->logged += line.len;
        if (j->logged > JOB_LOG_MAX) {
            j->log_full = true;
            line = CM_STR("The log has reached its limit of 1 MiB; further lines are dropped.");
            source = "provisioner_daemon";
            level = "warn";
        }
        const struct job_log_line l = {
            .at = now, .source = source, .level = level, .stage = j->stage, .output = line};
        j->host->log(j->host->ctx, &l);
    }
}

void job_logf(struct job *j, const char *level, const char *fmt, ...)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    va_list ap;
    va_start(ap, fmt);
    const char *text = cm_arena_vprintf(a, fmt, ap);
    va_end(ap);
    job_log(j, "provisioner_daemon", level, cm_str(text));
}

void job_stage(struct job *j, const char *stage)
{
    /* A line without words begins it. */
    j->stage = stage;
    job_log(j, "provisioner_daemon", "info", CM_STR(""));
}

/* Codes that clients act upon. */
static const char *error_code(const struct cm_err *err)
{
    struct cm_str text = cm_str(err->text);
    if (cm_str_contains(text, CM_STR("No value for required variable")))
        return "REQUIRED_TEMPLATE_VARIABLES";
    if (cm_str_contains(text, CM_STR("missing parameter")))
        return "MISSING_TEMPLATE_PARAMETER";
    return NULL;
}

static enum cm_code run_kind(struct job *j, struct cm_err *err)
{
    switch (j->msg->kind) {
    case PB_ENUM(JOB_KIND__TEMPLATE_IMPORT):
        return job_import(j, err);
    case PB_ENUM(JOB_KIND__WORKSPACE_BUILD):
        return job_build(j, err);
    case PB_ENUM(JOB_KIND__TEMPLATE_DRY_RUN):
        return job_dry_run(j, err);
    case PB_ENUM(JOB_KIND__JOB_UNSPECIFIED):
    case _CODER__PROVISIONER__V1__JOB_KIND_IS_INT_SIZE:
        break;
    }
    return cm_err_set(err, CM_UNIMPLEMENTED,
                      "this provisioner does not know jobs of kind %d; upgrade it",
                      (int)j->msg->kind);
}

static void finish(struct job *j, enum cm_code code, const struct cm_err *err)
{
    PB(CompleteRequest) *out = j->out;
    out->timings = j->timings.v;
    out->n_timings = j->timings.n;
    if (code == CM_OK) {
        out->outcome = PB_ENUM(COMPLETE_REQUEST__OUTCOME__SUCCEEDED);
        return;
    }
    bool canceled = code == CM_CANCELED;
    out->outcome = canceled ? PB_ENUM(COMPLETE_REQUEST__OUTCOME__CANCELED)
                            : PB_ENUM(COMPLETE_REQUEST__OUTCOME__FAILED);
    out->error = cm_arena_printf(j->a, "%s", err->text);
    if (!out->error_code && !canceled && error_code(err))
        out->error_code = cm_arena_printf(j->a, "%s", error_code(err));
    if (!canceled)
        job_logf(j, "error", "%s", err->text);
}

void job_run(const struct job_config *cfg, const PB(Job) * msg, const struct job_host *host,
             struct tf_cancel *cancel, const char *folder, struct cm_arena *a,
             PB(CompleteRequest) * ret)
{
    CM_AUTOFREE char *own_folder = NULL;
    struct cm_err err = {.code = CM_OK};
    struct job j = {.cfg = cfg,
                    .msg = msg,
                    .host = host,
                    .cancel = cancel,
                    .a = a,
                    .out = ret,
                    .folder = folder,
                    .stage = STAGE_SETUP,
                    .timing_stage = "init",
                    .source = CM_BUF_INIT((size_t)100 << 20)};
    enum cm_code code = CM_OK;
    coder__provisioner__v1__complete_request__init(ret);
    if (!folder) {
        code = cm_fs_temp_dir(cfg->work_root, "job-", &own_folder, &err);
        j.folder = own_folder;
    }
    if (code == CM_OK)
        code = run_kind(&j, &err);
    finish(&j, code, &err);
    job_stage(&j, STAGE_CLEANUP);
    cm_buf_done(&j.source);
    if (own_folder && cm_fs_remove_tree(own_folder, &err) != CM_OK)
        CM_WARN("cannot remove the folder of a job", CM_F_ERR(&err));
}
