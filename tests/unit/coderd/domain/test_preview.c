/* Forms of parameters: what is shown and what is wrong, for what has been filled in so far. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "domain/preview.h"

static struct api_template_version_parameter_option regions[] = {
    {.name = {"North", 5}, .value = {"north", 5}},
    {.name = {"South", 5}, .value = {"south", 5}},
};

static void declare(struct form_parameter *f)
{
    struct api_template_version_parameter p[4];
    p[0] = (struct api_template_version_parameter){.name = CM_STR("size"),
                                                   .type = API_OPTION_TYPE_NUMBER,
                                                   .default_value = CM_STR("3"),
                                                   .validation_min = 1,
                                                   .validation_max = 9};
    cm_set_has(p[0].has, API_TEMPLATE_VERSION_PARAMETER_HAS_VALIDATION_MIN);
    cm_set_has(p[0].has, API_TEMPLATE_VERSION_PARAMETER_HAS_VALIDATION_MAX);
    p[1] = (struct api_template_version_parameter){.name = CM_STR("region"),
                                                   .type = API_OPTION_TYPE_STRING,
                                                   .default_value = CM_STR(""),
                                                   .required = true,
                                                   .options = regions,
                                                   .n_options = CM_COUNT_OF(regions)};
    p[2] = (struct api_template_version_parameter){
        .name = CM_STR("tags"), .type = API_OPTION_TYPE_LIST_STRING, .default_value = CM_STR("[]")};
    p[3] = (struct api_template_version_parameter){.name = CM_STR("flag"),
                                                   .type = API_OPTION_TYPE_BOOL,
                                                   .form_type = API_PARAMETER_FORM_TYPE_SWITCH,
                                                   .default_value = CM_STR("false")};
    for (int i = 0; i < 4; i++)
        f[i] = (struct form_parameter){.p = p[i], .order = i + 1};
    f[3].uncertain = "default";
}

static void an_empty_form_shows_defaults_and_asks_for_what_is_required(void **state)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct form_parameter p[4];
    struct api_dynamic_parameters_response out = {0};
    (void)state;
    declare(p);
    preview_parameters(a, p, 4, NULL, 0, &out);
    assert_int_equal(out.n_parameters, 4);
    assert_true(cm_str_eq_c(out.parameters[0].value->value, "3"));
    assert_true(out.parameters[0].value->valid && out.parameters[0].default_value->valid);
    assert_int_equal(out.parameters[0].n_diagnostics, 0);
    assert_int_equal(out.parameters[0].n_validations, 1);
    assert_int_equal(out.parameters[0].validations->validation_max, 9);
    assert_false(out.parameters[1].value->valid);
    assert_int_equal(out.parameters[1].n_diagnostics, 1);
    assert_true(cm_str_eq_c(out.parameters[1].diagnostics->extra->code, "required"));
    assert_int_equal(out.parameters[1].n_validations, 0);
    assert_int_equal(out.parameters[3].order, 4);
    assert_int_equal(out.parameters[3].n_diagnostics, 1);
    assert_int_equal(out.parameters[3].diagnostics->severity,
                     API_DIAGNOSTIC_SEVERITY_STRING_WARNING);
}

static void form_types_follow_from_types(void **state)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct form_parameter p[4];
    struct api_dynamic_parameters_response out = {0};
    (void)state;
    declare(p);
    preview_parameters(a, p, 4, NULL, 0, &out);
    assert_int_equal(out.parameters[0].form_type, API_PARAMETER_FORM_TYPE_INPUT);
    assert_int_equal(out.parameters[1].form_type, API_PARAMETER_FORM_TYPE_RADIO);
    assert_int_equal(out.parameters[2].form_type, API_PARAMETER_FORM_TYPE_TAG_SELECT);
    assert_int_equal(out.parameters[3].form_type, API_PARAMETER_FORM_TYPE_SWITCH);
}

static void values_are_checked_one_by_one(void **state)
{
    static const struct {
        const char *name, *value;
        size_t parameter, complaints;
    } rows[] = {
        {"size", "9", 0, 0},       {"size", "10", 0, 1},     {"size", "ten", 0, 1},
        {"region", "south", 1, 0}, {"region", "east", 1, 1}, {"tags", "[\"a\"]", 2, 0},
        {"tags", "a", 2, 1},       {"flag", "true", 3, 1},   {"flag", "yes", 3, 2},
        {"unknown", "x", 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        struct form_parameter p[4];
        struct cm_pair input = {cm_str(rows[i].name), cm_str(rows[i].value)};
        struct api_dynamic_parameters_response out = {0};
        declare(p);
        preview_parameters(a, p, 4, &input, 1, &out);
        assert_int_equal(out.parameters[rows[i].parameter].n_diagnostics, rows[i].complaints);
    }
}

static void complaints_about_the_whole_add_up(void **state)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct api_dynamic_parameters_response out = {0};
    (void)state;
    preview_complain(a, &out, "one", "first", "a");
    preview_complain(a, &out, "two", "second", "b");
    assert_int_equal(out.n_diagnostics, 2);
    assert_true(cm_str_eq_c(out.diagnostics[0].summary, "one"));
    assert_true(cm_str_eq_c(out.diagnostics[1].extra->code, "b"));
    assert_int_equal(out.diagnostics[1].severity, API_DIAGNOSTIC_SEVERITY_STRING_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_form_shows_defaults_and_asks_for_what_is_required),
        cmocka_unit_test(form_types_follow_from_types),
        cmocka_unit_test(values_are_checked_one_by_one),
        cmocka_unit_test(complaints_about_the_whole_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
