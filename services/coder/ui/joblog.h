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
};

/* CM_OK when the job has succeeded; else an error with the job's own words. *ret_code (may be NULL)
 * tells which. */
CM_MUST_USE enum cm_code ui_follow_job(struct cli *cli, const struct ui_job *job,
                                       enum api_job_error_code *ret_code, struct cm_err *err);

/* The usual two. */
CM_MUST_USE enum cm_code ui_follow_build(struct cli *cli, struct cm_uuid build, FILE *out,
                                         struct cm_err *err);
CM_MUST_USE enum cm_code ui_follow_version(struct cli *cli, struct cm_uuid version, FILE *out,
                                           enum api_job_error_code *ret_code, struct cm_err *err);
