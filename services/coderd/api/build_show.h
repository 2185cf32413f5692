/* Builds as clients see them: with their job, resources, agents, apps and scripts, for many builds
 * in one batch. */
#pragma once

#include "api/builds.h"
#include "api/request.h"
#include "api/workspaces.h"
#include "store/builds.h"
#include "store/workspaces.h"

/* n rows of builds, in their order. */
CM_MUST_USE enum cm_code builds_show(struct api_req *r, const struct store_build *rows, size_t n,
                                     struct api_workspace_build **ret, struct cm_err *err);
/* Resources of any job, e.g. of a version's import. */
CM_MUST_USE enum cm_code resources_show(struct api_req *r, struct cm_uuid job_id,
                                        struct api_workspace_resource **ret, size_t *ret_n,
                                        struct cm_err *err);
/* One agent with its apps and scripts. */
CM_MUST_USE enum cm_code agent_show(struct api_req *r, struct cm_uuid agent_id,
                                    struct api_workspace_agent **ret, struct cm_err *err);

/* n workspaces with their latest builds, in their order. */
CM_MUST_USE enum cm_code workspaces_show(struct api_req *r, const struct store_workspace *rows,
                                         size_t n, struct api_workspace **ret, struct cm_err *err);
/* Replies with one. */
enum cm_code workspace_reply(struct api_req *r, int status, const struct store_workspace *w,
                             struct cm_err *err);

/* Fills shared_with of n workspaces, with the names of all in two queries. */
CM_MUST_USE enum cm_code workspaces_show_shared(struct api_req *r,
                                                const struct store_workspace *rows, size_t n,
                                                struct api_workspace *out, struct cm_err *err);
/* The object to put to may(): what the access lists grant the caller counts. */
struct rbac_object workspace_object(struct api_req *r, const struct store_workspace *w);
