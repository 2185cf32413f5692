/* Following logs: a WebSocket whose messages go to a callback until it closes. */
#include "net/ws/ws_dial.h"
#include "sdk/sdk.h"

#define PING_EVERY (20 * CM_SECOND)

struct cm_sdk_follower {
    struct cm_sdk *sdk;
    struct cm_arena *arena;
    struct cm_ws_dial *dial;
    struct cm_ws *ws;
    bool (*on_message)(void *ctx, struct cm_str message);
    void (*done)(void *ctx, const struct cm_err *err);
    void *ctx;
};

static void follower_free(struct cm_sdk_follower *f)
{
    cm_ws_dial_cancel(f->dial);
    cm_ws_free(f->ws);
    cm_arena_free(f->arena);
    cm_free(f);
}

/* The one way out, unless stopped. */
static void end(struct cm_sdk_follower *f, const struct cm_err *err)
{
    void (*done)(void *, const struct cm_err *) = f->done;
    void *ctx = f->ctx;
    struct cm_err copy = err ? *err : (struct cm_err){.code = CM_OK};
    follower_free(f);
    done(ctx, err ? &copy : NULL);
}

static void on_ws(struct cm_ws *ws, enum cm_ws_event ev, struct cm_str payload, void *ctx)
{
    struct cm_sdk_follower *f = ctx;
    struct cm_err err;

    switch (ev) {
    case CM_WS_TEXT:
    case CM_WS_BINARY:
        if (!f->on_message(f->ctx, payload)) {
            cm_err_set(&err, CM_CANCELED, "canceled");
            end(f, &err);
        }
        break;
    case CM_WS_CLOSED:
        if (cm_ws_close_code(ws) == CM_WS_NORMAL || cm_ws_close_code(ws) == CM_WS_NO_CODE) {
            end(f, NULL);
            break;
        }
        cm_err_set(&err, cm_ws_close_code(ws) == CM_WS_GOING_AWAY ? CM_UNAVAILABLE : CM_INTERNAL,
                   "the server closed the stream (%d): %.*s", cm_ws_close_code(ws),
                   CM_STR_ARG(payload));
        end(f, &err);
        break;
    case CM_WS_FAILED:
        end(f, cm_ws_err(ws));
        break;
    }
}

static void on_dialed(void *ctx, struct cm_stream *stream, const struct cm_httpc_answer *answer,
                      const struct cm_err *err)
{
    struct cm_sdk_follower *f = ctx;
    struct cm_ws_config cfg = {.client = true, .ping_every = PING_EVERY};

    (void)answer;
    f->dial = NULL;
    if (!stream) {
        end(f, err);
        return;
    }
    f->ws = cm_ws_new(stream, &cfg, on_ws, f);
}

struct cm_sdk_follower *cm_sdk_follow_start(struct cm_sdk *s,
                                            bool (*on_message)(void *ctx, struct cm_str message),
                                            void (*done)(void *ctx, const struct cm_err *err),
                                            void *ctx, const char *path)
{
    struct cm_sdk_follower *f = cm_xcalloc(1, sizeof(*f));
    struct cm_httpc_req req;

    f->sdk = s;
    f->arena = cm_arena_new();
    f->on_message = on_message;
    f->done = done;
    f->ctx = ctx;
    cm_sdk_request(s, f->arena, path, &req);
    f->dial = cm_ws_dial_start(cm_sdk_http(s), &req, NULL, on_dialed, f);
    return f;
}

void cm_sdk_follow_stop(struct cm_sdk_follower *f)
{
    if (f)
        follower_free(f);
}

struct waiting {
    bool done;
    struct cm_err err;
    bool (*on_message)(void *ctx, struct cm_str message);
    void *ctx;
};

static bool pass_on(void *ctx, struct cm_str message)
{
    struct waiting *w = ctx;
    return w->on_message(w->ctx, message);
}

static void on_done(void *ctx, const struct cm_err *err)
{
    struct waiting *w = ctx;
    w->done = true;
    if (err)
        w->err = *err;
}

enum cm_code cm_sdk_follow(struct cm_sdk *s, bool (*on_message)(void *ctx, struct cm_str message),
                           void *ctx, struct cm_err *err, const char *path, ...)
{
    struct waiting w = {.on_message = on_message, .ctx = ctx};
    CM_AUTO(cm_arena) a = cm_arena_new();
    va_list ap;

    va_start(ap, path);
    const char *full = cm_arena_vprintf(a, path, ap);
    va_end(ap);
    cm_sdk_follow_start(s, pass_on, on_done, &w, full);
    while (!w.done)
        cm_loop_turn(cm_sdk_loop(s), CM_SECOND);
    if (w.err.code != CM_OK && err)
        *err = w.err;
    return w.err.code;
}
