#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "domain/parameters.h"

#define P struct api_template_version_parameter

/* What one declared parameter makes of a given value and the one before (NULL: none). */
struct row {
    const char *what;
    P p;
    const char *given, *before;
    const char *value; /* in the build */
    const char *fails; /* a part of the sentence; NULL: nothing is wrong */
};

static struct api_template_version_parameter_option colors[] = {
    {.name = {"Red", 3}, .value = {"red", 3}},
    {.name = {"Blue", 4}, .value = {"blue", 4}},
};

#define NUMBER      .type = API_OPTION_TYPE_NUMBER, .mutable = true
#define RANGE(a, b) .validation_min = (a), .validation_max = (b)
#define GROWS       .validation_monotonic = API_VALIDATION_MONOTONIC_ORDER_INCREASING
#define SHRINKS     .validation_monotonic = API_VALIDATION_MONOTONIC_ORDER_DECREASING
#define TEXT        .type = API_OPTION_TYPE_STRING, .mutable = true
#define OPTIONS     .options = colors, .n_options = CM_COUNT_OF(colors)

static const struct row rows[] = {
    {"given", {TEXT}, "x", NULL, "x", NULL},
    {"the one before", {TEXT}, NULL, "y", "y", NULL},
    {"default", {TEXT, .default_value = {"d", 1}}, NULL, NULL, "d", NULL},
    {"default of an ephemeral one", {TEXT, .ephemeral = true}, NULL, "y", "", NULL},
    {"required", {TEXT, .required = true}, NULL, NULL, "", "a value is required"},
    {"required, had one", {TEXT, .required = true}, NULL, "y", "y", NULL},
    {"immutable, changed", {.type = API_OPTION_TYPE_STRING}, "x", "y", "y", "is immutable"},
    {"immutable, the same", {.type = API_OPTION_TYPE_STRING}, "y", "y", "y", NULL},
    {"option", {TEXT, OPTIONS}, "blue", NULL, "blue", NULL},
    {"option's name", {TEXT, OPTIONS}, "Blue", NULL, "Blue", "not one of the options"},
    {"no number", {NUMBER}, "1x", NULL, "1x", "is not a number"},
    {"empty number", {NUMBER}, "", NULL, "", "is not a number"},
    {"the template's words about no number",
     {NUMBER, RANGE(1, 8), .validation_error = {"<{value}>", 9}},
     "{min}",
     NULL,
     "{min}",
     "<{min}>"},
    {"the template's words, of which nothing is left",
     {NUMBER, .validation_error = {"{value}", 7}},
     "",
     NULL,
     "",
     "is not a number"},
    {"grown", {NUMBER, GROWS}, "5", "4", "5", NULL},
    {"not grown", {NUMBER, GROWS}, "3", "4", "3", "may only grow: it was 4"},
    {"shrunk", {NUMBER, SHRINKS}, "3", "4", "3", NULL},
    {"not shrunk", {NUMBER, SHRINKS}, "5", "4", "5", "may only shrink: it was 4"},
    {"bool", {.type = API_OPTION_TYPE_BOOL, .mutable = true}, "true", NULL, "true", NULL},
    {"no bool",
     {.type = API_OPTION_TYPE_BOOL, .mutable = true},
     "yes",
     NULL,
     "yes",
     "true or false"},
    {"pattern", {TEXT, .validation_regex = {"^a+$", 4}}, "aaa", NULL, "aaa", NULL},
    {"not the pattern", {TEXT, .validation_regex = {"^a+$", 4}}, "b", NULL, "b", "does not match"},
    {"the template's words",
     {TEXT, .validation_regex = {"^a+$", 4}, .validation_error = {"only a", 6}},
     "b",
     NULL,
     "b",
     "only a"},
    {"a default that breaks the rules is not this user's",
     {TEXT, .validation_regex = {"^a+$", 4}, .default_value = {"b", 1}},
     NULL,
     NULL,
     "b",
     NULL},
    {"list",
     {.type = API_OPTION_TYPE_LIST_STRING, .mutable = true},
     "[\"a\"]",
     NULL,
     "[\"a\"]",
     NULL},
    {"no list",
     {.type = API_OPTION_TYPE_LIST_STRING, .mutable = true},
     "a",
     NULL,
     "a",
     "JSON list"},
    {"list of options",
     {.type = API_OPTION_TYPE_LIST_STRING, .mutable = true, OPTIONS},
     "[\"red\",\"green\"]",
     NULL,
     "[\"red\",\"green\"]",
     "\"green\" is not one of the options"},
};

static struct cm_violations resolve(struct cm_arena *a, const P *declared, const char *given,
                                    const char *before, bool first, const char **ret_value)
{
    struct api_workspace_build_parameter g = {.name = declared->name, .value = cm_str(given)};
    struct api_workspace_build_parameter b = {.name = declared->name, .value = cm_str(before)};
    struct parameter_resolve in = {.declared = declared,
                                   .n_declared = 1,
                                   .given = {&g, given != NULL},
                                   .previous = {&b, before != NULL},
                                   .first_build = first};
    struct api_workspace_build_parameter *out = NULL;
    struct cm_violations vs = {0};
    size_t n = 0;
    parameters_resolve(a, &in, &out, &n, &vs);
    assert_int_equal(n, 1);
    assert_true(cm_str_eq(out->name, declared->name));
    *ret_value = cm_arena_cstr(a, out->value);
    return vs;
}

static void each_value_has_its_source_and_its_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        P p = rows[i].p;
        const char *value;
        p.name = CM_STR("p");
        struct cm_violations vs = resolve(a, &p, rows[i].given, rows[i].before, false, &value);
        print_message("%s\n", rows[i].what);
        assert_string_equal(value, rows[i].value);
        assert_int_equal(vs.n, rows[i].fails != NULL);
        if (vs.n) {
            assert_true(cm_str_eq_c(vs.v[0].field, "p"));
            assert_true(cm_str_contains(vs.v[0].detail, cm_str(rows[i].fails)));
        }
    }
}

static void limits_count_only_where_the_template_has_them(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    P p = {.name = CM_STR("p"), NUMBER, RANGE(2, 4)};
    const char *value;
    assert_int_equal(resolve(a, &p, "9", NULL, false, &value).n, 0);
    cm_set_has(p.has, API_TEMPLATE_VERSION_PARAMETER_HAS_VALIDATION_MIN);
    cm_set_has(p.has, API_TEMPLATE_VERSION_PARAMETER_HAS_VALIDATION_MAX);
    assert_int_equal(resolve(a, &p, "2", NULL, false, &value).n, 0);
    assert_int_equal(resolve(a, &p, "4", NULL, false, &value).n, 0);
    struct cm_violations low = resolve(a, &p, "1", NULL, false, &value);
    assert_true(cm_str_eq_c(low.v[0].detail, "value 1 is less than the limit 2"));
    struct cm_violations high = resolve(a, &p, "5", NULL, false, &value);
    assert_true(cm_str_eq_c(high.v[0].detail, "value 5 is more than the limit 4"));
    p.validation_error = CM_STR("{value} is not in {min}..{max}: {x}");
    struct cm_violations worded = resolve(a, &p, "5", NULL, false, &value);
    assert_true(cm_str_eq_c(worded.v[0].detail, "5 is not in 2..4: {x}"));
}

static void nothing_is_immutable_in_a_first_build(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    P p = {.name = CM_STR("p"), .type = API_OPTION_TYPE_STRING};
    const char *value;
    assert_int_equal(resolve(a, &p, "x", "y", true, &value).n, 0);
    assert_string_equal(value, "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_value_has_its_source_and_its_rules),
        cmocka_unit_test(limits_count_only_where_the_template_has_them),
        cmocka_unit_test(nothing_is_immutable_in_a_first_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
