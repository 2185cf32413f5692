#include "schema/gourl.h"

#include "base/buf.h"
#include "base/enc.h"

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_unreserved(char c)
{
    return is_alpha(c) || is_digit(c) || (c && strchr("-_.~", c));
}

static bool refuse_escape(struct call *c, struct cm_str s, size_t at, struct cm_str *why)
{
    struct cm_str quoted = call_quote(c, cm_str_sub(s, at, 3));
    *why = cm_arena_fmt(c->arena, "invalid URL escape %.*s", CM_STR_ARG(quoted));
    return false;
}

static bool escapes_are_valid(struct call *c, struct cm_str s, struct cm_str *why)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] != '%')
            continue;
        if (i + 2 >= s.len || cm_hex_digit(s.ptr[i + 1]) < 0 || cm_hex_digit(s.ptr[i + 2]) < 0)
            return refuse_escape(c, s, i, why);
    }
    return true;
}

static bool host_is_valid(struct call *c, struct cm_str host, struct cm_str *why)
{
    if (!escapes_are_valid(c, host, why))
        return false;
    for (size_t i = 0; i < host.len; i++) {
        char ch = host.ptr[i];
        if (ch == '%') {
            /* Only bytes outside ASCII may be escaped in a host, and the percent sign of a zone. */
            if (cm_hex_digit(host.ptr[i + 1]) < 8 &&
                !cm_str_eq(cm_str_sub(host, i, 3), CM_STR("%25")))
                return refuse_escape(c, host, i, why);
            i += 2;
        } else if (!(ch & 0x80) && !is_unreserved(ch) && !strchr("!$&'()*+,;=:[]<>\"", ch)) {
            struct cm_str quoted = call_quote(c, cm_str_sub(host, i, 1));
            *why =
                cm_arena_fmt(c->arena, "invalid character %.*s in host name", CM_STR_ARG(quoted));
            return false;
        }
    }
    return true;
}

/* Takes the port off behind the last colon (behind the bracket of an IPv6 address). */
static bool split_port(struct call *c, struct cm_str host, struct cm_str *ret_port,
                       struct cm_str *why)
{
    size_t from = 0;
    if (host.len && host.ptr[0] == '[') {
        ptrdiff_t close = cm_str_find_last(host, ']');
        if (close < 0) {
            *why = CM_STR("missing ']' in host");
            return false;
        }
        from = (size_t)close + 1;
    } else {
        ptrdiff_t colon = cm_str_find_last(host, ':');
        from = colon < 0 ? host.len : (size_t)colon;
    }
    struct cm_str rest = cm_str_sub(host, from, host.len);
    bool ok = rest.len == 0 || rest.ptr[0] == ':';
    for (size_t i = 1; ok && i < rest.len; i++)
        ok = is_digit(rest.ptr[i]);
    if (!ok) {
        struct cm_str quoted = call_quote(c, rest);
        *why = cm_arena_fmt(c->arena, "invalid port %.*s after host", CM_STR_ARG(quoted));
        return false;
    }
    *ret_port = cm_str_sub(rest, 1, rest.len);
    return true;
}

static bool userinfo_is_valid(struct call *c, struct cm_str s, struct cm_str *why)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_unreserved(s.ptr[i]) && !strchr(":!$&'()*+,;=%@", s.ptr[i])) {
            *why = CM_STR("net/url: invalid userinfo");
            return false;
        }
    }
    return escapes_are_valid(c, s, why);
}

static bool parse_authority(struct call *c, struct cm_str authority, struct gourl *u,
                            struct cm_str *why)
{
    ptrdiff_t at = cm_str_find_last(authority, '@');
    u->has_authority = true;
    if (at >= 0)
        u->userinfo = cm_str_sub(authority, 0, (size_t)at);
    u->host = cm_str_sub(authority, (size_t)(at + 1), authority.len);
    return split_port(c, u->host, &u->port, why) && host_is_valid(c, u->host, why) &&
           userinfo_is_valid(c, u->userinfo, why);
}

/* Splits "scheme:rest". A text that cannot start with a scheme has none; a colon in front is an
 * error. */
static bool split_scheme(struct call *c, struct cm_str text, struct gourl *u, struct cm_str *rest,
                         struct cm_str *why)
{
    *rest = text;
    for (size_t i = 0; i < text.len; i++) {
        char ch = text.ptr[i];
        if (is_alpha(ch) || (i > 0 && (is_digit(ch) || ch == '+' || ch == '-' || ch == '.')))
            continue;
        if (ch != ':')
            return true;
        if (i == 0) {
            *why = CM_STR("missing protocol scheme");
            return false;
        }
        char *lower = cm_arena_cstr(c->arena, cm_str_sub(text, 0, i));
        for (char *p = lower; *p; p++) {
            if (*p >= 'A' && *p <= 'Z')
                *p = (char)(*p - 'A' + 'a');
        }
        u->scheme = cm_str(lower);
        *rest = cm_str_sub(text, i + 1, text.len);
        return true;
    }
    return true;
}

static bool has_control(struct cm_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return true;
    return false;
}

/* Cuts off what follows the first sep; true when there is one. */
static bool cut(struct cm_str *s, char sep, struct cm_str *behind)
{
    ptrdiff_t at = cm_str_find(*s, sep);
    if (at < 0)
        return false;
    *behind = cm_str_sub(*s, (size_t)at + 1, s->len);
    *s = cm_str_sub(*s, 0, (size_t)at);
    return true;
}

bool gourl_parse(struct call *c, struct cm_str text, struct gourl *ret, struct cm_str *ret_why)
{
    struct gourl u = {.scheme = CM_STR("")};
    struct cm_str rest = text;
    u.has_fragment = cut(&rest, '#', &u.fragment);
    if (has_control(rest)) {
        *ret_why = CM_STR("net/url: invalid control character in URL");
        return false;
    }
    if (!split_scheme(c, rest, &u, &rest, ret_why))
        return false;
    u.has_query = cut(&rest, '?', &u.query);
    bool rooted = rest.len && rest.ptr[0] == '/';
    if (!rooted && u.scheme.len) {
        u.opaque = rest;
        rest = CM_STR("");
    } else if (!rooted && cm_str_find(rest, ':') >= 0) {
        struct cm_str segment = rest, behind;
        cut(&segment, '/', &behind);
        if (cm_str_find(segment, ':') >= 0) {
            *ret_why = CM_STR("first path segment in URL cannot contain colon");
            return false;
        }
    }
    if (cm_str_starts(rest, CM_STR("//")) &&
        (u.scheme.len || !cm_str_starts(rest, CM_STR("///")))) {
        struct cm_str authority = cm_str_sub(rest, 2, rest.len);
        ptrdiff_t slash = cm_str_find(authority, '/');
        rest = slash < 0 ? CM_STR("") : cm_str_sub(authority, (size_t)slash, authority.len);
        if (slash >= 0)
            authority = cm_str_sub(authority, 0, (size_t)slash);
        if (!parse_authority(c, authority, &u, ret_why))
            return false;
    }
    if (!escapes_are_valid(c, rest, ret_why) || !escapes_are_valid(c, u.fragment, ret_why))
        return false;
    u.path = rest;
    *ret = u;
    return true;
}

/* A path that is well encoded stays as written; any other is decoded and encoded anew. */
static void put_path(struct cm_buf *out, struct cm_str path)
{
    bool valid = true;
    for (size_t i = 0; valid && i < path.len; i++)
        valid = is_unreserved(path.ptr[i]) || strchr("!$&'()*+,;=:@[]%/", path.ptr[i]);
    if (valid) {
        cm_buf_str(out, path);
        return;
    }
    CM_AUTOBUF struct cm_buf plain = CM_BUF_INIT(path.len);
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] == '%') {
            cm_buf_char(&plain,
                        (char)(cm_hex_digit(path.ptr[i + 1]) << 4 | cm_hex_digit(path.ptr[i + 2])));
            i += 2;
        } else {
            cm_buf_char(&plain, path.ptr[i]);
        }
    }
    cm_percent_encode(out, cm_buf_view(&plain), "$&+,/:;=@");
}

static void put_site(struct cm_buf *out, const struct gourl *u)
{
    if (u->scheme.len) {
        cm_buf_str(out, u->scheme);
        cm_buf_char(out, ':');
    }
    if (u->has_authority) {
        cm_buf_cstr(out, "//");
        if (u->userinfo.len) {
            cm_buf_str(out, u->userinfo);
            cm_buf_char(out, '@');
        }
        cm_buf_str(out, u->host);
    }
}

static struct cm_str finish(struct call *c, struct cm_buf *b)
{
    struct cm_str s = cm_arena_str(c->arena, cm_buf_view(b));
    cm_buf_done(b);
    return s;
}

static size_t room_for(const struct gourl *u)
{
    return 16 + u->scheme.len + u->opaque.len + u->userinfo.len + u->host.len + 3 * u->path.len +
           u->query.len + u->fragment.len;
}

struct cm_str gourl_format(struct call *c, const struct gourl *u)
{
    struct cm_buf b = CM_BUF_INIT(room_for(u));
    put_site(&b, u);
    cm_buf_str(&b, u->opaque);
    put_path(&b, u->path);
    if (u->has_query) {
        cm_buf_char(&b, '?');
        cm_buf_str(&b, u->query);
    }
    if (u->fragment.len) {
        cm_buf_char(&b, '#');
        cm_buf_str(&b, u->fragment);
    }
    return finish(c, &b);
}

struct cm_str gourl_root(struct call *c, const struct gourl *u)
{
    struct cm_buf b = CM_BUF_INIT(room_for(u));
    put_site(&b, u);
    cm_buf_char(&b, '/');
    return finish(c, &b);
}
