/* Schedules: which texts are one, and what they say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "domain/cron.h"

static const char *list(const int64_t *v, size_t n, char *out, size_t size)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n && len < size; i++)
        len += (size_t)snprintf(out + len, size - len, "%s%lld", i ? " " : "", (long long)v[i]);
    return out;
}

static void schedules_are_read(void **state)
{
    static const struct {
        const char *text, *zone, *minutes, *hours, *weekdays;
    } rows[] = {
        {"30 9 * * 1-5", "UTC", "30", "9", "1 2 3 4 5"},
        {"CRON_TZ=Europe/Berlin 30 9 * * 1-5", "Europe/Berlin", "30", "9", "1 2 3 4 5"},
        {"TZ=America/New_York 0 0 * * 0", "America/New_York", "0", "0", "0"},
        {"0,15,30 8-10 * * mon,WED,fri", "UTC", "0 15 30", "8 9 10", "1 3 5"},
        {"*/20 9 * * *", "UTC", "0 20 40", "9", "0 1 2 3 4 5 6"},
        {"5/25 22/1 * * sun", "UTC", "5 30 55", "22 23", "0"},
        {"10-30/10 0 * * 6,6", "UTC", "10 20 30", "0", "6"},
        {"  7   6  *   *  2 ", "UTC", "7", "6", "2"},
        {"59 23 * * mon-wed", "UTC", "59", "23", "1 2 3"},
    };
    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct cron c;
        struct cm_err err;
        char text[512];
        assert_int_equal(cron_parse(cm_str(rows[i].text), &c, &err), CM_OK);
        assert_string_equal(c.zone, rows[i].zone);
        assert_string_equal(list(c.minutes, c.n_minutes, text, sizeof(text)), rows[i].minutes);
        assert_string_equal(list(c.hours, c.n_hours, text, sizeof(text)), rows[i].hours);
        assert_string_equal(list(c.weekdays, c.n_weekdays, text, sizeof(text)), rows[i].weekdays);
    }
}

static void each_minute_is_sixty_and_each_hour_twenty_four(void **state)
{
    struct cron c;
    struct cm_err err;
    (void)state;
    assert_int_equal(cron_parse(CM_STR("* * * * *"), &c, &err), CM_OK);
    assert_int_equal(c.n_minutes, 60);
    assert_int_equal(c.n_hours, 24);
    assert_int_equal(c.n_weekdays, 7);
    assert_int_equal(c.minutes[59], 59);
}

static void other_texts_are_refused_with_what_is_wrong(void **state)
{
    static const struct {
        struct cm_str text;
        const char *why;
    } rows[] = {
        {CM_STR(""), "five fields"},
        {CM_STR("30 9 * *"), "five fields"},
        {CM_STR("30 9 * * 1 2"), "not more"},
        {CM_STR("60 9 * * *"), "minute \"60\""},
        {CM_STR("-1 9 * * *"), "minute"},
        {CM_STR("30 24 * * *"), "hour"},
        {CM_STR("30 9 1 * *"), "day of the month must be *"},
        {CM_STR("30 9 */2 * *"), "day of the month must be *"},
        {CM_STR("30 9 * 6 *"), "month must be *"},
        {CM_STR("30 9 * * 7"), "day of the week"},
        {CM_STR("30 9 * * 5-1"), "day of the week"},
        {CM_STR("30 9 * * noday"), "day of the week"},
        {CM_STR("*/0 9 * * *"), "minute"},
        {CM_STR("1, 9 * * *"), "minute"},
        {CM_STR("@daily"), "minute"},
        {CM_STR("CRON_TZ= 30 9 * * *"), "time zone"},
        {CM_STR("CRON_TZ=Local 30 9 * * *"), "time zone"},
        {CM_STR("CRON_TZ=UTC"), "five fields"},
        {CM_STR("30 9 * * \0"), "no text"},
        {CM_STR("30 9 * * \xff"), "no text"},
        {CM_STR(
             "CRON_TZ=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1 1 * * *"),
         "time zone"},
    };
    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct cron c;
        struct cm_err err;
        assert_int_equal(cron_parse(rows[i].text, &c, &err), CM_INVALID);
        if (!strstr(err.text, rows[i].why))
            fail_msg("row %zu: \"%s\" does not say \"%s\"", i, err.text, rows[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules_are_read),
        cmocka_unit_test(each_minute_is_sixty_and_each_hour_twenty_four),
        cmocka_unit_test(other_texts_are_refused_with_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
