/* Quiet hours: the time of day from which a user's workspaces may be stopped for maintenance. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#define QUIET_HOURS_DEFAULT "CRON_TZ=UTC 0 0 * * *"

struct quiet_hours {
    struct cm_str
        timezone; /* borrowed from the text; whether there is such a zone is not checked */
    unsigned hour, minute;
};

/* "CRON_TZ=Europe/Berlin 30 23 * * *": once a day, the zone may be left out for UTC. CM_INVALID. */
CM_MUST_USE enum cm_code quiet_hours_parse(struct cm_str text, struct quiet_hours *ret,
                                           struct cm_err *err);
