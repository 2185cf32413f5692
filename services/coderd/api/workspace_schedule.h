/* What creating a workspace checks of its schedule. */
#pragma once

#include "api/request.h"
#include "store/templates.h"

/* False: the reply is the refusal. */
CM_MUST_USE bool workspace_ttl_ok(struct api_req *r, int64_t ttl_ms);
/* *ret_next: when the schedule comes next; zero for an empty one. CM_INVALID with a violation of
 * the field. */
CM_MUST_USE enum cm_code workspace_schedule_check(struct api_req *r, const struct store_template *t,
                                                  struct cm_str schedule, const char *field,
                                                  struct cm_time *ret_next, struct cm_err *err);
