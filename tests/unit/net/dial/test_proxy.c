#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/dial/proxy.h"

static void exemptions(void **state)
{
    (void)state;
    static const struct {
        const char *no_proxy, *host;
        uint16_t port;
        bool exempt;
    } rows[] = {
        {"", "example.com", 443, false},
        {"", "localhost", 443, true},
        {"", "127.8.8.8", 443, true},
        {"", "::1", 443, true},
        {"*", "example.com", 443, true},
        {"example.com", "example.com", 443, true},
        {"example.com", "www.EXAMPLE.com", 443, true},
        {"example.com", "notexample.com", 443, false},
        {".example.com", "example.com", 443, false},
        {".example.com", "www.example.com", 443, true},
        {"*.example.com", "www.example.com", 443, true},
        {"a.b, example.com ", "example.com", 443, true},
        {"example.com:8443", "example.com", 443, false},
        {"example.com:443", "example.com", 443, true},
        {"10.0.0.0/8", "10.9.8.7", 80, true},
        {"10.0.0.0/8", "11.9.8.7", 80, false},
        {"192.0.2.128/25", "192.0.2.127", 80, false},
        {"192.0.2.128/25", "192.0.2.200", 80, true},
        {"2001:db8::/33", "2001:db8:7fff::1", 80, true},
        {"2001:db8::/33", "2001:db8:8000::1", 80, false},
        {"2001:db8::1", "2001:db8::1", 80, true},
        {"[2001:db8::1]:80", "2001:db8::1", 80, true},
        {"192.0.2.1", "192.0.2.1", 80, true},
        {"0.0.0.0/0", "192.0.2.1", 80, true},
        {"10.0.0.0/99", "10.0.0.1", 80, false},
        {",,.", "example.com", 80, false},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++)
        if (cm_proxy_exempt(cm_str(rows[i].no_proxy), cm_str(rows[i].host), rows[i].port) !=
            rows[i].exempt)
            fail_msg("NO_PROXY=%s, %s:%u", rows[i].no_proxy, rows[i].host, rows[i].port);
}

static void settings(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        uint16_t port;
        const char *authorization;
        enum cm_code code;
    } rows[] = {
        {"", NULL, 0, NULL, CM_OK},
        {"proxy.example:3128", "proxy.example", 3128, NULL, CM_OK},
        {"http://proxy.example", "proxy.example", 80, NULL, CM_OK},
        {"http://u:p%40ss@[::1]:8080/", "::1", 8080, "Basic dTpwQHNz", CM_OK},
        {"https://proxy.example", NULL, 0, NULL, CM_INVALID},
        {"socks5://proxy.example", NULL, 0, NULL, CM_INVALID},
        {"http://", NULL, 0, NULL, CM_INVALID},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct cm_proxy p;
        struct cm_err err;
        assert_int_equal(cm_proxy_parse(cm_str(rows[i].text), &p, &err), rows[i].code);
        if (rows[i].code != CM_OK)
            continue;
        if (rows[i].host)
            assert_string_equal(p.host, rows[i].host);
        else
            assert_null(p.host);
        assert_int_equal(p.port, rows[i].port);
        if (rows[i].authorization)
            assert_string_equal(p.authorization, rows[i].authorization);
        else
            assert_null(p.authorization);
        cm_proxy_done(&p);
    }
}

static void answers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum cm_code code;
        size_t used; /* 0: not complete */
    } rows[] = {
        {"HTTP/1.1 200 OK\r\n\r\n", CM_OK, 19},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nSSH-2", CM_OK, 38},
        {"HTTP/1.0 200 Connection established\r\nX: y\r\n", CM_OK, 0},
        {"HTTP/1.1 403 No\r\n\r\n", CM_UNAVAILABLE, 0},
        {"HTTP/1.1 407 Auth\r\n\r\n", CM_UNAUTHENTICATED, 0},
        {"\x16\x03\x01", CM_PROTOCOL, 0},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        size_t used = 0;
        bool done = false;
        struct cm_err err;
        assert_int_equal(cm_proxy_answer(cm_str(rows[i].text), &used, &done, &err), rows[i].code);
        assert_int_equal(done, rows[i].used != 0);
        assert_int_equal(used, rows[i].used);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exemptions),
        cmocka_unit_test(settings),
        cmocka_unit_test(answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
