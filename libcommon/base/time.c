#include "base/time.h"

#include <stdio.h>
#include <time.h>

struct cm_time cm_time_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (struct cm_time){ts.tv_sec * CM_SECOND + ts.tv_nsec / 1000};
}

cm_usec cm_monotonic_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * CM_SECOND + ts.tv_nsec / 1000;
}

/* Days since 1970-01-01 of a proleptic Gregorian date, and back (era arithmetic on 400-year
 * cycles). */
static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    unsigned yoe = (unsigned)(y - era * 400);
    unsigned doy = (153 * (m + (m > 2 ? -3u : 9u)) + 2) / 5 + d - 1;
    unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + (int64_t)doe - 719468;
}

static void civil_from_days(int64_t z, int64_t *y, unsigned *m, unsigned *d)
{
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned doe = (unsigned)(z - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = (int64_t)yoe + era * 400 + (*m <= 2);
}

static char *put_digits(char *p, unsigned v, unsigned width)
{
    for (unsigned i = width; i-- > 0; v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + width;
}

/* An instant in UTC, its year within the four digits that the formats have. */
struct fields {
    unsigned year, month, day, weekday; /* weekday: 0 is Sunday */
    unsigned sec, usec;                 /* of the day; of the second */
};

static struct fields fields_of(struct cm_time t)
{
    struct fields f;
    int64_t us = t.us % CM_DAY, days = t.us / CM_DAY, y;
    if (us < 0) {
        us += CM_DAY;
        days--;
    }
    civil_from_days(days, &y, &f.month, &f.day);
    f.year = y < 0 ? 0 : y > 9999 ? 9999 : (unsigned)y;
    f.weekday = (unsigned)(((days + 4) % 7 + 7) % 7);
    f.sec = (unsigned)(us / CM_SECOND);
    f.usec = (unsigned)(us % CM_SECOND);
    return f;
}

static char *put_clock(char *p, unsigned sec)
{
    p = put_digits(p, sec / 3600, 2);
    *p++ = ':';
    p = put_digits(p, sec / 60 % 60, 2);
    *p++ = ':';
    return put_digits(p, sec % 60, 2);
}

const char *cm_time_format_http(struct cm_time t, char out[CM_TIME_TEXT])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct fields f = fields_of(t);
    char *p = mempcpy(out, days + (size_t)f.weekday * 3, 3);
    p = mempcpy(p, ", ", 2);
    p = put_digits(p, f.day, 2);
    *p++ = ' ';
    p = mempcpy(p, months + (size_t)(f.month - 1) * 3, 3);
    *p++ = ' ';
    p = put_digits(p, f.year, 4);
    *p++ = ' ';
    p = put_clock(p, f.sec);
    memcpy(p, " GMT", 5);
    return out;
}

const char *cm_time_format(struct cm_time t, char out[CM_TIME_TEXT])
{
    struct fields f = fields_of(t);
    char *p = put_digits(out, f.year, 4);
    *p++ = '-';
    p = put_digits(p, f.month, 2);
    *p++ = '-';
    p = put_digits(p, f.day, 2);
    *p++ = 'T';
    p = put_clock(p, f.sec);
    if (f.usec) {
        *p++ = '.';
        p = put_digits(p, f.usec, 6);
        while (p[-1] == '0')
            p--;
    }
    *p++ = 'Z';
    *p = '\0';
    return out;
}

static bool take_digits(const char **p, const char *end, unsigned width, unsigned *ret)
{
    unsigned v = 0;
    if ((size_t)(end - *p) < width)
        return false;
    for (unsigned i = 0; i < width; i++) {
        char c = (*p)[i];
        if (c < '0' || c > '9')
            return false;
        v = v * 10 + (unsigned)(c - '0');
    }
    *p += width;
    *ret = v;
    return true;
}

static bool take_char(const char **p, const char *end, const char *any)
{
    if (*p >= end || !**p || !strchr(any, **p))
        return false;
    (*p)++;
    return true;
}

static unsigned days_of_month(unsigned y, unsigned mo)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return days[mo - 1] + (mo == 2 && leap);
}

bool cm_time_parse(struct cm_str s, struct cm_time *ret)
{
    const char *p = s.ptr, *end = s.ptr + s.len;
    unsigned y, mo, d, h, mi, sec;
    if (!take_digits(&p, end, 4, &y) || !take_char(&p, end, "-") || !take_digits(&p, end, 2, &mo) ||
        !take_char(&p, end, "-") || !take_digits(&p, end, 2, &d) || !take_char(&p, end, "Tt ") ||
        !take_digits(&p, end, 2, &h) || !take_char(&p, end, ":") || !take_digits(&p, end, 2, &mi) ||
        !take_char(&p, end, ":") || !take_digits(&p, end, 2, &sec))
        return false;
    if (mo < 1 || mo > 12 || d < 1 || d > days_of_month(y, mo) || h > 23 || mi > 59 || sec > 60)
        return false;
    int64_t frac = 0;
    if (take_char(&p, end, ".")) {
        int64_t unit = 100000;
        const char *first = p;
        for (; p < end && *p >= '0' && *p <= '9'; p++, unit /= 10)
            frac += unit * (*p - '0');
        if (p == first || p - first > 9)
            return false;
    }
    int64_t offset = 0;
    if (!take_char(&p, end, "Zz")) {
        if (p >= end || (*p != '+' && *p != '-'))
            return false;
        int sign = *p++ == '-' ? -1 : 1;
        unsigned oh, om;
        if (!take_digits(&p, end, 2, &oh) || !take_char(&p, end, ":") ||
            !take_digits(&p, end, 2, &om) || oh > 23 || om > 59)
            return false;
        offset = sign * (int64_t)(oh * 60 + om) * 60;
    }
    if (p != end)
        return false;
    int64_t secs = days_from_civil(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec - offset;
    ret->us = secs * CM_SECOND + frac;
    return true;
}

static const struct {
    const char *unit;
    double us;
} units[] = {{"ns", 0.001}, {"us", 1},  {"\xc2\xb5s", 1}, {"ms", 1e3},
             {"s", 1e6},    {"m", 6e7}, {"h", 3.6e9},     {"d", 8.64e10}};

bool cm_duration_parse(struct cm_str s, cm_usec *ret)
{
    double total = 0;
    bool neg = false;
    size_t i = 0;
    if (s.len && (s.ptr[0] == '-' || s.ptr[0] == '+'))
        neg = s.ptr[i++] == '-';
    if (s.len - i == 1 && s.ptr[i] == '0') {
        *ret = 0;
        return true;
    }
    if (i == s.len)
        return false;
    while (i < s.len) {
        double v = 0, scale = 1;
        size_t digits = 0;
        for (; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++, digits++)
            v = v * 10 + (s.ptr[i] - '0');
        if (i < s.len && s.ptr[i] == '.') {
            for (i++; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++, digits++)
                v += (s.ptr[i] - '0') * (scale /= 10);
        }
        if (!digits || digits > 18)
            return false;
        size_t unit_at = i;
        while (i < s.len && s.ptr[i] != '.' && (s.ptr[i] < '0' || s.ptr[i] > '9'))
            i++;
        struct cm_str unit = cm_str_sub(s, unit_at, i - unit_at);
        size_t u = 0;
        while (u < CM_COUNT_OF(units) && !cm_str_eq_c(unit, units[u].unit))
            u++;
        if (u == CM_COUNT_OF(units))
            return false;
        total += v * units[u].us;
    }
    if (total > 9e18)
        return false;
    int64_t us = (int64_t)(total + 0.5);
    *ret = neg ? -us : us;
    return true;
}

/* Exact, and never with an exponent. */
static void put_seconds(struct cm_buf *out, cm_usec d)
{
    char text[16];
    int n = snprintf(text, sizeof(text), "%02lld.%06lld", (long long)(d / CM_SECOND),
                     (long long)(d % CM_SECOND));
    while (text[n - 1] == '0')
        n--;
    if (text[n - 1] == '.')
        n--;
    size_t skip = text[0] == '0';
    cm_buf_append(out, text + skip, (size_t)n - skip);
    cm_buf_char(out, 's');
}

void cm_duration_format(struct cm_buf *out, cm_usec d)
{
    if (d == 0) {
        cm_buf_cstr(out, "0s");
        return;
    }
    if (d < 0) {
        cm_buf_char(out, '-');
        d = -d;
    }
    if (d < CM_SECOND) {
        if (d < CM_MSEC)
            cm_buf_printf(out, "%lldus", (long long)d);
        else
            cm_buf_printf(out, "%gms", (double)d / 1000.0);
        return;
    }
    int64_t h = d / CM_HOUR, m = d / CM_MINUTE % 60;
    if (h)
        cm_buf_printf(out, "%lldh", (long long)h);
    if (h || m)
        cm_buf_printf(out, "%lldm", (long long)m);
    put_seconds(out, d % CM_MINUTE);
}
