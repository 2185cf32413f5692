#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/search.h"

static const char *const keys[] = {"name", "status", "after", "flag", NULL};

/* "status=a|b; name=x" and, behind a !, the fields complained about. */
static struct cm_str describe(struct cm_arena *a, const char *q, const char *default_key)
{
    struct api_req r = {.arena = a};
    struct search s;
    struct cm_str out = CM_STR("");
    search_parse(&r, cm_str(q), keys, default_key, &s);
    for (size_t i = 0; i < s.n; i++) {
        out = cm_arena_fmt(a, "%.*s%s%s=", CM_STR_ARG(out), i ? "; " : "", s.terms[i].key);
        for (size_t k = 0; k < s.terms[i].n; k++)
            out = cm_arena_fmt(a, "%.*s%s%.*s", CM_STR_ARG(out), k ? "|" : "",
                               CM_STR_ARG(s.terms[i].values[k]));
    }
    for (size_t i = 0; i < r.violations.n; i++)
        out = cm_arena_fmt(a, "%.*s!%.*s", CM_STR_ARG(out), CM_STR_ARG(r.violations.v[i].field));
    return out;
}

static void tokens(void **state)
{
    static const struct {
        const char *q, *found;
    } rows[] = {
        {"", ""},
        {"   ", ""},
        {"dev", "name=dev"},
        {"My  Dev", "name=my dev"},
        {"status:active", "status=active"},
        {"STATUS:Active", "status=active"},
        {"status:a,b status:c", "status=a|b|c"},
        {"dev status:a box", "status=a; name=dev box"},
        {"name:\"a b\"", "name=a b"},
        {"name:\"a,b\",c", "name=a,b|c"},
        {"after:\"2001-01-01T00:00:00Z\"", "after=2001-01-01t00:00:00z"},
        {"\"a:b\"", "name=a:b"},
        {"name:\"open", "name=open"},
        {"name:", "!q"},
        {":x", "!q"},
        {":", "!q"},
        {"after:2001-01-01T00:00:00Z", "!q"},
        {"colour:red", "!colour"},
        {"colour:red status:a", "status=a!colour"},
    };
    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        struct cm_str got = describe(a, rows[i].q, "name");
        if (!cm_str_eq_c(got, rows[i].found))
            fail_msg("%s: %.*s, not %s", rows[i].q, CM_STR_ARG(got), rows[i].found);
    }
}

static void bare_words_need_a_default(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    assert_true(cm_str_eq_c(describe(a, "status:a word", NULL), "status=a!q"));
}

static void values(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct api_req r = {.arena = a};
    struct search s;
    search_parse(&r, CM_STR("flag:TRUE after:\"2026-01-31T01:00:00+01:00\" name:7"), keys, NULL,
                 &s);
    assert_true(*search_bool(&r, &s, "flag"));
    assert_int_equal(search_time(&r, &s, "after")->us, INT64_C(1769817600000000));
    assert_int_equal(*search_int(&r, &s, "name"), 7);
    assert_null(search_bool(&r, &s, "status"));
    assert_int_equal(r.violations.n, 0);
    assert_null(search_bool(&r, &s, "name"));
    assert_null(search_time(&r, &s, "name"));
    assert_null(search_uuid(&r, &s, "name"));
    assert_null(search_int(&r, &s, "flag"));
    assert_int_equal(r.violations.n, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens),
        cmocka_unit_test(bare_words_need_a_default),
        cmocka_unit_test(values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
