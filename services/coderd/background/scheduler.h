/* Workspaces that start, stop, sleep and go by themselves. Source: runtime-behaviour reference, 6.
 */
#pragma once

#include "db/db.h"
#include "store/templates.h"

/* When the schedule comes next after that time, on a weekday that the template allows; *ret is zero
 * when it does not within nine days, or the text is empty. CM_INVALID: the text is no schedule, or
 * its time zone is unknown. */
CM_MUST_USE enum cm_code schedule_next(struct cm_db *db, struct cm_arena *a, struct cm_str text,
                                       const struct store_template *t, struct cm_time after,
                                       struct cm_time *ret, struct cm_err *err);
