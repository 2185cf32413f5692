/* Decoding: the reference's habits, limits, and the texts of violations. */
#include "test_codec.h"

#include "api/users.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_reads_a_request),
        cmocka_unit_test(decode_collects_violations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
