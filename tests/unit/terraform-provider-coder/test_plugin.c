/* gRPC framing, dispatch by path, and a whole HTTP/2 connection in memory with nghttp2 as the
 * client. */
#include "test_provider.h"

#include <nghttp2/nghttp2.h>

#include "plugin/host.h"
#include "plugin/http2.h"
#include "plugin/provider.h"

static void frames(void **state)
{
    static const struct {
        struct cm_str body;
        const char *message, *why;
    } rows[] = {
        {CM_STR("\0\0\0\0\0"), "", NULL},
        {CM_STR("\0\0\0\0\2ab"), "ab", NULL},
        {CM_STR(""), NULL, "a request of 0 bytes has no message"},
        {CM_STR("\0\0\0\0"), NULL, "a request of 4 bytes has no message"},
        {CM_STR("\1\0\0\0\0"), NULL, "compressed messages are not supported"},
        {CM_STR("\0\0\0\0\2a"), NULL, "a message of 2 bytes came with 1 bytes"},
        {CM_STR("\0\0\0\0\1ab"), NULL, "a message of 1 bytes came with 2 bytes"},
        {CM_STR("\0\377\377\377\377a"), NULL, "a message of 4294967295 bytes came with 1 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct cm_str message = CM_STR("");
        struct cm_err err = {0};
        enum cm_code code = grpc_unframe(rows[i].body, &message, &err);
        assert_int_equal(code, rows[i].message ? CM_OK : CM_PROTOCOL);
        assert_str(message, rows[i].message ? rows[i].message : "");
        assert_string_equal(err.text, rows[i].why ? rows[i].why : "");
    }
}

static void messages_are_escaped(void **state)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(64);
    (void)state;
    grpc_encode_message(&b, CM_STR("100% \xc3\xa9\n"));
    assert_str(cm_buf_view(&b), "100%25 %C3%A9%0A");
}

struct server {
    struct host host;
    struct provider provider;
    struct dispatch dispatch;
};

static void server_init(struct server *s)
{
    static const char *const vars[] = {"CODER_WORKSPACE_NAME=dev", NULL};
    host_init(&s->host);
    provider_init(&s->provider, vars);
    s->dispatch = (struct dispatch){
        .services = {&s->provider.service.base, &s->host.controller.base, &s->host.health.base},
        .n = 3,
        .lend = &s->provider.arena,
    };
}

static void dispatch_finds_methods_by_path(void **state)
{
    static const struct {
        const char *path;
        enum grpc_status status;
    } rows[] = {
        {"/tfplugin5.Provider/GetSchema", GRPC_OK},
        {"/tfplugin5.Provider/Stop", GRPC_OK},
        {"/grpc.health.v1.Health/Check", GRPC_OK},
        {"/plugin.GRPCController/Shutdown", GRPC_OK},
        {"/tfplugin5.Provider/GetFunctions", GRPC_UNIMPLEMENTED},
        {"/tfplugin5.Provider/", GRPC_UNIMPLEMENTED},
        {"/tfplugin5.Provider", GRPC_UNIMPLEMENTED},
        {"tfplugin5.Provider/Stop", GRPC_UNIMPLEMENTED},
        {"", GRPC_UNIMPLEMENTED},
    };
    struct server s;

    (void)state;
    server_init(&s);
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct reply r;
        dispatch_call(&s.dispatch, cm_str(rows[i].path), CM_STR("\0\0\0\0\0"), &r);
        if (r.status != rows[i].status)
            fail_msg("%s: %d", rows[i].path, (int)r.status);
        assert_true((r.status == GRPC_OK) == (r.body.len >= GRPC_PREFIX_BYTES));
        reply_done(&r);
    }
    assert_true(s.host.shutdown);
    provider_done(&s.provider);
}

static void dispatch_refuses_broken_messages(void **state)
{
    struct server s;
    struct reply r;
    (void)state;
    server_init(&s);
    dispatch_call(&s.dispatch, CM_STR("/tfplugin5.Provider/Configure"), CM_STR("\0\0\0\0\1\377"),
                  &r);
    assert_int_equal(r.status, GRPC_INVALID_ARGUMENT);
    reply_done(&r);
    dispatch_call(&s.dispatch, CM_STR("/tfplugin5.Provider/Configure"), CM_STR("\0\0"), &r);
    assert_int_equal(r.status, GRPC_INTERNAL);
    reply_done(&r);
    provider_done(&s.provider);
}

/* The client: how many bodies came on which status. */
struct client {
    size_t body_bytes[64];
    int status[64];
    size_t closed;
};

static int on_client_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                          size_t len, void *user)
{
    (void)session, (void)flags, (void)data;
    ((struct client *)user)->body_bytes[id % 64] += len;
    return 0;
}

static int on_client_header(nghttp2_session *session, const nghttp2_frame *frame,
                            const uint8_t *name, size_t name_len, const uint8_t *value,
                            size_t value_len, uint8_t flags, void *user)
{
    int64_t n;
    (void)session, (void)flags;
    if (cm_str_eq_c(cm_str_n(name, name_len), "grpc-status") &&
        cm_str_to_i64(cm_str_n(value, value_len), &n))
        ((struct client *)user)->status[frame->hd.stream_id % 64] = (int)n;
    return 0;
}

static int on_client_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    (void)session;
    if (code != NGHTTP2_NO_ERROR)
        fail_msg("stream %d closed with %u", (int)id, code);
    ((struct client *)user)->closed++;
    return 0;
}

static ssize_t on_client_read(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
                              uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct cm_str *body = source->ptr;
    size_t n = CM_MIN(room, body->len);
    (void)session, (void)id, (void)user;
    memcpy(out, body->ptr, n);
    *body = cm_str_sub(*body, n, body->len);
    if (!body->len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

/* nghttp2 takes what it does not change as plain uint8_t *. */
static nghttp2_nv header(const char *name, const char *value)
{
    union {
        const char *text;
        uint8_t *bytes;
    } n = {.text = name}, v = {.text = value};
    return (nghttp2_nv){n.bytes, v.bytes, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static int32_t ask(nghttp2_session *client, const char *path, struct cm_str *body)
{
    nghttp2_nv nv[] = {
        header(":method", "POST"),
        header(":scheme", "https"),
        header(":authority", "localhost"),
        header(":path", path),
    };
    nghttp2_data_provider data = {.source = {.ptr = body}, .read_callback = on_client_read};
    return nghttp2_submit_request(client, NULL, nv, CM_COUNT_OF(nv), &data, NULL);
}

/* Moves bytes both ways, few at a time, until both sides are silent. */
static void converse(nghttp2_session *client, struct http2 *server)
{
    for (bool moved = true; moved;) {
        const uint8_t *out = NULL;
        struct cm_str in;
        struct cm_err err = {0};
        moved = false;
        ssize_t n = nghttp2_session_mem_send(client, &out);
        for (ssize_t at = 0; at < n; at += 1000) {
            size_t part = (size_t)CM_MIN(n - at, 1000);
            assert_int_equal(http2_receive(server, cm_str_n(out + at, part), &err), CM_OK);
            moved = true;
        }
        assert_int_equal(http2_pending(server, &in, &err), CM_OK);
        if (in.len) {
            assert_int_equal(nghttp2_session_mem_recv(client, (const uint8_t *)in.ptr, in.len),
                             in.len);
            moved = true;
        }
    }
}

static void connections_answer_many_calls_and_large_ones(void **state)
{
    struct server s;
    struct client got = {.closed = 0};
    CM_AUTO(http2) h = NULL;
    nghttp2_session *client = NULL;
    nghttp2_session_callbacks *cb = NULL;
    CM_AUTOBUF struct cm_buf empty = CM_BUF_INIT(64), large = CM_BUF_INIT((size_t)80 << 20);
    CM_AUTOBUF struct cm_buf huge = CM_BUF_INIT((size_t)80 << 20);

    (void)state;
    server_init(&s);
    assert_int_equal(http2_new(&s.dispatch, &h, NULL), CM_OK);
    nghttp2_session_callbacks_new(&cb);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_client_data);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_client_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_client_close);
    assert_int_equal(nghttp2_session_client_new(&client, cb, &got), 0);
    nghttp2_session_callbacks_del(cb);
    nghttp2_submit_settings(client, NGHTTP2_FLAG_NONE, NULL, 0);

    memset(got.status, -1, sizeof(got.status));
    grpc_frame_begin(&empty);
    struct cm_str small = cm_buf_view(&empty);
    int32_t schema = ask(client, "/tfplugin5.Provider/GetSchema", &small);
    /* terraform_version is skipped text: a large but valid message. */
    grpc_frame_begin(&large);
    cm_buf_append(&large, "\x0a\x80\x80\x80\x05", 5);
    memset(cm_buf_reserve(&large, (size_t)10 << 20), 'v', (size_t)10 << 20);
    cm_buf_commit(&large, (size_t)10 << 20);
    grpc_frame_end(&large);
    struct cm_str middle = cm_buf_view(&large);
    int32_t configure = ask(client, "/tfplugin5.Provider/Configure", &middle);
    converse(client, h);
    assert_int_equal(got.status[schema], GRPC_OK);
    assert_true(got.body_bytes[schema] > 4000);
    assert_int_equal(got.status[configure], GRPC_OK);
    assert_int_equal(got.closed, 2);

    memset(cm_buf_reserve(&huge, (size_t)65 << 20), 0, (size_t)65 << 20);
    cm_buf_commit(&huge, (size_t)65 << 20);
    struct cm_str too_much = cm_buf_view(&huge);
    int32_t refused = ask(client, "/tfplugin5.Provider/Configure", &too_much);
    converse(client, h);
    assert_int_equal(got.status[refused], GRPC_RESOURCE_EXHAUSTED);
    assert_true(http2_is_open(h));
    nghttp2_session_del(client);
    provider_done(&s.provider);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames),
        cmocka_unit_test(messages_are_escaped),
        cmocka_unit_test(dispatch_finds_methods_by_path),
        cmocka_unit_test(dispatch_refuses_broken_messages),
        cmocka_unit_test(connections_answer_many_calls_and_large_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
