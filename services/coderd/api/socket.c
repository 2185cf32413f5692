#include "api/socket.h"

#include <stdio.h>

#include "api/front.h"
#include "app.h"
#include "background/hub.h"
#include "net/ws/ws.h"

#define FRAMES_MAX  ((size_t)16 * 1024 * 1024)
#define UNSENT_MAX  ((size_t)256 * 1024)
#define CHECK_EVERY (30 * CM_SECOND)
#define PING_EVERY  (15 * CM_SECOND)

struct follower {
    struct cm_task task;
    struct followers_member member;
    struct coderd *app;
    struct cm_loop *loop;
    struct cm_arena *arena; /* what f points to */
    struct socket_follow_config cfg;
    struct socket_follow f;
    struct cm_ws *ws; /* or */
    struct cm_http_req *sse;
    struct hub_sub *sub;
    struct cm_timer timer, ping;
    struct cm_buf frames; /* of the task */
    cm_usec read_at;
    bool begun, running, news, end, gone, failed;
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

static size_t event_begin(struct cm_buf *b, enum socket_form form, const char *type)
{
    size_t at = socket_frame_begin(b);
    switch (form) {
    case SOCKET_EVENTS:
        cm_buf_printf(b, "event: %s\n", type);
        break;
    case SOCKET_EVENTS_WS:
        cm_buf_printf(b, "{\"type\":\"%s\"", type);
        break;
    case SOCKET_TEXT:
        break;
    }
    return at;
}

static void event_end(struct cm_buf *b, enum socket_form form, size_t at)
{
    switch (form) {
    case SOCKET_EVENTS:
        cm_buf_char(b, '\n');
        break;
    case SOCKET_EVENTS_WS:
        cm_buf_char(b, '}');
        break;
    case SOCKET_TEXT:
        break;
    }
    socket_frame_end(b, at);
}

static void data_key(struct cm_buf *b, enum socket_form form)
{
    if (form == SOCKET_EVENTS)
        cm_buf_cstr(b, "data: ");
    else if (form == SOCKET_EVENTS_WS)
        cm_buf_cstr(b, ",\"data\":");
}

size_t socket_data_begin(struct cm_buf *b, const struct socket_follow *f)
{
    size_t at = event_begin(b, f->form, "data");
    data_key(b, f->form);
    return at;
}

void socket_data_end(struct cm_buf *b, const struct socket_follow *f, size_t at)
{
    if (f->form == SOCKET_EVENTS)
        cm_buf_char(b, '\n');
    event_end(b, f->form, at);
}

uint64_t socket_digest(uint64_t seed, struct cm_str s)
{
    uint64_t h = seed ^ UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (uint8_t)s.ptr[i]) * UINT64_C(0x100000001b3);
    return h ? h : 1;
}

/* ---- the life of a follower ---- */

static void follower_free(struct follower *x)
{
    cm_buf_done(&x->frames);
    cm_arena_free(x->arena);
    cm_free(x);
}

/* Nothing of the outside refers to it any more; the memory goes as soon as no task holds it. */
static void let_go(struct follower *x)
{
    x->gone = true;
    if (x->begun) {
        hub_cancel(CM_TAKE(x->sub));
        cm_timer_done(&x->timer);
        cm_timer_done(&x->ping);
        followers_leave(x->app->followers, &x->member);
        x->begun = false;
    }
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
        cm_timer_stop(&x->ping);
        hub_cancel(CM_TAKE(x->sub));
        return; /* CLOSED follows */
    }
    cm_http_stream_end(CM_TAKE(x->sse));
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

static const char FAILED_TEXT[] = "the database cannot be read; connect again";

static void send_error(struct follower *x)
{
    cm_buf_reset(&x->frames);
    if (x->cfg.form == SOCKET_TEXT)
        return;
    size_t at = event_begin(&x->frames, x->cfg.form, "error");
    data_key(&x->frames, x->cfg.form);
    cm_buf_printf(&x->frames, "{\"message\":\"%s\"}", FAILED_TEXT);
    if (x->cfg.form == SOCKET_EVENTS)
        cm_buf_char(&x->frames, '\n');
    event_end(&x->frames, x->cfg.form, at);
    send_frames(x);
}

static void send_ping(struct follower *x)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(256);
    size_t at = event_begin(&b, x->cfg.form, "ping");
    if (x->cfg.form == SOCKET_EVENTS_WS)
        cm_buf_cstr(&b, ",\"data\":null");
    event_end(&b, x->cfg.form, at);
    if (x->ws)
        cm_ws_send(x->ws, true, b.ptr + sizeof(uint32_t), b.len - sizeof(uint32_t));
    else if (x->sse)
        cm_http_stream_write(x->sse, b.ptr + sizeof(uint32_t), b.len - sizeof(uint32_t));
}

static void on_ping(void *ctx)
{
    send_ping(ctx);
}

static void done(struct cm_task *t)
{
    struct follower *x = cm_container_of(t, struct follower, task);
    x->running = false;
    if (x->gone) {
        follower_free(x);
        return;
    }
    if (!x->sub)
        return; /* closing already */
    if (x->failed || x->frames.failed) {
        send_error(x);
        finish(x, 1011, FAILED_TEXT);
        return;
    }
    send_frames(x);
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
    cm_usec now = cm_monotonic_now(), wait = x->read_at + x->cfg.gap - now;
    if (x->cfg.gap && x->read_at && wait > 0) {
        cm_timer_start(&x->timer, wait);
        return;
    }
    x->read_at = now;
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

/* ---- beginning ---- */

static void on_stop(struct followers_member *m)
{
    struct follower *x = cm_container_of(m, struct follower, member);
    if (x->ws)
        cm_ws_free(CM_TAKE(x->ws));
    if (x->sse)
        cm_http_stream_end(CM_TAKE(x->sse));
    let_go(x);
}

static void on_end(struct followers_member *m, enum followers_end why)
{
    struct follower *x = cm_container_of(m, struct follower, member);
    if (x->sub) /* else closing already */
        finish(x, followers_end_code(why), followers_end_text(why));
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
    cm_timer_init(&x->ping, x->loop, on_ping, x);
    x->sub = hub_subscribe(x->app->hub, topic, x->loop, on_news, x);
    x->begun = true;
    if (x->cfg.form != SOCKET_TEXT) {
        send_ping(x);
        cm_timer_every(&x->ping, PING_EVERY);
    }
    turn(x);
}

static void start_events(struct api_req *r, struct follower *x)
{
    struct cm_http_header h[] = {{CM_STR("Cache-Control"), CM_STR("no-cache")},
                                 {CM_STR("X-Accel-Buffering"), CM_STR("no")}};
    struct cm_http_req *http = r->http;
    bool joined = http->conn && followers_join(x->app->followers, &x->member);
    cm_http_stream_begin(http, &(struct cm_http_resp){.status = joined ? 200 : 503,
                                                      .content_type = "text/event-stream",
                                                      .headers = h,
                                                      .n_headers = CM_COUNT_OF(h)});
    if (!joined) {
        cm_http_stream_end(http);
        follower_free(x);
        return;
    }
    x->sse = http;
    http->app = x;
    http->on_gone = on_sse_gone;
    begin(x);
}

struct cm_stream *socket_join(struct api_req *r, struct followers_member *m)
{
    struct followers *all = r->app->followers;
    if (!followers_join(all, m)) {
        api_reply_message(r, 503, "The server is stopping.", "Connect again.");
        api_front_answer(r);
        return NULL;
    }
    char accept[CM_WS_ACCEPT_TEXT];
    cm_ws_accept_key(cm_http_header(&r->http->head, "sec-websocket-key"), accept);
    struct cm_http_header h[] = {{CM_STR("Sec-WebSocket-Accept"), cm_str(accept)}};
    struct cm_stream *s = cm_http_upgrade(r->http, "websocket", h, CM_COUNT_OF(h));
    cm_http_req_done(r->http);
    if (!s)
        followers_leave(all, m);
    return s;
}

static void start(struct api_req *r)
{
    struct follower *x = r->state;
    x->loop = r->http->loop;
    if (x->cfg.form == SOCKET_EVENTS) {
        start_events(r, x);
        return;
    }
    struct cm_stream *s = socket_join(r, &x->member);
    if (!s) {
        follower_free(x);
        return;
    }
    x->ws = cm_ws_new(s, &(struct cm_ws_config){.max_message = 32 * 1024, .ping_every = PING_EVERY},
                      on_ws, x);
    begin(x);
}

bool socket_is_upgrade(const struct api_req *r)
{
    const struct cm_http_head *h = &r->http->head;
    return h->upgrade && cm_http_header_has(h, "upgrade", "websocket") &&
           cm_ws_key_valid(cm_http_header(h, "sec-websocket-key"));
}

static const struct subject *copy_subject(struct cm_arena *a, const struct subject *s)
{
    struct subject *c = CM_NEW(a, struct subject);
    *c = *s;
    c->username = cm_arena_str(a, s->username);
    c->email = cm_arena_str(a, s->email);
    c->key_id = cm_arena_str(a, s->key_id);
    c->orgs = CM_NEW_ARRAY(a, struct rbac_membership, s->n_orgs);
    for (size_t i = 0; i < s->n_orgs; i++)
        c->orgs[i] = s->orgs[i];
    if (s->targets) { /* an empty list is one that allows nothing */
        struct rbac_target *targets = CM_NEW_ARRAY(a, struct rbac_target, s->n_targets + 1);
        for (size_t i = 0; i < s->n_targets; i++)
            targets[i] = s->targets[i];
        c->targets = targets;
    }
    c->allow_list = cm_arena_str(a, s->allow_list);
    return c;
}

enum cm_code socket_follow_start(struct api_req *r, const struct socket_follow_config *cfg,
                                 struct cm_err *err)
{
    (void)err;
    if (cfg->form != SOCKET_EVENTS && !socket_is_upgrade(r))
        return api_reply_message(r, 426, "This endpoint is a WebSocket: send an upgrade request.",
                                 NULL);
    struct follower *x = cm_xcalloc(1, sizeof(*x));
    x->app = r->app;
    x->member = (struct followers_member){.let_go = on_stop, .end = on_end, .loop = r->http->loop};
    followers_of_key(&x->member, r->who);
    x->arena = cm_arena_new();
    x->cfg = *cfg;
    x->f = (struct socket_follow){.app = r->app,
                                  .form = cfg->form,
                                  .id = cfg->id,
                                  .after = cfg->after,
                                  .first = true,
                                  .text = cfg->text ? cm_arena_cstr(x->arena, cm_str(cfg->text))
                                                    : NULL};
    if (cfg->with_subject && r->who)
        x->f.who = copy_subject(x->arena, r->who);
    x->frames = CM_BUF_INIT(FRAMES_MAX);
    r->state = x;
    r->start = start;
    return CM_OK;
}
