#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"

static void append_past_max_fails_for_good_and_changes_nothing(void **state)
{
    (void)state;
    struct cm_err err;
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(8);
    cm_buf_cstr(&b, "12345678");
    assert_false(b.failed);
    cm_buf_char(&b, '9');
    assert_true(b.failed);
    cm_buf_append(&b, "", 0); /* what would fit does not heal it */
    assert_true(cm_str_eq_c(cm_buf_view(&b), "12345678"));
    assert_int_equal(cm_buf_check(&b, "the list", &err), CM_TOO_LARGE);
    assert_string_equal(err.text, "the list is larger than 8 bytes");
    cm_buf_reset(&b);
    assert_int_equal(cm_buf_check(&b, "the list", &err), CM_OK);
    cm_buf_printf(&b, "%d-%s", 12, "abcde");
    assert_true(cm_str_eq_c(cm_buf_view(&b), "12-abcde"));
    cm_buf_printf(&b, "%d", 1);
    assert_true(b.failed);
}

static void sizes_that_would_wrap_are_too_large(void **state)
{
    (void)state;
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(16);
    cm_buf_cstr(&b, "abc");
    assert_null(cm_buf_reserve(&b, SIZE_MAX));
    assert_null(cm_buf_reserve(&b, 1)); /* sticky */
    assert_int_equal(b.len, 3);
}

static void content_is_terminated_at_every_step(void **state)
{
    (void)state;
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(1000);
    assert_string_equal(cm_buf_view(&b).ptr, "");
    for (size_t n = 1; n <= 500; n++) {
        cm_buf_char(&b, 'x');
        assert_int_equal(strlen(b.ptr), n);
    }
    memcpy(cm_buf_reserve(&b, 3), "yzz", 3);
    cm_buf_commit(&b, 1);
    assert_int_equal(b.len, 501);
    assert_string_equal(b.ptr + 499, "xy");
    cm_buf_drop_front(&b, 500);
    assert_string_equal(b.ptr, "y");
}

static void integers_are_written_like_printf_writes_them(void **state)
{
    (void)state;
    static const int64_t values[] = {0, 7, -7, 10, 99, -100, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < CM_COUNT_OF(values); i++) {
        CM_AUTOBUF struct cm_buf fast = CM_BUF_INIT(32);
        CM_AUTOBUF struct cm_buf slow = CM_BUF_INIT(32);
        cm_buf_i64(&fast, values[i]);
        cm_buf_printf(&slow, "%lld", (long long)values[i]);
        assert_string_equal(fast.ptr, slow.ptr);
    }
}

static void take_hands_over_and_leaves_it_empty(void **state)
{
    (void)state;
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(16);
    CM_AUTOFREE char *empty = cm_buf_take(&b);
    assert_string_equal(empty, "");
    cm_buf_cstr(&b, "abc");
    CM_AUTOFREE char *text = cm_buf_take(&b);
    assert_string_equal(text, "abc");
    assert_int_equal(b.len, 0);
    cm_buf_cstr(&b, "again");
    assert_string_equal(b.ptr, "again");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_past_max_fails_for_good_and_changes_nothing),
        cmocka_unit_test(sizes_that_would_wrap_are_too_large),
        cmocka_unit_test(content_is_terminated_at_every_step),
        cmocka_unit_test(integers_are_written_like_printf_writes_them),
        cmocka_unit_test(take_hands_over_and_leaves_it_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
