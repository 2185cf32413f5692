#include "scripts/cron.h"

#include <time.h>

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                          "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

static const struct {
    const char *what;
    int min, max;
    const char *const *names;
    int n_names;
} fields[] = {
    {"second", 0, 59, NULL, 0},        {"minute", 0, 59, NULL, 0},
    {"hour", 0, 23, NULL, 0},          {"day of month", 1, 31, NULL, 0},
    {"month", 1, 12, month_names, 12}, {"day of week", 0, 7, day_names, 7},
};

static bool parse_value(struct cm_str s, int field, int *ret)
{
    int64_t v;
    for (int i = 0; i < fields[field].n_names; i++)
        if (cm_str_eq_nocase(s, cm_str(fields[field].names[i]))) {
            *ret = i + fields[field].min;
            return true;
        }
    if (!cm_str_to_i64(s, &v) || v < fields[field].min || v > fields[field].max)
        return false;
    *ret = (int)v;
    return true;
}

/* One item of a list: "*", "a", "a-b", each with "/step"; "a/step" runs to the end. */
static bool parse_item(struct cm_str item, int field, uint64_t *bits, bool *any)
{
    struct cm_str range, step_text = cm_str_split(item, '/', &range);
    int64_t step = 1;
    if (step_text.ptr && (!cm_str_to_i64(step_text, &step) || step < 1 || step > 60))
        return false;
    int from = fields[field].min, to = fields[field].max;
    if (cm_str_eq_c(range, "*") || cm_str_eq_c(range, "?")) {
        *any = *any || step == 1;
        if (field == 5)
            to = 6;
    } else {
        struct cm_str first, last = cm_str_split(range, '-', &first);
        if (!parse_value(first, field, &from))
            return false;
        if (last.ptr) {
            if (!parse_value(last, field, &to))
                return false;
        } else if (!step_text.ptr) {
            to = from;
        }
    }
    if (from > to)
        return false;
    for (int v = from; v <= to; v += (int)step)
        *bits |= UINT64_C(1) << (field == 5 && v == 7 ? 0 : v);
    return true;
}

enum cm_code cron_parse(struct cm_str text, struct cron *ret, struct cm_err *err)
{
    struct cron c = {0};
    uint64_t *bits[] = {&c.seconds, &c.minutes, &c.hours, &c.days, &c.months, &c.weekdays};
    bool any[6] = {false};
    int n = 0;
    struct cm_str rest = cm_str_trim(text);
    for (; rest.len; n++) {
        struct cm_str word;
        rest = cm_str_trim(cm_str_split(rest, ' ', &word));
        if (n == 6)
            return cm_err_set(err, CM_INVALID, "cron \"%.*s\" has more than six fields",
                              CM_STR_ARG(text));
        struct cm_str items = word;
        while (items.ptr) {
            struct cm_str item;
            items = cm_str_split(items, ',', &item);
            if (!parse_item(item, n, bits[n], &any[n]))
                return cm_err_set(err, CM_INVALID, "cron \"%.*s\": %s \"%.*s\" is not valid",
                                  CM_STR_ARG(text), fields[n].what, CM_STR_ARG(word));
        }
    }
    if (n < 5)
        return cm_err_set(
            err, CM_INVALID,
            "cron \"%.*s\" needs five or six fields: second minute hour day month [day of week]",
            CM_STR_ARG(text));
    if (n == 5) {
        c.weekdays = 0x7f;
        any[5] = true;
    }
    c.any_day = any[3];
    c.any_weekday = any[5];
    *ret = c;
    return CM_OK;
}

static bool has(uint64_t bits, int v)
{
    return bits >> v & 1;
}

static bool day_fits(const struct cron *c, const struct tm *tm)
{
    bool day = has(c->days, tm->tm_mday), weekday = has(c->weekdays, tm->tm_wday);
    return c->any_day || c->any_weekday ? day && weekday : day || weekday;
}

bool cron_next(const struct cron *c, struct cm_time t, struct cm_time *ret)
{
    time_t at = (time_t)(t.us / CM_SECOND) + 1, limit = at + (time_t)5 * 366 * 86400;
    /* Steps over whatever does not fit by its unit; mktime normalises, and knows of summer time. */
    while (at < limit) {
        struct tm tm;
        if (!localtime_r(&at, &tm))
            return false;
        if (!has(c->months, tm.tm_mon + 1)) {
            tm = (struct tm){
                .tm_year = tm.tm_year, .tm_mon = tm.tm_mon + 1, .tm_mday = 1, .tm_isdst = -1};
        } else if (!day_fits(c, &tm)) {
            tm = (struct tm){.tm_year = tm.tm_year,
                             .tm_mon = tm.tm_mon,
                             .tm_mday = tm.tm_mday + 1,
                             .tm_isdst = -1};
        } else if (!has(c->hours, tm.tm_hour)) {
            at += 3600 - tm.tm_min * 60 - tm.tm_sec;
            continue;
        } else if (!has(c->minutes, tm.tm_min)) {
            at += 60 - tm.tm_sec;
            continue;
        } else if (!has(c->seconds, tm.tm_sec)) {
            at++;
            continue;
        } else {
            *ret = (struct cm_time){.us = (int64_t)at * CM_SECOND};
            return true;
        }
        time_t next = mktime(&tm);
        at = next > at ? next : at + 3600;
    }
    return false;
}
