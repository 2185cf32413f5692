/* HTTP/1.1 messages as the server hands them to its application. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define CM_HTTP_METHODS(X) X(GET) X(HEAD) X(POST) X(PUT) X(PATCH) X(DELETE) X(OPTIONS)

enum cm_http_method {
    CM_HTTP_OTHER, /* well-formed, but none of the following */
#define CM_HTTP_METHOD_ENUM(name) CM_HTTP_##name,
    CM_HTTP_METHODS(CM_HTTP_METHOD_ENUM)
#undef CM_HTTP_METHOD_ENUM
};

struct cm_http_header {
    struct cm_str name, value;
};

/* Limits that hold for every request, whatever its route. */
#define CM_HTTP_HEAD_MAX    ((size_t)64 * 1024)
#define CM_HTTP_HEADERS_MAX 100

struct cm_http_head {
    enum cm_http_method method;
    struct cm_str method_text;
    struct cm_str target; /* as sent */
    struct cm_str path;   /* target without query; not decoded */
    struct cm_str query;  /* after '?', not decoded */
    struct cm_http_header *headers;
    size_t n_headers;
    struct cm_str host;
    bool http10;
    bool keep_alive;
    bool upgrade; /* Connection: upgrade and an Upgrade header, without a body */
    bool has_body;
    uint64_t content_length; /* UINT64_MAX when chunked */
};

/* The first header of that name (any case), or CM_STR_NONE with ptr NULL. */
struct cm_str cm_http_header(const struct cm_http_head *h, const char *name);
/* The last one, which is what the nearest of several proxies has added. */
struct cm_str cm_http_header_last(const struct cm_http_head *h, const char *name);
/* Whether a comma-separated header has that token (any case). */
bool cm_http_header_has(const struct cm_http_head *h, const char *name, const char *token);
/* The first query parameter of that name, decoded into the arena; ptr NULL when absent or broken.
 */
struct cm_str cm_http_query(const struct cm_http_head *h, struct cm_arena *a, const char *name);
bool cm_http_query_has(const struct cm_http_head *h, const char *name);
/* The named cookie, not decoded; ptr NULL when absent. */
struct cm_str cm_http_cookie(const struct cm_http_head *h, const char *name);

enum cm_http_range {
    CM_HTTP_WHOLE,   /* no Range, several, or one that is not understood: send all */
    CM_HTTP_PART,    /* *from and *n, which is not 0 */
    CM_HTTP_OUTSIDE, /* nothing of it is there: 416 */
};
/* What of len bytes the client wants; etag is that of the bytes (NULL: none), for If-Range. */
enum cm_http_range cm_http_range(const struct cm_http_head *h, const char *etag, size_t len,
                                 size_t *from, size_t *n);

/* Parses one complete head (through its empty line). Refuses what lenient parsers let through and
 * request smuggling lives on: bare LF, folded lines, a space before the colon, no or two Host
 * headers, Transfer-Encoding in HTTP/1.0, control bytes. Everything lands in the arena. CM_INVALID
 * with a sentence for the client. */
enum cm_code cm_http_head_parse(struct cm_arena *a, struct cm_str text, struct cm_http_head *ret,
                                struct cm_err *err);

const char *cm_http_reason(int status);
