#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

static void integers_are_read_whole_or_not_at_all(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok, port; /* port: fits into 16 bits as well */
        int64_t value;
    } rows[] = {
        {"0", true, true, 0},
        {"+7", true, true, 7},
        {"-1", true, false, -1},
        {"65535", true, true, 65535},
        {"65536", true, false, 65536},
        {"9223372036854775807", true, false, INT64_MAX},
        {"-9223372036854775808", true, false, INT64_MIN},
        {"9223372036854775808", false, false, 0},
        {"-9223372036854775809", false, false, 0},
        {"", false, false, 0},
        {"-", false, false, 0},
        {" 1", false, false, 0},
        {"1 ", false, false, 0},
        {"0x1", false, false, 0},
        {"1e3", false, false, 0},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        int64_t v = 0;
        uint16_t port = 0;
        assert_int_equal(cm_str_to_i64(cm_str(rows[i].text), &v), rows[i].ok);
        assert_int_equal(v, rows[i].value);
        assert_int_equal(cm_str_to_u16(cm_str(rows[i].text), &port), rows[i].port);
        assert_int_equal(port, rows[i].port ? rows[i].value : 0);
    }
}

static void utf8_is_told_from_other_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        bool ok;
    } rows[] = {
        {"", true},
        {"plain", true},
        {"\xc3\xa9", true},
        {"\xe2\x82\xac", true},
        {"\xf0\x9f\x91\x8b", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\xf4\x90\x80\x80", false}, /* past the last code point */
        {"\xed\xa0\x80", false},     /* a surrogate */
        {"\xc0\x80", false},         /* longer than need be */
        {"\xe0\x80\xaf", false},
        {"\xf0\x80\x80\x80", false},
        {"\xc3", false}, /* cut */
        {"\xe2\x82", false},
        {"a\x80", false},
        {"\xff", false},
        {"\xc3\x28", false},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        if (cm_str_is_utf8(cm_str(rows[i].bytes)) != rows[i].ok)
            fail_msg("row %zu", i);
    }
}

static void split_tells_an_empty_rest_from_none(void **state)
{
    (void)state;
    struct cm_str head, rest = cm_str_split(CM_STR("a=b=c"), '=', &head);
    assert_true(cm_str_eq_c(head, "a"));
    assert_true(cm_str_eq_c(rest, "b=c"));
    rest = cm_str_split(CM_STR("a="), '=', &head);
    assert_true(cm_str_eq_c(head, "a"));
    assert_int_equal(rest.len, 0);
    assert_non_null(rest.ptr);
    rest = cm_str_split(CM_STR("a"), '=', &head);
    assert_true(cm_str_eq_c(head, "a"));
    assert_null(rest.ptr);
    rest = cm_str_split(CM_STR_NONE, '=', &head);
    assert_int_equal(head.len, 0);
    assert_null(rest.ptr);
}

static void parts_are_clamped_and_found(void **state)
{
    (void)state;
    struct cm_str s = CM_STR("a.b.c");
    assert_true(cm_str_eq_c(cm_str_sub(s, 2, 100), "b.c"));
    assert_int_equal(cm_str_sub(s, 9, SIZE_MAX).len, 0);
    assert_int_equal(cm_str_find(s, '.'), 1);
    assert_int_equal(cm_str_find_last(s, '.'), 3);
    assert_int_equal(cm_str_find(s, 'x'), -1);
    assert_int_equal(cm_str_find(CM_STR_NONE, 'x'), -1);
    assert_true(cm_str_contains(s, CM_STR("b.c")));
    assert_true(cm_str_contains(s, CM_STR("")));
    assert_false(cm_str_contains(CM_STR_NONE, s));
    assert_true(cm_str_starts(s, CM_STR("a.")) && cm_str_ends(s, CM_STR(".c")));
    assert_false(cm_str_ends(CM_STR("c"), s));
    assert_true(cm_str_eq_c(cm_str_trim(CM_STR(" \t a b\r\n")), "a b"));
    assert_int_equal(cm_str_trim(CM_STR(" \n ")).len, 0);
}

static void order_is_of_bytes_then_of_length(void **state)
{
    (void)state;
    assert_true(cm_str_cmp(CM_STR("a"), CM_STR("b")) < 0);
    assert_true(cm_str_cmp(CM_STR("a"), CM_STR("aa")) < 0);
    assert_true(cm_str_cmp(CM_STR("b"), CM_STR("aa")) > 0);
    assert_int_equal(cm_str_cmp(CM_STR(""), CM_STR_NONE), 0);
    assert_true(cm_str_cmp(CM_STR("\xff"), CM_STR("a")) > 0);
    assert_true(cm_str_eq_nocase(CM_STR("UpGrade"), CM_STR("upgrade")));
    assert_false(cm_str_eq_nocase(CM_STR("upgrade"), CM_STR("upgrades")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_read_whole_or_not_at_all),
        cmocka_unit_test(utf8_is_told_from_other_bytes),
        cmocka_unit_test(split_tells_an_empty_rest_from_none),
        cmocka_unit_test(parts_are_clamped_and_found),
        cmocka_unit_test(order_is_of_bytes_then_of_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
