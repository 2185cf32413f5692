/* Jobs and what they have made: resources, agents, apps and scripts as clients see them, for many
 * jobs in at most two round trips.
 *
 *   build_parts_load(r, jobs, n, &parts, err);    definitions, from memory where they are
 *   build_parts_states(parts, batch);             what changes, in a batch of the caller's
 *   cm_db_batch_run(batch, ...);
 *   build_parts_show(parts, i, &n);               the resources of jobs[i] */
#pragma once

#include "api/builds.h"
#include "api/request.h"

struct build_parts;
struct cm_db_batch;

/* jobs is borrowed; everything lives as long as the request. */
CM_MUST_USE enum cm_code build_parts_load(struct api_req *r, const struct cm_uuid *jobs, size_t n,
                                          struct build_parts **ret, struct cm_err *err);
void build_parts_states(struct build_parts *p, struct cm_db_batch *b);
/* NULL: there is no such job. */
const struct api_provisioner_job *build_parts_job(const struct build_parts *p, size_t i);
/* After the batch has run. Values of sensitive metadata are blank. */
struct api_workspace_resource *build_parts_show(const struct build_parts *p, size_t i,
                                                size_t *ret_n);
