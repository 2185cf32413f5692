/* Following a provisioner job until its end: stages with their times, and what it prints. */
#pragma once

#include <stdio.h>

#include "api/jobs.h"
#include "cli.h"

struct ui_job {
    FILE *out;             /* stdout, or stderr where stdout carries data */
    const char *logs_path; /* "/api/v2/workspacebuilds/<id>/logs" */
    /* Fetches the job as it is now. */
    enum cm_code (*fetch)(struct cli *cli, void *ctx, const struct api_provisioner_job **ret,
                          struct cm_err *err);
    void *ctx;
    bool quiet; /* only stages; logs are shown when the job fails */
    /* Where the first Ctrl-C cancels the job, "/api/v2/workspacebuilds/<id>/cancel"; the second
     * ends the program. NULL: the first one does, and the job goes on. */
    const char *cancel_path;
};

/* CM_OK when the job has succeeded; else an error with the job's own words. *ret_code (may be NULL)
 * tells which. */
CM_MUST_USE enum cm_code ui_follow_job(struct cli *cli, const struct ui_job *job,
                                       enum api_job_error_code *ret_code, struct cm_err *err);

/* The usual ones: a build that this run has ordered, which Ctrl-C cancels; one that is only
 * watched; and the import of a template version, which Ctrl-C cancels. */
CM_MUST_USE enum cm_code ui_follow_build(struct cli *cli, struct cm_uuid build, FILE *out,
                                         struct cm_err *err);
CM_MUST_USE enum cm_code ui_watch_build(struct cli *cli, struct cm_uuid build, FILE *out,
                                        struct cm_err *err);
CM_MUST_USE enum cm_code ui_follow_version(struct cli *cli, struct cm_uuid version, FILE *out,
                                           enum api_job_error_code *ret_code, struct cm_err *err);
