/* The API client against a peer that answers as servers and balancers do (api_peer.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/errors.h"
#include "sdk/sdk.h"

#define PEER_SCRIPT CM_SOURCE_DIR "/tests/unit/sdk/api_peer.py"
#include "../net/dial/peer.h"

struct fixture {
    struct peer peer;
    struct cm_sdk *sdk;
    struct cm_arena *a;
    unsigned answers;
};

static void on_answer(void *ctx, const struct cm_httpc_answer *answer)
{
    (void)answer;
    ((struct fixture *)ctx)->answers++;
}

static int setup(void **state)
{
    struct fixture *f = cm_xcalloc(1, sizeof(*f));
    struct cm_httpc_header extra = {CM_STR("X-Extra"), CM_STR("seven")};
    peer_start(&f->peer, NULL, NULL, NULL);
    CM_AUTOFREE char *url = cm_xasprintf("http://127.0.0.1:%d/", f->peer.port);
    struct cm_sdk_config cfg = {.url = url,
                                .token = "tok-en",
                                .headers = &extra,
                                .n_headers = 1,
                                .user_agent = "test/1",
                                .on_answer = on_answer,
                                .ctx = f};
    f->a = cm_arena_new();
    *state = f;
    return cm_sdk_new(&cfg, &f->sdk, NULL) == CM_OK ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cm_sdk_free(f->sdk);
    cm_arena_free(f->a);
    peer_stop(&f->peer);
    cm_free(f);
    return 0;
}

static void answers_are_decoded(void **state)
{
    struct fixture *f = *state;
    struct api_response *r = NULL, *list = NULL;
    size_t n = 9;

    assert_int_equal(cm_sdk_get(f->sdk, f->a, &api_response_msg, &r, NULL, "/api/v2/%s", "ok"),
                     CM_OK);
    assert_true(cm_str_eq_c(r->message, "fine"));
    assert_null(cm_sdk_refusal(f->sdk));
    assert_int_equal(
        cm_sdk_get_list(f->sdk, f->a, &api_response_msg, &list, &n, NULL, "/api/v2/null-list"),
        CM_OK);
    assert_int_equal(n, 0);
    assert_int_equal(
        cm_sdk_get_list(f->sdk, f->a, &api_response_msg, &list, &n, NULL, "/api/v2/list"), CM_OK);
    assert_int_equal(n, 2);
    assert_true(cm_str_eq_c(list[1].message, "b"));
    assert_int_equal(cm_sdk_get(f->sdk, f->a, &api_response_msg, &r, NULL, "/api/v2/headers"),
                     CM_OK);
    assert_true(cm_str_eq_c(r->message, "tok-en|seven|test/1"));
    assert_int_equal(f->answers, 4);
}

static void requests_are_encoded(void **state)
{
    struct fixture *f = *state;
    struct api_response in = {.message = CM_STR("h\"i")}, *out = NULL;

    assert_int_equal(cm_sdk_send(f->sdk, f->a, "POST", &api_response_msg, &in, &api_response_msg,
                                 &out, NULL, "/api/v2/x"),
                     CM_OK);
    assert_true(cm_str_eq_c(out->message, "h\"i"));
    assert_true(cm_str_eq_c(out->detail, "application/json"));
    assert_int_equal(cm_sdk_send(f->sdk, f->a, "DELETE", NULL, NULL, NULL, NULL, NULL, "/api/v2/x"),
                     CM_OK);
    assert_string_equal(cm_sdk_part(f->a, CM_STR("a/b c?\xc3\xa9")), "a%2Fb%20c%3F%C3%A9");
}

static void refusals_carry_what_the_server_said(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *path;
        enum cm_code code;
        const char *line, *detail, *helper;
        size_t n_validations;
    } rows[] = {
        {"401", CM_UNAUTHENTICATED, "unexpected status code 401: You are signed out.", "no cookie",
         "Try logging in using 'coder login'.", 0},
        {"400", CM_INVALID, "unexpected status code 400: Validation failed.", "", "", 2},
        {"500", CM_INTERNAL, "unexpected status code 500: An internal server error occurred.",
         "pq: broken", "", 0},
        {"text?q=secret", CM_UNAVAILABLE, "unexpected status code 502: Bad Gateway from a balancer",
         "", "", 0},
        {"nosuch", CM_NOT_FOUND, "unexpected status code 404: Route not found.", "", "", 0},
        {"moved", CM_PROTOCOL, "the server redirects to https://elsewhere.example/: use that URL",
         "", "", 0},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct api_response *r = NULL;
        struct cm_err err = {.code = CM_OK};
        assert_int_equal(
            cm_sdk_get(f->sdk, f->a, &api_response_msg, &r, &err, "/api/v2/%s", rows[i].path),
            rows[i].code);
        const struct cm_sdk_refusal *x = cm_sdk_refusal(f->sdk);
        assert_non_null(x);
        if (!strstr(err.text, rows[i].line))
            fail_msg("%s: %s", rows[i].path, err.text);
        assert_null(strstr(err.text, "secret"));
        assert_string_equal(err.text, x->line);
        assert_string_equal(x->detail, rows[i].detail);
        assert_string_equal(x->helper, rows[i].helper);
        assert_int_equal(x->n_validations, rows[i].n_validations);
    }
    struct api_response *r = NULL;
    assert_int_equal(cm_sdk_get(f->sdk, f->a, &api_response_msg, &r, NULL, "/api/v2/400"),
                     CM_INVALID);
    assert_true(cm_str_eq_c(cm_sdk_refusal(f->sdk)->validations[1].field, "email"));
    assert_true(cm_str_eq_c(cm_sdk_refusal(f->sdk)->validations[1].detail, "no"));
}

static void answers_of_another_shape_are_named(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {"wrong-shape", "not-json"};
    for (size_t i = 0; i < CM_COUNT_OF(paths); i++) {
        struct api_response *r = NULL;
        struct cm_err err = {.code = CM_OK};
        assert_int_not_equal(
            cm_sdk_get(f->sdk, f->a, &api_response_msg, &r, &err, "/api/v2/%s", paths[i]), CM_OK);
        assert_non_null(strstr(err.text, "the answer is not what was expected"));
        assert_non_null(strstr(err.text, paths[i]));
    }
}

static bool collect(void *ctx, struct cm_str message)
{
    cm_buf_str(ctx, message);
    return true;
}

static bool only_one(void *ctx, struct cm_str message)
{
    cm_buf_str(ctx, message);
    return false;
}

static void logs_are_followed_to_their_end(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *how, *seen;
        enum cm_code code;
        const char *text;
    } rows[] = {
        {"1000", "{\"id\":0}{\"id\":1}{\"id\":2}", CM_OK, ""},
        {"1011", "{\"id\":0}{\"id\":1}{\"id\":2}", CM_INTERNAL,
         "closed the stream (1011): because"},
        {"1001", "{\"id\":0}{\"id\":1}{\"id\":2}", CM_UNAVAILABLE, "(1001)"},
        {"drop", "{\"id\":0}{\"id\":1}{\"id\":2}", CM_UNAVAILABLE, "without a goodbye"},
        {"bad", "", CM_PROTOCOL, "handshake is wrong"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTOBUF struct cm_buf seen = CM_BUF_INIT(4096);
        struct cm_err err = {.code = CM_OK};
        enum cm_code code =
            cm_sdk_follow(f->sdk, collect, &seen, &err, "/api/v2/follow/%s", rows[i].how);
        if (code != rows[i].code || !strstr(err.text, rows[i].text))
            fail_msg("%s: %s %s", rows[i].how, cm_code_name(code), err.text);
        assert_string_equal(seen.ptr ? seen.ptr : "", rows[i].seen);
    }
    CM_AUTOBUF struct cm_buf seen = CM_BUF_INIT(4096);
    struct cm_err err = {.code = CM_OK};
    assert_int_equal(cm_sdk_follow(f->sdk, only_one, &seen, &err, "/api/v2/follow/1000"),
                     CM_CANCELED);
    assert_string_equal(seen.ptr, "{\"id\":0}");
    assert_int_equal(cm_sdk_follow(f->sdk, collect, &seen, &err, "/api/v2/nosuch"), CM_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_are_decoded, setup, teardown),
        cmocka_unit_test_setup_teardown(requests_are_encoded, setup, teardown),
        cmocka_unit_test_setup_teardown(refusals_carry_what_the_server_said, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_of_another_shape_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(logs_are_followed_to_their_end, setup, teardown),
    };
    cm_loop_global_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
