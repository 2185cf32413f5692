/* Rate limits: requests per user (or address) and path over a sliding minute. */
#pragma once

#include "api/request.h"

struct ratelimit;

struct ratelimit *ratelimit_new(bool enabled);
void ratelimit_free(struct ratelimit *l);
CM_DEFINE_CLEANUP(ratelimit, ratelimit_free)

/* False: the reply is the 429. now: cm_monotonic_now(), since a clock that is set back must not
 * lock anybody out. Any thread. */
bool ratelimit_pass(struct api_req *r, cm_usec now);
