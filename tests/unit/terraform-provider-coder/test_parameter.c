/* A parameter's value against its type and its validation block. */
#include "test_provider.h"

#include "schema/parameter_check.h"

#define RULES(type_, ...)                                                                          \
    {                                                                                              \
        .type = {"" type_, sizeof(type_) - 1}, ##__VA_ARGS__                                       \
    }
#define TEXT(s)                                                                                    \
    {                                                                                              \
        "" s, sizeof(s) - 1                                                                        \
    }

static void validation_blocks(void **state)
{
    static const struct {
        struct parameter_rules rules;
        const char *value, *previous, *why;
    } rows[] = {
        {RULES("number"), "5", NULL, NULL},
        {RULES("number"), "+5", NULL, NULL},
        {RULES("number"), "5.0", NULL, "value \"5.0\" is not a number"},
        {RULES("number"), " 5", NULL, "value \" 5\" is not a number"},
        {RULES("number", .has_min = true, .min = 3), "3", NULL, NULL},
        {RULES("number", .has_min = true, .min = 3), "2", NULL,
         "value 2 is less than the minimum 3"},
        {RULES("number", .has_max = true, .max = 3), "4", NULL,
         "value 4 is more than the maximum 3"},
        {RULES("number", .has_max = true, .max = 3, .error = TEXT("{value}>{max} {min} {x}")), "4",
         NULL, "4>3 0 {x}"},
        {RULES("number", .error = TEXT("{value}")), "{min}", NULL, "{min}"},
        {RULES("number", .error = TEXT("{value}")), "", NULL, "value \"\" is not a number"},
        {RULES("number", .error = TEXT("100%")), "x", NULL, "100%"},
        {RULES("number", .monotonic = TEXT("increasing")), "5", "6",
         "parameter value '5' must be equal or greater than previous value: 6"},
        {RULES("number", .monotonic = TEXT("decreasing"), .error = TEXT("own")), "6", "5",
         "parameter value '6' must be equal or lower than previous value: 5"},
        {RULES("number", .monotonic = TEXT("increasing")), "5", "a", NULL},
        {RULES("number", .monotonic = TEXT("increasing")), "5", "", NULL},
        {RULES("number", .monotonic = TEXT("sideways")), "5", NULL,
         "number monotonicity can be either \"increasing\" or \"decreasing\""},
        {RULES("number", .regex = TEXT("x")), "5", NULL,
         "a regex cannot be specified for a number type"},
        {RULES("string", .has_min = true), "a", NULL,
         "a min cannot be specified for a string type"},
        {RULES("bool", .has_max = true), "true", NULL, "a max cannot be specified for a bool type"},
        {RULES("string", .regex = TEXT("^a"), .error = TEXT("e")), "ab", NULL, NULL},
        {RULES("string", .regex = TEXT("^a"), .error = TEXT("e")), "ba", NULL,
         "e (value \"ba\" does not match \"^a\")"},
        {RULES("string", .regex = TEXT("^a")), "ab", NULL,
         "an error must be specified with a regex validation"},
        {RULES("bool"), "true", NULL, NULL},
        {RULES("bool"), "T", NULL, "boolean value can be either \"true\" or \"false\""},
        {RULES("list(string)"), "[\"a\"]", NULL, NULL},
        {RULES("list(string)"), "a", NULL, "value \"a\" is not valid list of strings"},
        {RULES("list(string)", .regex = TEXT("a")), "[]", NULL,
         "a regex cannot be specified for a list(string) type"},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct fixture f;
        struct cm_str why = CM_STR(""), previous = cm_str(rows[i].previous);
        fixture_init(&f, NULL);
        bool ok = parameter_validate(&f.call, &rows[i].rules, cm_str(rows[i].value),
                                     rows[i].previous ? &previous : NULL, &why);
        if (ok != !rows[i].why)
            fail_msg("row %zu: %.*s", i, CM_STR_ARG(why));
        assert_str(why, rows[i].why ? rows[i].why : "");
        fixture_done(&f);
    }
}

static void types(void **state)
{
    static const struct {
        const char *type, *value;
        bool ok;
    } rows[] = {
        {"string", "", true},           {"number", "1", true},         {"number", "-1.5e+3", true},
        {"number", ".5", true},         {"number", "5.", true},        {"number", "inf", true},
        {"number", "-Infinity", true},  {"number", "NaN", true},       {"number", "-nan", false},
        {"number", "0x1p-2", true},     {"number", "0x10", false},     {"number", "1e999", false},
        {"number", "1e-999", true},     {"number", "", false},         {"number", ".", false},
        {"number", "1e", false},        {"number", " 1", false},       {"number", "1x", false},
        {"number", "1_000", false},     {"bool", "1", true},           {"bool", "False", true},
        {"bool", "yes", false},         {"bool", "tRUE", false},       {"list(string)", "[]", true},
        {"list(string)", "null", true}, {"list(string)", "{}", false}, {"list(string)", "", false},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct fixture f;
        struct cm_str why = CM_STR("");
        fixture_init(&f, NULL);
        if (parameter_is_of_type(&f.call, cm_str(rows[i].type), cm_str(rows[i].value), &why) !=
            rows[i].ok)
            fail_msg("row %zu: %s %s", i, rows[i].type, rows[i].value);
        fixture_done(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(validation_blocks),
        cmocka_unit_test(types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
