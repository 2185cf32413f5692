/* Durations as tables show them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ui/table.h"

static void durations_are_short(void **state)
{
    (void)state;
    static const struct {
        cm_usec d;
        const char *text;
    } rows[] = {
        {0, "0s"},
        {CM_SECOND, "<1m"},
        {CM_MINUTE - 1, "<1m"},
        {CM_MINUTE, "1m"},
        {59 * CM_MINUTE + 59 * CM_SECOND, "59m"},
        {CM_HOUR, "1h"},
        {CM_HOUR + 5 * CM_MINUTE, "1h5m"},
        {23 * CM_HOUR + 59 * CM_MINUTE, "23h59m"},
        {CM_DAY, "1d"},
        {CM_DAY + 59 * CM_MINUTE, "1d"},
        {CM_DAY + 90 * CM_MINUTE, "1d1h"},
        {400 * CM_DAY + 23 * CM_HOUR, "400d23h"},
    };
    CM_AUTO(cm_arena) a = cm_arena_new();
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++)
        assert_string_equal(ui_duration(a, rows[i].d), rows[i].text);
    struct cm_time now = cm_time_now();
    assert_string_equal(ui_ago(a, (struct cm_time){now.us - 3 * CM_HOUR}), "3h");
    assert_string_equal(ui_ago(a, (struct cm_time){now.us + 2 * CM_HOUR + CM_MINUTE}), "2h");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(durations_are_short)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
