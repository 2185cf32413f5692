/* Bytes from a peer's end of a tunnel: HTTP/2 to a server or to a client that has streams and
 * requests open. With bit 1 of the first byte the preface of a client comes before them, so that
 * not every input ends there. */
#include <event2/buffer.h>

#include "mempipe.h"
#include "net/tunnel/tunnel.h"

#define TURNS 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct held {
    struct cm_stream *s[64];
    struct cm_tunnel_call *call[64];
    size_t n, n_calls;
};

static void on_stream(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    (void)ctx;
    struct evbuffer *in = cm_stream_input(s);
    size_t n = evbuffer_get_length(in);
    switch (ev) {
    case CM_STREAM_DATA:
        cm_stream_send(s, in);
        cm_stream_consumed(s, n);
        break;
    case CM_STREAM_EOF:
        cm_stream_finish(s);
        break;
    case CM_STREAM_DRAINED:
    case CM_STREAM_FAILED:
        break;
    }
}

static void hold(struct held *h, struct cm_stream *s)
{
    if (h->n == CM_COUNT_OF(h->s)) {
        cm_stream_close(s);
        return;
    }
    cm_stream_set_fn(s, on_stream, h);
    h->s[h->n++] = s;
}

static void on_call(void *ctx, struct cm_tunnel_call *c)
{
    struct held *h = ctx;
    struct cm_str path = cm_tunnel_call_path(c);
    cm_assert(path.len <= CM_TUNNEL_PATH_MAX && cm_tunnel_call_body(c).len <= 4096);
    if (h->n_calls < CM_COUNT_OF(h->call) && cm_str_ends(path, CM_STR("later")))
        h->call[h->n_calls++] = c;
    else if (cm_tunnel_call_protocol(c).len)
        hold(h, cm_tunnel_call_accept(c));
    else
        cm_tunnel_call_respond(c, 200, "text/plain", cm_tunnel_call_header(c, "x-test"));
}

static void on_reply(void *ctx, int status, struct cm_str body, const struct cm_err *err)
{
    (void)ctx;
    cm_assert(err ? status == 0 : status >= 200);
    cm_assert(body.len <= 4096);
}

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    bool server = data[0] & 1;
    struct held h = {0};
    struct cm_stream *ends[2];
    struct cm_loop *loop = cm_loop_new();
    const struct cm_tunnel_config cfg = {
        .call = on_call, .ctx = &h, .body_max = 4096, .max_streams = 32};
    struct mempipe *pipe = mempipe_new(loop, data[0] >> 2, ends);
    struct cm_tunnel *t =
        server ? cm_tunnel_server_new(ends[0], &cfg) : cm_tunnel_client_new(ends[0], &cfg);
    if (!server) {
        const struct cm_tunnel_request r = {
            .method = CM_STR("GET"), .path = CM_STR("/"), .reply_max = 4096, .done = on_reply};
        hold(&h, cm_tunnel_open(t, CM_STR("echo"), CM_STR("/"), NULL, 0));
        cm_tunnel_request(t, &r);
        hold(&h, cm_tunnel_open(t, CM_STR("echo"), CM_STR("/"), NULL, 0));
        cm_stream_write(h.s[0], "hello", 5);
    }
    if (data[0] & 2)
        cm_stream_write(ends[1], server ? preface : preface + 24, server ? 33 : 9);
    cm_stream_write(ends[1], data + 1, size - 1);
    cm_stream_finish(ends[1]);
    for (int i = 0; i < TURNS; i++) {
        cm_loop_turn(loop, 0);
        struct evbuffer *in = cm_stream_input(ends[1]);
        evbuffer_drain(in, evbuffer_get_length(in));
        if (mempipe_delivered(pipe) >= size + 400 && i > 20)
            break;
    }
    for (size_t i = 0; i < h.n_calls; i++) {
        struct cm_err err;
        cm_err_set(&err, CM_GONE, "late");
        cm_tunnel_call_refuse(h.call[i], &err);
    }
    for (size_t i = 0; i < h.n; i++)
        cm_stream_close(h.s[i]);
    cm_stream_close(ends[1]);
    cm_tunnel_free(t);
    cm_loop_free(loop);
    return 0;
}
