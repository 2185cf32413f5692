#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/dial/url.h"

static void urls_come_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        uint16_t port;
        bool tls, default_port;
        const char *authority, *path, *target, *origin;
    } rows[] = {
        {"http://a.example", "a.example", 80, false, true, "a.example", "", "/",
         "http://a.example"},
        {"https://a.example/x?y=1", "a.example", 443, true, true, "a.example", "/x", "/x?y=1",
         "https://a.example"},
        {"http://a.example:80/", "a.example", 80, false, true, "a.example", "/", "/",
         "http://a.example"},
        {"https://a.example:80/", "a.example", 80, true, false, "a.example:80", "/", "/",
         "https://a.example:80"},
        {"ws://127.0.0.1:3000/rpc", "127.0.0.1", 3000, false, false, "127.0.0.1:3000", "/rpc",
         "/rpc", "ws://127.0.0.1:3000"},
        {"wss://[::1]:8443", "::1", 8443, true, false, "[::1]:8443", "", "/", "wss://[::1]:8443"},
        {"http://[2001:db8::1]/?q", "2001:db8::1", 80, false, true, "[2001:db8::1]", "/", "/?q",
         "http://[2001:db8::1]"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        struct cm_url u;
        struct cm_err err;
        print_message("%s\n", rows[i].text);
        assert_int_equal(cm_url_parse(a, cm_str(rows[i].text), &u, &err), CM_OK);
        assert_string_equal(u.host, rows[i].host);
        assert_int_equal(u.port, rows[i].port);
        assert_int_equal(u.tls, rows[i].tls);
        assert_int_equal(u.default_port, rows[i].default_port);
        assert_true(cm_str_eq_c(u.authority, rows[i].authority));
        assert_true(cm_str_eq_c(u.path, rows[i].path));
        assert_true(cm_str_eq_c(u.target, rows[i].target));
        assert_true(cm_str_eq_c(u.origin, rows[i].origin));
    }
}

static void what_is_no_url_gets_a_sentence(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "is not a URL"},
        {"a.example", "is not a URL"},
        {"/path", "is not a URL"},
        {"http://", "is not a URL"},
        {"http://a b/", "is not a URL"},
        {"http://a:99999/", "is not a URL"},
        {"http://a:0/", "port 0"},
        {"ftp://a/", "must begin with http:// or https://, not ftp://"},
        {"http://me:secret@a/", "user name or password"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        struct cm_url u;
        struct cm_err err;
        print_message("%s\n", rows[i].text);
        assert_int_equal(cm_url_parse(a, cm_str(rows[i].text), &u, &err), CM_INVALID);
        assert_true(cm_str_contains(cm_str(err.text), cm_str(rows[i].says)));
        assert_false(cm_str_contains(cm_str(err.text), CM_STR("secret")));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_come_apart),
        cmocka_unit_test(what_is_no_url_gets_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
