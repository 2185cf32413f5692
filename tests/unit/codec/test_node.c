/* The JSON tree: values, look-ups, what is refused, limits. */
#include "test_codec.h"

#include "codec/node.h"

static void parse_and_write_keep_the_value(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"null", "null"},
        {" [ ] ", "[]"},
        {"{}", "{}"},
        {"[1,-2,0.5,1e3,123456789012345678,1e300,0.1]",
         "[1,-2,0.5,1000,123456789012345678,1e+300,0.1]"},
        {"{\"a\":{\"b\":[true,false,null,\"x\"]}} and more",
         "{\"a\":{\"b\":[true,false,null,\"x\"]}}"},
        {"\"\\u00e4\\ud83d\\udc4b\\n\\\\\"", "\"\xc3\xa4\xf0\x9f\x91\x8b\\n\\\\\""},
        {"\"\\\\u0000\"", "\"\\\\u0000\""},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(4096);
        const struct cm_json *n = NULL;
        struct cm_err err = {0};
        if (cm_json_parse(a, cm_str(rows[i].in), NULL, &n, &err) != CM_OK)
            fail_msg("row %zu: %s", i, err.text);
        cm_json_write(&out, n);
        assert_string_equal(out.ptr, rows[i].out);
    }
}

static void parse_refuses(void **state)
{
    static const struct {
        struct cm_str in;
        enum cm_code code;
        const char *text;
    } rows[] = {
        {CM_STR(""), CM_INVALID, "invalid JSON: it is empty"},
        {CM_STR(" \n"), CM_INVALID, "invalid JSON: it is empty"},
        {CM_STR("<bytes>"), CM_INVALID, "invalid JSON near byte 1"},
        {CM_STR("{\"a\":1"), CM_INVALID, "invalid JSON near byte 6"},
        {CM_STR("[1,]"), CM_INVALID, "invalid JSON near byte 4"},
        {CM_STR("\"\xff\""), CM_INVALID, "invalid JSON: not UTF-8"},
        {CM_STR("\"a\nb\""), CM_INVALID, "invalid JSON: control character in a string at byte 2"},
        {CM_STR("\"a\\u0000\""), CM_INVALID, "invalid JSON: \\u0000 at byte 3 is not allowed"},
        {CM_STR("[[[[1]]]]"), CM_TOO_LARGE, "JSON is nested more than 3 levels deep"},
        {CM_STR("[1,2,3,4,5,6]"), CM_TOO_LARGE, "JSON has more than 6 values"},
        {CM_STR("\"012345678901234567890123456789012\""), CM_TOO_LARGE,
         "JSON is larger than 32 bytes"},
    };
    const struct cm_json_limits limits = {32, 6, 3};

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        const struct cm_json *n = NULL;
        struct cm_err err = {0};
        assert_int_equal(cm_json_parse(a, rows[i].in, &limits, &n, &err), rows[i].code);
        assert_string_equal(err.text, rows[i].text);
        assert_null(n);
    }
}

static void brackets_inside_strings_do_not_count(void **state)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    const struct cm_json_limits limits = {64, 3, 1};
    const struct cm_json *n = NULL;
    struct cm_err err = {0};

    (void)state;
    assert_int_equal(cm_json_parse(a, CM_STR("[\"[[[[\\\",,,,\",1]"), &limits, &n, &err), CM_OK);
    assert_int_equal(cm_json_count(n), 2);
}

static void getters_tell_types_apart(void **state)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    const struct cm_json *n = NULL;
    struct cm_err err = {0};
    struct cm_str s = CM_STR("kept");
    int64_t i = 7;
    double d = 7;
    bool b = true;

    (void)state;
    assert_int_equal(
        cm_json_parse(
            a, CM_STR("{\"s\":\"x\",\"i\":42,\"d\":2.5,\"b\":false,\"big\":1e19,\"s\":\"y\"}"),
            NULL, &n, &err),
        CM_OK);
    assert_true(cm_str_eq_c(cm_json_str(cm_json_get(n, "s")), "y"));
    assert_int_equal(cm_json_i64(cm_json_get(n, "i")), 42);
    assert_true(cm_json_to_f64(cm_json_get(n, "d"), &d) && d > 2.4 && d < 2.6);
    assert_false(cm_json_to_i64(cm_json_get(n, "d"), &i));
    assert_false(cm_json_to_i64(cm_json_get(n, "big"), &i));
    assert_false(cm_json_to_i64(cm_json_get(n, "s"), &i));
    assert_int_equal(i, 7);
    assert_true(cm_json_to_bool(cm_json_get(n, "b"), &b) && !b);
    assert_false(cm_json_to_str(cm_json_get(n, "i"), &s));
    assert_false(cm_json_to_str(cm_json_get(cm_json_get(n, "nosuch"), "x"), &s));
    assert_true(cm_str_eq_c(s, "kept"));
    assert_int_equal(cm_json_count(n), 5);
    assert_true(cm_str_eq_c(cm_json_key(cm_json_at(n, 1)), "i"));
    assert_null(cm_json_at(n, 5));
    assert_true(cm_json_is_null(NULL));
    assert_string_equal(cm_json_type_name(cm_json_type(n)), "an object");
}

static void parse_whole_refuses_what_follows(void **state)
{
    static const struct {
        const char *in;
        enum cm_code code;
    } rows[] = {
        {"[1] \n", CM_OK},   {" null", CM_OK},      {"[1] x", CM_INVALID}, {"[1]]", CM_INVALID},
        {"1,2", CM_INVALID}, {"{} {}", CM_INVALID}, {"", CM_INVALID},      {"\"a\"b", CM_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        const struct cm_json *n = NULL;
        struct cm_err err = {0};
        enum cm_code code = cm_json_parse_whole(a, cm_str(rows[i].in), NULL, &n, &err);
        if (code != rows[i].code)
            fail_msg("row %zu: %s (%s)", i, cm_code_name(code), err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_and_write_keep_the_value),
        cmocka_unit_test(parse_refuses),
        cmocka_unit_test(parse_whole_refuses_what_follows),
        cmocka_unit_test(brackets_inside_strings_do_not_count),
        cmocka_unit_test(getters_tell_types_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
