/* Plans: what counts as a change, and the rules that hold for every table. */
#include "test_provider.h"

#include "schema/conform.h"
#include "schema/plan.h"
#include "schema/types.h"
#include "schema/validate.h"
#include "value/json.h"

/* An object of the type, from JSON that need not name every argument. */
static struct value object(struct fixture *f, const struct type *t, const char *json)
{
    struct value raw, out = {0};
    struct cm_err err = {0};
    if (json_decode(f->arena, JSON_WHOLE, cm_str(json), &raw, &err) != CM_OK ||
        conform_object(f->arena, &t->block, CONFORM_LENIENT, &raw, &out, &err) != CM_OK)
        fail_msg("%s: %s", json, err.text);
    return out;
}

static void only_real_changes_replace(void **state)
{
    static const struct {
        const char *prior, *config;
        size_t paths;
    } rows[] = {
        {"{\"agent_id\":\"a\",\"slug\":\"s\",\"share\":\"owner\",\"open_in\":\"slim-window\"}",
         "{\"agent_id\":\"a\",\"slug\":\"s\"}", 0},
        {"{\"agent_id\":\"a\",\"slug\":\"s\",\"share\":\"owner\",\"open_in\":\"slim-window\","
         "\"url\":\"\",\"order\":0}",
         "{\"agent_id\":\"a\",\"slug\":\"s\"}", 0},
        {"{\"agent_id\":\"a\",\"slug\":\"s\",\"share\":\"owner\",\"open_in\":\"slim-window\"}",
         "{\"agent_id\":\"a\",\"slug\":\"s\",\"url\":\"\",\"order\":0,\"subdomain\":false}", 0},
        {"{\"agent_id\":\"a\",\"slug\":\"s\",\"share\":null,\"open_in\":\"slim-window\"}",
         "{\"agent_id\":\"a\",\"slug\":\"s\"}", 1},
        {"{\"agent_id\":\"a\",\"slug\":\"s\",\"share\":\"public\",\"open_in\":\"tab\"}",
         "{\"agent_id\":\"b\",\"slug\":\"s\"}", 3},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct fixture f;
        struct plan plan;
        fixture_init(&f, NULL);
        struct value prior = object(&f, &resource_app, rows[i].prior);
        struct value config = object(&f, &resource_app, rows[i].config);
        plan_change(&f.call, &resource_app, &prior, &config, &plan);
        if (plan.n_replace != rows[i].paths)
            fail_msg("row %zu: %zu paths", i, plan.n_replace);
        assert_true(rows[i].paths > 0 || value_equal(&plan.planned, &prior));
        fixture_done(&f);
    }
}

static void new_objects_have_defaults_and_unknowns(void **state)
{
    struct fixture f;
    struct plan plan;
    (void)state;
    fixture_init(&f, NULL);
    struct value prior = VALUE_NONE;
    struct value config =
        object(&f, &resource_agent, "{\"os\":\"linux\",\"arch\":\"amd64\",\"env\":{\"A\":null}}");
    plan_change(&f.call, &resource_agent, &prior, &config, &plan);
    assert_int_equal(value_get(&plan.planned, "token")->kind, VALUE_UNKNOWN);
    assert_int_equal(value_get(&plan.planned, "display_apps")->kind, VALUE_UNKNOWN);
    assert_int_equal(value_get(&plan.planned, "env")->kind, VALUE_NULL);
    assert_int_equal(value_int(&plan.planned, "connection_timeout"), 120);
    assert_int_equal(plan.n_replace, 0);

    struct value made = plan_apply(&f.call, &resource_agent, &prior, &plan.planned);
    assert_true(value_wholly_known(&made));
    assert_int_equal(value_count(value_get(&made, "display_apps")), 1);
    fixture_done(&f);
}

static void check_block(const struct block *b, bool top)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct field *f = &b->fields[i];
        assert_true(f->kind != FIELD_UNSET);
        assert_true((f->flags & (F_REQUIRED | F_OPTIONAL | F_COMPUTED)) != 0);
        assert_false((f->flags & F_REQUIRED) && (f->flags & (F_OPTIONAL | F_COMPUTED)));
        assert_true(field_is_block(f) == (f->block != NULL));
        assert_true(!f->check || (f->flags & (F_REQUIRED | F_OPTIONAL)) != 0);
        assert_true(f->dflt.kind == VALUE_NULL || !(f->flags & F_REQUIRED));
        assert_true(top || !(f->flags & F_IMPLICIT));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(f->name, b->fields[k].name);
        if (f->block)
            check_block(f->block, false);
    }
}

static void tables_hold_together(void **state)
{
    size_t data = 0;
    (void)state;
    for (size_t i = 0; i < TYPES_COUNT; i++) {
        const struct type *t = types_all[i];
        data += t->data;
        assert_ptr_equal(types_find(cm_str(t->name), t->data), t);
        assert_true(t->data ? t->read && !t->create : t->create && !t->read);
        check_block(&t->block, true);
    }
    assert_int_equal(data, 9);
    assert_null(types_find(CM_STR("coder_git_auth"), true));
}

static void every_type_survives_unknown_and_empty_arguments(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPES_COUNT; i++) {
        const struct type *t = types_all[i];
        for (int unknown = 0; unknown < 2; unknown++) {
            struct fixture f;
            struct plan plan;
            fixture_init(&f, NULL);
            struct value none = VALUE_NONE, config = object(&f, t, "{}");
            for (size_t k = 0; k < t->block.n; k++)
                if (unknown && !(t->block.fields[k].flags & F_IMPLICIT))
                    config.map.entries[k].value = VALUE_NOT_KNOWN;
            validate_config(&f.call, t, &config);
            if (!t->data) {
                plan_change(&f.call, t, &none, &config, &plan);
                struct value made = plan_apply(&f.call, t, &none, &plan.planned);
                assert_true(value_wholly_known(&made));
            } else if (!unknown) {
                struct value got = plan_read(&f.call, t, &config);
                assert_int_equal(value_count(&got), t->block.n);
            }
            fixture_done(&f);
        }
    }
}

static void exact_objects_need_every_argument(void **state)
{
    struct fixture f;
    struct value raw, out;
    struct cm_err err = {0};
    (void)state;
    fixture_init(&f, NULL);
    assert_int_equal(json_decode(f.arena, JSON_WHOLE, CM_STR("{\"tags\":null}"), &raw, &err),
                     CM_OK);
    assert_int_equal(
        conform_object(f.arena, &data_workspace_tags.block, CONFORM_EXACT, &raw, &out, &err),
        CM_PROTOCOL);
    assert_string_equal(err.text, "an object with 2 arguments is required, got 1");
    assert_int_equal(
        json_decode(f.arena, JSON_WHOLE, CM_STR("{\"tags\":null,\"x\":1}"), &raw, &err), CM_OK);
    assert_int_equal(
        conform_object(f.arena, &data_workspace_tags.block, CONFORM_EXACT, &raw, &out, &err),
        CM_PROTOCOL);
    assert_string_equal(err.text, "unsupported argument \"x\"");
    assert_int_equal(
        json_decode(f.arena, JSON_WHOLE, CM_STR("{\"tags\":[],\"id\":null}"), &raw, &err), CM_OK);
    assert_int_equal(
        conform_object(f.arena, &data_workspace_tags.block, CONFORM_EXACT, &raw, &out, &err),
        CM_PROTOCOL);
    assert_string_equal(err.text, "argument \"tags\" is not a map of strings");
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_real_changes_replace),
        cmocka_unit_test(new_objects_have_defaults_and_unknowns),
        cmocka_unit_test(tables_hold_together),
        cmocka_unit_test(every_type_survives_unknown_and_empty_arguments),
        cmocka_unit_test(exact_objects_need_every_argument),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
