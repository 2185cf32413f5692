#include "net/dial/http_answer.h"

#define BODY_MAX_DEFAULT ((size_t)16 << 20)

static struct cm_httpc_reader *reader_of(http_parser *p)
{
    return p->data;
}

static int fail(struct cm_httpc_reader *r, enum cm_code code, const char *text)
{
    if (r->err.code == CM_OK)
        cm_err_set(&r->err, code, "%s", text);
    return -1;
}

static int keep(struct cm_httpc_reader *r, const char *at, size_t len)
{
    cm_buf_append(&r->head, at, len);
    return r->head.failed ? fail(r, CM_TOO_LARGE, "the answer's head is larger than 128 KiB") : 0;
}

static int on_status(http_parser *p, const char *at, size_t len)
{
    struct cm_httpc_reader *r = reader_of(p);
    r->reason_len += len;
    return keep(r, at, len);
}

static int on_field(http_parser *p, const char *at, size_t len)
{
    struct cm_httpc_reader *r = reader_of(p);
    if (r->in_value || !r->n_spans) {
        if (r->n_spans == CM_HTTPC_HEADERS_MAX)
            return fail(r, CM_TOO_LARGE, "the answer has more than 256 headers");
        r->spans[r->n_spans].name = r->head.len;
        r->spans[r->n_spans].name_len = 0;
        r->spans[r->n_spans].value_len = 0;
        r->n_spans++;
        r->in_value = false;
    }
    r->spans[r->n_spans - 1].name_len += len;
    return keep(r, at, len);
}

static int on_value(http_parser *p, const char *at, size_t len)
{
    struct cm_httpc_reader *r = reader_of(p);
    if (!r->n_spans)
        return fail(r, CM_PROTOCOL, "the answer's head is broken");
    if (!r->in_value)
        r->spans[r->n_spans - 1].value = r->head.len;
    r->in_value = true;
    r->spans[r->n_spans - 1].value_len += len;
    return keep(r, at, len);
}

static int on_head(http_parser *p)
{
    struct cm_httpc_reader *r = reader_of(p);
    struct cm_httpc_answer *a = r->answer;
    bool interim = p->status_code / 100 == 1 && p->status_code != 101;

    if (r->head_done)
        return fail(r, CM_PROTOCOL, "trailers are not understood");
    if (p->http_major != 1)
        return fail(r, CM_PROTOCOL, "the answer is not HTTP/1");
    if (p->status_code < 100 || p->status_code > 999) /* http-parser takes any number */
        return fail(r, CM_PROTOCOL, "the answer has no proper status");
    if (interim)
        return 1;
    r->head_done = true;
    a->status = (int)p->status_code;
    struct cm_str all = cm_arena_str(a->arena, cm_buf_view(&r->head));
    a->reason = cm_str_sub(all, 0, r->reason_len);
    a->headers = CM_NEW_ARRAY(a->arena, struct cm_httpc_header, r->n_spans ? r->n_spans : 1);
    a->n_headers = r->n_spans;
    for (size_t i = 0; i < r->n_spans; i++) {
        a->headers[i].name = cm_str_sub(all, r->spans[i].name, r->spans[i].name_len);
        a->headers[i].value = cm_str_trim(
            cm_str_sub(all, r->spans[i].value_len ? r->spans[i].value : 0, r->spans[i].value_len));
    }
    r->keep_alive = http_should_keep_alive(p);
    if (p->status_code == 101) {
        if (!r->upgrade)
            return fail(r, CM_PROTOCOL, "the server switched protocols without being asked");
        return 2;
    }
    p->upgrade = 0; /* an Upgrade header in any other answer is only advice */
    if (r->head_request)
        return 1;
    return 0;
}

static int on_body(http_parser *p, const char *at, size_t len)
{
    struct cm_httpc_reader *r = reader_of(p);
    if (r->on_body && r->answer->status / 100 == 2) {
        if (r->on_body(r->body_ctx, cm_str_n(at, len)))
            return 0;
        r->canceled = true;
        return fail(r, CM_CANCELED, "canceled");
    }
    cm_buf_append(&r->body, at, len);
    if (r->body.failed) {
        if (r->err.code == CM_OK)
            cm_err_set(&r->err, CM_TOO_LARGE, "the answer is larger than %zu bytes", r->max_body);
        return -1;
    }
    return 0;
}

static int on_complete(http_parser *p)
{
    struct cm_httpc_reader *r = reader_of(p);
    if (!r->head_done) {
        /* An interim answer (100, 103): forget it. */
        r->head.len = 0;
        r->n_spans = r->reason_len = 0;
        r->in_value = false;
        return 0;
    }
    r->complete = true;
    http_parser_pause(p, 1);
    return 0;
}

static const http_parser_settings settings = {
    .on_status = on_status,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

void cm_httpc_reader_init(struct cm_httpc_reader *r, const struct cm_httpc_req *req)
{
    *r = (struct cm_httpc_reader){.max_body = req->max_body ? req->max_body : BODY_MAX_DEFAULT,
                                  .on_body = req->on_body,
                                  .body_ctx = req->body_ctx,
                                  .upgrade = req->upgrade != NULL,
                                  .head_request = req->method && strcmp(req->method, "HEAD") == 0};
    http_parser_init(&r->parser, HTTP_RESPONSE);
    r->parser.data = r;
    cm_buf_init(&r->head, CM_HTTPC_HEAD_MAX);
    cm_buf_init(&r->body, r->max_body);
    r->answer = cm_xcalloc(1, sizeof(*r->answer));
    r->answer->arena = cm_arena_new();
}

static void free_text(void *p)
{
    cm_free(p);
}

void cm_httpc_reader_done(struct cm_httpc_reader *r)
{
    cm_httpc_answer_free(CM_TAKE(r->answer));
    cm_buf_done(&r->head);
    cm_buf_done(&r->body);
}

static void keep_body(struct cm_httpc_reader *r)
{
    r->answer->body.len = r->body.len;
    char *text = cm_buf_take(&r->body);
    r->answer->body.ptr = text;
    cm_arena_defer(r->answer->arena, free_text, text);
}

enum cm_httpc_step cm_httpc_reader_feed(struct cm_httpc_reader *r, struct cm_str data,
                                        size_t *ret_used)
{
    *ret_used = http_parser_execute(&r->parser, &settings, data.ptr, data.len);
    if (r->err.code != CM_OK)
        return CM_HTTPC_BROKEN;
    if (r->complete) {
        if (r->answer->status == 101)
            return CM_HTTPC_SWITCHED;
        keep_body(r);
        return CM_HTTPC_COMPLETE;
    }
    enum http_errno e = HTTP_PARSER_ERRNO(&r->parser);
    if (e != HPE_OK || *ret_used < data.len) {
        cm_err_set(&r->err, CM_PROTOCOL, "the answer is not HTTP (%s)", http_errno_description(e));
        return CM_HTTPC_BROKEN;
    }
    return CM_HTTPC_MORE;
}

enum cm_httpc_step cm_httpc_reader_eof(struct cm_httpc_reader *r)
{
    http_parser_execute(&r->parser, &settings, NULL, 0);
    if (r->complete && r->err.code == CM_OK) {
        keep_body(r);
        r->keep_alive = false;
        return CM_HTTPC_COMPLETE;
    }
    if (r->err.code == CM_OK)
        cm_err_set(&r->err, CM_UNAVAILABLE,
                   "the server closed the connection before the answer was complete");
    return CM_HTTPC_BROKEN;
}

struct cm_str cm_httpc_header(const struct cm_httpc_answer *a, const char *name)
{
    for (size_t i = 0; i < a->n_headers; i++)
        if (cm_str_eq_nocase(a->headers[i].name, cm_str(name)))
            return a->headers[i].value;
    return CM_STR_NONE;
}

void cm_httpc_answer_free(struct cm_httpc_answer *a)
{
    if (!a)
        return;
    cm_stream_close(a->stream);
    cm_arena_free(a->arena);
    cm_free(a);
}
