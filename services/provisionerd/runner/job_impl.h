/* Shared by the files of a job. */
#pragma once

#include "runner/job.h"
#include "terraform/environ.h"
#include "terraform/extract.h"
#include "terraform/run.h"
#include "terraform/ui.h"

struct job {
    const struct job_config *cfg;
    const PB(Job) * msg;
    const struct job_host *host;
    struct tf_cancel *cancel;
    struct cm_arena *a;
    PB(CompleteRequest) * out;

    const char *folder; /* this job's own; mode 0700 */
    const char *src;    /* folder/src: terraform's working folder */
    const char *var_file;
    const char *key; /* of the version cache */
    struct cm_buf source;
    struct tf_variables variables;
    struct tf_env basic, full; /* for init, show and graph; for plan and apply */

    const char *stage; /* what the log says we are doing; static */
    size_t logged;
    bool log_full;

    /* The first error that terraform reported, for the job's own error. */
    struct cm_str error_summary, error_detail;
    const char *timing_stage; /* init, plan, graph, apply */
    struct span {
        struct cm_time began;
        struct cm_str action, resource;
    } * spans; /* under way */
    size_t n_spans, cap_spans;
    struct timings {
        PB(Timing) * *v;
        size_t n, cap;
    } timings;

    struct cm_str last_state;  /* hash of what the host has */
    struct cm_time state_seen; /* modification time of the state file when it was last looked at */
    bool state_watched;
};

/* The stages that users see. */
#define STAGE_SETUP      "Setting up"
#define STAGE_PARSE      "Parsing template parameters"
#define STAGE_INIT       "Initializing Terraform Directory"
#define STAGE_PERSISTENT "Detecting persistent resources"
#define STAGE_EPHEMERAL  "Detecting ephemeral resources"
#define STAGE_PLAN       "Planning Infrastructure"
#define STAGE_GRAPH      "Graphing Infrastructure"
#define STAGE_CLEANUP    "Cleaning Up"

/* One or more lines. level and source are static. */
void job_log(struct job *j, const char *source, const char *level, struct cm_str text);
void job_logf(struct job *j, const char *level, const char *fmt, ...) CM_PRINTF(3, 4);
void job_stage(struct job *j, const char *stage);

/* --- job_command.c: terraform's commands --- */

/* Runs terraform with the arguments (NULL at the end, without the program); its output becomes log
 * lines, spans and errors. CM_CANCELED, or CM_INVALID with terraform's first error. */
CM_MUST_USE enum cm_code job_terraform(struct job *j, const char *const *args,
                                       const struct tf_env *env, struct cm_err *err);
/* The same for commands that print a document. */
CM_MUST_USE enum cm_code job_terraform_output(struct job *j, const char *const *args,
                                              struct cm_buf *out, struct cm_err *err);
void job_add_timing(struct job *j, struct cm_time began, struct cm_time ended, struct cm_str action,
                    struct cm_str resource, struct cm_str source);

/* --- job_setup.c: from the archive to an initialised folder --- */

CM_MUST_USE enum cm_code job_setup(struct job *j, struct cm_err *err);
CM_MUST_USE enum cm_code job_init(struct job *j, struct cm_err *err);
/* The graph of the version, from the cache or from terraform. */
CM_MUST_USE enum cm_code job_graph(struct job *j, struct tf_graph **ret, struct cm_err *err);

/* --- job_state.c --- */

CM_MUST_USE enum cm_code job_state_load(struct job *j, bool *ret_has_objects, struct cm_err *err);
/* Hands the state file to the host when it is whole and has changed. */
void job_state_watch(struct job *j);
/* The same at the end; always: also when it has not changed. The text goes to out. */
CM_MUST_USE enum cm_code job_state_final(struct job *j, bool always, struct cm_buf *out,
                                         struct cm_err *err);

/* --- the kinds of jobs --- */

CM_MUST_USE enum cm_code job_import(struct job *j, struct cm_err *err);
CM_MUST_USE enum cm_code job_dry_run(struct job *j, struct cm_err *err);
CM_MUST_USE enum cm_code job_build(struct job *j, struct cm_err *err);
