/* The server's side of a request: collecting it, telling the owner, answering. */
#include "internal.h"

#include <ctype.h>
#include <stdio.h>

#include <event2/buffer.h>

struct tstream *call_new(struct cm_tunnel *t, int32_t id)
{
    struct tstream *ts = tstream_new(t, ROLE_CALL);
    ts->id = id;
    ts->h2_open = true;
    t->n_streams++;
    ts->call = cm_xcalloc(1, sizeof(*ts->call));
    ts->call->ts = ts;
    cm_buf_init(&ts->call->head, CM_TUNNEL_HEADERS_MAX);
    cm_buf_init(&ts->call->body, t->cfg.body_max);
    return ts;
}

void call_free(struct cm_tunnel_call *c)
{
    if (!c)
        return;
    cm_buf_done(&c->head);
    cm_buf_done(&c->body);
    cm_free(c);
}

bool call_add_header(struct cm_tunnel_call *c, struct cm_str name, struct cm_str value)
{
    if (cm_str_eq_c(name, ":path") && value.len > CM_TUNNEL_PATH_MAX)
        return false;
    cm_buf_str(&c->head, name);
    cm_buf_char(&c->head, '\0');
    cm_buf_str(&c->head, value);
    cm_buf_char(&c->head, '\0');
    return !c->head.failed;
}

struct cm_str cm_tunnel_call_header(const struct cm_tunnel_call *c, const char *lower_name)
{
    const char *p = c->head.ptr, *end = p + c->head.len;
    while (p && p < end) {
        const char *value = p + strlen(p) + 1;
        if (strcmp(p, lower_name) == 0)
            return cm_str(value);
        p = value + strlen(value) + 1;
    }
    return CM_STR("");
}

struct cm_str cm_tunnel_call_method(const struct cm_tunnel_call *c)
{
    return cm_tunnel_call_header(c, ":method");
}

struct cm_str cm_tunnel_call_protocol(const struct cm_tunnel_call *c)
{
    return cm_tunnel_call_header(c, ":protocol");
}

struct cm_str cm_tunnel_call_path(const struct cm_tunnel_call *c)
{
    return cm_tunnel_call_header(c, ":path");
}

struct cm_str cm_tunnel_call_body(const struct cm_tunnel_call *c)
{
    return cm_buf_view(&c->body);
}

/* Comes once when the head is there, and once more at the end of the stream, which for a request
 * may be the same. */
void call_head_complete(struct tstream *ts, bool end_of_stream)
{
    struct cm_tunnel_call *c = ts->call;
    c->is_connect = cm_str_eq_c(cm_tunnel_call_method(c), "CONNECT");
    if (c->complete || (!c->is_connect && !end_of_stream))
        return;
    c->complete = true;
    tunnel_mark(ts, EV_CALL);
}

void call_received(struct tstream *ts, const uint8_t *data, size_t len)
{
    struct cm_tunnel_call *c = ts->call;
    if (c->is_connect) {
        evbuffer_add(ts->s.in, data, len); /* the window bounds it until the call is accepted */
        return;
    }
    cm_buf_append(&c->body, data, len);
    tstream_give_back(ts, len);
    if (c->body.failed && !c->complete) {
        c->complete = true;
        tunnel_mark(ts, EV_CALL);
    }
}

void call_tell(struct tstream *ts)
{
    struct cm_tunnel *t = ts->t;
    struct cm_tunnel_call *c = ts->call;
    struct cm_err err;
    if (c->is_connect && cm_tunnel_call_protocol(c).len == 0)
        cm_err_set(&err, CM_UNIMPLEMENTED, "CONNECT needs a :protocol here");
    else if (c->body.failed)
        cm_err_set(&err, CM_TOO_LARGE, "the body is larger than %zu bytes", t->cfg.body_max);
    else if (!t->cfg.call)
        cm_err_set(&err, CM_NOT_FOUND, "nothing is served on this tunnel");
    else if (t->freed)
        cm_err_set(&err, CM_CANCELED, "the tunnel was closed");
    else {
        c->handed = true;
        t->cfg.call(t->cfg.ctx, c);
        return;
    }
    cm_tunnel_call_refuse(c, &err);
}

static void drop_call(struct tstream *ts)
{
    call_free(CM_TAKE(ts->call));
}

struct cm_stream *cm_tunnel_call_accept(struct cm_tunnel_call *c)
{
    struct tstream *ts = c->ts;
    struct cm_tunnel *t = ts->t;
    CM_ON_LOOP(t->loop);
    cm_assert(c->is_connect);
    ts->role = ROLE_STREAM;
    drop_call(ts);
    if (ts->h2_open) {
        nghttp2_nv nv = tstream_nv(CM_STR(":status"), CM_STR("200"));
        nghttp2_data_provider p = tstream_provider(ts);
        int e = nghttp2_submit_response(t->h2, ts->id, &nv, 1, &p);
        if (e) {
            cm_err_set(&ts->why, CM_INTERNAL, "accept a stream: %s", nghttp2_strerror(e));
            tunnel_mark(ts, EV_FAILED);
        }
        tunnel_mark(ts, EV_DATA | (ts->end_received ? EV_EOF : 0));
    } else {
        tunnel_mark(ts, EV_DATA | EV_FAILED); /* why was noted when it ended */
    }
    tunnel_kick(t);
    return &ts->s;
}

static void answer(struct tstream *ts, int status, const char *content_type, const char *error,
                   struct cm_str body)
{
    struct cm_tunnel *t = ts->t;
    if (!ts->h2_open) {
        drop_call(ts);
        tstream_release(ts);
        return;
    }
    char code[12];
    (void)snprintf(code, sizeof(code), "%03d", status);
    nghttp2_nv nv[3] = {tstream_nv(CM_STR(":status"), cm_str(code))};
    size_t n = 1;
    if (content_type)
        nv[n++] = tstream_nv(CM_STR("content-type"), cm_str(content_type));
    if (error)
        nv[n++] = tstream_nv(CM_STR(ERROR_HEADER), cm_str(error));
    evbuffer_add(ts->out, body.ptr, body.len);
    ts->s.finished = true;
    nghttp2_data_provider p = tstream_provider(ts);
    int e = nghttp2_submit_response(t->h2, ts->id, nv, n, body.len ? &p : NULL);
    if (e)
        tstream_reset(ts, NGHTTP2_INTERNAL_ERROR);
    drop_call(ts); /* not before: the answer may be made of the call's own strings */
    tstream_release(ts);
    tunnel_kick(t);
}

void cm_tunnel_call_respond(struct cm_tunnel_call *c, int status, const char *content_type,
                            struct cm_str body)
{
    CM_ON_LOOP(c->ts->t->loop);
    answer(c->ts, status, content_type, NULL, body);
}

void cm_tunnel_call_refuse(struct cm_tunnel_call *c, const struct cm_err *why)
{
    CM_ON_LOOP(c->ts->t->loop);
    char text[ERROR_TEXT];
    (void)snprintf(text, sizeof(text), "%.*s", ERROR_TEXT - 1, why->text);
    for (char *p = text; *p; p++)
        if (!isprint((unsigned char)*p))
            *p = '?';
    bool plain = !c->is_connect;
    int status = why->code == CM_OK ? 500 : cm_code_http_status(why->code);
    answer(c->ts, status, plain ? "text/plain" : NULL, text, plain ? cm_str(text) : CM_STR(""));
}
