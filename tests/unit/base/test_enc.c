#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/enc.h"

static void hex_takes_the_exact_length_only(void **state)
{
    (void)state;
    unsigned char out[2];
    assert_true(cm_hex_decode(CM_STR("a0Ff"), out, 2));
    assert_int_equal(out[0], 0xa0);
    assert_int_equal(out[1], 0xff);
    static const char *const bad[] = {"", "a0", "a0F", "a0Fff", "a0Ff00", "a0Fg", "a0 f", "0xa0"};
    for (size_t i = 0; i < CM_COUNT_OF(bad); i++)
        assert_false(cm_hex_decode(cm_str(bad[i]), out, 2));
}

/* RFC 4648, section 10, and what only one of the alphabets has. */
static void base64_has_one_form(void **state)
{
    (void)state;
    static const struct {
        enum cm_base64 kind;
        const char *text, *bytes; /* bytes NULL: refused */
    } rows[] = {
        {CM_BASE64_STD, "", ""},
        {CM_BASE64_STD, "Zg==", "f"},
        {CM_BASE64_STD, "Zm8=", "fo"},
        {CM_BASE64_STD, "Zm9vYmFy", "foobar"},
        {CM_BASE64_STD, "+/+/", "\xfb\xff\xbf"},
        {CM_BASE64_URL_NOPAD, "-_-_", "\xfb\xff\xbf"},
        {CM_BASE64_STD_NOPAD, "Zg", "f"},
        {CM_BASE64_URL_NOPAD, "Zm8", "fo"},
        {CM_BASE64_STD, "Zg", NULL},
        {CM_BASE64_STD, "Zg=", NULL},
        {CM_BASE64_STD, "Zg===", NULL},
        {CM_BASE64_STD, "Z", NULL},
        {CM_BASE64_STD, "Zg==Zg==", NULL},
        {CM_BASE64_STD, "Zm9v\n", NULL},
        {CM_BASE64_STD, " Zm9v", NULL},
        {CM_BASE64_STD, "Zm=v", NULL},
        {CM_BASE64_STD, "====", NULL},
        {CM_BASE64_STD, "-_-_", NULL},
        {CM_BASE64_STD_NOPAD, "Zg==", NULL},
        {CM_BASE64_STD_NOPAD, "Zm9vY", NULL},
        {CM_BASE64_URL_NOPAD, "Zg==", NULL},
        {CM_BASE64_URL_NOPAD, "+/+/", NULL},
        {CM_BASE64_STD, "Zh==", NULL}, /* bits behind the last byte: a second text of "f" */
        {CM_BASE64_URL_NOPAD, "Zm9", NULL},
    };
    int wrong = 0;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(64), back = CM_BUF_INIT(64);
        bool ok = cm_base64_decode(&out, rows[i].kind, cm_str(rows[i].text));
        if (ok != (rows[i].bytes != NULL) ||
            (ok && !cm_str_eq_c(cm_buf_view(&out), rows[i].bytes))) {
            print_error("row %zu, \"%s\": %s\n", i, rows[i].text, ok ? "taken" : "refused");
            wrong++;
        }
        if (ok && rows[i].bytes) {
            cm_base64_encode(&back, rows[i].kind, out.ptr, out.len);
            assert_true(cm_str_eq_c(cm_buf_view(&back), rows[i].text));
        }
    }
    assert_int_equal(wrong, 0);
}

static void percent_refuses_broken_escapes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *plain;
        bool plus;
    } rows[] = {
        {"a%20b+c", "a b+c", false}, {"a%20b+c", "a b c", true}, {"%2F%2f", "//", false},
        {"%25%32%30", "%20", false}, {"%", NULL, false},         {"%2", NULL, false},
        {"%2g", NULL, false},        {"%00", NULL, false},       {"a%", NULL, true},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(64);
        bool ok = cm_percent_decode(&out, cm_str(rows[i].text), rows[i].plus);
        assert_int_equal(ok, rows[i].plain != NULL);
        if (ok)
            assert_string_equal(out.ptr, rows[i].plain);
    }
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(64);
    cm_percent_encode(&out, CM_STR("a-b_c.d~ /?\xc3\xa4"), "/");
    assert_string_equal(out.ptr, "a-b_c.d~%20/%3F%C3%A4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex_takes_the_exact_length_only),
        cmocka_unit_test(base64_has_one_form),
        cmocka_unit_test(percent_refuses_broken_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
