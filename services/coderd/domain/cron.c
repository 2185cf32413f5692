#include "domain/cron.h"

#include <string.h>

struct field {
    const char *name;
    int lo, hi;
    bool weekday; /* takes names */
};

static const struct field fields[] = {
    {"minute", 0, 59, false}, {"hour", 0, 23, false},          {"day of the month", 1, 31, false},
    {"month", 1, 12, false},  {"day of the week", 0, 6, true},
};

static bool read_value(const struct field *f, struct cm_str text, int *ret)
{
    static const char *const names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
    int64_t v;
    for (int i = 0; f->weekday && i < (int)CM_COUNT_OF(names); i++) {
        if (cm_str_eq_nocase(text, cm_str(names[i]))) {
            *ret = i;
            return true;
        }
    }
    if (!text.len || text.len > 2 || !cm_str_to_i64(text, &v) || v < f->lo || v > f->hi)
        return false;
    *ret = (int)v;
    return true;
}

/* One element of a list: *, n, a-b, each perhaps with /step. */
static bool read_element(const struct field *f, struct cm_str text, uint64_t *mask)
{
    struct cm_str range, from;
    struct cm_str step_text = cm_str_split(text, '/', &range);
    int lo = f->lo, hi = f->hi;
    int64_t step = 1;
    if (step_text.ptr && (!step_text.len || step_text.len > 2 || !cm_str_to_i64(step_text, &step) ||
                          step < 1 || step > f->hi))
        return false;
    if (!cm_str_eq_c(range, "*")) {
        struct cm_str to = cm_str_split(range, '-', &from);
        if (!read_value(f, from, &lo))
            return false;
        hi = step_text.ptr ? f->hi : lo;
        if (to.ptr && !read_value(f, to, &hi))
            return false;
        if (hi < lo)
            return false;
    }
    for (int i = lo; i <= hi; i += (int)step)
        *mask |= UINT64_C(1) << i;
    return true;
}

static enum cm_code read_field(const struct field *f, struct cm_str text, uint64_t *ret,
                               struct cm_err *err)
{
    struct cm_str rest = text, one;
    *ret = 0;
    do {
        rest = cm_str_split(rest, ',', &one);
        if (!read_element(f, one, ret))
            return cm_err_set(err, CM_INVALID,
                              "the %s \"%.*s\" must be from %d to %d, *, a range, a list or a step",
                              f->name, (int)CM_MIN(text.len, (size_t)64), text.ptr, f->lo, f->hi);
    } while (rest.ptr);
    return CM_OK;
}

static size_t list_bits(uint64_t mask, int64_t *out)
{
    size_t n = 0;
    for (int i = 0; i < 64; i++) {
        if (mask >> i & 1)
            out[n++] = i;
    }
    return n;
}

static enum cm_code read_zone(struct cm_str *rest, struct cron *ret, struct cm_err *err)
{
    static const char *const prefixes[] = {"CRON_TZ=", "TZ="};
    struct cm_str zone = CM_STR("UTC");
    for (size_t i = 0; i < CM_COUNT_OF(prefixes); i++) {
        if (cm_str_starts(*rest, cm_str(prefixes[i]))) {
            struct cm_str word;
            struct cm_str after = cm_str_split(*rest, ' ', &word);
            zone = cm_str_sub(word, strlen(prefixes[i]), word.len);
            *rest = cm_str_trim(after);
            break;
        }
    }
    if (!zone.len || zone.len > CRON_ZONE_MAX || cm_str_eq_nocase(zone, CM_STR("local")))
        return cm_err_set(err, CM_INVALID,
                          "the time zone must be a name such as Europe/Berlin or UTC");
    memcpy(ret->zone, zone.ptr, zone.len);
    return CM_OK;
}

enum cm_code cron_parse(struct cm_str text, struct cron *ret, struct cm_err *err)
{
    struct cm_str rest = cm_str_trim(text), word;
    uint64_t masks[CM_COUNT_OF(fields)];
    *ret = (struct cron){0};
    if (memchr(text.ptr ? text.ptr : "", '\0', text.len) || !cm_str_is_utf8(text))
        return cm_err_set(err, CM_INVALID, "the schedule is no text");
    if (read_zone(&rest, ret, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < CM_COUNT_OF(fields); i++) {
        rest = cm_str_trim(cm_str_split(rest, ' ', &word));
        if (!word.len)
            return cm_err_set(err, CM_INVALID,
                              "a schedule has five fields: minute, hour, *, * and day of the week");
        if (read_field(&fields[i], word, &masks[i], err) != CM_OK)
            return err->code;
        bool is_date = i == 2 || i == 3;
        if (is_date && !cm_str_eq_c(word, "*"))
            return cm_err_set(err, CM_INVALID, "the %s must be *", fields[i].name);
    }
    if (rest.len)
        return cm_err_set(err, CM_INVALID, "a schedule has five fields, not more");
    ret->n_minutes = list_bits(masks[0], ret->minutes);
    ret->n_hours = list_bits(masks[1], ret->hours);
    ret->n_weekdays = list_bits(masks[4], ret->weekdays);
    return CM_OK;
}
