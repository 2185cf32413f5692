#include "api/socket.h"

#include <stdio.h>

#include "app.h"
#include "background/hub.h"
#include "net/ws/ws.h"

#define FRAMES_MAX  ((size_t)16 * 1024 * 1024)
#define UNSENT_MAX  ((size_t)256 * 1024)
#define CHECK_EVERY (30 * CM_SECOND)
#define PING_EVERY  (15 * CM_SECOND)

struct follower {
    struct cm_task task;
    struct coderd *app;
    struct cm_loop *loop;
    struct socket_follow_config cfg;
    struct socket_follow f;
    struct cm_ws *ws; /* or */
    struct cm_http_req *sse;
    struct hub_sub *sub;
    struct cm_timer timer;
    struct cm_buf frames; /* of the task */
    bool running, news, end, gone, failed;
};

static void turn(struct follower *x);

size_t socket_frame_begin(struct cm_buf *b)
{
    uint32_t none = 0;
    size_t at = b->len;
    cm_buf_append(b, &none, sizeof(none));
    return at;
}

void socket_frame_end(struct cm_buf *b, size_t at)
{
    if (b->failed)
        return;
    uint32_t len = (uint32_t)(b->len - at - sizeof(len));
    memcpy(b->ptr + at, &len, sizeof(len));
}

static void follower_free(struct follower *x)
{
    hub_cancel(x->sub);
    cm_timer_done(&x->timer);
    cm_ws_free(x->ws);
    cm_buf_done(&x->frames);
    cm_free(x);
}

/* The client is gone; the memory goes as soon as no task holds it. */
static void let_go(struct follower *x)
{
    x->gone = true;
    if (!x->running)
        follower_free(x);
}

static void on_ws(struct cm_ws *ws, enum cm_ws_event ev, struct cm_str payload, void *ctx)
{
    (void)payload;
    struct follower *x = ctx;
    switch (ev) {
    case CM_WS_TEXT:
    case CM_WS_BINARY:
        cm_ws_close(ws, 1002, "this stream goes one way only");
        break;
    case CM_WS_CLOSED:
    case CM_WS_FAILED:
        x->ws = NULL;
        cm_ws_free(ws);
        let_go(x);
        break;
    }
}

static void on_sse_gone(struct cm_http_req *req)
{
    struct follower *x = req->app;
    x->sse = NULL;
    cm_http_stream_end(req);
    let_go(x);
}

static void work(struct cm_task *t, void *thread_ctx)
{
    struct follower *x = cm_container_of(t, struct follower, task);
    struct worker *w = thread_ctx;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_err err;
    x->f.again = false;
    x->failed = x->cfg.read(w->db, a, &x->f, &x->frames, &x->end, &err) != CM_OK;
    x->f.first = false;
}

static void finish(struct follower *x, int code, const char *reason)
{
    if (x->ws) {
        cm_ws_close(x->ws, code, reason);
        cm_timer_stop(&x->timer);
        hub_cancel(CM_TAKE(x->sub));
        return; /* CLOSED follows */
    }
    struct cm_http_req *req = CM_TAKE(x->sse);
    cm_http_stream_end(req);
    let_go(x);
}

static void send_frames(struct follower *x)
{
    for (size_t at = 0; at < x->frames.len;) {
        uint32_t len;
        memcpy(&len, x->frames.ptr + at, sizeof(len));
        at += sizeof(len);
        if (x->ws)
            cm_ws_send(x->ws, true, x->frames.ptr + at, len);
        else
            cm_http_stream_write(x->sse, x->frames.ptr + at, len);
        at += len;
    }
    cm_buf_reset(&x->frames);
}

static void done(struct cm_task *t)
{
    struct follower *x = cm_container_of(t, struct follower, task);
    x->running = false;
    if (x->gone) {
        follower_free(x);
        return;
    }
    send_frames(x);
    if (x->failed) {
        finish(x, 1011, "the database cannot be read; connect again");
        return;
    }
    if (x->end) {
        finish(x, 1000, x->cfg.end_reason);
        return;
    }
    cm_timer_start(&x->timer, x->cfg.every ? x->cfg.every : CHECK_EVERY);
    if (x->news || x->f.again)
        turn(x);
}

static void turn(struct follower *x)
{
    x->news = true;
    size_t unsent = x->ws ? cm_ws_unsent(x->ws) : x->sse ? cm_http_stream_unsent(x->sse) : 0;
    if (x->running || x->gone || (!x->ws && !x->sse))
        return;
    if (unsent > UNSENT_MAX) {
        cm_timer_start(&x->timer, CM_SECOND / 4); /* the reader is slow: look again shortly */
        return;
    }
    x->news = false;
    x->task = (struct cm_task){.work = work, .done = done, .home = x->loop};
    struct cm_err err;
    x->running = cm_pool_submit(x->app->workers, &x->task, &err) == CM_OK;
    if (!x->running)
        cm_timer_start(&x->timer, CM_SECOND);
}

static void on_news(void *ctx)
{
    turn(ctx);
}

static void begin(struct follower *x)
{
    char topic[HUB_TOPIC_MAX];
    struct cm_uuid_str id = cm_uuid_text(x->cfg.id);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored                                                                     \
    "-Wformat-nonliteral" /* formats are constants of this program, with one %s */
    int n = snprintf(topic, sizeof(topic), x->cfg.topic_fmt, id.s);
#pragma GCC diagnostic pop
    cm_assert(n > 0 && (size_t)n < sizeof(topic));
    cm_timer_init(&x->timer, x->loop, on_news, x);
    x->sub = hub_subscribe(x->app->hub, topic, x->loop, on_news, x);
    turn(x);
}

static void start(struct api_req *r)
{
    struct follower *x = r->state;
    x->loop = r->http->loop;
    if (x->cfg.sse) {
        struct cm_http_header h[] = {{CM_STR("Cache-Control"), CM_STR("no-cache")},
                                     {CM_STR("X-Accel-Buffering"), CM_STR("no")}};
        x->sse = r->http;
        r->http->app = x;
        r->http->on_gone = on_sse_gone;
        cm_http_stream_begin(r->http, &(struct cm_http_resp){.status = 200,
                                                             .content_type = "text/event-stream",
                                                             .headers = h,
                                                             .n_headers = CM_COUNT_OF(h)});
        if (!x->sse->conn) {
            on_sse_gone(r->http);
            return;
        }
        begin(x);
        return;
    }
    char accept[CM_WS_ACCEPT_TEXT];
    cm_ws_accept_key(cm_http_header(&r->http->head, "sec-websocket-key"), accept);
    struct cm_http_header h[] = {{CM_STR("Sec-WebSocket-Accept"), cm_str(accept)}};
    struct cm_stream *s = cm_http_upgrade(r->http, "websocket", h, CM_COUNT_OF(h));
    cm_http_req_done(r->http);
    if (!s) {
        cm_free(x);
        return;
    }
    x->ws = cm_ws_new(s, &(struct cm_ws_config){.max_message = 32 * 1024, .ping_every = PING_EVERY},
                      on_ws, x);
    begin(x);
}

enum cm_code socket_follow_start(struct api_req *r, const struct socket_follow_config *cfg,
                                 struct cm_err *err)
{
    (void)err;
    const struct cm_http_head *h = &r->http->head;
    bool upgrade = h->upgrade && cm_http_header_has(h, "upgrade", "websocket") &&
                   cm_ws_key_valid(cm_http_header(h, "sec-websocket-key"));
    if (!cfg->sse && !upgrade)
        return api_reply_message(r, 426, "This endpoint is a WebSocket: send an upgrade request.",
                                 NULL);
    struct follower *x = cm_xcalloc(1, sizeof(*x));
    x->app = r->app;
    x->cfg = *cfg;
    x->f = (struct socket_follow){.id = cfg->id, .after = cfg->after, .first = true};
    x->frames = CM_BUF_INIT(FRAMES_MAX);
    r->state = x;
    r->start = start;
    return CM_OK;
}
