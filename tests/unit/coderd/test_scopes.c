#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "domain/scopes.h"

static void what_may_be_asked_for(void **state)
{
    static const struct {
        const char *name;
        bool ok;
    } rows[] = {
        {"coder:all", true},
        {"coder:application_connect", true},
        {"coder:workspaces.create", true},
        {"workspace:ssh", true},
        {"workspace:*", true},
        {"api_key:read", true},
        {"template:use", true},
        {"", false},
        {"all", false},
        {"*", false},
        {"*:*", false},
        {"*:read", false},
        {"system:read", false},
        {"workspace:share", false},
        {"workspace", false},
        {"workspace:", false},
        {":read", false},
        {"coder:workspaces.fly", false},
        {"user:delete", false},
        {"audit_log:read", false},
    };
    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        if (scope_requestable(cm_str(rows[i].name)) != rows[i].ok)
            fail_msg("\"%s\" should%s be accepted", rows[i].name, rows[i].ok ? "" : " not");
    }
}

static void everything_listed_may_be_asked_for(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    size_t n = 0;
    struct cm_str *names = scope_list(a, &n);
    assert_true(n > 30);
    for (size_t i = 0; i < n; i++)
        assert_true(scope_requestable(names[i]));
}

static void older_names_are_translated(void **state)
{
    (void)state;
    assert_true(cm_str_eq_c(scope_canonical(CM_STR("all")), "coder:all"));
    assert_true(
        cm_str_eq_c(scope_canonical(CM_STR("application_connect")), "coder:application_connect"));
    assert_true(cm_str_eq_c(scope_canonical(CM_STR("workspace:read")), "workspace:read"));
}

static struct subject subject_with(const char *scope)
{
    struct subject s = {0};
    s.n_scopes = scope_perms(cm_str(scope), s.scopes);
    s.scope_all = cm_str_eq_c(cm_str(scope), SCOPE_ALL);
    return s;
}

static void a_key_covers_what_is_no_wider(void **state)
{
    static const struct {
        const char *own, *wanted;
        bool ok;
    } rows[] = {
        {"coder:all", "coder:all", true},
        {"coder:all", "workspace:*", true},
        {"workspace:*", "workspace:read", true},
        {"workspace:*", "workspace:*", true},
        {"workspace:*", "coder:application_connect", true},
        {"workspace:*", "coder:all", false},
        {"workspace:*", "template:read", false},
        {"workspace:*", "coder:workspaces.create", false}, /* reads templates, too */
        {"workspace:read", "workspace:*", false},
        {"workspace:read", "workspace:ssh", false},
        {"coder:apikeys.manage_self", "api_key:*", true},
        {"coder:workspaces.create", "workspace:create", true},
        {"coder:workspaces.create", "workspace:delete", false},
        {"coder:all", "nosuch:read", true}, /* refused elsewhere */
        {"workspace:read", "nosuch:read", false},
    };
    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct subject s = subject_with(rows[i].own);
        if (subject_covers_scope(&s, cm_str(rows[i].wanted)) != rows[i].ok)
            fail_msg("%s should%s cover %s", rows[i].own, rows[i].ok ? "" : " not", rows[i].wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_be_asked_for),
        cmocka_unit_test(everything_listed_may_be_asked_for),
        cmocka_unit_test(older_names_are_translated),
        cmocka_unit_test(a_key_covers_what_is_no_wider),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
