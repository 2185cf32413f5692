#include "test.h"

#include "terraform/model.h"

static const char state_text[] =
    "{\"version\":4,\"terraform_version\":\"1.11.4\",\"serial\":6,\"lineage\":\"x\",\"outputs\":{},"
    "\"resources\":["
    "{\"mode\":\"data\",\"type\":\"coder_workspace\",\"name\":\"me\",\"instances\":[{"
    "\"attributes\":{\"id\":\"w\"}}]},"
    "{\"mode\":\"managed\",\"type\":\"docker_container\",\"name\":\"dev\",\"instances\":["
    "{\"index_key\":0,\"attributes\":{\"id\":\"a\"}},{\"index_key\":1,\"attributes\":{\"id\":\"b\"}"
    "},"
    "{\"index_key\":1,\"deposed\":\"123\",\"attributes\":{\"id\":\"old\"}}]},"
    "{\"module\":\"module.m[\\\"x.y\\\"].module.n\",\"mode\":\"managed\",\"type\":\"t\",\"name\":"
    "\"n\",\"instances\":["
    "{\"index_key\":\"q\\\"r\",\"attributes\":{}}]}]}";

static void state_file_gives_resources(void **state)
{
    (void)state;
    static const struct {
        const char *address, *label, *module, *index;
        bool managed;
    } expected[] = {
        {"data.coder_workspace.me", "data.coder_workspace.me", "", "", false},
        {"docker_container.dev[0]", "docker_container.dev", "", "0", true},
        {"docker_container.dev[1]", "docker_container.dev", "", "1", true},
        {"module.m[\"x.y\"].module.n.t.n[\"q\\\"r\"]", "module.m.module.n.t.n",
         "module.m[\"x.y\"].module.n", "q\"r", true},
    };
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_resources list;
    struct cm_err err;
    assert_int_equal(tf_state_read(a, cm_str(state_text), &list, &err), CM_OK);
    assert_int_equal(list.n, CM_COUNT_OF(expected));
    for (size_t i = 0; i < list.n; i++) {
        assert_str_is(list.v[i].address, expected[i].address);
        assert_str_is(list.v[i].label, expected[i].label);
        assert_str_is(list.v[i].module, expected[i].module);
        assert_str_is(list.v[i].index, expected[i].index);
        assert_int_equal(list.v[i].managed, expected[i].managed);
    }
    assert_str_is(cm_json_str(cm_json_get(list.v[2].values, "id")), "b");
}

static void state_of_another_format_is_refused(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_resources list;
    struct cm_err err;
    assert_int_equal(tf_state_read(a, CM_STR("{\"version\":3,\"serial\":1}"), &list, &err),
                     CM_INVALID);
    assert_non_null(strstr(err.text, "version 3"));
    assert_int_equal(tf_state_read(a, CM_STR("{\"version\":4"), &list, &err), CM_INVALID);
    assert_int_equal(tf_state_read(a, CM_STR(" \n"), &list, &err), CM_OK);
    assert_int_equal(list.n, 0);
}

static void state_has_objects_when_a_managed_one_exists(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool expected;
    } rows[] = {
        {"", false},
        {"{\"version\":4,\"serial\":1,\"resources\":[]}", false},
        {"{\"version\":4,\"serial\":1,\"resources\":[{\"mode\":\"data\",\"instances\":[{}]}]}",
         false},
        {"{\"version\":4,\"serial\":1,\"resources\":[{\"mode\":\"managed\",\"instances\":[]}]}",
         false},
        {"{\"version\":4,\"serial\":1,\"resources\":[{\"mode\":\"managed\",\"instances\":[{"
         "\"deposed\":\"1\"}]}]}",
         true},
        {"{\"version\":3}", true},
        {"not a state", true},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++)
        assert_int_equal(tf_state_has_objects(cm_str(rows[i].text)), rows[i].expected);
}

static void state_is_complete_only_as_a_whole(void **state)
{
    (void)state;
    size_t whole = sizeof state_text - 1;
    assert_true(tf_state_is_complete(cm_str(state_text)));
    for (size_t n = 0; n < whole; n += 7)
        assert_false(tf_state_is_complete(cm_str_n(state_text, n)));
}

static void plan_gives_planned_objects_and_data_that_was_read(void **state)
{
    (void)state;
    static const char text[] = "{\"planned_values\":{\"root_module\":{\"resources\":["
                               "{\"address\":\"a.b[0]\",\"mode\":\"managed\",\"type\":\"a\","
                               "\"name\":\"b\",\"index\":0,\"values\":{\"x\":1}},"
                               "{\"address\":\"data.c.late\",\"mode\":\"data\",\"type\":\"c\","
                               "\"name\":\"late\",\"values\":{}}],"
                               "\"child_modules\":[{\"address\":\"module.m\",\"resources\":["
                               "{\"address\":\"module.m.a.z\",\"mode\":\"managed\",\"type\":\"a\","
                               "\"name\":\"z\",\"values\":{}}]}]}},"
                               "\"prior_state\":{\"values\":{\"root_module\":{\"resources\":["
                               "{\"address\":\"data.c.d\",\"mode\":\"data\",\"type\":\"c\","
                               "\"name\":\"d\",\"values\":{\"v\":\"1\"}},"
                               "{\"address\":\"a.gone\",\"mode\":\"managed\",\"type\":\"a\","
                               "\"name\":\"gone\",\"values\":{}}]}}}}";
    static const char *const expected[] = {"a.b[0]", "module.m.a.z", "data.c.d", "data.c.late"};
    CM_AUTO(cm_arena) a = cm_arena_new();
    const struct cm_json *root;
    struct tf_resources list;
    struct cm_err err;
    assert_int_equal(cm_json_parse(a, cm_str(text), NULL, &root, &err), CM_OK);
    assert_int_equal(tf_plan_read(a, root, &list, &err), CM_OK);
    assert_int_equal(list.n, CM_COUNT_OF(expected));
    for (size_t i = 0; i < list.n; i++)
        assert_str_is(list.v[i].address, expected[i]);
    assert_str_is(list.v[0].index, "0");
    assert_str_is(list.v[1].module, "module.m");
}

static void plan_with_modules_too_deep_is_refused(void **state)
{
    (void)state;
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT((size_t)1 << 20);
    CM_AUTO(cm_arena) a = cm_arena_new();
    const struct cm_json *root;
    struct tf_resources list;
    struct cm_err err;
    const struct cm_json_limits limits = {.bytes = 1 << 20, .nodes = 10000, .depth = 200};
    cm_buf_cstr(&b, "{\"planned_values\":{\"root_module\":");
    for (int i = 0; i < 40; i++)
        cm_buf_cstr(&b, "{\"child_modules\":[");
    for (int i = 0; i < 40; i++)
        cm_buf_cstr(&b, "]}");
    cm_buf_cstr(&b, "}}");
    assert_int_equal(cm_json_parse(a, cm_buf_view(&b), &limits, &root, &err), CM_OK);
    assert_int_equal(tf_plan_read(a, root, &list, &err), CM_TOO_LARGE);
}

static void label_has_no_indexes(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"a.b", "a.b"},
        {"a.b[0]", "a.b"},
        {"module.m[\"a]b\"].c.d[\"x\\\"]y\"]", "module.m.c.d"},
        {"module.m[3].module.n.data.c.d", "module.m.module.n.data.c.d"},
        {"", ""},
    };
    CM_AUTO(cm_arena) a = cm_arena_new();
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++)
        assert_str_is(tf_label(a, cm_str(rows[i][0])), rows[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_file_gives_resources),
        cmocka_unit_test(state_of_another_format_is_refused),
        cmocka_unit_test(state_has_objects_when_a_managed_one_exists),
        cmocka_unit_test(state_is_complete_only_as_a_whole),
        cmocka_unit_test(plan_gives_planned_objects_and_data_that_was_read),
        cmocka_unit_test(plan_with_modules_too_deep_is_refused),
        cmocka_unit_test(label_has_no_indexes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
