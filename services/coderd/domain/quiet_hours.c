#include "domain/quiet_hours.h"

#define TEXT_MAX 128

static bool read_number(struct cm_str s, int64_t max, unsigned *ret)
{
    int64_t v;
    if (s.len == 0 || s.len > 2 || !cm_str_to_i64(s, &v) || v < 0 || v > max)
        return false;
    *ret = (unsigned)v;
    return true;
}

enum cm_code quiet_hours_parse(struct cm_str text, struct quiet_hours *ret, struct cm_err *err)
{
    struct cm_str rest = text, field;
    struct quiet_hours q = {.timezone = CM_STR("UTC")};
    if (cm_str_starts(rest, CM_STR("CRON_TZ=")))
        rest = cm_str_split(cm_str_sub(rest, 8, rest.len), ' ', &q.timezone);
    rest = cm_str_split(rest, ' ', &field);
    bool ok = text.len <= TEXT_MAX && q.timezone.len && read_number(field, 59, &q.minute);
    rest = cm_str_split(rest, ' ', &field);
    ok = ok && read_number(field, 23, &q.hour) && cm_str_eq_c(rest, "* * *");
    if (!ok)
        return cm_err_set(err, CM_INVALID,
                          "quiet hours must have the form \"CRON_TZ=Europe/Berlin 30 23 * * *\"");
    *ret = q;
    return CM_OK;
}
