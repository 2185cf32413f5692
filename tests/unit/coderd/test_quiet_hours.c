#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "domain/quiet_hours.h"

static void once_a_day_is_accepted(void **state)
{
    static const struct {
        const char *text, *timezone;
        unsigned hour, minute;
    } rows[] = {
        {QUIET_HOURS_DEFAULT, "UTC", 0, 0},
        {"30 23 * * *", "UTC", 23, 30},
        {"CRON_TZ=Europe/Berlin 5 7 * * *", "Europe/Berlin", 7, 5},
        {"59 23 * * *", "UTC", 23, 59},
    };
    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct quiet_hours q = {.hour = 99};
        struct cm_err err;
        assert_int_equal(quiet_hours_parse(cm_str(rows[i].text), &q, &err), CM_OK);
        assert_true(cm_str_eq_c(q.timezone, rows[i].timezone));
        assert_int_equal(q.hour, rows[i].hour);
        assert_int_equal(q.minute, rows[i].minute);
    }
}

static void anything_else_is_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "0",
        "0 0",
        "0 0 * *",
        "0 0 * * * *",
        "60 0 * * *",
        "0 24 * * *",
        "-1 0 * * *",
        "* 0 * * *",
        "0 * * * *",
        "0 0 1 * *",
        "0 0 * * 1",
        "*/5 0 * * *",
        "0 0,12 * * *",
        "000 0 * * *",
        "CRON_TZ= 0 0 * * *",
        "CRON_TZ=UTC",
        " 0 0 * * *",
        "0  0 * * *",
        "0 0 * * * ",
    };
    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct quiet_hours q;
        struct cm_err err;
        if (quiet_hours_parse(cm_str(rows[i]), &q, &err) != CM_INVALID)
            fail_msg("\"%s\" was accepted", rows[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(once_a_day_is_accepted),
        cmocka_unit_test(anything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
