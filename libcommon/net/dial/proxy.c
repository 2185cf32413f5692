#include "net/dial/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include <http_parser.h>

#include "base/enc.h"
#include "base/secret.h"

enum cm_code cm_proxy_parse(struct cm_str text, struct cm_proxy *ret, struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf full = CM_BUF_INIT(4096);
    struct http_parser_url u;

    *ret = (struct cm_proxy){.host = NULL};
    text = cm_str_trim(text);
    if (!text.len)
        return CM_OK;
    full.wipe = true;
    if (!cm_str_contains(text, CM_STR("://")))
        cm_buf_cstr(&full, "http://");
    cm_buf_str(&full, text);
    if (cm_buf_check(&full, "the proxy's URL", err) != CM_OK)
        return CM_TOO_LARGE;
    http_parser_url_init(&u);
    /* The URL may carry a password: errors do not repeat it. */
    if (http_parser_parse_url(full.ptr, full.len, 0, &u) != 0 || !(u.field_set & 1 << UF_HOST))
        return cm_err_set(err, CM_INVALID,
                          "the proxy setting is not a URL of the form http://host:port");
    struct cm_str scheme =
        cm_str_n(full.ptr + u.field_data[UF_SCHEMA].off, u.field_data[UF_SCHEMA].len);
    if (!cm_str_eq_nocase(scheme, CM_STR("http")))
        return cm_err_set(err, CM_INVALID,
                          "the proxy setting has scheme %.*s, but only http:// proxies can be used",
                          CM_STR_ARG(scheme));
    struct cm_str host = cm_str_n(full.ptr + u.field_data[UF_HOST].off, u.field_data[UF_HOST].len);
    if (u.field_set & 1 << UF_USERINFO) {
        CM_AUTOBUF struct cm_buf plain = CM_BUF_INIT(2048);
        CM_AUTOBUF struct cm_buf value = CM_BUF_INIT(4096);
        plain.wipe = value.wipe = true;
        struct cm_str info =
            cm_str_n(full.ptr + u.field_data[UF_USERINFO].off, u.field_data[UF_USERINFO].len);
        if (!cm_percent_decode(&plain, info, false) || plain.failed)
            return cm_err_set(err, CM_INVALID,
                              "user and password in the proxy setting are not percent-encoded");
        cm_buf_cstr(&value, "Basic ");
        cm_base64_encode(&value, CM_BASE64_STD, plain.ptr, plain.len);
        ret->authorization = cm_buf_take(&value);
    }
    ret->host = cm_str_xdup(host);
    ret->port = u.field_set & 1 << UF_PORT ? u.port : 80;
    return CM_OK;
}

void cm_proxy_done(struct cm_proxy *p)
{
    cm_free(p->host);
    if (p->authorization)
        cm_secret_wipe(p->authorization, strlen(p->authorization));
    cm_free(p->authorization);
    *p = (struct cm_proxy){.host = NULL};
}

struct ip {
    int family; /* 0: not an address */
    unsigned char b[16];
};

static struct ip parse_ip(struct cm_str s)
{
    struct ip ip = {.family = 0};
    char text[INET6_ADDRSTRLEN];
    if (s.len >= 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']')
        s = cm_str_sub(s, 1, s.len - 2);
    if (s.len >= sizeof(text))
        return ip;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    if (inet_pton(AF_INET, text, ip.b) == 1)
        ip.family = AF_INET;
    else if (inet_pton(AF_INET6, text, ip.b) == 1)
        ip.family = AF_INET6;
    return ip;
}

static bool in_block(struct ip ip, struct cm_str block)
{
    struct cm_str base;
    struct cm_str bits_text = cm_str_split(block, '/', &base);
    struct ip net = parse_ip(base);
    int64_t bits;
    if (!bits_text.ptr || !net.family || net.family != ip.family ||
        !cm_str_to_i64(bits_text, &bits) || bits < 0 || bits > (net.family == AF_INET ? 32 : 128))
        return false;
    size_t whole = (size_t)bits / 8;
    unsigned rest = (unsigned)bits % 8;
    if (memcmp(ip.b, net.b, whole) != 0)
        return false;
    return !rest || (ip.b[whole] ^ net.b[whole]) >> (8 - rest) == 0;
}

static bool entry_matches(struct cm_str e, struct cm_str host, struct ip ip, uint16_t port)
{
    if (cm_str_eq_c(e, "*") || in_block(ip, e))
        return true;
    /* host:port, but not a bare IPv6 address */
    ptrdiff_t colon = cm_str_find_last(e, ':');
    if (colon > 0 && !parse_ip(e).family) {
        uint16_t p;
        if (!cm_str_to_u16(cm_str_sub(e, (size_t)colon + 1, e.len), &p) || p != port)
            return false;
        e = cm_str_sub(e, 0, (size_t)colon);
    }
    struct ip want = parse_ip(e);
    if (want.family)
        return want.family == ip.family && memcmp(want.b, ip.b, sizeof(ip.b)) == 0;
    bool only_below = e.len && e.ptr[0] == '.'; /* ".x" means hosts below x, "x" also x itself */
    if (cm_str_starts(e, CM_STR("*.")))
        e = cm_str_sub(e, 2, e.len), only_below = true;
    else if (only_below)
        e = cm_str_sub(e, 1, e.len);
    if (!e.len)
        return false;
    if (!only_below && cm_str_eq_nocase(e, host))
        return true;
    return host.len > e.len && host.ptr[host.len - e.len - 1] == '.' &&
           cm_str_eq_nocase(cm_str_sub(host, host.len - e.len, e.len), e);
}

bool cm_proxy_exempt(struct cm_str no_proxy, struct cm_str host, uint16_t port)
{
    struct ip ip = parse_ip(host);
    static const unsigned char loopback6[16] = {[15] = 1};
    if (cm_str_eq_nocase(host, CM_STR("localhost")) || (ip.family == AF_INET && ip.b[0] == 127) ||
        (ip.family == AF_INET6 && memcmp(ip.b, loopback6, 16) == 0))
        return true;
    while (no_proxy.len) {
        struct cm_str e;
        no_proxy = cm_str_split(no_proxy, ',', &e);
        e = cm_str_trim(e);
        if (e.len && entry_matches(e, host, ip, port))
            return true;
    }
    return false;
}

void cm_proxy_request(struct cm_buf *out, const struct cm_proxy *p, const char *host, uint16_t port)
{
    bool v6 = strchr(host, ':') != NULL;
    const char *l = v6 ? "[" : "", *r = v6 ? "]" : "";
    cm_buf_printf(out, "CONNECT %s%s%s:%u HTTP/1.1\r\nHost: %s%s%s:%u\r\n", l, host, r, port, l,
                  host, r, port);
    if (p->authorization)
        cm_buf_printf(out, "Proxy-Authorization: %s\r\n", p->authorization);
    cm_buf_cstr(out, "\r\n");
}

struct answer {
    bool done;
    char reason[64];
    size_t reason_len;
};

static int on_status(http_parser *p, const char *at, size_t len)
{
    struct answer *a = p->data;
    for (size_t i = 0; i < len && a->reason_len + 1 < sizeof(a->reason); i++)
        if (at[i] >= ' ' && at[i] < 0x7f)
            a->reason[a->reason_len++] = at[i];
    return 0;
}

static int on_head(http_parser *p)
{
    struct answer *a = p->data;
    a->done = true;
    return 2; /* no body: what follows belongs to the tunnel */
}

enum cm_code cm_proxy_answer(struct cm_str data, size_t *ret_used, bool *ret_done,
                             struct cm_err *err)
{
    struct answer a = {.done = false};
    http_parser_settings settings;
    http_parser p;

    http_parser_settings_init(&settings);
    settings.on_status = on_status;
    settings.on_headers_complete = on_head;
    http_parser_init(&p, HTTP_RESPONSE);
    p.data = &a;
    size_t used = http_parser_execute(&p, &settings, data.ptr, data.len);
    if (!a.done && HTTP_PARSER_ERRNO(&p) != HPE_OK)
        return cm_err_set(err, CM_PROTOCOL, "the proxy did not answer in HTTP");
    if (!a.done) {
        *ret_done = false;
        return CM_OK;
    }
    if (p.status_code == 407)
        return cm_err_set(err, CM_UNAUTHENTICATED, "the proxy asks for a user and password (407)");
    if (p.status_code / 100 != 2)
        return cm_err_set(err, CM_UNAVAILABLE, "the proxy refused: %u %s", p.status_code, a.reason);
    *ret_used = used;
    *ret_done = true;
    return CM_OK;
}
