#include "net/dial/url.h"

#include <http_parser.h>

#define URL_MAX ((size_t)8 << 10)

static struct cm_str part(struct cm_str text, const struct http_parser_url *u,
                          enum http_parser_url_fields f)
{
    if (!(u->field_set & 1 << f))
        return CM_STR_NONE;
    return cm_str_sub(text, u->field_data[f].off, u->field_data[f].len);
}

enum cm_code cm_url_parse(struct cm_arena *a, struct cm_str text, struct cm_url *ret,
                          struct cm_err *err)
{
    struct http_parser_url u;
    struct cm_url url = {.tls = false};

    if (text.len > URL_MAX)
        return cm_err_set(err, CM_INVALID, "a URL may have %zu bytes at most", URL_MAX);
    http_parser_url_init(&u);
    if (http_parser_parse_url(text.ptr, text.len, 0, &u) != 0 || !(u.field_set & 1 << UF_HOST))
        return cm_err_set(err, CM_INVALID,
                          "\"%.*s\" is not a URL of the form https://host:port/path",
                          (int)CM_MIN(text.len, (size_t)200), text.ptr);
    if (u.field_set & 1 << UF_USERINFO)
        return cm_err_set(err, CM_INVALID,
                          "a URL with a user name or password in it cannot be used");
    struct cm_str scheme = part(text, &u, UF_SCHEMA);
    if (cm_str_eq_nocase(scheme, CM_STR("https")) || cm_str_eq_nocase(scheme, CM_STR("wss")))
        url.tls = true;
    else if (!cm_str_eq_nocase(scheme, CM_STR("http")) && !cm_str_eq_nocase(scheme, CM_STR("ws")))
        return cm_err_set(err, CM_INVALID, "URLs must begin with http:// or https://, not %.*s://",
                          CM_STR_ARG(scheme));
    struct cm_str host = part(text, &u, UF_HOST);
    url.host = cm_arena_cstr(a, host);
    url.port = u.field_set & 1 << UF_PORT ? u.port : 0;
    if (u.field_set & 1 << UF_PORT && url.port == 0)
        return cm_err_set(err, CM_INVALID, "port 0 cannot be used in a URL");
    url.default_port = url.port == 0 || url.port == (url.tls ? 443 : 80);
    if (!url.port)
        url.port = url.tls ? 443 : 80;
    bool v6 = cm_str_find(host, ':') >= 0;
    url.authority = cm_arena_fmt(a, "%s%.*s%s", v6 ? "[" : "", CM_STR_ARG(host), v6 ? "]" : "");
    if (!url.default_port)
        url.authority = cm_arena_fmt(a, "%.*s:%u", CM_STR_ARG(url.authority), url.port);
    struct cm_str path = part(text, &u, UF_PATH), query = part(text, &u, UF_QUERY);
    url.path = cm_arena_str(a, path);
    url.target = cm_arena_fmt(a, "%.*s%s%.*s", CM_STR_ARG(path.len ? path : CM_STR("/")),
                              query.len ? "?" : "", CM_STR_ARG(query));
    url.origin = cm_arena_fmt(a, "%.*s://%.*s", CM_STR_ARG(scheme), CM_STR_ARG(url.authority));
    *ret = url;
    return CM_OK;
}
