/* Request heads, above all those that two parsers read differently. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "net/http/message.h"

#define HOST "Host: a\r\n"
#define END  "\r\n"

static const struct {
    const char *what, *text;
} refused[] = {
    {"bare LF", "GET / HTTP/1.1\nHost: a\n\n"},
    {"one bare LF", "GET / HTTP/1.1\r\nX: 1\nHost: a\r\n\r\n"},
    {"bare CR", "GET / HTTP/1.1\r\nX: 1\rY: 2\r\nHost: a\r\n\r\n"},
    {"folded line", "GET / HTTP/1.1\r\n" HOST "X: 1\r\n 2\r\n" END},
    {"folded by a tab", "GET / HTTP/1.1\r\n" HOST "X: 1\r\n\t2\r\n" END},
    {"two hosts", "GET / HTTP/1.1\r\n" HOST "Host: b\r\n" END},
    {"the same host twice", "GET / HTTP/1.1\r\n" HOST HOST END},
    {"no host", "GET / HTTP/1.1\r\nX: 1\r\n" END},
    {"space before the colon", "POST / HTTP/1.1\r\n" HOST "Content-Length : 5\r\n" END},
    {"tab before the colon", "POST / HTTP/1.1\r\n" HOST "Content-Length\t: 5\r\n" END},
    {"transfer encoding in 1.0", "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n" END},
    {"length and chunked",
     "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" END},
    {"chunked and length",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n" END},
    {"unknown coding", "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n" END},
    {"chunked not last", "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, gzip\r\n" END},
    {"a coding under chunked",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n" END},
    {"chunked twice",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END},
    {"two lengths", "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 6\r\n" END},
    {"signed length", "POST / HTTP/1.1\r\n" HOST "Content-Length: +5\r\n" END},
    {"negative length", "POST / HTTP/1.1\r\n" HOST "Content-Length: -5\r\n" END},
    {"hexadecimal length", "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x5\r\n" END},
    {"list of lengths", "POST / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n" END},
    {"length past 64 bits",
     "POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n" END},
    {"absolute target", "GET http://a/ HTTP/1.1\r\n" HOST END},
    {"relative target", "GET x HTTP/1.1\r\n" HOST END},
    {"star for GET", "GET * HTTP/1.1\r\n" HOST END},
    {"CONNECT", "CONNECT a:443 HTTP/1.1\r\n" HOST END},
    {"control character", "GET /\x01 HTTP/1.1\r\n" HOST END},
    {"delete character", "GET / HTTP/1.1\r\n" HOST "X: \x7f\r\n" END},
    {"HTTP/2 in text", "GET / HTTP/2.0\r\n" HOST END},
    {"HTTP/1.2", "GET / HTTP/1.2\r\n" HOST END},
    {"no version", "GET /\r\n" HOST END},
    {"no method", "/ HTTP/1.1\r\n" HOST END},
    {"empty header name", "GET / HTTP/1.1\r\n" HOST ": x\r\n" END},
    {"another request after it", "GET / HTTP/1.1\r\n" HOST END "GET / HTTP/1.1\r\n" HOST END},
    {"another one, cut", "GET / HTTP/1.1\r\nX: 1\r\n" END "GET / HTTP/1.1\r\nX: 2\r\nHost:"},
    {"cut in a header's name", "GET / HTTP/1.1\r\nHost"},
    {"no empty line at the end", "GET / HTTP/1.1\r\n" HOST},
    {"nothing", ""},
};

static void heads_read_two_ways_are_refused(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < CM_COUNT_OF(refused); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        struct cm_http_head h;
        struct cm_err err = {0};
        enum cm_code got = cm_http_head_parse(a, cm_str(refused[i].text), &h, &err);
        if (got != CM_INVALID || !err.text[0]) {
            print_error("%s: got %s\n", refused[i].what, cm_code_name(got));
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void a_nul_byte_is_refused(void **state)
{
    (void)state;
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n";
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_http_head h;
    struct cm_err err;
    assert_int_equal(cm_http_head_parse(a, cm_str_n(text, sizeof text - 1), &h, &err), CM_INVALID);
}

static void parse(struct cm_arena *a, const char *text, struct cm_http_head *h)
{
    struct cm_err err = {0};
    if (cm_http_head_parse(a, cm_str(text), h, &err) != CM_OK)
        fail_msg("%s: %s", text, err.text);
}

static void a_head_yields_its_parts(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_http_head h;
    parse(a,
          "POST /a/b?x=1%202&y&z=%zz HTTP/1.1\r\nHOST:  example.com:80 \r\nContent-Length: 12\r\n"
          "Cookie: a=1; b=2=3\r\nAccept: text/html, Text/Plain\r\n\r\n",
          &h);
    assert_int_equal(h.method, CM_HTTP_POST);
    assert_true(cm_str_eq_c(h.path, "/a/b"));
    assert_true(cm_str_eq_c(h.query, "x=1%202&y&z=%zz"));
    assert_true(cm_str_eq_c(h.host, "example.com:80"));
    assert_true(cm_str_eq_c(cm_http_query(&h, a, "x"), "1 2"));
    assert_true(cm_http_query_has(&h, "y"));
    assert_null(cm_http_query(&h, a, "z").ptr);
    assert_false(cm_http_query_has(&h, "w"));
    assert_true(cm_str_eq_c(cm_http_cookie(&h, "b"), "2=3"));
    assert_null(cm_http_cookie(&h, "c").ptr);
    assert_true(cm_http_header_has(&h, "accept", "text/plain"));
    assert_false(cm_http_header_has(&h, "accept", "text"));
    assert_true(h.has_body && h.keep_alive && !h.http10 && !h.upgrade);
    assert_int_equal(h.content_length, 12);
}

static void framing_follows_the_head(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_http_head h;
    parse(a, "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END, &h);
    assert_true(h.has_body && h.content_length == UINT64_MAX);
    parse(a, "POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n" END, &h);
    assert_true(!h.has_body && h.content_length == 0);
    parse(a, "GET / HTTP/1.0\r\n" END, &h);
    assert_true(h.http10 && !h.keep_alive && !h.host.ptr);
    parse(a, "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n" END, &h);
    assert_false(h.keep_alive);
    parse(a, "GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n" END, &h);
    assert_true(h.upgrade && !h.has_body);
    parse(a, "OPTIONS * HTTP/1.1\r\n" HOST END, &h);
    assert_int_equal(h.method, CM_HTTP_OPTIONS);
}

static void headers_are_counted(void **state)
{
    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(CM_HTTP_HEAD_MAX);
        struct cm_http_head h;
        struct cm_err err;
        cm_buf_cstr(&text, "GET / HTTP/1.1\r\n" HOST);
        for (int i = 1; i < CM_HTTP_HEADERS_MAX + extra; i++)
            cm_buf_printf(&text, "X-%d: %d\r\n", i, i);
        cm_buf_cstr(&text, END);
        assert_int_equal(cm_http_head_parse(a, cm_buf_view(&text), &h, &err),
                         extra ? CM_INVALID : CM_OK);
    }
}

static void the_last_of_several_headers_is_told_from_the_first(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_http_head h;
    struct cm_err err;
    static const char text[] = "GET / HTTP/1.1\r\n" HOST "X-Forwarded-For: made up\r\nA: b\r\n"
                               "x-forwarded-for: added\r\n" END;
    assert_int_equal(cm_http_head_parse(a, cm_str(text), &h, &err), CM_OK);
    assert_true(cm_str_eq_c(cm_http_header(&h, "x-forwarded-for"), "made up"));
    assert_true(cm_str_eq_c(cm_http_header_last(&h, "x-forwarded-for"), "added"));
    assert_null(cm_http_header_last(&h, "x-real-ip").ptr);
}

static void a_range_is_a_part_of_what_is_there(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        enum cm_http_range what;
        size_t from, n;
    } rows[] = {
        {"", CM_HTTP_WHOLE, 0, 0},
        {"Range: bytes=0-0\r\n", CM_HTTP_PART, 0, 1},
        {"Range: bytes=2-5\r\n", CM_HTTP_PART, 2, 4},
        {"range: Bytes=9-\r\n", CM_HTTP_PART, 9, 1},
        {"Range: bytes=3-99\r\n", CM_HTTP_PART, 3, 7},
        {"Range: bytes=-4\r\n", CM_HTTP_PART, 6, 4},
        {"Range: bytes=-99\r\n", CM_HTTP_PART, 0, 10},
        {"Range: bytes=0-9223372036854775807\r\n", CM_HTTP_PART, 0, 10},
        {"Range: bytes=10-\r\n", CM_HTTP_OUTSIDE, 0, 0},
        {"Range: bytes=-0\r\n", CM_HTTP_OUTSIDE, 0, 0},
        {"Range: bytes=5-2\r\n", CM_HTTP_WHOLE, 0, 0},
        {"Range: bytes=-\r\n", CM_HTTP_WHOLE, 0, 0},
        {"Range: bytes=\r\n", CM_HTTP_WHOLE, 0, 0},
        {"Range: bytes=1\r\n", CM_HTTP_WHOLE, 0, 0},
        {"Range: bytes=1-2,4-5\r\n", CM_HTTP_WHOLE, 0, 0},
        {"Range: bytes=+1-2\r\n", CM_HTTP_WHOLE, 0, 0},
        {"Range: bytes=--1\r\n", CM_HTTP_WHOLE, 0, 0},
        {"Range: bytes=0-99999999999999999999\r\n", CM_HTTP_WHOLE, 0, 0},
        {"Range: lines=1-2\r\n", CM_HTTP_WHOLE, 0, 0},
        {"Range: bytes=1-\r\nIf-Range: \"a\"\r\n", CM_HTTP_PART, 1, 9},
        {"Range: bytes=1-\r\nIf-Range: \"b\"\r\n", CM_HTTP_WHOLE, 0, 0},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(CM_HTTP_HEAD_MAX);
        struct cm_http_head h;
        struct cm_err err;
        size_t from = 0, n = 0;
        print_message("%s\n", rows[i].headers);
        cm_buf_printf(&text, "GET / HTTP/1.1\r\n" HOST "%s" END, rows[i].headers);
        assert_int_equal(cm_http_head_parse(a, cm_buf_view(&text), &h, &err), CM_OK);
        assert_int_equal(cm_http_range(&h, "\"a\"", 10, &from, &n), rows[i].what);
        if (rows[i].what == CM_HTTP_PART) {
            assert_int_equal(from, rows[i].from);
            assert_int_equal(n, rows[i].n);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_of_several_headers_is_told_from_the_first),
        cmocka_unit_test(heads_read_two_ways_are_refused),
        cmocka_unit_test(a_nul_byte_is_refused),
        cmocka_unit_test(a_head_yields_its_parts),
        cmocka_unit_test(framing_follows_the_head),
        cmocka_unit_test(headers_are_counted),
        cmocka_unit_test(a_range_is_a_part_of_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
