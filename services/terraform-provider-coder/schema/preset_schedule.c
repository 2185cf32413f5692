/* Overlap is judged field by field, and only for stars, numbers, ranges and lists: two lines
 * overlap when their months, their days and their hours all have something in common. Months and
 * hours count from 0 here, so that what the cron grammar takes is never out of range. */
#include "schema/preset_schedule.h"

#include "schema/cron.h"

enum { HOUR = 1, DAY, MONTH, WEEKDAY };

struct range_kind {
    const char *name;
    int64_t min, max;
};

static const struct range_kind kinds[] = {
    [HOUR] = {"hour range", 0, 23},
    [DAY] = {"day-of-month range", 1, 31},
    [MONTH] = {"month range", 0, 12},
    [WEEKDAY] = {"day-of-week range", 0, 6},
};

struct schedule {
    struct cm_str text;
    bool star[WEEKDAY + 1];
    uint64_t bits[WEEKDAY + 1];
};

static bool parse_part(struct cm_str part, const struct range_kind *k, uint64_t *bits)
{
    struct cm_str low, high = cm_str_split(part, '-', &low);
    int64_t from, to;
    if (!cm_str_to_i64(low, &from))
        return false;
    to = from;
    if (high.ptr && !cm_str_to_i64(high, &to))
        return false;
    if (from < k->min || to > k->max || from > to)
        return false;
    for (int64_t i = from; i <= to; i++)
        *bits |= UINT64_C(1) << i;
    return true;
}

static bool parse_field(struct call *c, struct schedule *s, int which, struct cm_str field)
{
    if (cm_str_eq_c(field, "*")) {
        s->star[which] = true;
        s->bits[which] = UINT64_MAX;
        return true;
    }
    for (struct cm_str rest = field, part; rest.ptr;) {
        rest = cm_str_split(rest, ',', &part);
        if (parse_part(part, &kinds[which], &s->bits[which]))
            continue;
        struct cm_str quoted = call_quote(c, part);
        call_error(
            c, PATH_ROOT,
            "schedules overlap with each other: invalid schedule: invalid %s: invalid value: %.*s",
            kinds[which].name, CM_STR_ARG(quoted));
        return false;
    }
    return true;
}

static bool parse_schedule(struct call *c, struct cm_str text, struct schedule *s)
{
    struct cm_str fields[CRON_FIELDS_MAX];
    *s = (struct schedule){.text = text};
    if (cron_split(text, fields, CRON_FIELDS_MAX) != CRON_FIELDS_MAX - 1)
        return false; /* the row's check has said so */
    for (int which = HOUR; which <= WEEKDAY; which++)
        if (!parse_field(c, s, which, fields[which]))
            return false;
    return true;
}

static bool common(const struct schedule *a, const struct schedule *b, int which)
{
    return (a->bits[which] & b->bits[which]) != 0;
}

static bool days_overlap(const struct schedule *a, const struct schedule *b)
{
    if (a->star[DAY] || b->star[DAY])
        return common(a, b, WEEKDAY);
    if (a->star[WEEKDAY] || b->star[WEEKDAY])
        return common(a, b, DAY);
    return common(a, b, DAY) || common(a, b, WEEKDAY);
}

/* Pairs are compared, so a list from outside must not grow without end. */
#define SCHEDULES_MAX 1000

void preset_schedule_check(struct call *c, const struct value *schedules)
{
    size_t n = value_count(schedules);
    if (n < 2)
        return;
    if (n > SCHEDULES_MAX) {
        call_error(c, PATH_ROOT, "a preset has %zu schedules, at most %d are taken", n,
                   SCHEDULES_MAX);
        return;
    }
    struct schedule *all = CM_NEW_ARRAY(c->arena, struct schedule, n);
    for (size_t i = 0; i < n; i++)
        if (!parse_schedule(c, value_str(&schedules->list.items[i], "cron"), &all[i]))
            return;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = i + 1; k < n; k++) {
            if (!common(&all[i], &all[k], MONTH) || !days_overlap(&all[i], &all[k]) ||
                !common(&all[i], &all[k], HOUR))
                continue;
            call_error(c, PATH_ROOT,
                       "schedules overlap with each other: schedules overlap: %.*s and %.*s",
                       CM_STR_ARG(all[i].text), CM_STR_ARG(all[k].text));
            return;
        }
    }
}
