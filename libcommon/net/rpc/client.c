/* Connecting and staying connected. One nng dialer per attempt, so that when to try again is ours
 * to say: nng's own redialling neither tells why an attempt failed nor can be told apart from ours.
 */
#include "net/rpc/client.h"

#include <unistd.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>

#include "base/random.h"
#include "base/secret.h"
#include "net/dial/url.h"
#include "net/rpc/client_impl.h"
#include "obs/log.h"

#define CONNECT_MAX (30 * CM_SECOND)
/* A refusal may be over soon: an agent often starts before its build has been written down. */
#define REFUSED_WAIT_MIN (200 * CM_MSEC)
#define STABLE           (10 * CM_SECOND)
/* For nng to hand over the last answers of a connection that has ended. */
#define ENDED_WAIT (250 * CM_MSEC)

struct cm_rpc_client *rpc_client_ref(struct cm_rpc_client *c)
{
    __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
    return c;
}

void rpc_client_unref(void *client)
{
    struct cm_rpc_client *c = client;
    if (__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    cm_arena_free(c->arena);
    cm_secret_wipe(c, sizeof(*c));
    cm_free(c);
}

static void set_state(struct cm_rpc_client *c, enum cm_rpc_state state, const struct cm_err *err)
{
    bool same = c->state == state && (state == CM_RPC_READY || strcmp(c->err.text, err->text) == 0);
    c->state = state;
    if (state == CM_RPC_READY)
        c->err = (struct cm_err){.code = CM_OK};
    else
        c->err = *err;
    if (!same && c->cfg.on_state)
        c->cfg.on_state(c->cfg.ctx, state, state == CM_RPC_READY ? NULL : &c->err);
}

static void lose(struct cm_rpc_client *c)
{
    struct cm_err err;
    cm_err_set(&err, CM_UNAVAILABLE, "%.*s: the connection was closed", CM_STR_ARG(c->cfg.url));
    rpc_client_drop(c, &err, false);
}

/* Pipes: nng tells from its own threads. */

struct pipe_news {
    struct cm_rpc_client *client;
    uint32_t pipe, dialer;
    bool added;
};

static void pipe_news(void *arg)
{
    struct pipe_news *n = arg;
    struct cm_rpc_client *c = n->client;
    bool ours = !c->closed && c->has_dialer && (uint32_t)nng_dialer_id(c->dialer) == n->dialer;
    if (ours && n->added && !c->pipe) {
        c->pipe = n->pipe;
        c->connecting = false;
        c->last_heard = cm_monotonic_now();
        rpc_hello_start(c);
    } else if (ours && !n->added && c->pipe == n->pipe) {
        lose(c);
    } else if (n->added && !ours) {
        /* Of a dialer given up meanwhile: the next request could go there. */
        nng_pipe_close((nng_pipe){.id = n->pipe});
    }
    rpc_client_unref(c);
    cm_free(n);
}

static void on_pipe(nng_pipe p, nng_pipe_ev ev, void *arg)
{
    struct cm_rpc_client *c = arg;
    struct pipe_news *n = cm_xcalloc(1, sizeof(*n));
    *n =
        (struct pipe_news){rpc_client_ref(c), (uint32_t)nng_pipe_id(p),
                           (uint32_t)nng_dialer_id(nng_pipe_dialer(p)), ev == NNG_PIPE_EV_ADD_POST};
    cm_loop_post(c->cfg.loop, pipe_news, n);
}

/* Connecting. */

static void fail_attempt(struct cm_rpc_client *c, struct cm_err *err)
{
    cm_err_wrap(err, "connect to %.*s", CM_STR_ARG(c->cfg.url));
    rpc_client_drop(c, err, false);
}

static void nng_dial_url(struct cm_rpc_client *c, const char *url)
{
    struct cm_err err;
    int rv = nng_dialer_create(&c->dialer, c->sock, url);
    c->has_dialer = rv == 0;
    /* The attempt is ours to repeat; by then this dialer is closed. */
    if (rv == 0)
        rv = nng_dialer_set_ms(c->dialer, NNG_OPT_RECONNMINT, 3600 * 1000);
    if (rv == 0)
        rv = nng_dialer_start(c->dialer, NNG_FLAG_NONBLOCK);
    if (rv != 0) {
        cm_rpc_nng_err(&err, rv, "dial");
        fail_attempt(c, &err);
    }
}

static void on_forward(void *ctx, const char *url, const struct cm_err *why)
{
    struct cm_rpc_client *c = ctx;
    if (url) {
        nng_dial_url(c, url);
        return;
    }
    if (c->pipe) {
        /* nng 1.5 does not notice when it was just between two messages. */
        c->ended = true;
        cm_timer_start(&c->timer, ENDED_WAIT);
        return;
    }
    struct cm_err err = *why;
    fail_attempt(c, &err);
}

struct old_dialer {
    struct cm_link link;
    nng_dialer dialer;
    cm_usec since;
};

static void close_old_dialers(struct cm_rpc_client *c, cm_usec older_than)
{
    cm_usec limit = cm_monotonic_now() - older_than;
    CM_LIST_EACH(l, &c->old_dialers)
    {
        struct old_dialer *o = cm_container_of(l, struct old_dialer, link);
        if (o->since > limit)
            break;
        cm_list_unlink(l);
        nng_dialer_close(o->dialer);
        cm_free(o);
    }
}

static void connect_now(struct cm_rpc_client *c)
{
    close_old_dialers(c, 2 * CM_SECOND);
    c->connecting = true;
    cm_timer_start(&c->timer, CONNECT_MAX);
    c->forward = rpc_forward_start(c->cfg.dialer, c->cfg.loop, c->rpc_url, c->unix_path,
                                   CONNECT_MAX, on_forward, c);
}

static cm_usec backoff(const struct cm_rpc_client *c)
{
    cm_usec d = c->cfg.backoff_min;
    for (unsigned i = 1; i < c->attempts && d < c->cfg.backoff_max; i++)
        d *= 2;
    d = CM_MIN(d, c->cfg.backoff_max);
    return d / 2 + (cm_usec)cm_random_below((uint64_t)d / 2 + 1);
}

static void on_timer(void *arg)
{
    struct cm_rpc_client *c = arg;
    if (!c->connecting && !c->pipe) {
        connect_now(c);
        return;
    }
    if (c->ended) {
        lose(c);
        return;
    }
    struct cm_err err;
    cm_err_set(&err, CM_TIMEOUT, "no answer within %d s", (int)(CONNECT_MAX / CM_SECOND));
    fail_attempt(c, &err);
}

/* nng 1.5 panics now and then when a dialer is closed in the middle of an attempt. So the attempt
 * ends first, by itself, as the forwarder is gone; the dialer is closed later, when it sleeps. */
static void disconnect(struct cm_rpc_client *c)
{
    c->connecting = c->ended = false;
    cm_timer_stop(&c->timer);
    cm_timer_stop(&c->heartbeat);
    rpc_hello_reset(c);
    rpc_forward_stop(CM_TAKE(c->forward));
    if (!c->has_dialer)
        return;
    struct old_dialer *o = cm_xcalloc(1, sizeof(*o));
    o->dialer = c->dialer;
    o->since = cm_monotonic_now();
    cm_list_push(&c->old_dialers, &o->link);
    c->has_dialer = false;
}

/* First nothing is sent any more and no answer counts, then the calls learn of it. */
static void take_down(struct cm_rpc_client *c, const struct cm_err *why)
{
    if (c->pipe)
        nng_pipe_close((nng_pipe){.id = c->pipe});
    c->pipe = 0;
    c->introduced = c->greeting = false;
    rpc_calls_take_back(c, why);
    disconnect(c);
}

void rpc_client_drop(struct cm_rpc_client *c, const struct cm_err *why, bool refused)
{
    struct cm_err err = *why;
    /* A connection that held resets the backoff; one that breaks at once, again and again, does
     * not. */
    if (c->ready_at && cm_monotonic_now() - c->ready_at > STABLE)
        c->attempts = 0;
    c->ready_at = 0;
    take_down(c, &err);
    c->attempts++;
    cm_usec wait = backoff(c);
    if (refused && wait < REFUSED_WAIT_MIN)
        wait = REFUSED_WAIT_MIN;
    cm_timer_start(&c->timer, wait);
    CM_DEBUG("rpc: not connected", CM_F_ERR(&err), CM_F_INT(next_attempt_ms, wait / CM_MSEC));
    if (refused)
        rpc_calls_fail(c, &err);
    set_state(c, refused ? CM_RPC_REFUSED : CM_RPC_OFFLINE, &err);
}

/* Heartbeat: whoever is silent that long is asked, and dropped when it does not answer. */

static void ping_done(struct rpc_call *call, enum cm_code code, struct cm_str payload,
                      const struct cm_err *why)
{
    (void)payload;
    struct cm_rpc_client *c = call->client;
    /* Refused: the next Hello says why. */
    bool bad = code == CM_TIMEOUT || code == CM_UNAUTHENTICATED || code == CM_DENIED;
    if (!bad || !c->pipe)
        return;
    struct cm_err err = *why;
    cm_err_wrap(&err, "%.*s: connection given up", CM_STR_ARG(c->cfg.url));
    rpc_client_drop(c, &err, false);
}

static void on_heartbeat(void *arg)
{
    struct cm_rpc_client *c = arg;
    cm_timer_start(&c->heartbeat, c->heartbeat_every);
    if (cm_monotonic_now() - c->last_heard < c->heartbeat_every - CM_SECOND / 2)
        return;
    Coder__Rpc__V1__PingRequest m = CODER__RPC__V1__PING_REQUEST__INIT;
    const struct cm_rpc_call_opts opts = {.deadline = c->heartbeat_every * 2 / 3, .once = true};
    struct rpc_call *call = rpc_call_new(c, "rpc.Ping", &opts, ping_done);
    call->ping = true;
    rpc_call_set_payload(call, &m.base);
    rpc_call_start(call);
}

void rpc_client_ready(struct cm_rpc_client *c)
{
    if (!c->ready_at)
        c->ready_at = cm_monotonic_now();
    if (!c->ended)
        cm_timer_stop(&c->timer);
    cm_timer_start(&c->heartbeat, c->heartbeat_every);
    set_state(c, CM_RPC_READY, NULL);
    rpc_calls_flush(c);
}

/* Life. */

static void copy_config(struct cm_rpc_client *c, const struct cm_rpc_client_config *cfg)
{
    struct cm_arena *a = c->arena = cm_arena_new();
    struct cm_rpc_tag *tags = CM_NEW_ARRAY(a, struct cm_rpc_tag, cfg->n_tags + 1);
    for (size_t i = 0; i < cfg->n_tags; i++)
        tags[i] = (struct cm_rpc_tag){cm_arena_str(a, cfg->tags[i].name),
                                      cm_arena_str(a, cfg->tags[i].value)};
    c->cfg = *cfg;
    c->cfg.url = cm_arena_str(a, cfg->url);
    c->cfg.psk_name = cm_arena_str(a, cfg->psk_name);
    c->cfg.name = cm_arena_str(a, cfg->name);
    c->cfg.program_version = cm_arena_str(a, cfg->program_version);
    c->cfg.tags = tags;
    c->cfg.token = CM_STR_NONE;
    if (!cfg->backoff_min)
        c->cfg.backoff_min = 100 * CM_MSEC;
    if (!cfg->backoff_max)
        c->cfg.backoff_max = 10 * CM_SECOND;
}

static enum cm_code check_config(struct cm_rpc_client *c, struct cm_err *err)
{
    cm_assert(c->cfg.dialer);
    if (cm_str_starts(c->cfg.url, CM_STR("ipc://"))) {
        c->unix_path = c->cfg.url.ptr + strlen("ipc://");
        c->rpc_url = CM_STR("http://localhost" CM_RPC_PATH);
        return CM_OK;
    }
    struct cm_url url;
    if (cm_url_parse(c->arena, c->cfg.url, &url, err) != CM_OK)
        return CM_INVALID;
    struct cm_str path = url.path;
    if (cm_str_ends(path, CM_STR("/")))
        path.len--;
    c->rpc_url =
        cm_arena_fmt(c->arena, "%.*s%.*s" CM_RPC_PATH, CM_STR_ARG(url.origin), CM_STR_ARG(path));
    return CM_OK;
}

static enum cm_code socket_open(struct cm_rpc_client *c, struct cm_err *err)
{
    int rv = nng_req0_open(&c->sock);
    if (rv != 0)
        return cm_rpc_nng_err(err, rv, "open an RPC socket");
    rv = nng_socket_set_ms(c->sock, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    if (rv == 0)
        rv = nng_socket_set_size(c->sock, NNG_OPT_RECVMAXSZ, CM_RPC_MESSAGE_MAX);
    if (rv == 0)
        rv = nng_pipe_notify(c->sock, NNG_PIPE_EV_ADD_POST, on_pipe, c);
    if (rv == 0)
        rv = nng_pipe_notify(c->sock, NNG_PIPE_EV_REM_POST, on_pipe, c);
    if (rv != 0)
        nng_close(c->sock);
    return rv ? cm_rpc_nng_err(err, rv, "set up an RPC socket") : CM_OK;
}

enum cm_code cm_rpc_client_new(const struct cm_rpc_client_config *cfg, struct cm_rpc_client **ret,
                               struct cm_err *err)
{
    struct cm_rpc_client *c = cm_xcalloc(1, sizeof(*c));
    c->refs = 1;
    cm_list_init(&c->calls);
    cm_list_init(&c->old_dialers);
    copy_config(c, cfg);
    if (check_config(c, err) != CM_OK || socket_open(c, err) != CM_OK) {
        rpc_client_unref(c);
        return err ? err->code : CM_INVALID;
    }
    cm_rpc_client_set_token(c, cfg->token);
    cm_timer_init(&c->timer, cfg->loop, on_timer, c);
    cm_timer_init(&c->heartbeat, cfg->loop, on_heartbeat, c);
    c->heartbeat_every = CM_RPC_HEARTBEAT;
    c->state = CM_RPC_OFFLINE;
    cm_err_set(&c->err, CM_UNAVAILABLE, "connecting to %.*s", CM_STR_ARG(c->cfg.url));
    cm_timer_start(&c->timer, 0);
    *ret = c;
    return CM_OK;
}

static void token_free(struct cm_rpc_client *c)
{
    if (c->token)
        cm_secret_wipe(c->token, strlen(c->token));
    cm_free(c->token);
    c->token = NULL;
}

void cm_rpc_client_free(struct cm_rpc_client *c)
{
    if (!c)
        return;
    CM_ON_LOOP(c->cfg.loop);
    struct cm_err err;
    cm_err_set(&err, CM_CANCELED, "the program ends");
    c->closed = true;
    if (c->pipe)
        nng_pipe_close((nng_pipe){.id = c->pipe});
    c->pipe = 0;
    rpc_calls_fail(c, &err);
    rpc_calls_free(c);
    disconnect(c);
    /* Time for an attempt that has just been cut off to end; see disconnect. */
    if (!cm_list_empty(&c->old_dialers))
        usleep(20 * 1000);
    close_old_dialers(c, 0);
    nng_close(c->sock);
    cm_timer_done(&c->timer);
    cm_timer_done(&c->heartbeat);
    token_free(c);
    cm_secret_wipe(c->secret, sizeof(c->secret));
    cm_secret_wipe(c->cfg.psk_key, sizeof(c->cfg.psk_key));
    rpc_client_unref(c);
}

enum cm_rpc_state cm_rpc_client_state(const struct cm_rpc_client *c)
{
    return c->state;
}

unsigned cm_rpc_client_api_version(const struct cm_rpc_client *c)
{
    return c->api_version;
}

void cm_rpc_client_set_token(struct cm_rpc_client *c, struct cm_str token)
{
    token_free(c);
    c->token = cm_str_xdup(token);
}

void cm_rpc_client_reconnect(struct cm_rpc_client *c)
{
    CM_ON_LOOP(c->cfg.loop);
    struct cm_err err;
    cm_err_set(&err, CM_UNAVAILABLE, "%.*s: connecting anew", CM_STR_ARG(c->cfg.url));
    take_down(c, &err);
    c->attempts = 0;
    c->state = CM_RPC_OFFLINE;
    c->err = err;
    cm_timer_start(&c->timer, 0);
}
