#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static enum cm_code open_it(struct cm_err *err)
{
    errno = ENOENT;
    return cm_err_errno(err, CM_IO, "open %s", "/x");
}

static void clauses_go_before_the_text_and_the_code_stays(void **state)
{
    (void)state;
    struct cm_err err = {0};
    assert_int_equal(open_it(&err), CM_IO);
    assert_string_equal(err.text, "open /x: No such file or directory");
    assert_int_equal(err.sys_errno, ENOENT);
    assert_int_equal(cm_err_wrap(&err, "read %d", 7), CM_IO);
    assert_string_equal(err.text, "read 7: open /x: No such file or directory");
    assert_int_equal(open_it(NULL), CM_IO); /* nobody wants the sentence */
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    struct cm_err err = {0};
    char much[2 * CM_ERR_TEXT_MAX];
    memset(much, 'a', sizeof(much) - 1);
    much[sizeof(much) - 1] = '\0';
    assert_int_equal(cm_err_set(&err, CM_INVALID, "%s", much), CM_INVALID);
    assert_int_equal(strlen(err.text), CM_ERR_TEXT_MAX - 1);
    assert_int_equal(cm_err_wrap(&err, "%s", much), CM_INVALID);
    assert_int_equal(strlen(err.text), CM_ERR_TEXT_MAX - 1);
}

static void codes_and_statuses_agree(void **state)
{
    (void)state;
    static const struct {
        int status;
        enum cm_code code;
    } rows[] = {
        {400, CM_INVALID},      {401, CM_UNAUTHENTICATED}, {404, CM_NOT_FOUND},
        {409, CM_CONFLICT},     {413, CM_TOO_LARGE},       {418, CM_INVALID},
        {429, CM_RATE_LIMITED}, {500, CM_INTERNAL},        {503, CM_UNAVAILABLE},
        {599, CM_INTERNAL},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++)
        assert_int_equal(cm_code_of_http_status(rows[i].status), rows[i].code);
#define CHECK(name, http)                                                                          \
    assert_string_equal(cm_code_name(CM_##name), #name);                                           \
    assert_int_equal(cm_code_http_status(CM_##name), http);
    CM_CODES(CHECK)
#undef CHECK
    assert_int_equal(cm_code_http_status((enum cm_code)1000), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clauses_go_before_the_text_and_the_code_stays),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(codes_and_statuses_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
