/* nghttp2's callbacks. They note what came and never call an owner. */
#include "internal.h"

#include <ctype.h>

#include <event2/buffer.h>

static struct tstream *stream_of(nghttp2_session *h2, int32_t id)
{
    return id ? nghttp2_session_get_stream_user_data(h2, id) : NULL;
}

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *ctx)
{
    struct cm_tunnel *t = ctx;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct tstream *ts = call_new(t, frame->hd.stream_id);
    nghttp2_session_set_stream_user_data(h2, ts->id, ts);
    return 0;
}

static void copy_error_text(struct tstream *ts, struct cm_str v)
{
    size_t n = CM_MIN(v.len, sizeof(ts->error_text) - 1);
    for (size_t i = 0; i < n; i++)
        ts->error_text[i] = (char)(isprint((unsigned char)v.ptr[i]) ? v.ptr[i] : '?');
    ts->error_text[n] = '\0';
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *ctx)
{
    (void)flags;
    (void)ctx;
    struct tstream *ts = stream_of(h2, frame->hd.stream_id);
    if (!ts || frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    struct cm_str n = cm_str_n(name, name_len), v = cm_str_n(value, value_len);
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST && ts->call)
        return call_add_header(ts->call, n, v) ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    int64_t status;
    if (cm_str_eq_c(n, ":status") && cm_str_to_i64(v, &status))
        ts->status = (int)status;
    else if (cm_str_eq_c(n, ERROR_HEADER))
        copy_error_text(ts, v);
    return 0;
}

static void on_answer(struct tstream *ts)
{
    if (ts->status < 200) /* 1xx: the answer is still to come */
        return;
    if (ts->role == ROLE_STREAM) {
        if (ts->status < 300) {
            tunnel_mark(ts, EV_OPEN);
            return;
        }
        struct cm_err err = tstream_refusal(ts);
        tstream_fail(ts, &err);
        tstream_reset(ts, NGHTTP2_CANCEL);
    }
}

static void on_end_of_stream(struct tstream *ts)
{
    ts->end_received = true;
    switch (ts->role) {
    case ROLE_STREAM:
        if (!(ts->events & EV_FAILED)) /* a refusal ends the stream too */
            tunnel_mark(ts, EV_EOF);
        break;
    case ROLE_EXCHANGE:
        tunnel_mark(ts, EV_REPLY);
        break;
    case ROLE_CALL:
        call_head_complete(ts, true);
        break;
    case ROLE_ORPHAN:
        break;
    }
}

static void on_goaway(struct cm_tunnel *t, const nghttp2_goaway *g)
{
    if (g->error_code == NGHTTP2_NO_ERROR) {
        t->tell_draining = !t->drain_received;
        t->drain_received = true;
        return;
    }
    char text[81];
    size_t n = CM_MIN(g->opaque_data_len, sizeof(text) - 1);
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(isprint(g->opaque_data[i]) ? g->opaque_data[i] : '?');
    text[n] = '\0';
    cm_err_set(&t->why, CM_PROTOCOL, "the peer ended the tunnel: %s%s%s",
               nghttp2_http2_strerror(g->error_code), n ? ": " : "", text);
    t->fatal = true;
}

static int on_frame_recv(nghttp2_session *h2, const nghttp2_frame *frame, void *ctx)
{
    struct cm_tunnel *t = ctx;
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct tstream *ts = stream_of(h2, frame->hd.stream_id);
    switch ((nghttp2_frame_type)frame->hd.type) {
    case NGHTTP2_HEADERS:
        if (!ts)
            break;
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            call_head_complete(ts, false);
        else
            on_answer(ts);
        if (end)
            on_end_of_stream(ts);
        break;
    case NGHTTP2_DATA:
        if (ts && end)
            on_end_of_stream(ts);
        break;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            ping_acked(t, frame->ping.opaque_data);
        break;
    case NGHTTP2_GOAWAY:
        on_goaway(t, &frame->goaway);
        break;
    case NGHTTP2_PRIORITY:
    case NGHTTP2_RST_STREAM: /* on_stream_close tells */
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PUSH_PROMISE:
    case NGHTTP2_WINDOW_UPDATE:
    case NGHTTP2_CONTINUATION:
    case NGHTTP2_ALTSVC:
    case NGHTTP2_ORIGIN:
    case NGHTTP2_PRIORITY_UPDATE:
        break;
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *ctx)
{
    (void)flags;
    struct cm_tunnel *t = ctx;
    struct tstream *ts = stream_of(h2, id);
    if (t->buffered < INPUT_BUDGET)
        cm_ignore(nghttp2_session_consume_connection(h2, len), "only a lack of memory");
    else
        t->debt += len;
    if (!ts) {
        cm_ignore(nghttp2_session_consume_stream(h2, id, len), "a stream that has just ended");
        return 0;
    }
    tstream_received(ts, data, len);
    return 0;
}

static void code_to_err(uint32_t code, struct cm_err *err)
{
    switch (code) {
    case NGHTTP2_NO_ERROR:
    case NGHTTP2_CANCEL:
        cm_err_set(err, CM_CANCELED, "the peer closed the stream");
        break;
    case NGHTTP2_REFUSED_STREAM:
        cm_err_set(err, CM_UNAVAILABLE, "the peer takes no more streams on this tunnel");
        break;
    default:
        cm_err_set(err, CM_PROTOCOL, "the peer reset the stream: %s", nghttp2_http2_strerror(code));
        break;
    }
}

static int on_stream_close(nghttp2_session *h2, int32_t id, uint32_t code, void *ctx)
{
    (void)ctx;
    struct tstream *ts = stream_of(h2, id);
    if (!ts)
        return 0;
    struct cm_err err;
    code_to_err(code, &err);
    bool in_order =
        code == NGHTTP2_NO_ERROR && ts->end_received && (ts->end_sent || ts->role != ROLE_STREAM);
    tstream_h2_closed(ts, in_order ? NULL : &err);
    return 0;
}

static int on_frame_send(nghttp2_session *h2, const nghttp2_frame *frame, void *ctx)
{
    (void)ctx;
    bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (!end || (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS))
        return 0;
    struct tstream *ts = stream_of(h2, frame->hd.stream_id);
    if (!ts)
        return 0;
    ts->end_sent = true;
    if (ts->role == ROLE_ORPHAN && !ts->end_received)
        tstream_reset(ts, NGHTTP2_NO_ERROR);
    return 0;
}

static int on_frame_not_send(nghttp2_session *h2, const nghttp2_frame *frame, int code, void *ctx)
{
    (void)h2;
    struct cm_tunnel *t = ctx;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct cm_err err;
    cm_err_set(&err, CM_UNAVAILABLE, "the tunnel takes no more streams: %s",
               nghttp2_strerror(code));
    CM_LIST_EACH(l, &t->streams)
    {
        struct tstream *ts = cm_container_of(l, struct tstream, all);
        if (ts->id == frame->hd.stream_id)
            tstream_h2_closed(ts, &err);
    }
    return 0;
}

static int on_send_data(nghttp2_session *h2, nghttp2_frame *frame, const uint8_t *head, size_t len,
                        nghttp2_data_source *source, void *ctx)
{
    (void)h2;
    (void)frame;
    struct cm_tunnel *t = ctx;
    struct tstream *ts = source->ptr;
    evbuffer_add(t->out, head, 9);
    if (len)
        evbuffer_remove_buffer(ts->out, t->out, len);
    if (ts->role == ROLE_STREAM && evbuffer_get_length(ts->out) <= CM_STREAM_LOW)
        tunnel_mark(ts, EV_DRAINED);
    return tunnel_has_room(t) ? 0 : NGHTTP2_ERR_PAUSE;
}

static ssize_t on_read_length(nghttp2_session *h2, uint8_t type, int32_t id, int32_t session_window,
                              int32_t stream_window, uint32_t remote_frame_max, void *ctx)
{
    (void)h2;
    (void)type;
    (void)id;
    (void)session_window;
    (void)stream_window;
    (void)ctx;
    return (ssize_t)CM_MIN(remote_frame_max, FRAME_MAX);
}

static nghttp2_session_callbacks *callbacks_new(void)
{
    nghttp2_session_callbacks *cb;
    cm_assert(nghttp2_session_callbacks_new(&cb) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_frame_not_send);
    nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
    nghttp2_session_callbacks_set_data_source_read_length_callback(cb, on_read_length);
    return cb;
}

nghttp2_session *frames_session_new(struct cm_tunnel *t)
{
    nghttp2_option *opt;
    cm_assert(nghttp2_option_new(&opt) == 0);
    nghttp2_option_set_no_auto_window_update(opt, 1);
    nghttp2_option_set_no_closed_streams(
        opt, 1); /* they would be kept for priorities that nobody sends */
    /* No header compression state: a tunnel has few requests, and there may be ten thousand
     * tunnels. */
    nghttp2_option_set_max_deflate_dynamic_table_size(opt, 0);
    nghttp2_option_set_max_send_header_block_length(opt, 2 * CM_TUNNEL_HEADERS_MAX);
    /* Closing many short streams early is what an app proxy does, not an attack. */
    nghttp2_option_set_stream_reset_rate_limit(opt, 10000, 1000);
    nghttp2_session_callbacks *cb = callbacks_new();
    nghttp2_session *h2;
    cm_assert((t->server ? nghttp2_session_server_new2 : nghttp2_session_client_new2)(&h2, cb, t,
                                                                                      opt) == 0);
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(opt);

    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, CM_MIN(START_WINDOW, t->cfg.stream_window)},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, FRAME_MAX},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, CM_TUNNEL_HEADERS_MAX},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, t->server ? t->cfg.max_streams : 0},
        {t->server ? NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL : NGHTTP2_SETTINGS_ENABLE_PUSH,
         t->server ? 1 : 0},
    };
    cm_assert(nghttp2_submit_settings(h2, NGHTTP2_FLAG_NONE, settings, CM_COUNT_OF(settings)) == 0);
    cm_assert(nghttp2_session_set_local_window_size(h2, NGHTTP2_FLAG_NONE, 0, CONN_WINDOW) == 0);
    return h2;
}
