/* Cron expressions in the grammar of the scheduler that runs them: lists of ranges with steps,
 * names of months and days, and for scripts a leading field of seconds, descriptors and a time zone
 * in front. */
#pragma once

#include "schema/call.h"

enum cron_kind {
    CRON_UNSET,
    CRON_UNIX,   /* minute hour day month weekday */
    CRON_SCRIPT, /* second minute hour day month [weekday], or a descriptor such as @daily */
};

/* False: *ret_why says what is wrong. */
CM_MUST_USE bool cron_check(struct call *c, enum cron_kind kind, struct cm_str text,
                            struct cm_str *ret_why);

#define CRON_FIELDS_MAX 6
/* Splits at white space into at most max fields and returns how many there are in all. */
size_t cron_split(struct cm_str text, struct cm_str *fields, size_t max);
