#include "plugin/http2.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>

#define STREAMS_MAX    512
#define STREAM_WINDOW  (1 << 20)
#define CONN_WINDOW    (8 << 20)
#define PATH_BYTES_MAX 256
#define ALL_BODIES_MAX ((size_t)256 << 20) /* of requests that are still arriving */

struct stream {
    struct stream *next;
    int32_t id;
    bool answered;
    struct cm_buf path, body;
    struct reply reply;
    size_t sent; /* of reply.body */
};

struct http2 {
    nghttp2_session *session;
    struct dispatch *dispatch;
    struct stream *streams;
    size_t body_bytes; /* sum over all streams */
};

static struct stream *stream_new(struct http2 *h, int32_t id)
{
    struct stream *s = cm_xcalloc(1, sizeof(*s));
    s->id = id;
    s->path = CM_BUF_INIT(PATH_BYTES_MAX);
    s->body = CM_BUF_INIT(DISPATCH_REQUEST_MAX + GRPC_PREFIX_BYTES);
    s->next = h->streams;
    h->streams = s;
    return s;
}

static void stream_drop_body(struct http2 *h, struct stream *s)
{
    h->body_bytes -= s->body.len;
    cm_buf_done(&s->body);
}

static void stream_free(struct http2 *h, struct stream *s)
{
    struct stream **at = &h->streams;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    stream_drop_body(h, s);
    cm_buf_done(&s->path);
    reply_done(&s->reply);
    cm_free(s);
}

/* nghttp2 takes names and values that it promises not to change as plain uint8_t *. */
static nghttp2_nv header(const char *name, const char *value)
{
    union {
        const char *text;
        uint8_t *bytes;
    } n = {.text = name}, v = {.text = value};
    return (nghttp2_nv){n.bytes, v.bytes, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

#define STATUS_TEXT 4

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
                       uint32_t *flags, nghttp2_data_source *source, void *user CM_UNUSED)
{
    struct stream *s = source->ptr;
    size_t n = CM_MIN(room, s->reply.body.len - s->sent);
    memcpy(out, s->reply.body.ptr + s->sent, n);
    s->sent += n;
    if (s->sent == s->reply.body.len) {
        nghttp2_nv trailer = header("grpc-status", "0");
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(session, id, &trailer, 1) != 0)
            return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return (ssize_t)n;
}

static int submit_reply(struct http2 *h, struct stream *s)
{
    char status[STATUS_TEXT];
    snprintf(status, sizeof(status), "%d", (int)s->reply.status);
    nghttp2_nv headers[] = {
        header(":status", "200"),
        header("content-type", "application/grpc"),
        header("grpc-status", status),
        header("grpc-message", s->reply.text.ptr ? s->reply.text.ptr : ""),
    };
    s->answered = true;
    if (s->reply.status != GRPC_OK)
        return nghttp2_submit_response(h->session, s->id, headers, CM_COUNT_OF(headers), NULL);
    nghttp2_data_provider body = {.source = {.ptr = s}, .read_callback = on_read};
    return nghttp2_submit_response(h->session, s->id, headers, 2, &body);
}

static int answer(struct http2 *h, struct stream *s)
{
    dispatch_call(h->dispatch, cm_buf_view(&s->path), cm_buf_view(&s->body), &s->reply);
    stream_drop_body(h, s);
    return submit_reply(h, s);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id,
                                                stream_new(user, frame->hd.stream_id));
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len,
                     uint8_t flags CM_UNUSED, void *user CM_UNUSED)
{
    struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (s && cm_str_eq_c(cm_str_n(name, name_len), ":path")) {
        cm_buf_reset(&s->path);
        /* A path that is too long stays empty, and no method has that. */
        cm_buf_append(&s->path, value, value_len);
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags CM_UNUSED, int32_t id,
                   const uint8_t *data, size_t len, void *user)
{
    struct http2 *h = user;
    struct stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (!s || s->answered)
        return 0;
    size_t before = s->body.len;
    if (h->body_bytes + len <= ALL_BODIES_MAX)
        cm_buf_append(&s->body, data, len);
    h->body_bytes += s->body.len - before;
    if (s->body.len == before + len)
        return 0;
    stream_drop_body(h, s);
    s->reply.text = CM_BUF_INIT(PATH_BYTES_MAX);
    reply_fail(&s->reply, GRPC_RESOURCE_EXHAUSTED, "the request is too large");
    return submit_reply(h, s) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    bool carries = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (!carries || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!s || s->answered)
        return 0;
    return answer(user, s) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code CM_UNUSED, void *user)
{
    struct stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (s)
        stream_free(user, s);
    return 0;
}

static int start_session(struct http2 *h)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
    };
    nghttp2_session_callbacks *cb = NULL;
    if (nghttp2_session_callbacks_new(&cb) != 0)
        return NGHTTP2_ERR_NOMEM;
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
    int rc = nghttp2_session_server_new(&h->session, cb, h);
    nghttp2_session_callbacks_del(cb);
    if (rc == 0)
        rc =
            nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, CM_COUNT_OF(settings));
    if (rc == 0)
        rc = nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, CONN_WINDOW);
    return rc;
}

enum cm_code http2_new(struct dispatch *dispatch, struct http2 **ret, struct cm_err *err)
{
    CM_AUTO(http2) h = cm_xcalloc(1, sizeof(*h));
    h->dispatch = dispatch;
    int rc = start_session(h);
    if (rc != 0)
        return cm_err_set(err, CM_INTERNAL, "start HTTP/2: %s", nghttp2_strerror(rc));
    *ret = CM_TAKE(h);
    return CM_OK;
}

void http2_free(struct http2 *h)
{
    if (!h)
        return;
    nghttp2_session_del(h->session);
    while (h->streams)
        stream_free(h, h->streams);
    cm_free(h);
}

enum cm_code http2_receive(struct http2 *h, struct cm_str bytes, struct cm_err *err)
{
    ssize_t n = nghttp2_session_mem_recv(h->session, (const uint8_t *)bytes.ptr, bytes.len);
    if (n < 0)
        return cm_err_set(err, CM_PROTOCOL, "HTTP/2: %s", nghttp2_strerror((int)n));
    return CM_OK;
}

enum cm_code http2_pending(struct http2 *h, struct cm_str *ret, struct cm_err *err)
{
    const uint8_t *data = NULL;
    ssize_t n = nghttp2_session_mem_send(h->session, &data);
    if (n < 0)
        return cm_err_set(err, CM_PROTOCOL, "HTTP/2: %s", nghttp2_strerror((int)n));
    *ret = cm_str_n(data, (size_t)n);
    return CM_OK;
}

bool http2_is_open(struct http2 *h)
{
    return nghttp2_session_want_read(h->session) || nghttp2_session_want_write(h->session);
}
