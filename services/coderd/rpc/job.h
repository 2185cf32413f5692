/* Jobs between the database and the wire: what a daemon is told, and what it makes of it. */
#pragma once

#include "app.h"
#include "db/db.h"
#include "provisioner.pb-c.h"
#include "store/jobs.h"

/* Everything that the daemon needs for the job it has acquired. A failure fails the job: CM_INVALID
 * with a sentence for the user; other codes may be tried again. */
CM_MUST_USE enum cm_code job_describe(struct coderd *app, struct cm_db *db, struct cm_arena *a,
                                      const struct store_lease *lease, cm_usec lease_time,
                                      Coder__Provisioner__V1__Job **ret, struct cm_err *err);

/* What a job is about. Ids are nil where it has none. */
struct job_input {
    struct cm_uuid template_version_id, workspace_build_id;
    bool orphan, debug_log;
    struct cm_str workspace_name;     /* of a dry run */
    const struct cm_json *parameters; /* of a dry run: a list of name and value */
};
struct job_input job_input_parse(struct cm_arena *a, struct cm_str input);

/* Stores what a finished job made, inside the caller's transaction. */
CM_MUST_USE enum cm_code job_store_result(struct cm_db *db, struct cm_arena *a,
                                          const struct store_job *job,
                                          const Coder__Provisioner__V1__CompleteRequest *q,
                                          struct cm_err *err);
