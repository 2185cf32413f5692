/* The HTTP client against a real peer (peer.py): framing, reuse, limits, upgrade, proxy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "net/dial/http_client.h"
#include "peer.h"

struct fixture {
    struct peer peer;
    struct cm_loop *loop;
    struct cm_dialer *dialer;
    struct cm_httpc *http;
};

static int setup(void **state)
{
    struct fixture *f = cm_xcalloc(1, sizeof(*f));
    struct cm_dialer_config cfg = {.https_proxy = NULL};
    peer_start(&f->peer, "http", NULL, NULL);
    f->loop = cm_loop_new();
    if (cm_dialer_new(&cfg, &f->dialer, NULL) != CM_OK)
        return -1;
    f->http = cm_httpc_new(f->loop, f->dialer);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cm_httpc_free(f->http);
    cm_loop_free(f->loop);
    cm_dialer_free(f->dialer);
    peer_stop(&f->peer);
    cm_free(f);
    return 0;
}

static enum cm_code fetch(struct fixture *f, const char *path, struct cm_httpc_req *req,
                          struct cm_httpc_answer **ret, struct cm_err *err)
{
    CM_AUTOFREE char *url = cm_xasprintf("http://127.0.0.1:%d%s", f->peer.port, path);
    struct cm_httpc_req none = {.method = NULL};
    if (!req)
        req = &none;
    req->url = cm_str(url);
    return cm_httpc_do(f->http, req, ret, err);
}

static void answers_are_framed_in_each_way(void **state)
{
    static const struct {
        const char *path, *body;
        int status;
    } rows[] = {
        {"/hello", "hello", 200},
        {"/chunked", "one two three", 200},
        {"/until-close", "all of it", 200},
        {"/interim", "final", 200},
        {"/nosuch", "no", 404},
        {"/hello", "hello", 200},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_httpc_answer) a = NULL;
        struct cm_err err = {.code = CM_OK};
        if (fetch(*state, rows[i].path, NULL, &a, &err) != CM_OK)
            fail_msg("%s: %s", rows[i].path, err.text);
        assert_int_equal(a->status, rows[i].status);
        assert_int_equal(a->body.len, strlen(rows[i].body));
        assert_memory_equal(a->body.ptr, rows[i].body, a->body.len);
    }
}

static void broken_answers_are_named(void **state)
{
    static const struct {
        const char *path;
        enum cm_code code;
        const char *text;
    } rows[] = {
        {"/short", CM_UNAVAILABLE, "before the answer was complete"},
        {"/rubbish", CM_PROTOCOL, "not HTTP"},
        {"/head-too-large", CM_PROTOCOL, "not HTTP"},
        {"/unasked", CM_PROTOCOL, "without being asked"},
        {"/big", CM_TOO_LARGE, "larger than 1000 bytes"},
        {"/silence", CM_TIMEOUT, "no answer within"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_httpc_answer) a = NULL;
        struct cm_err err = {.code = CM_OK};
        struct cm_httpc_req req = {.max_body = 1000, .timeout = CM_SECOND};
        enum cm_code code = fetch(*state, rows[i].path, &req, &a, &err);
        if (code == CM_OK || !strstr(err.text, rows[i].text))
            fail_msg("%s: %s", rows[i].path, code == CM_OK ? "was accepted" : err.text);
        if (strcmp(rows[i].path, "/head-too-large") != 0)
            assert_int_equal(code, rows[i].code);
        assert_non_null(strstr(err.text, rows[i].path)); /* the URL is named */
    }
}

static void a_connection_is_used_again(void **state)
{
    for (int i = 1; i <= 3; i++) {
        CM_AUTO(cm_httpc_answer) a = NULL;
        assert_int_equal(fetch(*state, "/count", NULL, &a, NULL), CM_OK);
        assert_int_equal(a->body.ptr[0], '0' + i);
    }
}

static void a_kept_connection_that_died_is_replaced(void **state)
{
    CM_AUTO(cm_httpc_answer) a = NULL;
    CM_AUTO(cm_httpc_answer) b = NULL;
    assert_int_equal(fetch(*state, "/drop-next", NULL, &a, NULL), CM_OK);
    assert_int_equal(fetch(*state, "/hello", NULL, &b, NULL), CM_OK);
    assert_int_equal(b->status, 200);
}

static void bodies_and_headers_are_sent(void **state)
{
    CM_AUTO(cm_httpc_answer) a = NULL;
    CM_AUTO(cm_httpc_answer) none = NULL;
    struct cm_httpc_header h = {CM_STR("X-Probe"), CM_STR("seven")};
    struct cm_httpc_header bad = {CM_STR("X-Probe"), CM_STR("a\r\nX-Evil: b")};
    size_t n = 700000;
    CM_AUTOFREE char *body = cm_xmalloc(n);
    memset(body, 'q', n);
    struct cm_httpc_req req = {.method = "PUT",
                               .headers = &h,
                               .n_headers = 1,
                               .body = cm_str_n(body, n),
                               .has_body = true};
    assert_int_equal(fetch(*state, "/echo", &req, &a, NULL), CM_OK);
    assert_int_equal(a->body.len, n);
    assert_memory_equal(a->body.ptr, body, n);
    assert_true(cm_str_eq_c(cm_httpc_header(a, "x-method"), "PUT"));
    assert_true(cm_str_eq_c(cm_httpc_header(a, "X-PROBE"), "seven"));

    req.headers = &bad;
    assert_int_equal(fetch(*state, "/echo", &req, &none, NULL), CM_INVALID);
}

static bool count_piece(void *ctx, struct cm_str piece)
{
    *(size_t *)ctx += piece.len;
    return true;
}

static bool refuse_piece(void *ctx, struct cm_str piece)
{
    (void)ctx;
    (void)piece;
    return false;
}

static void bodies_can_be_streamed(void **state)
{
    CM_AUTO(cm_httpc_answer) a = NULL;
    CM_AUTO(cm_httpc_answer) none = NULL;
    size_t total = 0;
    struct cm_httpc_req req = {.max_body = 10, .on_body = count_piece, .body_ctx = &total};
    assert_int_equal(fetch(*state, "/big", &req, &a, NULL), CM_OK);
    assert_int_equal(total, 300000);
    assert_int_equal(a->body.len, 0);

    struct cm_httpc_req refuse = {.on_body = refuse_piece};
    assert_int_equal(fetch(*state, "/big", &refuse, &none, NULL), CM_CANCELED);
}

static void an_upgrade_hands_out_the_stream_with_its_first_bytes(void **state)
{
    struct fixture *f = *state;
    CM_AUTO(cm_httpc_answer) a = NULL;
    struct cm_httpc_req req = {.upgrade = "shout"};
    char got[16] = "";
    size_t n = 0;

    assert_int_equal(fetch(f, "/upgrade", &req, &a, NULL), CM_OK);
    assert_int_equal(a->status, 101);
    assert_non_null(a->stream);
    cm_stream_write(a->stream, "abc", 3);
    cm_usec until = cm_monotonic_now() + 10 * CM_SECOND;
    while (n < 6 && cm_monotonic_now() < until) {
        cm_loop_turn(f->loop, 50 * CM_MSEC);
        n += cm_stream_read(a->stream, got + n, sizeof(got) - 1 - n);
    }
    assert_string_equal(got, "HI ABC");
}

static void refused_connections_and_bad_urls_are_named(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *url, *text;
        enum cm_code code;
    } rows[] = {
        {"http://127.0.0.1:1/x", "Connection refused", CM_UNAVAILABLE},
        {"http://localhost:1/x", "Connection refused", CM_UNAVAILABLE},
        {"http://no-such-host.invalid/", "look up no-such-host.invalid", CM_UNAVAILABLE},
        {"ftp://127.0.0.1/", "must begin with http", CM_INVALID},
        {"http://u:p@127.0.0.1/", "user name or password", CM_INVALID},
        {"nonsense", "not a URL", CM_INVALID},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_httpc_answer) a = NULL;
        struct cm_err err = {.code = CM_OK};
        struct cm_httpc_req req = {.url = cm_str(rows[i].url), .timeout = 20 * CM_SECOND};
        enum cm_code code = cm_httpc_do(f->http, &req, &a, &err);
        if (code == CM_OK || !strstr(err.text, rows[i].text))
            fail_msg("%s: %s", rows[i].url, err.text);
        /* Where there is no name server at all, the look-up may time out instead. */
        if (i != 2)
            assert_int_equal(code, rows[i].code);
        assert_null(strstr(err.text, "u:p"));
    }
}

static void never_call(void *ctx, struct cm_httpc_answer *answer, const struct cm_err *err)
{
    (void)answer;
    (void)err;
    *(bool *)ctx = true;
}

static void a_canceled_call_is_silent(void **state)
{
    struct fixture *f = *state;
    bool called = false;
    CM_AUTOFREE char *url = cm_xasprintf("http://127.0.0.1:%d/silence", f->peer.port);
    struct cm_httpc_req req = {.url = cm_str(url)};
    struct cm_httpc_req bad = {.url = CM_STR("nonsense")};

    cm_httpc_cancel(cm_httpc_start(f->http, &bad, never_call, &called));
    cm_httpc_cancel(cm_httpc_start(f->http, &req, never_call, &called));
    struct cm_httpc_call *c = cm_httpc_start(f->http, &req, never_call, &called);
    for (int i = 0; i < 20; i++)
        cm_loop_turn(f->loop, 5 * CM_MSEC);
    cm_httpc_cancel(c);
    for (int i = 0; i < 5; i++)
        cm_loop_turn(f->loop, 5 * CM_MSEC);
    assert_false(called);
}

static void proxied(const char *proxy_url, const char *target, enum cm_code want, const char *text)
{
    struct cm_dialer_config cfg = {.http_proxy = proxy_url};
    CM_AUTO(cm_dialer) dialer = NULL;
    CM_AUTO(cm_loop) loop = cm_loop_new();
    CM_AUTO(cm_httpc_answer) a = NULL;
    struct cm_err err = {.code = CM_OK};
    assert_int_equal(cm_dialer_new(&cfg, &dialer, &err), CM_OK);
    struct cm_httpc *http = cm_httpc_new(loop, dialer);
    struct cm_httpc_req req = {.url = cm_str(target), .timeout = 10 * CM_SECOND};
    enum cm_code code = cm_httpc_do(http, &req, &a, &err);
    if (code != want || (text && !strstr(err.text, text)))
        fail_msg("through a proxy: %d %s", code, err.text);
    if (code == CM_OK)
        assert_memory_equal(a->body.ptr, "hello", 5);
    assert_null(strstr(err.text, "s3cret"));
    cm_httpc_free(http);
}

static void proxies_are_used_and_their_refusals_named(void **state)
{
    struct fixture *f = *state;
    struct peer open_proxy, closed_proxy;
    peer_start(&open_proxy, "proxy", NULL, NULL);
    peer_start(&closed_proxy, "proxy", "bea:s3cret", NULL);
    CM_AUTOFREE char *open_url = cm_xasprintf("127.0.0.1:%d", open_proxy.port);
    CM_AUTOFREE char *with = cm_xasprintf("http://bea:s3cret@127.0.0.1:%d", closed_proxy.port);
    CM_AUTOFREE char *without = cm_xasprintf("http://127.0.0.1:%d", closed_proxy.port);
    /* Only a name that is not local goes through a proxy; this one resolves nowhere but at the
     * proxy. */
    CM_AUTOFREE char *target = cm_xasprintf("http://inside.example:%d/hello", f->peer.port);

    proxied(open_url, target, CM_OK, NULL);
    proxied(with, target, CM_OK, NULL);
    proxied(without, target, CM_UNAUTHENTICATED, "407");
    proxied(open_url, "http://forbidden.example/x", CM_UNAVAILABLE, "403 Forbidden by policy");
    proxied("http://127.0.0.1:1", target, CM_UNAVAILABLE, "connect to proxy");
    peer_stop(&open_proxy);
    peer_stop(&closed_proxy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_are_framed_in_each_way, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_answers_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_connection_is_used_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_kept_connection_that_died_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(bodies_and_headers_are_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(bodies_can_be_streamed, setup, teardown),
        cmocka_unit_test_setup_teardown(an_upgrade_hands_out_the_stream_with_its_first_bytes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(refused_connections_and_bad_urls_are_named, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_canceled_call_is_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(proxies_are_used_and_their_refusals_named, setup, teardown),
    };
    cm_loop_global_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
