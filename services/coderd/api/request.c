#include "api/request.h"

#include <stdarg.h>
#include <stdatomic.h>

#include "api/errors.h"
#include "app.h"

const char API_NOT_FOUND[] = "Resource not found or you do not have access to this resource";

#define REPLY_MAX ((size_t)64 * 1024 * 1024)
static const char JSON_TYPE[] = "application/json; charset=utf-8";

static void take_body(struct api_req *r, int status, struct cm_buf *b)
{
    cm_buf_char(b, '\n');
    cm_assert(!b->failed);
    size_t len = b->len;
    char *text = cm_buf_take(b);
    cm_arena_defer(r->arena, cm_free, text);
    r->reply.status = status;
    r->reply.content_type = JSON_TYPE;
    r->reply.body = cm_str_n(text, len);
}

enum cm_code api_reply(struct api_req *r, int status, const struct cm_message *msg,
                       const void *value)
{
    struct cm_buf b = CM_BUF_INIT(REPLY_MAX);
    cm_json_encode(&b, msg, value);
    take_body(r, status, &b);
    return CM_OK;
}

enum cm_code api_reply_list(struct api_req *r, int status, const struct cm_message *msg,
                            const void *values, size_t n)
{
    struct cm_buf b = CM_BUF_INIT(REPLY_MAX);
    cm_json_encode_list(&b, msg, values, n);
    take_body(r, status, &b);
    return CM_OK;
}

enum cm_code api_reply_message(struct api_req *r, int status, const char *message,
                               const char *detail)
{
    struct api_response resp = {.message = cm_str(message), .detail = cm_str(detail)};
    struct api_validation_error *v =
        CM_NEW_ARRAY(r->arena, struct api_validation_error, r->violations.n);
    for (size_t i = 0; i < r->violations.n; i++) {
        v[i].field = r->violations.v[i].field;
        v[i].detail = r->violations.v[i].detail;
    }
    resp.validations = v;
    resp.n_validations = r->violations.n;
    return api_reply(r, status, &api_response_msg, &resp);
}

bool api_may_log_unavailable(struct coderd *app)
{
    cm_usec now = cm_monotonic_now(), next = app->unavailable_log_at;
    return now >= next &&
           atomic_compare_exchange_strong(&app->unavailable_log_at, &next, now + CM_SECOND);
}

enum cm_code api_reply_none(struct api_req *r, int status)
{
    r->reply.status = status;
    r->reply.content_type = NULL;
    r->reply.body = CM_STR_NONE;
    return CM_OK;
}

enum cm_code api_reply_raw(struct api_req *r, int status, const char *content_type,
                           struct cm_str body)
{
    r->reply.status = status;
    r->reply.content_type = content_type;
    r->reply.body = body;
    return CM_OK;
}

void api_reply_header(struct api_req *r, const char *name, struct cm_str value)
{
    cm_assert(r->reply.n_headers < API_REPLY_HEADERS_MAX);
    r->reply.headers[r->reply.n_headers++] = (struct cm_http_header){cm_str(name), value};
}

enum cm_code api_reply_invalid(struct api_req *r, const char *message, const char *field,
                               const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *detail = cm_arena_vprintf(r->arena, fmt, ap);
    va_end(ap);
    cm_violations_add(&r->violations, r->arena, cm_str(field), "%s", detail);
    return api_reply_message(r, 400, message, NULL);
}

enum cm_code api_param_uuid(struct api_req *r, size_t i, struct cm_uuid *ret, struct cm_err *err)
{
    if (!cm_uuid_parse(r->params[i], ret))
        return cm_err_set(err, CM_INVALID, "Invalid UUID \"%.*s\".",
                          (int)CM_MIN(r->params[i].len, (size_t)64), r->params[i].ptr);
    return CM_OK;
}

struct cm_str api_query(struct api_req *r, const char *name)
{
    return cm_http_query(&r->http->head, r->arena, name);
}

bool api_query_has(struct api_req *r, const char *name)
{
    return cm_http_query_has(&r->http->head, name);
}

void api_query_i64(struct api_req *r, const char *name, int64_t min, int64_t max, int64_t *ret)
{
    struct cm_str text = api_query(r, name);
    int64_t v;
    if (!text.len)
        return;
    if (!cm_str_to_i64(text, &v) || v < min || v > max)
        cm_violations_add(&r->violations, r->arena, cm_str(name),
                          "must be a number from %lld to %lld", (long long)min, (long long)max);
    else
        *ret = v;
}

void api_query_uuid(struct api_req *r, const char *name, struct cm_uuid *ret)
{
    struct cm_str text = api_query(r, name);
    if (text.len && !cm_uuid_parse(text, ret))
        cm_violations_add(&r->violations, r->arena, cm_str(name), "must be a UUID");
}

static bool is_named(struct cm_str name, const char *const *names)
{
    for (size_t i = 0; names[i]; i++) {
        if (cm_str_eq_c(name, names[i]))
            return true;
    }
    return false;
}

void api_query_only(struct api_req *r, const char *const *names)
{
    static const char *const carriers[] = {"coder_session_token", "access_token", NULL};
    struct cm_str rest = r->http->head.query, pair, name;
    while (rest.len) {
        rest = cm_str_split(rest, '&', &pair);
        cm_str_split(pair, '=', &name);
        if (name.len && cm_str_is_utf8(name) && !is_named(name, names) && !is_named(name, carriers))
            cm_violations_add(&r->violations, r->arena, cm_str_sub(name, 0, 64),
                              "is no query parameter of this list");
    }
}

enum cm_code api_query_check(struct api_req *r, struct cm_err *err)
{
    if (r->failure) {
        *err = *r->failure;
        return err->code;
    }
    if (r->violations.n)
        return cm_err_set(err, CM_INVALID, "Query parameters have invalid values.");
    return CM_OK;
}
