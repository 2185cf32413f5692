/* Loading workspaces for handlers: with the right that the route asks for, else not found. */
#pragma once

#include "api/build_show.h"

/* params[i] as a workspace that the route's rule allows, deleted or not. */
CM_MUST_USE enum cm_code workspace_param(struct api_req *r, size_t i, struct store_workspace **ret,
                                         struct cm_err *err);
/* The same, and CM_GONE for a deleted one: the usual beginning of a handler that changes it. */
CM_MUST_USE enum cm_code workspace_param_live(struct api_req *r, size_t i,
                                              struct store_workspace **ret, struct cm_err *err);
