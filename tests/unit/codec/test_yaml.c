/* YAML into the tree: types of scalars, what is refused and where, limits. */
#include "test_codec.h"

#include "codec/yaml.h"

static void yaml_reads_as_json(void **state)
{
    static const struct {
        const char *yaml, *json;
    } rows[] = {
        {"", "null"},
        {"---\n", "null"},
        {"a: 1\nb: [x, 'y', \"z\"]\nc:\n  d: true\n  e: null\n",
         "{\"a\":1,\"b\":[\"x\",\"y\",\"z\"],\"c\":{\"d\":true,\"e\":null}}"},
        {"- -1.5\n- 0x10\n- .inf\n- 1e3\n- 'yes'\n- yes\n- ~\n- ''\n- \"5\"\n- !!str 6\n",
         "[-1.5,\"0x10\",\".inf\",1000,\"yes\",\"yes\",null,\"\",\"5\",\"6\"]"},
        {"text: |\n  one\n  two\nfolded: >\n  a\n  b\n",
         "{\"text\":\"one\\ntwo\\n\",\"folded\":\"a b\\n\"}"},
        {"{\"json\": [1, {\"too\": false}]}", "{\"json\":[1,{\"too\":false}]}"},
        {"a: 1\n---\nb: 2\n", "{\"a\":1}"},
        {"k: 2026-11-23\nt: 10:30\n", "{\"k\":\"2026-11-23\",\"t\":\"10:30\"}"},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(4096);
        const struct cm_json *n = NULL;
        struct cm_err err = {0};
        if (cm_yaml_parse(a, cm_str(rows[i].yaml), NULL, &n, &err) != CM_OK)
            fail_msg("row %zu: %s", i, err.text);
        cm_json_write(&out, n);
        assert_string_equal(out.ptr, rows[i].json);
    }
}

static void yaml_refuses(void **state)
{
    static const struct {
        struct cm_str yaml;
        enum cm_code code;
        const char *text;
    } rows[] = {
        {CM_STR("a: 1\nb: [1,\n"), CM_INVALID, "line 3: did not find expected node content"},
        {CM_STR("a: &x 1\nb: *x\n"), CM_INVALID, "line 2: aliases are not supported"},
        {CM_STR("a: 1\nb: 2\na: 3\n"), CM_INVALID, "line 3: the key \"a\" is there twice"},
        {CM_STR("<<: {a: 1}\n"), CM_INVALID, "line 1: merge keys are not supported"},
        {CM_STR("a: !!binary eA==\n"), CM_INVALID,
         "line 1: tags other than !!str are not supported"},
        {CM_STR("a: !mine {b: 1}\n"), CM_INVALID,
         "line 1: tags other than !!str are not supported"},
        {CM_STR("? [a]\n: 1\n"), CM_INVALID, "line 1: a key must be a plain word"},
        {CM_STR("a: \"x\\0y\"\n"), CM_INVALID, "line 1: a NUL character is not allowed"},
        {CM_STR("a: \xff\n"), CM_INVALID, "YAML must be UTF-8"},
        {CM_STR("[[[[[1]]]]]"), CM_TOO_LARGE, "line 1: YAML is nested more than 4 levels deep"},
        {CM_STR("[1,2,3,4,5,6,7,8]"), CM_TOO_LARGE, "YAML has more than 8 values"},
        {CM_STR("a: 0123456789012345678901234567890123456789"), CM_TOO_LARGE,
         "YAML is larger than 40 bytes"},
    };
    const struct cm_json_limits limits = {40, 8, 4};

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        const struct cm_json *n = NULL;
        struct cm_err err = {0};
        assert_int_equal(cm_yaml_parse(a, rows[i].yaml, &limits, &n, &err), rows[i].code);
        assert_string_equal(err.text, rows[i].text);
        assert_null(n);
    }
}

static void scalar_text_is_as_in_the_file(void **state)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    const struct cm_json *n = NULL;
    struct cm_err err = {0};
    struct cm_str s;

    (void)state;
    assert_int_equal(cm_yaml_parse(a, CM_STR("cpu: 08\nsize: 1.50\non: True\nnone: ~\nlist: [1]\n"),
                                   NULL, &n, &err),
                     CM_OK);
    assert_true(cm_json_scalar_text(cm_json_get(n, "cpu"), &s) && cm_str_eq_c(s, "08"));
    assert_true(cm_json_scalar_text(cm_json_get(n, "size"), &s) && cm_str_eq_c(s, "1.50"));
    assert_true(cm_json_scalar_text(cm_json_get(n, "on"), &s) && cm_str_eq_c(s, "True"));
    assert_true(cm_json_scalar_text(cm_json_get(n, "none"), &s) && s.len == 0);
    assert_false(cm_json_scalar_text(cm_json_get(n, "list"), &s));
    assert_false(cm_json_scalar_text(cm_json_get(n, "nosuch"), &s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yaml_reads_as_json),
        cmocka_unit_test(yaml_refuses),
        cmocka_unit_test(scalar_text_is_as_in_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
