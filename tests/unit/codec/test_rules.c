/* Named rules: what each accepts and refuses. */
#include "test_codec.h"

#include "codec/rules.h"

#define X32 "abcdefghijklmnopqrstuvwxyz012345"

static void rules_accept_and_refuse(void **state)
{
    static const struct {
        const char *rule;
        struct cm_str value;
        bool ok;
    } rows[] = {
        {"username", CM_STR("a"), true},
        {"username", CM_STR("Ann-2-x"), true},
        {"username", CM_STR(X32), true},
        {"username", CM_STR(X32 "6"), false},
        {"username", CM_STR(""), false},
        {"username", CM_STR("-a"), false},
        {"username", CM_STR("a-"), false},
        {"username", CM_STR("a--b"), false},
        {"username", CM_STR("a_b"), false},
        {"username", CM_STR("a b"), false},
        {"username", CM_STR("a\0b"), false},
        {"username", CM_STR("b\xc3\xa4r"), false},
        {"username", CM_STR("new"), false},
        {"username", CM_STR("create"), false},
        {"username", CM_STR("news"), true},
        {"workspace_name", CM_STR("dev"), true},
        {"template_name", CM_STR("new"), false},
        {"template_version_name", CM_STR("v1.2_x-3"), true},
        {"template_version_name", CM_STR("v1..2"), false},
        {"template_version_name", CM_STR(X32 X32), true},
        {"template_version_name", CM_STR(X32 X32 "1"), false},
        {"group_name", CM_STR(X32 "6"), true},
        {"display_name", CM_STR("Ann & Co."), true},
        {"display_name", CM_STR(""), true},
        {"display_name", CM_STR(" a"), false},
        {"display_name", CM_STR("a "), false},
        {"display_name", CM_STR(X32 X32 "1"), false},
        {"real_name", CM_STR("Ann Lee"), true},
        {"real_name", CM_STR(" Ann "), false},
        {"real_name", CM_STR(X32 X32 X32 X32), true},
        {"real_name", CM_STR(X32 X32 X32 X32 "1"), false},
        {"email", CM_STR("admin@example.com"), true},
        {"email", CM_STR("a.b+c@x"), true},
        {"email", CM_STR("nope"), false},
        {"email", CM_STR("@x.de"), false},
        {"email", CM_STR("a@"), false},
        {"email", CM_STR("a@b@c"), false},
        {"email", CM_STR("a@b..c"), false},
        {"email", CM_STR("a@-b.c"), false},
        {"email", CM_STR("a b@c.d"), false},
        {"email", CM_STR("a@c.d\r\nBcc: x"), false},
        {"slug", CM_STR("code-server"), true},
        {"slug", CM_STR("Code"), false},
        {"token_name", CM_STR("ci.2026_1"), true},
        {"token_name", CM_STR("ci 1"), true},
        {"token_name", CM_STR("ci 1 "), false},
        {"token_name", CM_STR("ci/1"), false},
        {"token_name", CM_STR("ci\n1"), false},
        {"colour", CM_STR("#1a2B3c"), true},
        {"colour", CM_STR("#1a2b3g"), false},
        {"colour", CM_STR("1a2b3c0"), false},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        const char *form = cm_rule_check(rows[i].rule, rows[i].value);
        if ((form == NULL) != rows[i].ok)
            fail_msg("%s: \"%.*s\" is %s", rows[i].rule, CM_STR_ARG(rows[i].value),
                     rows[i].ok ? "refused" : "accepted");
    }
    assert_true(cm_rule_exists("email"));
    assert_false(cm_rule_exists("nosuch"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules_accept_and_refuse)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
