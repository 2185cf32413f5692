/* Wall-clock instants and durations, both in microseconds. */
#pragma once

#include "base/buf.h"
#include "base/defs.h"
#include "base/str.h"

typedef int64_t cm_usec; /* a duration, or an instant of a clock that its name says */

#define CM_MSEC   ((cm_usec)1000)
#define CM_SECOND ((cm_usec)1000000)
#define CM_MINUTE (60 * CM_SECOND)
#define CM_HOUR   (60 * CM_MINUTE)
#define CM_DAY    (24 * CM_HOUR)

/* An instant: microseconds since 1970-01-01 UTC. CM_TIME_ZERO is Go's zero time,
 * 0001-01-01T00:00:00Z, which clients of the API read as "never". */
struct cm_time {
    int64_t us;
};
#define CM_TIME_ZERO ((struct cm_time){INT64_C(-62135596800000000)})

struct cm_time cm_time_now(void);
cm_usec cm_monotonic_now(void);
static inline bool cm_time_is_zero(struct cm_time t)
{
    return t.us == CM_TIME_ZERO.us;
}
static inline struct cm_time cm_time_add(struct cm_time t, cm_usec d)
{
    return (struct cm_time){t.us + d};
}

#define CM_TIME_TEXT 40
/* RFC 3339 in UTC with as many fraction digits as needed: 2026-11-23T06:16:49.449247Z */
const char *cm_time_format(struct cm_time t, char out[CM_TIME_TEXT]);
/* The form of HTTP's Date (RFC 9110, 5.6.7): Mon, 23 Nov 2026 06:16:49 GMT. */
const char *cm_time_format_http(struct cm_time t, char out[CM_TIME_TEXT]);
/* Accepts RFC 3339 with any offset and up to nine fraction digits (cut to microseconds). */
CM_MUST_USE bool cm_time_parse(struct cm_str s, struct cm_time *ret);

/* Go's duration text: 1h30m, 250ms, 1.5s, with d (24 h) allowed too. */
CM_MUST_USE bool cm_duration_parse(struct cm_str s, cm_usec *ret);
void cm_duration_format(struct cm_buf *out, cm_usec d); /* Go's String(): 1h30m0s */
