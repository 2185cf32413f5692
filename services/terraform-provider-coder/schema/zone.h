/* Names of time zones, as Go's time.LoadLocation takes them. */
#pragma once

#include "schema/call.h"

/* False: *ret_why says why, in Go's words. */
CM_MUST_USE bool zone_exists(struct call *c, struct cm_str name, struct cm_str *ret_why);
