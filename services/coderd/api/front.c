#include "api/front.h"

#include <stdio.h>

#include "api/auth.h"
#include "api/ratelimit.h"
#include "app.h"
#include "base/enc.h"
#include "base/secret.h"
#include "base/version.h"
#include "obs/log.h"
#include "options.h"
#include "site/site.h"

/* How many requests one round trip to the database may authenticate together (see pool.h,
 * cm_pool_take_more). */
#define BATCH_MAX 16
/* Of bodies over this, no byte is taken before it is known who sends them. */
#define BODY_OF_STRANGERS ((uint64_t)64 * 1024)

static const char INTERNAL_TEXT[] = "An internal server error occurred.";

static void add_header(struct cm_http_header *h, size_t *n, const char *name, struct cm_str value)
{
    h[(*n)++] = (struct cm_http_header){cm_str(name), value};
}

static void answer(struct api_req *r)
{
    struct cm_http_header h[API_REPLY_HEADERS_MAX + 2];
    size_t n = 0;
    add_header(h, &n, "X-Coder-Build-Version", cm_str(CM_VERSION));
    add_header(h, &n, "X-Content-Type-Options", CM_STR("nosniff"));
    for (size_t i = 0; i < r->reply.n_headers; i++)
        h[n++] = r->reply.headers[i];
    cm_http_respond(r->http, &(struct cm_http_resp){.status = r->reply.status,
                                                    .content_type = r->reply.content_type,
                                                    .headers = h,
                                                    .n_headers = n,
                                                    .body = r->reply.body});
}

/* An error becomes the answer here and nowhere else; what is our own fault is logged with its
 * cause. */
static void reply_error(struct api_req *r, const struct cm_err *err)
{
    int status = cm_code_http_status(err->code);
    r->reply = (struct api_reply){0};
    if (err->code == CM_UNAVAILABLE || err->code == CM_TIMEOUT) {
        if (api_may_log_unavailable(r->app))
            CM_WARN("request failed for now", CM_F_STR(method, r->http->head.method_text),
                    CM_F_STR(path, r->http->head.path), CM_F_ERR(err));
    } else if (status >= 500 && err->code != CM_UNIMPLEMENTED) {
        CM_ERROR("request failed", CM_F_STR(method, r->http->head.method_text),
                 CM_F_STR(path, r->http->head.path), CM_F_UUID(request_id, r->request_id),
                 CM_F_ERR(err));
        r->violations.n = 0;
        api_reply_message(r, status, INTERNAL_TEXT, err->text);
        return;
    }
    api_reply_message(r, status, err->text, err->code == r->detail.code ? r->detail.text : NULL);
}

static void run_handler(struct worker *w, struct api_req *r)
{
    struct cm_err err;
    r->db = w->db;
    if (r->route->body) {
        enum cm_code code = cm_json_decode(r->route->body, r->arena, r->http->body,
                                           (void **)(uintptr_t)&r->body, &r->violations, &err);
        if (code == CM_INVALID && r->violations.n == 0) {
            api_reply_message(r, 400, "Request body must be valid JSON.", err.text);
            return;
        }
        if (code == CM_INVALID) {
            api_reply_message(r, 400, "Validation failed.", NULL);
            return;
        }
        if (code != CM_OK) {
            reply_error(r, &err);
            return;
        }
    }
    if (r->route->handler(r, &err) != CM_OK) {
        reply_error(r, &err);
        return;
    }
    bool success = r->start || r->reply.status < 400;
    if (success && r->route->rule.kind == RULE_OBJECT && !r->authorized) {
        /* A handler that forgot to ask must not leak: fail closed, loudly. */
        cm_err_set(&err, CM_INTERNAL, "the handler of %s did not check its rule", r->route->path);
        r->start = NULL;
        reply_error(r, &err);
    }
    cm_assert(r->start || r->reply.status);
}

static void run_one(struct worker *w, struct api_req *r)
{
    if (!r->reply.status && !r->admitted && !ratelimit_pass(r, cm_monotonic_now())) {
        r->db = NULL;
        return;
    }
    if (!r->reply.status)
        run_handler(w, r);
    r->db = NULL;
}

static void front_work(struct cm_task *t, void *thread_ctx)
{
    struct worker *w = thread_ctx;
    struct api_req *reqs[BATCH_MAX];
    struct cm_task *more[BATCH_MAX];
    size_t n = 1;
    reqs[0] = cm_container_of(t, struct api_req, task);
    if (reqs[0]->route->auth == AUTH_SESSION) {
        size_t extra = cm_pool_take_more(w->app->workers, t, more, BATCH_MAX - 1);
        for (size_t i = 0; i < extra; i++)
            reqs[n++] = cm_container_of(more[i], struct api_req, task);
    }
    auth_resolve(w, reqs, n);
    /* The pool finishes the first one when this returns, so it comes last. */
    for (size_t i = n; i-- > 0;) {
        run_one(w, reqs[i]);
        if (i)
            cm_pool_finish(&reqs[i]->task);
    }
}

static void front_done(struct cm_task *t)
{
    struct api_req *r = cm_container_of(t, struct api_req, task);
    if (r->start && !r->http->conn) {
        /* The client left while we worked. Streams check for that themselves, as their start would
         * only end again. */
        r->start(r);
        return;
    }
    if (r->start)
        r->start(r);
    else
        answer(r);
}

/* ---- a large body waits for this ---- */

static void admit_work(struct cm_task *t, void *thread_ctx)
{
    struct api_req *r = cm_container_of(t, struct api_req, task);
    auth_resolve(thread_ctx, &r, 1);
    r->admitted = !r->reply.status && ratelimit_pass(r, cm_monotonic_now());
}

static void admit_done(struct cm_task *t)
{
    struct api_req *r = cm_container_of(t, struct api_req, task);
    if (r->admitted)
        cm_http_body_go(r->http);
    else
        answer(r);
}

static bool is_large(const struct cm_http_head *h)
{
    return h->has_body && h->content_length > BODY_OF_STRANGERS; /* also when it is chunked */
}

static void admit(struct api_req *r)
{
    struct cm_err err;
    r->http->hold = true;
    auth_read_token(r);
    r->task = (struct cm_task){.work = admit_work, .done = admit_done, .home = r->http->loop};
    if (cm_pool_submit(r->app->workers, &r->task, &err) != CM_OK) {
        reply_error(r, &err);
        answer(r);
    }
}

static bool decode_params(struct api_req *r, const struct route_match *m)
{
    for (size_t i = 0; i < m->n_params; i++) {
        CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(m->params[i].len + 1);
        if (!cm_percent_decode(&b, m->params[i], false) || !cm_str_is_utf8(cm_buf_view(&b)))
            return false;
        r->params[i] = cm_arena_str(r->arena, cm_buf_view(&b));
    }
    return true;
}

/* Text that no text of ours can be is refused; an escape that is broken leaves its parameter out.
 */
static bool query_ok(const struct cm_http_head *h)
{
    if (!h->query.len)
        return true;
    if (memmem(h->query.ptr, h->query.len, "%00", 3))
        return false;
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(h->query.len + 1);
    return !cm_percent_decode(&b, h->query, true) || cm_str_is_utf8(cm_buf_view(&b));
}

/* A WebSocket opened by a page of another site carries our cookie all the same: only same-origin
 * pages may. */
static bool origin_ok(const struct cm_http_head *h)
{
    struct cm_str origin = cm_http_header(h, "origin");
    if (!h->upgrade || !origin.ptr)
        return true;
    struct cm_str scheme;
    struct cm_str host = cm_str_split(origin, ':', &scheme);
    if (cm_str_starts(host, CM_STR("//")))
        host = cm_str_sub(host, 2, host.len);
    return cm_str_eq_nocase(host, h->host);
}

/* Double submit: a write that is authenticated by the cookie must also show the token that only our
 * own pages know. */
static bool csrf_ok(const struct api_req *r)
{
    const struct cm_http_head *h = &r->http->head;
    if (!r->token_in_cookie || h->method == CM_HTTP_GET)
        return true;
    /* Another site's page can neither set a header nor know the token for a query. */
    if (cm_secret_str_eq(cm_http_header(h, "coder-session-token"), r->token) ||
        cm_secret_str_eq(cm_http_query(h, r->arena, "coder_session_token"), r->token) ||
        cm_str_starts_nocase(cm_http_header(h, "authorization"), CM_STR("bearer ")))
        return true;
    struct cm_str cookie = cm_http_cookie(h, "csrf_token"),
                  header = cm_http_header(h, "x-csrf-token");
    return cookie.len >= 16 && cm_secret_str_eq(cookie, header);
}

static void refuse(struct api_req *r, int status, const char *text)
{
    api_reply_message(r, status, text, NULL);
    answer(r);
}

static void on_head(struct cm_http_req *http, void *ctx)
{
    struct coderd *app = ctx;
    struct api_req *r = CM_NEW(http->arena, struct api_req);
    r->app = app;
    r->http = http;
    r->arena = http->arena;
    r->request_id = cm_uuid_random();
    auth_client_ip(app, http, r->client_ip);
    http->app = r;
    struct route_match m;
    router_match(app->router, http->head.method, http->head.path, &m);
    if (!m.route) {
        if (site_serve(app->site, r))
            return;
        if (m.other_method) {
            api_reply_raw(r, 405, NULL, CM_STR_NONE);
            answer(r);
        } else {
            refuse(r, 404, "Route not found.");
        }
        return;
    }
    r->route = m.route;
    if (m.route->body_max)
        http->body_max = m.route->body_max;
    http->spool = m.route->spool;
    bool named = m.route->auth == AUTH_SESSION || m.route->auth == AUTH_AGENT;
    if (!named)
        http->body_max = CM_MIN(http->body_max, BODY_OF_STRANGERS);
    if (!decode_params(r, &m))
        refuse(r, 400, "The request path is not valid UTF-8 or holds a broken escape.");
    else if (!query_ok(&http->head))
        refuse(r, 400, "The query is not valid UTF-8, or holds a zero byte.");
    else if (!origin_ok(&http->head))
        refuse(r, 403, "WebSockets may be opened only by pages of this deployment.");
    else if (named && is_large(&http->head) &&
             (http->head.content_length == UINT64_MAX ||
              http->head.content_length <= http->body_max))
        admit(r);
}

static void on_request(struct cm_http_req *http, void *ctx)
{
    struct coderd *app = ctx;
    struct api_req *r = http->app;
    struct cm_err err;
    if (r->route->kind == ROUTE_LOOP) {
        if (r->route->handler(r, &err) != CM_OK)
            reply_error(r, &err);
        if (r->start)
            r->start(r);
        else
            answer(r);
        return;
    }
    if (r->route->auth != AUTH_NONE) {
        auth_read_token(r);
        if (!csrf_ok(r)) {
            api_reply_raw(r, 400, "text/plain; charset=utf-8",
                          CM_STR("Something is wrong with your CSRF token. Please refresh the "
                                 "page. If this error "
                                 "persists, try clearing your cookies.\n"));
            answer(r);
            return;
        }
    }
    r->task = (struct cm_task){.work = front_work, .done = front_done, .home = http->loop};
    if (cm_pool_submit(app->workers, &r->task, &err) != CM_OK) {
        reply_error(r, &err);
        answer(r);
    }
}

void api_front_answer(struct api_req *r)
{
    answer(r);
}

struct cm_http_app api_front(struct coderd *app)
{
    return (struct cm_http_app){.on_head = on_head, .on_request = on_request, .ctx = app};
}
