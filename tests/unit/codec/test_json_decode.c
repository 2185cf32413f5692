/* Decoding: the reference's habits, limits, and the texts of violations. */
#include "test_codec.h"

#include "api/agents.h"
#include "api/audit.h"
#include "api/builds.h"
#include "api/deployment.h"
#include "api/keys.h"
#include "api/organizations.h"
#include "api/templates.h"
#include "api/users.h"
#include "api/workspaces.h"
#include "codec/json.h"

static void decode_reads_a_request(void **state)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct api_create_user_request_with_orgs *r = NULL;
    struct cm_violations vs = {0};
    struct cm_err err;

    (void)state;
    assert_int_equal(
        cm_json_decode(
            &api_create_user_request_with_orgs_msg, a,
            CM_STR("{\"Email\":\"bea@example.com\",\"username\":\"x\",\"username\":\"bea\","
                   "\"nosuch\":[1,{}],\"login_type\":\"password\",\"name\":null,"
                   "\"organization_ids\":[\"054f2382-be0f-4931-aa7c-f5f2991c80b2\"]} trailing"),
            (void **)&r, &vs, &err),
        CM_OK);
    assert_int_equal(vs.n, 0);
    assert_true(cm_str_eq_c(r->email, "bea@example.com"));
    assert_true(cm_str_eq_c(r->username, "bea"));
    assert_int_equal(r->name.len, 0);
    assert_int_equal(r->login_type, API_LOGIN_TYPE_PASSWORD);
    assert_int_equal(r->n_organization_ids, 1);
    assert_string_equal(cm_uuid_text(r->organization_ids[0]).s,
                        "054f2382-be0f-4931-aa7c-f5f2991c80b2");
    assert_null(r->roles);
}

static void decode_collects_violations(void **state)
{
    static const struct {
        const char *text;
        const char *want; /* field: detail; ... */
    } rows[] = {
        {"{}", "email: is required; username: is required; password: is required; "},
        {"{\"email\":\"\",\"username\":\"a\",\"password\":\"p\"}", "email: is required; "},
        {"{\"email\":\"nope\",\"username\":\"bad name!\",\"password\":\"p\"}",
         "email: must be an e-mail address, such as ann@example.com, not \"nope\"; "
         "username: must be 1 to 32 letters and digits, with single hyphens between them, and "
         "neither \"new\" nor "
         "\"create\", not \"bad name!\"; "},
        {"{\"email\":7,\"username\":[],\"password\":{}}",
         "email: must be a string, not a number; username: must be a string, not a list; "
         "password: must be a string, not an object; "},
        {"{\"email\":\"a@b.c\",\"username\":\"a\",\"password\":\"p\",\"trial\":1}",
         "trial: must be true or false, not a number; "},
        {"{\"email\":\"a@b.c\",\"username\":\"a\",\"password\":\"p\",\"trial_info\":{\"country\":1}"
         "}",
         "country: trial_info.country: must be a string, not a number; "},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        CM_AUTOBUF struct cm_buf got = CM_BUF_INIT(4096);
        void *r = NULL;
        struct cm_violations vs = {0};
        struct cm_err err;
        assert_int_equal(cm_json_decode(&api_create_first_user_request_msg, a, cm_str(rows[i].text),
                                        &r, &vs, &err),
                         CM_INVALID);
        for (size_t k = 0; k < vs.n; k++)
            cm_buf_printf(&got, "%.*s: %.*s; ", CM_STR_ARG(vs.v[k].field),
                          CM_STR_ARG(vs.v[k].detail));
        assert_string_equal(got.ptr, rows[i].want);
        assert_null(r);
    }
}

struct row {
    const struct cm_message *msg;
    const char *text;
    const char *want; /* the encoded value, or the violations */
};

/* Decodes and shows either the value, encoded again, or what was wrong. */
static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        CM_AUTOBUF struct cm_buf got = CM_BUF_INIT(65536);
        struct cm_violations vs = {0};
        struct cm_err err = {0};
        void *v = NULL;
        if (cm_json_decode(rows[i].msg, a, cm_str(rows[i].text), &v, &vs, &err) == CM_OK)
            cm_json_encode(&got, rows[i].msg, v);
        for (size_t k = 0; k < vs.n; k++)
            cm_buf_printf(&got, "%.*s: %.*s; ", CM_STR_ARG(vs.v[k].field),
                          CM_STR_ARG(vs.v[k].detail));
        if (got.len == 0)
            cm_buf_cstr(&got, err.text);
        assert_string_equal(got.ptr, rows[i].want);
    }
}

static void decode_accepts(void **state)
{
    static const struct row rows[] = {
        /* null and missing are the same; zero is not missing. */
        {&api_update_template_meta_msg, "{\"default_ttl_ms\":null,\"description\":\"\"}",
         "{\"description\":\"\"}"},
        {&api_update_template_meta_msg, "{\"default_ttl_ms\":0}", "{\"default_ttl_ms\":0}"},
        {&api_update_workspace_ttl_request_msg, "{}", "{\"ttl_ms\":null}"},
        {&api_update_workspace_ttl_request_msg, "{\"TTL_MS\":1,\"ttl_ms\":2}", "{\"ttl_ms\":2}"},
        {&api_create_token_request_msg, "{\"lifetime\":86400000000000,\"token_name\":\"t1\"}",
         "{\"lifetime\":86400000000000,\"token_name\":\"t1\"}"},
        /* "" is no UUID, but how forms say "none". */
        {&api_create_workspace_request_msg, "{\"name\":\"dev\",\"template_id\":\"\"}",
         "{\"name\":\"dev\"}"},
        {&api_update_roles_msg, "{\"roles\":[]}", "{\"roles\":[]}"},
        {&api_update_roles_msg, "{\"roles\":[\"a\",null,\"b\"]}", "{\"roles\":[\"a\",\"\",\"b\"]}"},
        /* Maps: of strings, of enums (unset takes away), of messages, and as the whole body. */
        {&api_update_workspace_acl_msg, "{\"user_roles\":{\"x\":\"use\",\"y\":\"\"}}",
         "{\"user_roles\":{\"x\":\"use\",\"y\":\"\"}}"},
        {&api_authorization_request_msg,
         "{\"checks\":{\"a\":{\"object\":{\"resource_type\":\"workspace\",\"owner_id\":\"me\"},"
         "\"action\":\"read\"}}}",
         "{\"checks\":{\"a\":{\"object\":{\"resource_type\":\"workspace\",\"owner_id\":\"me\"},"
         "\"action\":\"read\"}}}"},
        {&api_authorization_response_msg, "{\"a\":true,\"b\":false}", "{\"a\":true,\"b\":false}"},
        {&api_update_workspace_build_state_request_msg, "{\"state\":\"AAH/\"}",
         "{\"state\":\"AAH/\"}"},
        {&api_audit_diff_field_msg, "{\"old\":[1, {\"a\" : null}],\"new\":\"x\"}",
         "{\"old\":[1,{\"a\":null}],\"new\":\"x\",\"secret\":false}"},
        {&api_put_extend_workspace_request_msg, "{\"deadline\":\"2026-11-23T07:16:49.5+01:00\"}",
         "{\"deadline\":\"2026-11-23T06:16:49.5Z\"}"},
    };

    (void)state;
    check_rows(rows, CM_COUNT_OF(rows));
}

static void decode_refuses(void **state)
{
    static const struct row rows[] = {
        {&api_create_workspace_build_request_msg, "{\"transition\":\"fly\"}",
         "transition: must be start, stop or delete, not \"fly\"; "},
        {&api_create_workspace_build_request_msg, "{\"transition\":\"\"}",
         "transition: is required; "},
        {&api_create_workspace_build_request_msg, "{\"transition\":1}",
         "transition: must be a string, not a number; "},
        {&api_create_workspace_build_request_msg, "{\"transition\":\"stop\",\"state\":\"AB\"}",
         "state: must be base64 with padding; "},
        {&api_create_workspace_build_request_msg,
         "{\"transition\":\"stop\",\"rich_parameter_values\":[{\"name\":\"a\"},{\"name\":5},{}]}",
         "name: rich_parameter_values[1].name: must be a string, not a number; "
         "name: rich_parameter_values[2].name: is required; "},
        {&api_create_workspace_build_request_msg,
         "{\"transition\":\"stop\",\"rich_parameter_values\":[7]}",
         "rich_parameter_values: rich_parameter_values[0]: must be an object, not a number; "},
        {&api_create_workspace_request_msg,
         "{\"name\":\"dev\",\"ttl_ms\":1.5,\"template_id\":\"x\"}",
         "ttl_ms: must be a whole number of at most 64 bits, not 1.5; template_id: must be a UUID, "
         "not \"x\"; "},
        {&api_put_extend_workspace_request_msg, "{\"deadline\":\"soon\"}",
         "deadline: must be a time such as 2026-11-23T06:16:49Z, not \"soon\"; "},
        {&api_put_extend_workspace_request_msg, "{\"deadline\":\"0001-01-01T00:00:00Z\"}",
         "deadline: is required; "},
        {&api_update_active_template_version_msg,
         "{\"id\":\"00000000-0000-0000-0000-000000000000\"}", "id: is required; "},
        {&api_update_active_template_version_msg, "[]", "must be a JSON object, not a list"},
        {&api_update_active_template_version_msg, "{", "invalid JSON near byte 1"},
        {&api_update_workspace_acl_msg, "{\"user_roles\":{\"x\":\"root\"}}",
         "user_roles: user_roles[\"x\"]: must be admin or use, not \"root\"; "},
        {&api_create_template_version_request_msg,
         "{\"storage_method\":\"file\",\"provisioner\":\"echo\",\"tags\":{\"a\":1}}",
         "tags: tags[\"a\"]: must be a string, not a number; "},
        {&api_authorization_request_msg, "{\"checks\":{\"a\":{\"action\":1},\"b\":[]}}",
         "action: checks[\"a\"].action: must be a string, not a number; "
         "object: checks[\"a\"].object: is required; "
         "checks: checks[\"b\"]: must be an object, not a list; "},
        {&api_create_workspace_build_request_msg,
         "{\"transition\":\"stop\",\"rich_parameter_values\":[null]}",
         "rich_parameter_values: rich_parameter_values[0]: must be an object, not null; "},
        {&api_authorization_request_msg, "{\"checks\":{\"a\":null}}",
         "checks: checks[\"a\"]: must be an object, not null; "},
        {&api_authorization_request_msg, "{\"checks\":{\"a\":{\"action\":\"read\"}}}",
         "object: checks[\"a\"].object: is required; "},
        {&api_create_token_request_msg, "{\"token_name\":\"t\",\"scope\":\"\"}",
         "{\"lifetime\":0,\"token_name\":\"t\"}"},
        /* A secret is not repeated. */
        {&api_login_with_password_request_msg, "{\"email\":\"a@b.c\",\"password\":[\"hunter2\"]}",
         "password: must be a string, not a list; "},
    };

    (void)state;
    check_rows(rows, CM_COUNT_OF(rows));
}

/* A text of n characters x between head and tail. */
static struct cm_str padded(struct cm_arena *a, const char *head, size_t n, const char *tail)
{
    char *p = cm_arena_alloc(a, strlen(head) + n + strlen(tail) + 1), *at = p;

    memcpy(at, head, strlen(head));
    at += strlen(head);
    memset(at, 'x', n);
    memcpy(at + n, tail, strlen(tail));
    return cm_str(p);
}

static void decode_limits_strings_and_lists(void **state)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTOBUF struct cm_buf list = CM_BUF_INIT(1 << 20);
    struct cm_violations vs;
    struct cm_err err = {0};
    void *v = NULL;

    (void)state;
    assert_int_equal(cm_json_decode(&api_update_user_password_request_msg, a,
                                    padded(a, "{\"password\":\"", 1024, "\"}"), &v, &vs, &err),
                     CM_OK);
    assert_int_equal(cm_json_decode(&api_update_user_password_request_msg, a,
                                    padded(a, "{\"password\":\"", 1025, "\"}"), &v, &vs, &err),
                     CM_INVALID);
    assert_true(cm_str_eq_c(vs.v[0].detail, "must have at most 1024 bytes, not 1025"));
    /* The default of a field without a limit. */
    assert_int_equal(cm_json_decode(&api_update_template_meta_msg, a,
                                    padded(a, "{\"description\":\"", CM_JSON_STR_MAX + 1, "\"}"),
                                    &v, &vs, &err),
                     CM_INVALID);
    assert_true(cm_str_eq_c(vs.v[0].detail, "must have at most 65536 bytes, not 65537"));

    cm_buf_cstr(&list, "{\"roles\":[\"a\"");
    for (size_t i = 0; i < 64; i++)
        cm_buf_cstr(&list, ",\"a\"");
    cm_buf_cstr(&list, "]}");
    assert_int_equal(cm_json_decode(&api_update_roles_msg, a, cm_buf_view(&list), &v, &vs, &err),
                     CM_INVALID);
    assert_true(cm_str_eq_c(vs.v[0].detail, "must have at most 64 elements, not 65"));
}

static void decode_bounds_the_number_of_violations_and_what_they_repeat(void **state)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTOBUF struct cm_buf list = CM_BUF_INIT(1 << 20);
    struct cm_violations vs;
    struct cm_err err = {0};
    void *v = NULL;

    (void)state;
    cm_buf_cstr(&list, "{\"transition\":\"stop\",\"rich_parameter_values\":[{}");
    for (size_t i = 0; i < 100; i++)
        cm_buf_cstr(&list, ",{}");
    cm_buf_cstr(&list, "]}");
    assert_int_equal(cm_json_decode(&api_create_workspace_build_request_msg, a, cm_buf_view(&list),
                                    &v, &vs, &err),
                     CM_INVALID);
    assert_int_equal(vs.n, CM_VIOLATIONS_MAX);
    assert_int_equal(cm_json_decode(&api_update_active_template_version_msg, a,
                                    padded(a, "{\"id\":\"", 63, "\xc3\xa4\xc3\xa4\"}"), &v, &vs,
                                    &err),
                     CM_INVALID);
    struct cm_str want = padded(a, "must be a UUID, not \"", 63, "...\"");
    assert_true(cm_str_eq(vs.v[0].detail, want));
}

static void decode_answer_takes_what_a_newer_server_says(void **state)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct api_user *u = NULL, *list = NULL;
    size_t n = 7;
    struct cm_err err = {0};

    (void)state;
    assert_int_equal(
        cm_json_decode_answer(&api_user_msg, a,
                              CM_STR("{\"username\":\"not a name\",\"status\":\"frozen\",\"x\":1}"),
                              (void **)&u, &err),
        CM_OK);
    assert_int_equal(u->status, API_USER_STATUS_UNSET);
    assert_true(cm_time_is_zero(u->last_seen_at));
    assert_int_equal(
        cm_json_decode_answer(&api_user_msg, a, CM_STR("{\"username\":1}"), (void **)&u, &err),
        CM_INVALID);
    assert_string_equal(err.text, "username: must be a string, not a number");
    assert_int_equal(cm_json_decode_answer_list(&api_user_msg, a,
                                                CM_STR("[{\"name\":\"a\"},{\"name\":\"b\"}]"),
                                                (void **)&list, &n, &err),
                     CM_OK);
    assert_int_equal(n, 2);
    assert_true(cm_str_eq_c(list[1].name, "b"));
    assert_int_equal(
        cm_json_decode_answer_list(&api_user_msg, a, CM_STR("null"), (void **)&list, &n, &err),
        CM_OK);
    assert_int_equal(n, 0);
    assert_int_equal(
        cm_json_decode_answer_list(&api_user_msg, a, CM_STR("{}"), (void **)&list, &n, &err),
        CM_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_reads_a_request),
        cmocka_unit_test(decode_collects_violations),
        cmocka_unit_test(decode_accepts),
        cmocka_unit_test(decode_refuses),
        cmocka_unit_test(decode_limits_strings_and_lists),
        cmocka_unit_test(decode_bounds_the_number_of_violations_and_what_they_repeat),
        cmocka_unit_test(decode_answer_takes_what_a_newer_server_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
