/* How a provisioner job is shown inside versions, builds and dry runs. */
#pragma once

#include "api/jobs.h"
#include "api/request.h"
#include "store/jobs.h"

/* With empty metadata, as everywhere but in lists of jobs. */
struct api_provisioner_job *job_show(struct cm_arena *a, const struct store_job *j);
/* One job by id. */
CM_MUST_USE enum cm_code job_load(struct api_req *r, struct cm_uuid id, struct store_job **ret,
                                  struct cm_err *err);

/* Tags normalised: scope organization, owner "" unless a user's (runtime-behaviour reference, 5.2).
 */
struct cm_pair *job_tags(struct cm_arena *a, const struct cm_pair *tags, size_t n,
                         struct cm_uuid user_id, size_t *ret_n);

/* ROUTE_STREAM or plain answer of a job's logs: ?after, ?follow, ?format. Sets the reply or start.
 */
CM_MUST_USE enum cm_code job_logs_reply(struct api_req *r, struct cm_uuid job_id,
                                        struct cm_err *err);

/* A time as logs in text have it: without the fraction of its second. */
static inline struct cm_time log_time(struct cm_time t)
{
    return (struct cm_time){t.us - t.us % CM_SECOND};
}

/* Topics of the hub. */
#define TOPIC_JOBS       "jobs"   /* a job waits for a daemon */
#define TOPIC_JOB_FMT    "job:%s" /* logs or status of one job */
#define TOPIC_WS_FMT     "workspace:%s"
#define TOPIC_AGENT_LOGS "agent_logs:%s"
