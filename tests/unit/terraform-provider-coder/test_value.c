/* MessagePack and JSON: the bytes that terraform sends, and what is refused. */
#include "test_provider.h"

#include "base/enc.h"
#include "value/json.h"
#include "value/msgpack.h"

static struct cm_str unhex(struct cm_arena *a, const char *hex)
{
    size_t n = strlen(hex) / 2;
    char *out = cm_arena_alloc(a, n + 1);
    assert_true(cm_hex_decode(cm_str(hex), out, n));
    return cm_str_n(out, n);
}

static void decode_then_encode_gives_the_same_bytes(void **state)
{
    static const struct {
        const char *hex;
        enum value_kind kind;
    } rows[] = {
        {"c0", VALUE_NULL},
        {"c2", VALUE_BOOL},
        {"04", VALUE_INT},
        {"fc", VALUE_INT},
        {"ccc8", VALUE_INT},
        {"d1ff38", VALUE_INT},
        {"ce00011170", VALUE_INT},
        {"cb3ff8000000000000", VALUE_FLOAT},
        {"a3302e31", VALUE_STRING},
        {"a0", VALUE_STRING},
        {"d40000", VALUE_UNKNOWN},
        {"c7090c8201c202a4666f6f2d", VALUE_UNKNOWN},
        {"90", VALUE_LIST},
        {"80", VALUE_MAP},
        {"82a16101a16293c0c3a0", VALUE_MAP},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(4096), hex = CM_BUF_INIT(4096);
        struct value v;
        struct cm_err err = {0};
        if (value_decode(a, unhex(a, rows[i].hex), &v, &err) != CM_OK)
            fail_msg("row %zu: %s", i, err.text);
        assert_int_equal(v.kind, rows[i].kind);
        value_encode(&out, &v);
        cm_hex_encode(&hex, out.ptr, out.len);
        assert_str(cm_buf_view(&hex), rows[i].hex);
    }
}

static void decode_reads_all_forms_of_numbers(void **state)
{
    static const struct {
        const char *hex, *text;
    } rows[] = {
        {"d0ff", "-1"},
        {"d2ffffffff", "-1"},
        {"d3ffffffffffffffff", "-1"},
        {"cf00000000000000ff", "255"},
        {"cfffffffffffffffff", "18446744073709551615"},
        {"ca3fc00000", "1.5"},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        struct value v;
        assert_int_equal(value_decode(a, unhex(a, rows[i].hex), &v, NULL), CM_OK);
        assert_str(value_text(a, &v), rows[i].text);
    }
}

static void decode_refuses_what_is_no_value(void **state)
{
    static const struct {
        const char *hex, *text;
    } rows[] = {
        {"c1", "no such format"},
        {"a3ff", "ends early"},
        {"c0c0", "1 bytes follow"},
        {"8101c0", "map key is not a string"},
        {"a1ff", "not UTF-8"},
        {"dc0010c0", "more elements than the message has bytes"},
        {"ddffffffff", "more elements than the message has bytes"},
        {"dfffffffff", "more elements than the message has bytes"},
        {"c9ffffffff00", "extension is too long"},
        {"9191919191919191919191919191919191919191919191919191919191919191919191c0",
         "nested too deeply"},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        struct value v;
        struct cm_err err = {0};
        assert_int_equal(value_decode(a, unhex(a, rows[i].hex), &v, &err), CM_PROTOCOL);
        if (!strstr(err.text, rows[i].text))
            fail_msg("row %zu: %s", i, err.text);
    }
}

static void json_lists_are_read_as_go_reads_them(void **state)
{
    static const struct {
        const char *text;
        enum json_extent extent;
        enum cm_code code;
        size_t n;
    } rows[] = {
        {"[\"a\",\"b\"]", JSON_WHOLE, CM_OK, 2}, {"null", JSON_WHOLE, CM_OK, 0},
        {"[null]", JSON_WHOLE, CM_OK, 1},        {"[1]", JSON_WHOLE, CM_INVALID, 0},
        {"\"a\"", JSON_WHOLE, CM_INVALID, 0},    {"[] x", JSON_WHOLE, CM_INVALID, 0},
        {"[] x", JSON_FIRST, CM_OK, 0},          {"", JSON_FIRST, CM_INVALID, 0},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        struct value v = VALUE_NONE;
        struct cm_err err = {0};
        enum cm_code code = json_decode_strings(a, rows[i].extent, cm_str(rows[i].text), &v, &err);
        if (code != rows[i].code || value_count(&v) != rows[i].n)
            fail_msg("row %zu: %s, %zu elements", i, err.text, value_count(&v));
    }
}

static void equality_needs_the_same_keys(void **state)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct value x, y;
    (void)state;
    assert_int_equal(json_decode(a, JSON_WHOLE, CM_STR("{\"a\":null,\"b\":1}"), &x, NULL), CM_OK);
    assert_int_equal(json_decode(a, JSON_WHOLE, CM_STR("{\"b\":1,\"a\":null}"), &y, NULL), CM_OK);
    assert_true(value_equal(&x, &y));
    assert_int_equal(json_decode(a, JSON_WHOLE, CM_STR("{\"b\":1,\"c\":2}"), &y, NULL), CM_OK);
    assert_false(value_equal(&x, &y));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_then_encode_gives_the_same_bytes),
        cmocka_unit_test(decode_reads_all_forms_of_numbers),
        cmocka_unit_test(decode_refuses_what_is_no_value),
        cmocka_unit_test(json_lists_are_read_as_go_reads_them),
        cmocka_unit_test(equality_needs_the_same_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
