#include "net/ws/ws_dial.h"

#define HEADERS_MAX 64

struct cm_ws_dial {
    struct cm_httpc_call *call;
    char key[CM_WS_KEY_TEXT];
    char *protocol;
    cm_ws_dial_fn fn;
    void *ctx;
};

static void dial_free(struct cm_ws_dial *d)
{
    cm_free(d->protocol);
    cm_free(d);
}

static enum cm_code check(const struct cm_ws_dial *d, const struct cm_httpc_answer *a,
                          struct cm_err *err)
{
    char want[CM_WS_ACCEPT_TEXT];

    if (a->status != 101)
        return cm_err_set(err, a->status == 404 ? CM_NOT_FOUND : CM_PROTOCOL,
                          "the server answered %d instead of opening a WebSocket", a->status);
    cm_ws_accept_key(cm_str(d->key), want);
    if (!cm_str_eq_nocase(cm_httpc_header(a, "Upgrade"), CM_STR("websocket")) ||
        !cm_str_eq_c(cm_httpc_header(a, "Sec-WebSocket-Accept"), want))
        return cm_err_set(err, CM_PROTOCOL, "the server's WebSocket handshake is wrong");
    if (cm_httpc_header(a, "Sec-WebSocket-Extensions").len)
        return cm_err_set(err, CM_PROTOCOL,
                          "the server uses WebSocket extensions that nobody asked for");
    if (d->protocol && !cm_str_eq_c(cm_httpc_header(a, "Sec-WebSocket-Protocol"), d->protocol))
        return cm_err_set(err, CM_PROTOCOL, "the server does not speak %s", d->protocol);
    return CM_OK;
}

static void on_answer(void *ctx, struct cm_httpc_answer *answer, const struct cm_err *err)
{
    struct cm_ws_dial *d = ctx;
    CM_AUTO(cm_httpc_answer) a = answer;
    cm_ws_dial_fn fn = d->fn;
    void *fn_ctx = d->ctx;
    struct cm_err why;

    if (!a || check(d, a, &why) != CM_OK) {
        dial_free(d);
        fn(fn_ctx, NULL, a, a ? &why : err);
        return;
    }
    dial_free(d);
    fn(fn_ctx, CM_TAKE(a->stream), a, NULL);
}

struct cm_ws_dial *cm_ws_dial_start(struct cm_httpc *h, const struct cm_httpc_req *req,
                                    const char *protocol, cm_ws_dial_fn fn, void *ctx)
{
    struct cm_ws_dial *d = cm_xcalloc(1, sizeof(*d));
    struct cm_httpc_header headers[HEADERS_MAX];
    struct cm_httpc_req mine = *req;
    size_t n = 0;

    cm_assert(req->n_headers <= HEADERS_MAX - 3);
    cm_ws_key_new(d->key);
    d->protocol = protocol ? cm_xstrdup(protocol) : NULL;
    d->fn = fn;
    d->ctx = ctx;
    for (; n < req->n_headers; n++)
        headers[n] = req->headers[n];
    headers[n++] = (struct cm_httpc_header){CM_STR("Sec-WebSocket-Version"), CM_STR("13")};
    headers[n++] = (struct cm_httpc_header){CM_STR("Sec-WebSocket-Key"), cm_str(d->key)};
    if (protocol)
        headers[n++] = (struct cm_httpc_header){CM_STR("Sec-WebSocket-Protocol"), cm_str(protocol)};
    mine.headers = headers;
    mine.n_headers = n;
    mine.upgrade = "websocket";
    d->call = cm_httpc_start(h, &mine, on_answer, d);
    return d;
}

void cm_ws_dial_cancel(struct cm_ws_dial *d)
{
    if (!d)
        return;
    cm_httpc_cancel(d->call);
    dial_free(d);
}
