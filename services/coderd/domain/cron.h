/* Schedules of workspaces: "CRON_TZ=Europe/Berlin 30 9 * * 1-5". Five fields: minute, hour, day of
 * the month and month (both must be *), day of the week; lists, ranges, steps and names of days.
 * Source: runtime-behaviour reference, 6.1. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#define CRON_ZONE_MAX 64

struct cron {
    char zone[CRON_ZONE_MAX + 1]; /* "UTC" when the text names none; whether it exists is
                                     PostgreSQL's to say */
    int64_t minutes[60], hours[24], weekdays[7]; /* rising; weekday 0 is Sunday */
    size_t n_minutes, n_hours, n_weekdays;
};

/* CM_INVALID with a sentence about what is wrong. */
CM_MUST_USE enum cm_code cron_parse(struct cm_str text, struct cron *ret, struct cm_err *err);
