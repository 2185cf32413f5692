/* When a workspace starts by itself, as people write it: "9:30AM Mon-Fri Europe/Dublin". */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/time.h"

/* <time> [days] [location], each a word, to "CRON_TZ=Europe/Dublin 30 9 * * Mon-Fri". Without a
 * location it is this machine's; without days, every day. Whether the location exists is the
 * server's to say. */
CM_MUST_USE enum cm_code schedule_parse(struct cm_arena *a, const char *const *words, size_t n,
                                        const char **ret, struct cm_err *err);
/* The same of one text with blanks between the words. */
CM_MUST_USE enum cm_code schedule_parse_text(struct cm_arena *a, const char *text, const char **ret,
                                             struct cm_err *err);
/* Minutes where a bare number is given, else Go's form. */
CM_MUST_USE enum cm_code schedule_parse_duration(const char *text, cm_usec *ret,
                                                 struct cm_err *err);
/* The other way: "9:30AM Mon-Fri (Europe/Dublin)"; a text of another form as it is. */
const char *schedule_format(struct cm_arena *a, struct cm_str cron);
