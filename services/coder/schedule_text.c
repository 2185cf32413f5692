#include "schedule_text.h"

#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/conf.h"

#define WORDS_MAX 4

static const char *const day_names[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

/* "15:04", "1504", "3:04PM", "3pm", "03PM". */
static bool parse_time(struct cm_str s, unsigned *ret_hour, unsigned *ret_minute)
{
    struct cm_str hour, minute = CM_STR("0"), after;
    struct cm_str half = s.len > 2 ? cm_str_sub(s, s.len - 2, s.len) : CM_STR("");
    bool pm = cm_str_eq_nocase(half, CM_STR("pm")), am = cm_str_eq_nocase(half, CM_STR("am"));
    int64_t h, m;

    if (pm || am)
        s = cm_str_sub(s, 0, s.len - 2);
    hour = s;
    after = cm_str_split(s, ':', &hour);
    if (after.ptr) {
        minute = after;
        if (minute.len != 2)
            return false;
    } else if (s.len == 3 || s.len == 4) {
        hour = cm_str_sub(s, 0, s.len - 2);
        minute = cm_str_sub(s, s.len - 2, s.len);
    } else if (!pm && !am) {
        return false;
    }
    if (!hour.len || hour.len > 2 || !isdigit((unsigned char)hour.ptr[0]) ||
        !isdigit((unsigned char)minute.ptr[0]) || !cm_str_to_i64(hour, &h) ||
        !cm_str_to_i64(minute, &m) || m > 59 || h > 23 || ((am || pm) && (h < 1 || h > 12)))
        return false;
    if (am || pm)
        h = h % 12 + (pm ? 12 : 0);
    *ret_hour = (unsigned)h;
    *ret_minute = (unsigned)m;
    return true;
}

/* "*", or names and numbers of days with "-" and "," between. */
static bool is_days(struct cm_str s)
{
    if (cm_str_eq_c(s, "*"))
        return true;
    while (s.len) {
        size_t n = 0;
        if (isdigit((unsigned char)s.ptr[0]) && s.ptr[0] <= '7')
            n = 1;
        for (size_t i = 0; !n && i < CM_COUNT_OF(day_names); i++)
            if (cm_str_starts_nocase(s, cm_str(day_names[i])))
                n = 3;
        if (!n)
            return false;
        s = cm_str_sub(s, n, s.len);
        if (!s.len)
            return true;
        if (s.ptr[0] != '-' && s.ptr[0] != ',')
            return false;
        s = cm_str_sub(s, 1, s.len);
    }
    return false;
}

/* "1-5" as people say it. */
static const char *name_days(struct cm_arena *a, struct cm_str days)
{
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(256);

    if (cm_str_eq_c(days, "*"))
        return "daily";
    for (size_t i = 0; i < days.len; i++) {
        unsigned digit = (unsigned)(days.ptr[i] - '0');
        if (digit <= 7)
            cm_buf_cstr(&out, day_names[digit % 7]);
        else
            cm_buf_char(&out, days.ptr[i]);
    }
    return cm_arena_cstr(a, cm_buf_view(&out));
}

static const char *local_zone(struct cm_arena *a)
{
    static const char marker[] = "/zoneinfo/";
    const char *tz = cm_conf_getenv("TZ");
    char target[256];

    if (tz && *tz)
        return *tz == ':' ? tz + 1 : tz;
    ssize_t n = readlink("/etc/localtime", target, sizeof(target) - 1);
    if (n > 0) {
        target[n] = '\0';
        const char *at = strstr(target, marker);
        if (at)
            return cm_arena_cstr(a, cm_str(at + sizeof(marker) - 1));
    }
    return "UTC";
}

enum cm_code schedule_parse(struct cm_arena *a, const char *const *words, size_t n,
                            const char **ret, struct cm_err *err)
{
    const char *days = "*", *zone = NULL;
    unsigned hour, minute;

    if (n == 1 && strchr(words[0], ' '))
        return schedule_parse_text(a, words[0], ret, err);
    if (n == 0 || n > 3)
        return cm_err_set(err, CM_INVALID,
                          "a schedule is <time> [days] [location], such as 9:30AM Mon-Fri "
                          "Europe/Dublin");
    if (!parse_time(cm_str(words[0]), &hour, &minute))
        return cm_err_set(err, CM_INVALID,
                          "invalid start time \"%s\": use a form such as 15:04, 3:04PM or 3PM",
                          words[0]);
    if (n == 2 && !is_days(cm_str(words[1])))
        zone = words[1];
    else if (n >= 2)
        days = words[1];
    if (!is_days(cm_str(days)))
        return cm_err_set(err, CM_INVALID,
                          "invalid days \"%s\": use a form such as Mon-Fri, Mon,Wed or *", days);
    if (n == 3)
        zone = words[2];
    if (!zone)
        zone = local_zone(a);
    *ret = cm_arena_printf(a, "CRON_TZ=%s %u %u * * %s", zone, minute, hour, days);
    return CM_OK;
}

enum cm_code schedule_parse_text(struct cm_arena *a, const char *text, const char **ret,
                                 struct cm_err *err)
{
    const char *words[WORDS_MAX];
    struct cm_str rest = cm_str(text), one;
    size_t n = 0;

    while (rest.len && n < CM_COUNT_OF(words)) {
        rest = cm_str_split(rest, ' ', &one);
        if (one.len)
            words[n++] = cm_arena_cstr(a, one);
    }
    return schedule_parse(a, words, n, ret, err);
}

enum cm_code schedule_parse_duration(const char *text, cm_usec *ret, struct cm_err *err)
{
    int64_t minutes;

    if (cm_str_to_i64(cm_str(text), &minutes) && minutes >= 0 && minutes < INT64_MAX / CM_MINUTE) {
        *ret = minutes * CM_MINUTE;
        return CM_OK;
    }
    if (cm_duration_parse(cm_str(text), ret) && *ret >= 0)
        return CM_OK;
    return cm_err_set(err, CM_INVALID,
                      "invalid duration \"%s\": use a form such as 90m, 8h or 1h30m", text);
}

const char *schedule_format(struct cm_arena *a, struct cm_str cron)
{
    struct cm_str rest = cron, zone = CM_STR("UTC"), f[5];
    int64_t minute, hour;

    if (cm_str_starts(rest, CM_STR("CRON_TZ="))) {
        rest = cm_str_split(rest, ' ', &zone);
        zone = cm_str_sub(zone, 8, zone.len);
    }
    for (size_t i = 0; i < CM_COUNT_OF(f); i++)
        rest = cm_str_split(rest, ' ', &f[i]);
    if (!cm_str_to_i64(f[0], &minute) || !cm_str_to_i64(f[1], &hour))
        return cm_arena_cstr(a, cron);
    return cm_arena_printf(a, "%lld:%02lld%s %s (%.*s)", (long long)(hour % 12 ? hour % 12 : 12),
                           (long long)minute, hour < 12 ? "AM" : "PM", name_days(a, f[4]),
                           CM_STR_ARG(zone));
}
