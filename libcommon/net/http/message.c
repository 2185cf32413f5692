#include "net/http/message.h"

#include <http_parser.h>

#include "base/buf.h"
#include "base/enc.h"

struct cm_str cm_http_header(const struct cm_http_head *h, const char *name)
{
    struct cm_str want = cm_str(name);
    for (size_t i = 0; i < h->n_headers; i++) {
        if (cm_str_eq_nocase(h->headers[i].name, want))
            return h->headers[i].value;
    }
    return CM_STR_NONE;
}

struct cm_str cm_http_header_last(const struct cm_http_head *h, const char *name)
{
    struct cm_str want = cm_str(name);
    for (size_t i = h->n_headers; i-- > 0;) {
        if (cm_str_eq_nocase(h->headers[i].name, want))
            return h->headers[i].value;
    }
    return CM_STR_NONE;
}

bool cm_http_header_has(const struct cm_http_head *h, const char *name, const char *token)
{
    struct cm_str want_name = cm_str(name), want = cm_str(token);
    for (size_t i = 0; i < h->n_headers; i++) {
        if (!cm_str_eq_nocase(h->headers[i].name, want_name))
            continue;
        struct cm_str rest = h->headers[i].value, item;
        while (rest.ptr) {
            rest = cm_str_split(rest, ',', &item);
            if (cm_str_eq_nocase(cm_str_trim(item), want))
                return true;
        }
    }
    return false;
}

/* Digits only: a sign or a blank makes it no position. */
static bool parse_position(struct cm_str s, size_t *ret)
{
    int64_t v;
    if (!s.len || s.ptr[0] < '0' || s.ptr[0] > '9' || !cm_str_to_i64(s, &v))
        return false;
    *ret = (size_t)v;
    return true;
}

enum cm_http_range cm_http_range(const struct cm_http_head *h, const char *etag, size_t len,
                                 size_t *from, size_t *n)
{
    struct cm_str range = cm_http_header(h, "range"), unless = cm_http_header(h, "if-range");
    if (!cm_str_starts_nocase(range, CM_STR("bytes=")) ||
        (unless.ptr && !(etag && cm_str_eq_c(unless, etag))))
        return CM_HTTP_WHOLE;
    struct cm_str first;
    struct cm_str last = cm_str_split(cm_str_trim(cm_str_sub(range, 6, range.len)), '-', &first);
    size_t a = 0, b = 0;
    if (!last.ptr || (first.len && !parse_position(first, &a)) ||
        (last.len && !parse_position(last, &b)) || (!first.len && !last.len) ||
        (first.len && last.len && b < a))
        return CM_HTTP_WHOLE;
    if (!first.len) { /* the last b bytes */
        a = b < len ? len - b : 0;
        *n = len - a;
    } else {
        *n = a >= len ? 0 : (last.len ? CM_MIN(b, len - 1) : len - 1) - a + 1;
    }
    *from = a;
    return *n ? CM_HTTP_PART : CM_HTTP_OUTSIDE;
}

static bool query_find(const struct cm_http_head *h, const char *name, struct cm_str *ret)
{
    struct cm_str rest = h->query, pair, want = cm_str(name);
    while (rest.ptr) {
        rest = cm_str_split(rest, '&', &pair);
        struct cm_str key;
        struct cm_str value = cm_str_split(pair, '=', &key);
        if (cm_str_eq(key, want)) {
            *ret = value;
            return true;
        }
    }
    return false;
}

bool cm_http_query_has(const struct cm_http_head *h, const char *name)
{
    struct cm_str value;
    return query_find(h, name, &value);
}

struct cm_str cm_http_query(const struct cm_http_head *h, struct cm_arena *a, const char *name)
{
    struct cm_str value;
    if (!query_find(h, name, &value))
        return CM_STR_NONE;
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(value.len + 1);
    if (!cm_percent_decode(&out, value, true))
        return CM_STR_NONE;
    return cm_arena_str(a, cm_buf_view(&out));
}

struct cm_str cm_http_cookie(const struct cm_http_head *h, const char *name)
{
    struct cm_str want = cm_str(name);
    for (size_t i = 0; i < h->n_headers; i++) {
        if (!cm_str_eq_nocase(h->headers[i].name, CM_STR("cookie")))
            continue;
        struct cm_str rest = h->headers[i].value, pair;
        while (rest.ptr) {
            rest = cm_str_split(rest, ';', &pair);
            struct cm_str key;
            struct cm_str value = cm_str_split(cm_str_trim(pair), '=', &key);
            if (value.ptr && cm_str_eq(key, want))
                return value;
        }
    }
    return CM_STR_NONE;
}

struct parse {
    struct cm_http_head *h;
    bool in_value, whole;
};

static int on_url(http_parser *p, const char *at, size_t len)
{
    struct parse *x = p->data;
    if (!x->h->target.ptr)
        x->h->target.ptr = at;
    x->h->target.len += len;
    return 0;
}

static int on_field(http_parser *p, const char *at, size_t len)
{
    struct parse *x = p->data;
    if (x->in_value || x->h->n_headers == 0) {
        if (x->h->n_headers == CM_HTTP_HEADERS_MAX)
            return 1;
        x->h->headers[x->h->n_headers++] = (struct cm_http_header){{at, 0}, CM_STR_NONE};
        x->in_value = false;
    }
    x->h->headers[x->h->n_headers - 1].name.len += len;
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t len)
{
    struct parse *x = p->data;
    struct cm_str *v = &x->h->headers[x->h->n_headers - 1].value;
    if (!v->ptr)
        v->ptr = at;
    v->len += len;
    x->in_value = true;
    return 0;
}

static int on_whole(http_parser *p)
{
    struct parse *x = p->data;
    x->whole = true;
    return 0;
}

static int on_begin(http_parser *p)
{
    return ((struct parse *)p->data)->whole; /* one request is enough */
}

static const http_parser_settings settings = {.on_message_begin = on_begin,
                                              .on_url = on_url,
                                              .on_header_field = on_field,
                                              .on_header_value = on_value,
                                              .on_headers_complete = on_whole};

static enum cm_code check_bytes(struct cm_str t, struct cm_err *err)
{
    for (size_t i = 0; i < t.len; i++) {
        unsigned char c = (unsigned char)t.ptr[i];
        if (c == '\n') {
            if (i == 0 || t.ptr[i - 1] != '\r')
                return cm_err_set(err, CM_INVALID,
                                  "a line of the request head ends without a carriage return");
            if (i + 1 < t.len && (t.ptr[i + 1] == ' ' || t.ptr[i + 1] == '\t'))
                return cm_err_set(err, CM_INVALID,
                                  "a header line is folded, which HTTP no longer allows");
        } else if (c == '\r') {
            if (i + 1 >= t.len || t.ptr[i + 1] != '\n')
                return cm_err_set(err, CM_INVALID,
                                  "a carriage return stands alone in the request head");
        } else if (c == 0 || c == 0x7f || (c < 0x20 && c != '\t')) {
            return cm_err_set(err, CM_INVALID, "the request head holds a control character");
        }
    }
    return CM_OK;
}

static enum cm_http_method method_of(unsigned m)
{
#define METHOD_CASE(name)                                                                          \
    if (m == HTTP_##name)                                                                          \
        return CM_HTTP_##name;
    CM_HTTP_METHODS(METHOD_CASE)
#undef METHOD_CASE
    return CM_HTTP_OTHER;
}

static enum cm_code run_parser(http_parser *p, struct cm_str text, struct cm_http_head *h,
                               struct cm_err *err)
{
    struct parse x = {.h = h};
    http_parser_init(p, HTTP_REQUEST);
    p->data = &x;
    size_t n = http_parser_execute(p, &settings, text.ptr, text.len);
    enum http_errno e = HTTP_PARSER_ERRNO(p);
    if (e == HPE_CB_header_field || e == HPE_CB_header_value)
        return cm_err_set(err, CM_INVALID, "the request has more than %d headers",
                          CM_HTTP_HEADERS_MAX);
    if (e == HPE_CB_message_begin)
        return cm_err_set(err, CM_INVALID, "the request's head goes on after its last line");
    if (e != HPE_OK || (n != text.len && !p->upgrade))
        return cm_err_set(err, CM_INVALID, "not a valid HTTP request: %s",
                          http_errno_description(e));
    if (!x.whole)
        return cm_err_set(err, CM_INVALID, "the request's head ends before its last line");
    if (p->http_major != 1 || p->http_minor > 1)
        return cm_err_set(err, CM_INVALID, "HTTP version %d.%d is not supported", p->http_major,
                          p->http_minor);
    return CM_OK;
}

/* What two readers of the same head may understand differently is refused. */
static enum cm_code check_headers(const http_parser *p, struct cm_http_head *ret,
                                  struct cm_err *err)
{
    bool chunked = (p->flags & F_CHUNKED) != 0;
    size_t hosts = 0, codings = 0;
    struct cm_str coding = CM_STR_NONE;
    for (size_t i = 0; i < ret->n_headers; i++) {
        struct cm_http_header *h = &ret->headers[i];
        h->value = cm_str_trim(h->value);
        if (h->name.len &&
            (h->name.ptr[h->name.len - 1] == ' ' || h->name.ptr[h->name.len - 1] == '\t'))
            return cm_err_set(err, CM_INVALID, "a header name ends in white space");
        if (cm_str_eq_nocase(h->name, CM_STR("host"))) {
            ret->host = h->value;
            hosts++;
        } else if (cm_str_eq_nocase(h->name, CM_STR("transfer-encoding"))) {
            coding = h->value;
            codings++;
        }
    }
    if (hosts > 1 || (hosts == 0 && p->http_minor == 1))
        return cm_err_set(err, CM_INVALID, "the request must have exactly one Host header");
    if (p->http_minor == 0 && codings)
        return cm_err_set(err, CM_INVALID, "Transfer-Encoding is not allowed in HTTP/1.0");
    /* The parser also says so of "gzip, chunked" and of two headers, which others read otherwise.
     */
    if (codings > 1 || (codings && !(chunked && cm_str_eq_nocase(coding, CM_STR("chunked")))))
        return cm_err_set(err, CM_INVALID, "the only Transfer-Encoding supported is chunked");
    return CM_OK;
}

/* Where the body ends, and what the connection is for afterwards. */
static void set_framing(const http_parser *p, struct cm_http_head *ret)
{
    bool chunked = (p->flags & F_CHUNKED) != 0;
    bool lengthy = cm_http_header(ret, "content-length").ptr && p->content_length > 0 &&
                   p->content_length != UINT64_MAX;
    ret->http10 = p->http_minor == 0;
    ret->keep_alive = http_should_keep_alive(p) != 0;
    ret->has_body = chunked || lengthy;
    ret->content_length = chunked ? UINT64_MAX : lengthy ? p->content_length : 0;
    ret->upgrade = p->upgrade && !ret->has_body && p->method != HTTP_CONNECT;
    if (p->upgrade)
        ret->keep_alive = !ret->http10 && !cm_http_header_has(ret, "connection", "close");
}

enum cm_code cm_http_head_parse(struct cm_arena *a, struct cm_str text, struct cm_http_head *ret,
                                struct cm_err *err)
{
    http_parser p;
    *ret = (struct cm_http_head){.headers =
                                     CM_NEW_ARRAY(a, struct cm_http_header, CM_HTTP_HEADERS_MAX)};
    if (check_bytes(text, err) != CM_OK || run_parser(&p, text, ret, err) != CM_OK ||
        check_headers(&p, ret, err) != CM_OK)
        return err->code;
    ret->method = method_of(p.method);
    ret->method_text = cm_str(http_method_str((enum http_method)p.method));
    set_framing(&p, ret);
    ret->query = cm_str_split(ret->target, '?', &ret->path);
    if ((!ret->path.len || ret->path.ptr[0] != '/') &&
        !(ret->method == CM_HTTP_OPTIONS && cm_str_eq_c(ret->path, "*")))
        return cm_err_set(err, CM_INVALID, "the request target must be a path that begins with /");
    return CM_OK;
}

static const struct {
    int status;
    const char *text;
} reasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
};

const char *cm_http_reason(int status)
{
    for (size_t i = 0; i < CM_COUNT_OF(reasons); i++) {
        if (reasons[i].status == status)
            return reasons[i].text;
    }
    return "Status";
}
