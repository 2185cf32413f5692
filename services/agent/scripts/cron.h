/* Schedules of scripts: "second minute hour day-of-month month [day-of-week]", in local time. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "base/time.h"

struct cron {
    uint64_t seconds, minutes, hours, days, months, weekdays; /* a bit for each value */
    bool any_day, any_weekday; /* when neither is "any", a day that fits either will do */
};

/* Fields: lists of values, ranges, "*" or "?", each with an optional /step; names for months and
 * days of the week. */
CM_MUST_USE enum cm_code cron_parse(struct cm_str text, struct cron *ret, struct cm_err *err);
/* The first moment after t that fits; false when there is none within five years. */
CM_MUST_USE bool cron_next(const struct cron *c, struct cm_time t, struct cm_time *ret);
