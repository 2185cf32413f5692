#include "schema/cron.h"

#include "base/time.h"
#include "schema/zone.h"

struct bounds {
    int64_t min, max;
    const char *const *names; /* names[i] stands for min + i; NULL-terminated */
};

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

/* In the order of a script's expression; a Unix one starts at the second row. */
static const struct bounds all_bounds[CRON_FIELDS_MAX] = {
    {0, 59, NULL}, {0, 59, NULL},        {0, 23, NULL},
    {1, 31, NULL}, {1, 12, month_names}, {0, 6, day_names},
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

size_t cron_split(struct cm_str text, struct cm_str *fields, size_t max)
{
    size_t n = 0, at = 0;
    while (at < text.len) {
        size_t end = at;
        while (end < text.len && !is_space(text.ptr[end]))
            end++;
        if (end > at) {
            if (n < max)
                fields[n] = cm_str_sub(text, at, end - at);
            n++;
        }
        at = end + 1;
    }
    return n;
}

static bool parse_number(struct call *c, struct cm_str s, const struct bounds *b, int64_t *ret,
                         struct cm_str *why)
{
    for (size_t i = 0; b->names && b->names[i]; i++) {
        if (cm_str_eq_nocase(s, cm_str(b->names[i]))) {
            *ret = b->min + (int64_t)i;
            return true;
        }
    }
    if (!cm_str_to_i64(s, ret)) {
        struct cm_str quoted = call_quote(c, s);
        *why = cm_arena_fmt(c->arena, "failed to parse int from %.*s: invalid syntax",
                            CM_STR_ARG(quoted));
        return false;
    }
    if (*ret < 0) {
        *why = cm_arena_fmt(c->arena, "negative number (%lld) not allowed: %.*s", (long long)*ret,
                            CM_STR_ARG(s));
        return false;
    }
    return true;
}

static bool in_bounds(struct call *c, struct cm_str expr, const struct bounds *b, int64_t start,
                      int64_t end, int64_t step, struct cm_str *why)
{
    if (start < b->min)
        *why = cm_arena_fmt(c->arena, "beginning of range (%lld) below minimum (%lld): %.*s",
                            (long long)start, (long long)b->min, CM_STR_ARG(expr));
    else if (end > b->max)
        *why = cm_arena_fmt(c->arena, "end of range (%lld) above maximum (%lld): %.*s",
                            (long long)end, (long long)b->max, CM_STR_ARG(expr));
    else if (start > end)
        *why = cm_arena_fmt(c->arena, "beginning of range (%lld) beyond end of range (%lld): %.*s",
                            (long long)start, (long long)end, CM_STR_ARG(expr));
    else if (step == 0)
        *why = cm_arena_fmt(c->arena, "step of range should be a positive number: %.*s",
                            CM_STR_ARG(expr));
    else
        return true;
    return false;
}

/* N, N-M, * or ?, each with an optional /STEP; N/STEP runs to the end. */
static bool check_range_text(struct call *c, struct cm_str expr, const struct bounds *b,
                             struct cm_str *why)
{
    struct cm_str range, low, step_text = cm_str_split(expr, '/', &range);
    struct cm_str high = cm_str_split(range, '-', &low);
    bool has_step = step_text.ptr != NULL, has_high = high.ptr != NULL;
    int64_t start = b->min, end = b->max, step = 1;
    struct cm_str head;
    if (!cm_str_eq_c(low, "*") && !cm_str_eq_c(low, "?")) {
        if (!parse_number(c, low, b, &start, why))
            return false;
        end = start;
        if (has_high && cm_str_split(high, '-', &head).ptr) {
            *why = cm_arena_fmt(c->arena, "too many hyphens: %.*s", CM_STR_ARG(expr));
            return false;
        }
        if (has_high && !parse_number(c, high, b, &end, why))
            return false;
    }
    if (has_step) {
        static const struct bounds no_names = {0, INT64_MAX, NULL};
        if (cm_str_split(step_text, '/', &head).ptr) {
            *why = cm_arena_fmt(c->arena, "too many slashes: %.*s", CM_STR_ARG(expr));
            return false;
        }
        if (!parse_number(c, step_text, &no_names, &step, why))
            return false;
        if (!has_high)
            end = b->max;
    }
    return in_bounds(c, expr, b, start, end, step, why);
}

static bool check_field(struct call *c, struct cm_str field, const struct bounds *b,
                        struct cm_str *why)
{
    while (field.ptr) {
        struct cm_str part;
        field = cm_str_split(field, ',', &part);
        if (part.len && !check_range_text(c, part, b, why))
            return false;
    }
    return true;
}

static bool check_descriptor(struct call *c, struct cm_str text, struct cm_str *why)
{
    static const char *const known[] = {"@yearly", "@annually", "@monthly", "@weekly",
                                        "@daily",  "@midnight", "@hourly"};
    for (size_t i = 0; i < CM_COUNT_OF(known); i++)
        if (cm_str_eq_c(text, known[i]))
            return true;
    struct cm_str every = CM_STR("@every ");
    cm_usec ignored;
    if (cm_str_starts(text, every)) {
        struct cm_str rest = cm_str_sub(text, every.len, text.len);
        /* Go's durations have no days. */
        if (cm_str_find(rest, 'd') < 0 && cm_duration_parse(rest, &ignored))
            return true;
        *why = cm_arena_fmt(c->arena, "failed to parse duration %.*s: invalid duration",
                            CM_STR_ARG(text));
        return false;
    }
    *why = cm_arena_fmt(c->arena, "unrecognized descriptor: %.*s", CM_STR_ARG(text));
    return false;
}

/* Takes "TZ=Zone " or "CRON_TZ=Zone " off the front. */
static bool take_zone(struct call *c, struct cm_str *text, struct cm_str *why)
{
    if (!cm_str_starts(*text, CM_STR("TZ=")) && !cm_str_starts(*text, CM_STR("CRON_TZ=")))
        return true;
    struct cm_str head, name, reason;
    struct cm_str rest = cm_str_split(*text, ' ', &head);
    name = cm_str_split(head, '=', &head);
    if (!zone_exists(c, name, &reason)) {
        *why = cm_arena_fmt(c->arena, "provided bad location %.*s: %.*s", CM_STR_ARG(name),
                            CM_STR_ARG(reason));
        return false;
    }
    *text = cm_str_trim(rest);
    return true;
}

bool cron_check(struct call *c, enum cron_kind kind, struct cm_str text, struct cm_str *ret_why)
{
    if (text.len == 0) {
        *ret_why = CM_STR("empty spec string");
        return false;
    }
    if (!take_zone(c, &text, ret_why))
        return false;
    if (text.len && text.ptr[0] == '@') {
        if (kind == CRON_SCRIPT)
            return check_descriptor(c, text, ret_why);
        *ret_why =
            cm_arena_fmt(c->arena, "parser does not accept descriptors: %.*s", CM_STR_ARG(text));
        return false;
    }
    struct cm_str fields[CRON_FIELDS_MAX];
    size_t n = cron_split(text, fields, CRON_FIELDS_MAX);
    size_t max = kind == CRON_SCRIPT ? CRON_FIELDS_MAX : CRON_FIELDS_MAX - 1;
    if (n < CRON_FIELDS_MAX - 1 || n > max) {
        *ret_why = cm_arena_fmt(c->arena, "expected %s fields, found %zu: [%.*s]",
                                kind == CRON_SCRIPT ? "5 to 6" : "exactly 5", n, CM_STR_ARG(text));
        return false;
    }
    const struct bounds *b = kind == CRON_SCRIPT ? all_bounds : all_bounds + 1;
    for (size_t i = 0; i < n; i++)
        if (!check_field(c, fields[i], &b[i], ret_why))
            return false;
    return true;
}
