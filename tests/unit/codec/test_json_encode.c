/* Encoding: what shows for empty values, escapes, lists, limits. */
#include "test_codec.h"

#include "api/errors.h"
#include "api/users.h"
#include "codec/json.h"

static void encode_shows_each_field_in_table_order(void **state)
{
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(4096);
    struct api_slim_role role = {.name = CM_STR("owner"), .display_name = CM_STR("Owner")};
    struct api_user u = {
        .username = CM_STR("admin"),
        .email = CM_STR("admin@example.com"),
        .created_at = {INT64_C(1795414609449247)},
        .last_seen_at = CM_TIME_ZERO,
        .status = API_USER_STATUS_ACTIVE,
        .login_type = API_LOGIN_TYPE_PASSWORD,
        .roles = &role,
        .n_roles = 1,
    };

    (void)state;
    assert_true(cm_uuid_parse(CM_STR("cdcc6dda-8154-4efd-a445-8098148cb577"), &u.id));
    cm_json_encode(&out, &api_user_msg, &u);
    assert_string_equal(
        out.ptr,
        "{\"id\":\"cdcc6dda-8154-4efd-a445-8098148cb577\",\"username\":\"admin\","
        "\"email\":\"admin@example.com\",\"created_at\":\"2026-11-23T06:16:49.449247Z\","
        "\"updated_at\":\"1970-01-01T00:00:00Z\",\"last_seen_at\":\"0001-01-01T00:00:00Z\","
        "\"status\":\"active\",\"login_type\":\"password\",\"organization_ids\":[],"
        "\"roles\":[{\"name\":\"owner\",\"display_name\":\"Owner\"}],\"has_ai_seat\":false}");
}

static void encode_writes_the_error_answer(void **state)
{
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(4096);
    struct api_validation_error v = {CM_STR("name"), CM_STR("is required")};
    struct api_response r = {
        .message = CM_STR("Validation failed."), .validations = &v, .n_validations = 1};

    (void)state;
    cm_json_encode(&out, &api_response_msg, &r);
    assert_string_equal(out.ptr,
                        "{\"message\":\"Validation failed.\","
                        "\"validations\":[{\"field\":\"name\",\"detail\":\"is required\"}]}");
}

static void encode_list_of_none_is_an_empty_list(void **state)
{
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(4096);

    (void)state;
    cm_json_encode_list(&out, &api_user_msg, NULL, 0);
    assert_string_equal(out.ptr, "[]");
}

static void write_str_escapes(void **state)
{
    static const struct {
        struct cm_str in;
        const char *out;
    } rows[] = {
        {CM_STR(""), "\"\""},
        {CM_STR("plain text of more than sixteen bytes"),
         "\"plain text of more than sixteen bytes\""},
        {CM_STR("a\"b\\c/d"), "\"a\\\"b\\\\c/d\""},
        {CM_STR("<a href='x'>&</a>"), "\"\\u003ca href='x'\\u003e\\u0026\\u003c/a\\u003e\""},
        {CM_STR("tab\tline\nreturn\r"), "\"tab\\tline\\nreturn\\r\""},
        {CM_STR("\x00\x01\x1f\x7f"), "\"\\u0000\\u0001\\u001f\x7f\""},
        {CM_STR("0123456789abcde\""), "\"0123456789abcde\\\"\""},
        {CM_STR("0123456789abcdef\n"), "\"0123456789abcdef\\n\""},
        {CM_STR("\xc3\xa4\xe2\x82\xac\xf0\x9f\x91\x8b"),
         "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x91\x8b\""},
        {CM_STR("x\xe2\x80\xa8y\xe2\x80\xa9"), "\"x\\u2028y\\u2029\""},
        {CM_STR("cut \xe2\x82"), "\"cut \\ufffd\\ufffd\""},
        {CM_STR("\xff\xc0\x80 bad"), "\"\\ufffd\\ufffd\\ufffd bad\""},
        {CM_STR("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\""},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(4096);
        cm_json_write_str(&out, rows[i].in);
        assert_string_equal(out.ptr, rows[i].out);
    }
}

static void encode_past_the_maximum_fails_and_writes_nothing_after(void **state)
{
    struct api_response r = {.message = CM_STR("0123456789012345678901234567890123456789")};

    (void)state;
    /* {"message":"..."} has 54 bytes. */
    for (size_t max = 0; max < 60; max++) {
        CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(max);
        cm_json_encode(&out, &api_response_msg, &r);
        assert_int_equal(out.failed, max < 54);
        assert_true(out.len <= max);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encode_shows_each_field_in_table_order),
        cmocka_unit_test(encode_writes_the_error_answer),
        cmocka_unit_test(encode_list_of_none_is_an_empty_list),
        cmocka_unit_test(write_str_escapes),
        cmocka_unit_test(encode_past_the_maximum_fails_and_writes_nothing_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
