/* The client's end of a session: paths are asked for, lost and asked for again; the rest is layers
 * upon each other. */
#include "net/session/session.h"

#include <openssl/ssl.h>

#include "base/enc.h"
#include "base/random.h"
#include "net/session/carrier.h"
#include "net/session/tls.h"

#define PAUSE_FIRST (100 * CM_MSEC)
#define PAUSE_MOST  (5 * CM_SECOND)

struct cm_session_client {
    struct cm_loop *loop;
    struct cm_session_client_config cfg;
    struct cm_uuid id; /* the carrier's */
    enum cm_session_state state;
    struct cm_carrier *carrier; /* NULL once ended */
    struct cm_tunnel *tunnel;   /* owns TLS, which owns the carrier's stream */
    bool tls_up, freed, asking;
    cm_usec pause;
    struct cm_timer retry;
    unsigned refs; /* the owner, posted turns */
};

static void free_later(void *arg)
{
    struct cm_session_client *s = arg;
    cm_timer_done(&s->retry);
    cm_free(s);
}

static void unref(struct cm_session_client *s)
{
    if (--s->refs == 0)
        cm_loop_post(s->loop, free_later, s);
}

static void set_state(struct cm_session_client *s, enum cm_session_state state,
                      const struct cm_err *why)
{
    if (s->state == state || s->state == CM_SESSION_ENDED)
        return;
    s->state = state;
    if (s->cfg.state && !s->freed)
        s->cfg.state(s->cfg.ctx, s, state, why);
}

static void ask_for_path(struct cm_session_client *s)
{
    if (s->asking || s->freed || s->state == CM_SESSION_ENDED)
        return;
    cm_timer_stop(&s->retry);
    s->asking = true;
    s->cfg.open_path(s->cfg.ctx, s, s->id, cm_carrier_received(s->carrier));
}

static void on_retry(void *ctx)
{
    ask_for_path(ctx);
}

/* Each pause is about twice as long as the one before, and no two clients of a lost replica come
 * back together. */
static void retry_later(struct cm_session_client *s)
{
    cm_usec p = s->pause;
    s->pause = CM_MIN(2 * p, PAUSE_MOST);
    cm_timer_start(&s->retry, p / 2 + (cm_usec)cm_random_below((uint64_t)p));
}

static void on_path_lost(void *ctx, struct cm_carrier *c, const struct cm_err *why)
{
    (void)c;
    struct cm_session_client *s = ctx;
    if (s->tls_up)
        set_state(s, CM_SESSION_LOST, why);
    if (s->asking || s->freed)
        return;
    if (s->pause == PAUSE_FIRST) {
        /* The first try after a path that worked comes at once. */
        s->pause = 2 * PAUSE_FIRST;
        cm_timer_start(&s->retry, 0);
    } else {
        retry_later(s);
    }
}

static void on_path_up(void *ctx, struct cm_carrier *c)
{
    (void)c;
    struct cm_session_client *s = ctx;
    s->pause = PAUSE_FIRST;
    if (s->tls_up)
        set_state(s, CM_SESSION_UP, NULL);
}

static void on_tls_up(void *ctx, struct cm_stream *tls)
{
    (void)tls;
    struct cm_session_client *s = ctx;
    s->tls_up = true;
    if (!s->freed)
        set_state(s, CM_SESSION_UP, NULL);
}

static void on_tunnel_closed(void *ctx, struct cm_tunnel *t, const struct cm_err *why)
{
    (void)t;
    struct cm_session_client *s = ctx;
    cm_timer_stop(&s->retry);
    s->carrier = NULL;
    set_state(s, CM_SESSION_ENDED, why);
}

static void on_start(void *arg)
{
    struct cm_session_client *s = arg;
    ask_for_path(s);
    unref(s);
}

struct cm_session_client *cm_session_client_new(struct cm_loop *loop,
                                                const struct cm_session_client_config *cfg)
{
    CM_ON_LOOP(loop);
    struct cm_session_client *s = cm_xcalloc(1, sizeof(*s));
    s->loop = loop;
    s->cfg = *cfg;
    s->id = cm_uuid_random();
    s->pause = PAUSE_FIRST;
    s->refs = 2;
    cm_timer_init(&s->retry, loop, on_retry, s);
    const struct cm_carrier_config cc = {
        .id = s->id,
        .linger = cfg->linger,
        .ping_interval = cfg->ping_interval,
        .ping_timeout = cfg->ping_timeout,
        .path_lost = on_path_lost,
        .path_up = on_path_up,
        .ctx = s,
    };
    s->carrier = cm_carrier_new(loop, &cc);
    struct ssl_st *ssl = NULL;
    struct cm_err err;
    cm_assert(cm_session_identity_ssl(cfg->id, s->cfg.agent_cert_sha256, &ssl, &err) == CM_OK);
    struct cm_stream *tls =
        cm_tls_stream_new(cm_carrier_stream(s->carrier), ssl, false, on_tls_up, s);
    /* The carrier's own PING finds a dead path; the tunnel's would give up the session with it. */
    const struct cm_tunnel_config tc = {.ping_interval = -1, .closed = on_tunnel_closed, .ctx = s};
    s->tunnel = cm_tunnel_client_new(tls, &tc);
    cm_loop_post(loop, on_start, s);
    return s;
}

void cm_session_client_leave(struct cm_session_client *s, void (*gone)(void *ctx), void *ctx)
{
    CM_ON_LOOP(s->loop);
    s->freed = true;
    cm_timer_stop(&s->retry);
    if (s->carrier)
        cm_carrier_on_gone(s->carrier, gone, ctx);
    else if (gone)
        cm_loop_post(s->loop, gone, ctx);
    s->carrier = NULL;
    cm_tunnel_free(CM_TAKE(s->tunnel));
    unref(s);
}

void cm_session_client_free(struct cm_session_client *s)
{
    if (s)
        cm_session_client_leave(s, NULL, NULL);
}

void cm_session_client_path(struct cm_session_client *s, struct cm_stream *path)
{
    CM_ON_LOOP(s->loop);
    cm_assert(s->asking && !s->freed);
    s->asking = false;
    if (s->carrier)
        cm_carrier_attach_client(s->carrier, path);
    else
        cm_stream_close(path);
}

static bool for_good(enum cm_code code)
{
    return code == CM_UNAUTHENTICATED || code == CM_DENIED || code == CM_NOT_FOUND ||
           code == CM_GONE || code == CM_INVALID;
}

void cm_session_client_path_failed(struct cm_session_client *s, const struct cm_err *err)
{
    CM_ON_LOOP(s->loop);
    cm_assert(s->asking && !s->freed);
    s->asking = false;
    if (!s->carrier)
        return;
    if (for_good(err->code) && !cm_carrier_has_path(s->carrier))
        cm_carrier_abort(s->carrier, err);
    else if (!cm_carrier_has_path(s->carrier))
        retry_later(s);
}

void cm_session_client_move(struct cm_session_client *s)
{
    CM_ON_LOOP(s->loop);
    if (s->carrier && !s->asking)
        cm_timer_start(&s->retry, 0);
}

enum cm_session_state cm_session_client_state(const struct cm_session_client *s)
{
    return s->state;
}

struct cm_uuid cm_session_client_carrier(const struct cm_session_client *s)
{
    return s->id;
}

struct cm_stream *cm_session_open(struct cm_session_client *s, enum cm_kind kind, struct cm_str arg)
{
    CM_ON_LOOP(s->loop);
    CM_AUTOBUF struct cm_buf path =
        CM_BUF_INIT(3 * arg.len + 2); /* the tunnel refuses what is too long */
    cm_buf_char(&path, '/');
    cm_percent_encode(&path, arg, "/:[],=@");
    return cm_tunnel_open(s->tunnel, cm_str(cm_kind_name(kind)), cm_buf_view(&path), NULL, 0);
}
