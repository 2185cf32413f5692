#include "sdk/sdk.h"

#include <stdio.h>

#include "api/errors.h"
#include "base/enc.h"
#include "base/secret.h"
#include "net/dial/url.h"

#define BODY_MAX    ((size_t)64 << 20)
#define HEADERS_MAX 48

struct cm_sdk {
    struct cm_arena *arena;
    struct cm_loop *loop;
    struct cm_dialer *dialer;
    struct cm_httpc *http;
    char *url, *token;
    const char *user_agent;
    struct cm_httpc_header *headers;
    size_t n_headers;
    cm_usec timeout;
    void (*on_answer)(void *ctx, const struct cm_httpc_answer *answer);
    void *ctx;
    struct cm_arena *refusal_arena; /* NULL: the last call was not refused */
    struct cm_sdk_refusal refusal;
};

enum cm_code cm_sdk_new(const struct cm_sdk_config *cfg, struct cm_sdk **ret, struct cm_err *err)
{
    CM_AUTO(cm_sdk) s = cm_xcalloc(1, sizeof(*s));
    struct cm_url url;

    s->arena = cm_arena_new();
    if (cm_url_parse(s->arena, cm_str(cfg->url), &url, err) != CM_OK)
        return err ? err->code : CM_INVALID;
    struct cm_str text = cm_str(cfg->url);
    while (text.len && text.ptr[text.len - 1] == '/')
        text.len--;
    s->url = cm_str_xdup(text);
    if (cfg->n_headers > HEADERS_MAX - 8)
        return cm_err_set(err, CM_INVALID, "at most %d additional headers can be sent",
                          HEADERS_MAX - 8);
    s->headers = CM_NEW_ARRAY(s->arena, struct cm_httpc_header, cfg->n_headers + 1);
    s->n_headers = cfg->n_headers;
    for (size_t i = 0; i < cfg->n_headers; i++) {
        s->headers[i].name = cm_arena_str(s->arena, cfg->headers[i].name);
        s->headers[i].value = cm_arena_str(s->arena, cfg->headers[i].value);
    }
    s->user_agent = cm_arena_cstr(s->arena, cm_str(cfg->user_agent ? cfg->user_agent : "coder"));
    s->timeout = cfg->timeout ? cfg->timeout : CM_MINUTE;
    s->on_answer = cfg->on_answer;
    s->ctx = cfg->ctx;
    cm_sdk_set_token(s, cfg->token);
    if (cm_dialer_new(&cfg->dialer, &s->dialer, err) != CM_OK)
        return err ? err->code : CM_INVALID;
    s->loop = cm_loop_new();
    s->http = cm_httpc_new(s->loop, s->dialer);
    *ret = CM_TAKE(s);
    return CM_OK;
}

void cm_sdk_free(struct cm_sdk *s)
{
    if (!s)
        return;
    cm_sdk_set_token(s, NULL);
    cm_httpc_free(s->http);
    cm_loop_free(s->loop);
    cm_dialer_free(s->dialer);
    cm_arena_free(s->refusal_arena);
    cm_arena_free(s->arena);
    cm_free(s->url);
    cm_free(s);
}

const char *cm_sdk_url(const struct cm_sdk *s)
{
    return s->url;
}

void cm_sdk_set_token(struct cm_sdk *s, const char *token)
{
    if (s->token)
        cm_secret_wipe(s->token, strlen(s->token));
    cm_free(s->token);
    s->token = token && *token ? cm_xstrdup(token) : NULL;
}

struct cm_loop *cm_sdk_loop(struct cm_sdk *s)
{
    return s->loop;
}

struct cm_httpc *cm_sdk_http(struct cm_sdk *s)
{
    return s->http;
}

void cm_sdk_request(const struct cm_sdk *s, struct cm_arena *a, const char *path,
                    struct cm_httpc_req *ret)
{
    struct cm_httpc_header *h = CM_NEW_ARRAY(a, struct cm_httpc_header, s->n_headers + 8);
    size_t n = 0;

    *ret =
        (struct cm_httpc_req){.url = cm_arena_fmt(a, "%s%s", s->url, path), .timeout = s->timeout};
    for (; n < s->n_headers; n++)
        h[n] = s->headers[n];
    h[n++] = (struct cm_httpc_header){CM_STR("User-Agent"), cm_str(s->user_agent)};
    if (s->token)
        h[n++] = (struct cm_httpc_header){CM_STR("Coder-Session-Token"), cm_str(s->token)};
    ret->headers = h; /* with room for the content type and Accept */
    ret->n_headers = n;
}

const struct cm_sdk_refusal *cm_sdk_refusal(const struct cm_sdk *s)
{
    return s->refusal_arena ? &s->refusal : NULL;
}

const char *cm_sdk_part(struct cm_arena *a, struct cm_str s)
{
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(4 * s.len + 1);
    cm_percent_encode(&out, s, "");
    return cm_arena_cstr(a, cm_buf_view(&out));
}

static enum cm_code code_of(int status)
{
    switch (status) {
    case 400:
        return CM_INVALID;
    case 401:
        return CM_UNAUTHENTICATED;
    case 403:
        return CM_DENIED;
    case 404:
        return CM_NOT_FOUND;
    case 409:
        return CM_CONFLICT;
    case 410:
        return CM_GONE;
    case 412:
        return CM_PRECONDITION;
    case 413:
        return CM_TOO_LARGE;
    case 425:
        return CM_TOO_EARLY;
    case 429:
        return CM_RATE_LIMITED;
    case 501:
        return CM_UNIMPLEMENTED;
    case 502:
    case 503:
    case 504:
        return CM_UNAVAILABLE;
    default:
        return status >= 500 ? CM_INTERNAL : CM_PROTOCOL;
    }
}

static void forget_refusal(struct cm_sdk *s)
{
    cm_arena_free(CM_TAKE(s->refusal_arena));
}

static enum cm_code refuse(struct cm_sdk *s, const char *method, struct cm_str url,
                           const struct cm_httpc_answer *answer, struct cm_err *err)
{
    struct cm_arena *a = s->refusal_arena = cm_arena_new();
    struct cm_sdk_refusal *r = &s->refusal;
    struct api_response *body = NULL;
    struct cm_str without_query;

    cm_str_split(url, '?', &without_query);
    *r = (struct cm_sdk_refusal){.status = answer->status,
                                 .method = cm_arena_cstr(a, cm_str(method)),
                                 .url = cm_arena_cstr(a, without_query),
                                 .detail = "",
                                 .helper = ""};
    if (cm_json_decode_answer(&api_response_msg, a, answer->body, (void **)&body, NULL) == CM_OK &&
        body && body->message.len) {
        r->message = cm_arena_cstr(a, body->message);
        r->detail = cm_arena_cstr(a, body->detail);
        struct cm_violation *v = CM_NEW_ARRAY(a, struct cm_violation, body->n_validations + 1);
        for (size_t i = 0; i < body->n_validations; i++)
            v[i] = (struct cm_violation){body->validations[i].field, body->validations[i].detail};
        r->validations = v;
        r->n_validations = body->n_validations;
    } else if (answer->body.len && cm_str_is_utf8(answer->body)) {
        r->message = cm_arena_cstr(a, cm_str_trim(cm_str_sub(answer->body, 0, 1024)));
    } else {
        r->message = cm_arena_cstr(a, answer->reason);
    }
    if (answer->status == 401)
        r->helper = "Try logging in using 'coder login'.";
    struct cm_str location = cm_httpc_header(answer, "Location");
    if (answer->status / 100 == 3 && location.len)
        r->message =
            cm_arena_printf(a, "the server redirects to %.*s: use that URL", CM_STR_ARG(location));
    r->line = cm_arena_printf(a, "%s %s: unexpected status code %d: %.200s", r->method, r->url,
                              r->status, r->message);
    return cm_err_set(err, code_of(answer->status), "%s", r->line);
}

static enum cm_code exchange(struct cm_sdk *s, struct cm_httpc_req *req,
                             struct cm_httpc_answer **ret, struct cm_err *err)
{
    CM_AUTO(cm_httpc_answer) answer = NULL;

    forget_refusal(s);
    req->max_body = BODY_MAX;
    if (cm_httpc_do(s->http, req, &answer, err) != CM_OK)
        return err ? err->code : CM_UNAVAILABLE;
    if (s->on_answer)
        s->on_answer(s->ctx, answer);
    if (answer->status / 100 != 2 && answer->status != 304)
        return refuse(s, req->method ? req->method : "GET", req->url, answer, err);
    *ret = CM_TAKE(answer);
    return CM_OK;
}

static void add_header(struct cm_httpc_req *req, struct cm_str name, const char *value)
{
    /* cm_sdk_request has left room, and the array is ours. */
    struct cm_httpc_header *h = (struct cm_httpc_header *)(uintptr_t)req->headers;
    h[req->n_headers++] = (struct cm_httpc_header){name, cm_str(value)};
}

struct call {
    const char *method, *content_type;
    const struct cm_message *in;
    const void *body;
    const struct cm_str *raw;
    const struct cm_message *out;
    bool list;
    void *ret; /* of the type that out and list ask for */
    size_t *ret_n;
    struct cm_str *ret_raw;
};

static enum cm_code run(struct cm_sdk *s, struct cm_arena *a, const struct call *c,
                        struct cm_err *err, const char *path)
{
    CM_AUTO(cm_httpc_answer) answer = NULL;
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(BODY_MAX);
    struct cm_httpc_req req;
    struct cm_err mine;
    enum cm_code code = CM_OK;

    if (!err)
        err = &mine;
    text.wipe = true; /* passwords and tokens pass through here */
    cm_sdk_request(s, a, path, &req);
    req.method = c->method;
    add_header(&req, CM_STR("Accept"), "application/json");
    if (c->in) {
        cm_json_encode(&text, c->in, c->body);
        if (cm_buf_check(&text, "the request", err) != CM_OK)
            return err->code;
        req.body = cm_buf_view(&text);
        req.has_body = true;
        add_header(&req, CM_STR("Content-Type"), "application/json");
    } else if (c->raw) {
        req.body = *c->raw;
        req.has_body = true;
        add_header(&req, CM_STR("Content-Type"), c->content_type);
    }
    if (exchange(s, &req, &answer, err) != CM_OK)
        return err->code;
    if (c->ret_raw)
        *c->ret_raw = cm_arena_str(a, answer->body);
    if (c->out && answer->status != 204 && answer->status != 304) {
        code = c->list ? cm_json_decode_answer_list(c->out, a, answer->body, c->ret, c->ret_n, err)
                       : cm_json_decode_answer(c->out, a, answer->body, c->ret, err);
        if (code != CM_OK)
            cm_err_wrap(err, "%s %.*s: the answer is not what was expected", req.method,
                        CM_STR_ARG(req.url));
    }
    return code;
}

#define FORMAT_PATH(path_)                                                                         \
    do {                                                                                           \
        va_list ap;                                                                                \
        va_start(ap, path);                                                                        \
        (path_) = cm_arena_vprintf(a, path, ap);                                                   \
        va_end(ap);                                                                                \
    } while (0)

enum cm_code cm_sdk_get(struct cm_sdk *s, struct cm_arena *a, const struct cm_message *out,
                        void *ret, struct cm_err *err, const char *path, ...)
{
    struct call c = {.method = "GET", .out = out, .ret = ret};
    char *full;
    FORMAT_PATH(full);
    return run(s, a, &c, err, full);
}

enum cm_code cm_sdk_get_list(struct cm_sdk *s, struct cm_arena *a, const struct cm_message *out,
                             void *ret, size_t *ret_n, struct cm_err *err, const char *path, ...)
{
    struct call c = {.method = "GET", .out = out, .list = true, .ret = ret, .ret_n = ret_n};
    char *full;
    FORMAT_PATH(full);
    return run(s, a, &c, err, full);
}

enum cm_code cm_sdk_send(struct cm_sdk *s, struct cm_arena *a, const char *method,
                         const struct cm_message *in, const void *body,
                         const struct cm_message *out, void *ret, struct cm_err *err,
                         const char *path, ...)
{
    struct call c = {.method = method, .in = in, .body = body, .out = out, .ret = ret};
    char *full;
    FORMAT_PATH(full);
    return run(s, a, &c, err, full);
}

enum cm_code cm_sdk_raw(struct cm_sdk *s, struct cm_arena *a, const char *method,
                        const char *content_type, const struct cm_str *body, struct cm_str *ret,
                        struct cm_err *err, const char *path, ...)
{
    struct call c = {.method = method, .content_type = content_type, .raw = body, .ret_raw = ret};
    char *full;
    FORMAT_PATH(full);
    return run(s, a, &c, err, full);
}
