#include "test.h"

#include "terraform/varfile.h"

static void varfile_quotes_text_and_keeps_expressions(void **state)
{
    (void)state;
    struct tf_variable declared[] = {
        {.name = CM_STR("s"), .type = CM_STR("string")},
        {.name = CM_STR("n"), .type = CM_STR("number")},
        {.name = CM_STR("untyped")},
        {.name = CM_STR("l"), .type = CM_STR("list(string)")},
    };
    const struct tf_variables list = {.v = declared, .n = CM_COUNT_OF(declared)};
    static const struct {
        const char *name, *value;
    } rows[] = {{"s", "a\"b\\c\nd${e}%{f}$g"},
                {"n", "5"},
                {"untyped", "[1]"},
                {"l", "[\"x\"]"},
                {"not declared = 1\nx", "y"}};
    PB(Pair) pairs[CM_COUNT_OF(rows)], *ptrs[CM_COUNT_OF(rows)];
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        coder__provisioner__v1__pair__init(&pairs[i]);
        pairs[i].name = (char *)(uintptr_t)rows[i].name;
        pairs[i].value = (char *)(uintptr_t)rows[i].value;
        ptrs[i] = &pairs[i];
    }
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(1000);
    size_t unknown = 0;
    tf_varfile_format(&list, ptrs, CM_COUNT_OF(ptrs), &out, &unknown);
    assert_int_equal(unknown, 1);
    assert_str_is(cm_buf_view(&out),
                  "s = \"a\\\"b\\\\c\\nd$${e}%%{f}$g\"\nn = \"5\"\nuntyped = \"[1]\"\n"
                  "l = ([\"x\"]\n)\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(varfile_quotes_text_and_keeps_expressions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
