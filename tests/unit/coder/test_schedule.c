/* Schedules as people write them, and as they are shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "schedule_text.h"

static void schedules_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *cron; /* NULL: refused */
    } rows[] = {
        {"9:30AM Mon-Fri Europe/Dublin", "CRON_TZ=Europe/Dublin 30 9 * * Mon-Fri"},
        {"0930 * UTC", "CRON_TZ=UTC 30 9 * * *"},
        {"930 UTC", "CRON_TZ=UTC 30 9 * * *"},
        {"15:04 America/New_York", "CRON_TZ=America/New_York 4 15 * * *"},
        {"3:04PM UTC", "CRON_TZ=UTC 4 15 * * *"},
        {"03pm 1-5 UTC", "CRON_TZ=UTC 0 15 * * 1-5"},
        {"12am Mon,Wed UTC", "CRON_TZ=UTC 0 0 * * Mon,Wed"},
        {"12PM UTC", "CRON_TZ=UTC 0 12 * * *"},
        {"23:59 sun EST", "CRON_TZ=EST 59 23 * * sun"},
        {"8:00", "CRON_TZ=Asia/Tokyo 0 8 * * *"},
        {"8:00 Sat", "CRON_TZ=Asia/Tokyo 0 8 * * Sat"},
        {"24:00 UTC", NULL},
        {"9:60 UTC", NULL},
        {"9:3 UTC", NULL},
        {"13pm UTC", NULL},
        {"0am UTC", NULL},
        {"9 UTC", NULL},
        {"-9:30 UTC", NULL},
        {"9:+3 UTC", NULL},
        {"soon", NULL},
        {"", NULL},
        {"9:30 Mon- UTC", NULL},
        {"9:30 Moon UTC", NULL},
        {"9:30 Mon-Fri UTC more", NULL},
    };
    assert_int_equal(setenv("TZ", "Asia/Tokyo", 1), 0);
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        const char *cron = NULL;
        struct cm_err err;
        enum cm_code code = schedule_parse_text(a, rows[i].text, &cron, &err);
        if ((code == CM_OK) != (rows[i].cron != NULL))
            fail_msg("\"%s\": %s", rows[i].text, code == CM_OK ? cron : err.text);
        if (rows[i].cron)
            assert_string_equal(cron, rows[i].cron);
    }
}

static void durations_are_minutes_or_go_s(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        cm_usec us; /* -1: refused */
    } rows[] = {
        {"90", 90 * CM_MINUTE},      {"0", 0},     {"1h30m", 90 * CM_MINUTE},
        {"8h", 8 * CM_HOUR},         {"-5", -1},   {"-5m", -1},
        {"9223372036854775807", -1}, {"soon", -1}, {"", -1},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        cm_usec us = -1;
        struct cm_err err;
        enum cm_code code = schedule_parse_duration(rows[i].text, &us, &err);
        if ((code == CM_OK) != (rows[i].us >= 0))
            fail_msg("\"%s\"", rows[i].text);
        if (rows[i].us >= 0)
            assert_int_equal(us, rows[i].us);
    }
}

static void schedules_are_shown(void **state)
{
    (void)state;
    static const struct {
        const char *cron, *text;
    } rows[] = {
        {"CRON_TZ=Europe/Dublin 30 9 * * Mon-Fri", "9:30AM Mon-Fri (Europe/Dublin)"},
        {"CRON_TZ=UTC 5 0 * * *", "12:05AM daily (UTC)"},
        {"0 12 * * 1-5", "12:00PM Mon-Fri (UTC)"},
        {"CRON_TZ=UTC 0 15 * * 0,6", "3:00PM Sun,Sat (UTC)"},
        {"CRON_TZ=UTC */5 * * * *", "CRON_TZ=UTC */5 * * * *"},
        {"", ""},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        assert_string_equal(schedule_format(a, cm_str(rows[i].cron)), rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules_are_read),
        cmocka_unit_test(durations_are_minutes_or_go_s),
        cmocka_unit_test(schedules_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
