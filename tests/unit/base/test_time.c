#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/time.h"

static void instants_go_through_text(void **state)
{
    (void)state;
    static const struct {
        const char *text, *back; /* back NULL: refused */
    } rows[] = {
        {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"},
        {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
        {"2024-02-29T23:59:59Z", "2024-02-29T23:59:59Z"},
        {"2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z"},
        {"2023-02-29T00:00:00Z", NULL},
        {"1900-02-29T00:00:00Z", NULL},
        {"2026-11-23T06:16:49.449247999Z", "2026-11-23T06:16:49.449247Z"},
        {"2026-11-23T06:16:49.5Z", "2026-11-23T06:16:49.5Z"},
        {"2025-01-01T00:30:00+01:00", "2024-12-31T23:30:00Z"},
        {"2024-02-28T23:30:00-01:00", "2024-02-29T00:30:00Z"},
        {"2026-13-01T00:00:00Z", NULL},
        {"2026-04-31T00:00:00Z", NULL},
        {"2026-01-01T24:00:00Z", NULL},
        {"2026-01-01T00:60:00Z", NULL},
        {"2026-01-01T00:00:00", NULL},
        {"2026-01-01", NULL},
        {"2026-01-01T00:00:00Zx", NULL},
        {"2026-01-01T00:00:00.Z", NULL},
        {"", NULL},
    };
    int wrong = 0;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        char text[CM_TIME_TEXT];
        struct cm_time t = {0};
        bool ok = cm_time_parse(cm_str(rows[i].text), &t);
        if (ok != (rows[i].back != NULL) ||
            (ok && !cm_str_eq_c(cm_str(cm_time_format(t, text)), rows[i].back))) {
            print_error("%s: %s\n", rows[i].text, ok ? cm_time_format(t, text) : "refused");
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
    struct cm_time zero;
    assert_true(cm_time_parse(CM_STR("0001-01-01T00:00:00Z"), &zero));
    assert_true(cm_time_is_zero(zero));
}

static void dates_of_http_are_written(void **state)
{
    (void)state;
    static const struct {
        const char *at, *text;
    } rows[] = {
        {"1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37 GMT"}, /* RFC 9110's own */
        {"1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"1969-12-31T23:59:59.5Z", "Wed, 31 Dec 1969 23:59:59 GMT"},
        {"2024-02-29T12:00:00Z", "Thu, 29 Feb 2024 12:00:00 GMT"},
        {"2026-11-28T23:59:59.999999Z", "Sat, 28 Nov 2026 23:59:59 GMT"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct cm_time t;
        char text[CM_TIME_TEXT];
        assert_true(cm_time_parse(cm_str(rows[i].at), &t));
        assert_string_equal(cm_time_format_http(t, text), rows[i].text);
    }
}

static void durations_go_through_text(void **state)
{
    (void)state;
    static const struct {
        const char *text, *back;
    } rows[] = {
        {"71h1us", "71h0m0.000001s"},
        {"59.999999s", "59.999999s"},
        {"1m0.5s", "1m0.5s"},
        {"1h30m", "1h30m0s"},
        {"250ms", "250ms"},
        {"1.5s", "1.5s"},
        {"2d", "48h0m0s"},
        {"-1m", "-1m0s"},
        {"0", "0s"},
        {"90s", "1m30s"},
        {"", NULL},
        {"1", NULL},
        {"1x", NULL},
        {"h", NULL},
        {"1h x", NULL},
        {"99999999999h", NULL},
    };
    int wrong = 0;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(64);
        cm_usec d = 0;
        bool ok = cm_duration_parse(cm_str(rows[i].text), &d);
        if (ok)
            cm_duration_format(&out, d);
        if (ok != (rows[i].back != NULL) || (ok && !cm_str_eq_c(cm_buf_view(&out), rows[i].back))) {
            print_error("%s: %s\n", rows[i].text, ok ? out.ptr : "refused");
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instants_go_through_text),
        cmocka_unit_test(dates_of_http_are_written),
        cmocka_unit_test(durations_go_through_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
