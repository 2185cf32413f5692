/* Encoding: what shows for empty values, escapes, lists, limits. */
#include "test_codec.h"

#include <math.h>

#include "api/audit.h"
#include "api/builds.h"
#include "api/deployment.h"
#include "api/errors.h"
#include "api/keys.h"
#include "api/jobs.h"
#include "api/notifications.h"
#include "api/templates.h"
#include "api/users.h"
#include "api/workspaces.h"
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

/* One encoded value per row, so that each kind of emptiness is seen next to its filled form. */
static void check(const struct cm_message *msg, const void *value, const char *want)
{
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(4096);

    cm_json_encode(&out, msg, value);
    assert_string_equal(out.ptr, want);
}

static void encode_shows_empty_values_as_the_table_says(void **state)
{
    struct api_transition_stats stats = {.p50 = 0};
    struct api_update_workspace_ttl_request ttl = {.ttl_ms = 5};
    struct api_matched_provisioners matched = {.count = 1};
    struct api_provisioner_job_input input = {0};

    (void)state;
    check(&api_user_msg, NULL, "null");
    /* A presence bit, shown as null; zero with the bit is zero. */
    check(&api_transition_stats_msg, &stats, "{\"P50\":null,\"P95\":null}");
    cm_set_has(stats.has, API_TRANSITION_STATS_HAS_P50);
    check(&api_transition_stats_msg, &stats, "{\"P50\":0,\"P95\":null}");
    check(&api_update_workspace_ttl_request_msg, &ttl, "{\"ttl_ms\":null}");
    cm_set_has(ttl.has, API_UPDATE_WORKSPACE_TTL_REQUEST_HAS_TTL_MS);
    check(&api_update_workspace_ttl_request_msg, &ttl, "{\"ttl_ms\":5}");
    /* A time without a bit: both a zeroed struct and Go's zero time are absent. */
    check(&api_matched_provisioners_msg, &matched,
          "{\"count\":1,\"available\":0,\"most_recently_seen\":null}");
    matched.most_recently_seen = CM_TIME_ZERO;
    check(&api_matched_provisioners_msg, &matched,
          "{\"count\":1,\"available\":0,\"most_recently_seen\":null}");
    matched.most_recently_seen = (struct cm_time){1000000};
    check(&api_matched_provisioners_msg, &matched,
          "{\"count\":1,\"available\":0,\"most_recently_seen\":\"1970-01-01T00:00:01Z\"}");
    /* A message that clients expect to be there. */
    check(&api_workspace_proxies_response_msg, &(struct api_workspace_proxies_response){0},
          "{\"regions\":[]}");
    check(&api_get_inbox_notification_response_msg,
          &(struct api_get_inbox_notification_response){.unread_count = 1},
          "{\"notification\":{\"id\":\"00000000-0000-0000-0000-000000000000\","
          "\"user_id\":\"00000000-0000-0000-0000-000000000000\",\"template_id\":\"00000000-0000-"
          "0000-0000-000000000000\","
          "\"targets\":[],\"title\":\"\",\"content\":\"\",\"icon\":\"\",\"actions\":[],\"read_at\":"
          "null,"
          "\"created_at\":\"0001-01-01T00:00:00Z\"},\"unread_count\":1}");
    /* Nothing to show at all. */
    check(&api_provisioner_job_input_msg, &input, "{}");
    input.error = CM_STR("x");
    check(&api_provisioner_job_input_msg, &input, "{\"error\":\"x\"}");
}

static void encode_shows_maps_raw_and_bytes(void **state)
{
    struct cm_pair tags[] = {{CM_STR("scope"), CM_STR("organization")},
                             {CM_STR("a<b"), CM_STR("")}};
    struct api_create_provisioner_key_request key = {CM_STR("k"), tags, 2};
    struct api_authorization_response_checks_entry checks[] = {{CM_STR("a"), true},
                                                               {CM_STR("b"), false}};
    struct api_authorization_response auth = {checks, 2};
    struct api_audit_diff_field field = {.old = CM_STR("{\"x\":\"<i>\"}"), .secret = true};
    struct api_audit_diff_fields_entry entries[] = {{CM_STR("name"), &field},
                                                    {CM_STR("none"), NULL}};
    struct api_audit_diff diff = {entries, 2};
    struct api_update_workspace_build_state_request st = {CM_STR("\x00\x01\xff"
                                                                 "abcd")};

    (void)state;
    check(&api_create_provisioner_key_request_msg, &key,
          "{\"name\":\"k\",\"tags\":{\"scope\":\"organization\",\"a\\u003cb\":\"\"}}");
    check(&api_authorization_response_msg, &auth, "{\"a\":true,\"b\":false}");
    check(&api_authorization_response_msg, &(struct api_authorization_response){0}, "{}");
    check(&api_audit_diff_msg, &diff,
          "{\"name\":{\"old\":{\"x\":\"\\u003ci\\u003e\"},\"secret\":true},\"none\":{\"secret\":"
          "false}}");
    check(&api_update_workspace_build_state_request_msg, &st, "{\"state\":\"AAH/YWJjZA==\"}");
}

static void encode_writes_numbers_exactly(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-1, "-1"},
        {0.579256, "0.579256"},
        {0.1, "0.1"},
        {1e15, "1000000000000000"},
        {1e300, "1e+300"},
        {1.0 / 3, "0.3333333333333333"},
        {5e-324, "4.94065645841247e-324"},
        {(double)INFINITY, "0"},
        {(double)NAN, "0"},
    };
    static const struct {
        int64_t value;
        const char *text;
    } ints[] = {{0, "0"},
                {-7, "-7"},
                {INT64_MAX, "9223372036854775807"},
                {INT64_MIN, "-9223372036854775808"}};

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTOBUF struct cm_buf want = CM_BUF_INIT(4096);
        cm_buf_printf(&want, "{\"P50\":%s,\"P95\":0}", rows[i].text);
        check(&api_workspace_connection_latency_ms_msg,
              &(struct api_workspace_connection_latency_ms){.p50 = rows[i].value}, want.ptr);
    }
    for (size_t i = 0; i < CM_COUNT_OF(ints); i++) {
        CM_AUTOBUF struct cm_buf want = CM_BUF_INIT(4096);
        cm_buf_printf(&want, "{\"max_token_lifetime\":%s}", ints[i].text);
        check(&api_token_config_msg, &(struct api_token_config){ints[i].value}, want.ptr);
    }
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
        cmocka_unit_test(encode_shows_empty_values_as_the_table_says),
        cmocka_unit_test(encode_shows_maps_raw_and_bytes),
        cmocka_unit_test(encode_writes_numbers_exactly),
        cmocka_unit_test(encode_list_of_none_is_an_empty_list),
        cmocka_unit_test(write_str_escapes),
        cmocka_unit_test(encode_past_the_maximum_fails_and_writes_nothing_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
