#include "stats/apphealth.h"

#include "net/dial/http_client.h"
#include "net/rpc/client.h"
#include "net/rpc/wire.h"
#include "obs/log.h"

#define APPS_MAX     256
#define TICK         CM_SECOND
#define CALL_TIMEOUT (30 * CM_SECOND)
#define BODY_MAX     ((size_t)1024 * 1024)
#define REDIRECTS    10

enum health { INITIALIZING, HEALTHY, UNHEALTHY };

struct app {
    struct apphealth *h;
    struct cm_uuid id;
    char *url, *at; /* at: where a redirect led; NULL: url */
    cm_usec interval;
    int threshold, failures, redirects;
    enum health health;
    struct cm_timer timer;
    struct cm_httpc_call *call;
};

struct apphealth {
    const struct agent_context *ctx;
    struct cm_httpc *http;
    struct app *apps;
    size_t n;
    struct cm_timer tick;
    bool changed, calling;
    uint64_t call;
};

static const char *const health_names[] = {"initializing", "healthy", "unhealthy"};

static void judge(struct app *a, bool good)
{
    enum health was = a->health;
    if (good) {
        a->failures = 0;
        a->health = HEALTHY;
    } else if (a->failures < a->threshold) {
        a->failures++; /* as many are forgiven; the next one counts */
    } else {
        a->health = UNHEALTHY;
    }
    a->h->changed = a->h->changed || a->health != was;
}

static void check(struct app *a);

static void on_answer(void *ctx, struct cm_httpc_answer *answer, const struct cm_err *err)
{
    (void)err;
    CM_AUTO(cm_httpc_answer) owned = answer;
    struct app *a = ctx;
    a->call = NULL;
    struct cm_str to = owned ? cm_httpc_header(owned, "location") : CM_STR_NONE;
    bool moved = owned && owned->status >= 300 && owned->status < 400 &&
                 cm_str_starts_nocase(to, CM_STR("http"));
    if (moved && a->redirects++ < REDIRECTS) {
        cm_free(a->at);
        a->at = cm_str_xdup(to);
        check(a);
        return;
    }
    judge(a, owned && owned->status < 500 && !moved);
}

static void check(struct app *a)
{
    struct cm_httpc_req q = {
        .url = cm_str(a->at ? a->at : a->url),
        .max_body = BODY_MAX,
        .timeout = CM_MAX(a->interval - CM_MSEC, CM_MSEC),
    };
    a->call = cm_httpc_start(a->h->http, &q, on_answer, a);
}

static void on_due(void *ctx)
{
    struct app *a = ctx;
    if (a->call)
        return;
    cm_free(a->at);
    a->at = NULL;
    a->redirects = 0;
    check(a);
}

static void on_sent(void *ctx, enum cm_code code, const void *reply, const struct cm_err *err)
{
    (void)reply;
    struct apphealth *h = ctx;
    h->calling = false;
    if (code == CM_OK)
        return;
    CM_DEBUG("app health was not reported", CM_F_ERR(err));
    h->changed = code != CM_INVALID; /* try again, unless it would be refused again */
}

static void on_tick(void *ctx)
{
    struct apphealth *h = ctx;
    if (!h->changed || h->calling || !h->ctx->rpc || !h->n)
        return;
    Coder__Agent__V1__AppHealth items[APPS_MAX], *list[APPS_MAX];
    Coder__Agent__V1__AppHealthRequest q = CODER__AGENT__V1__APP_HEALTH_REQUEST__INIT;
    q.apps = list;
    for (; q.n_apps < h->n; q.n_apps++) {
        struct app *a = &h->apps[q.n_apps];
        coder__agent__v1__app_health__init(&items[q.n_apps]);
        union {
            const char *in;
            char *out;
        } name = {.in = health_names[a->health]};
        items[q.n_apps].app_id = (ProtobufCBinaryData){.len = sizeof(a->id.b), .data = a->id.b};
        items[q.n_apps].health = name.out;
        list[q.n_apps] = &items[q.n_apps];
    }
    h->changed = false;
    h->calling = true;
    struct cm_rpc_call_opts opts = {.deadline = CALL_TIMEOUT};
    h->call = cm_rpc_call(h->ctx->rpc, "agent.AppHealth", &q.base,
                          &coder__agent__v1__app_health_reply__descriptor, &opts, on_sent, h);
}

static void drop_apps(struct apphealth *h)
{
    for (size_t i = 0; i < h->n; i++) {
        struct app *a = &h->apps[i];
        cm_httpc_cancel(a->call);
        cm_timer_done(&a->timer);
        cm_free(a->url);
        cm_free(a->at);
    }
    cm_free(h->apps);
    h->apps = NULL;
    h->n = 0;
}

void apphealth_refresh(struct apphealth *h)
{
    const Coder__Agent__V1__Manifest *m = h->ctx->manifest;
    struct app *old = h->apps;
    size_t n_old = h->n;
    struct app *apps = cm_xcalloc(CM_MIN(m->n_apps, (size_t)APPS_MAX) + 1, sizeof(*apps));
    size_t n = 0;
    for (size_t i = 0; i < m->n_apps && n < APPS_MAX; i++) {
        const Coder__Agent__V1__App *in = m->apps[i];
        struct app *a = &apps[n];
        if (!in->health_url || !*in->health_url || in->health_interval_us <= 0 ||
            in->health_threshold <= 0 || !cm_rpc_get_uuid(in->id, &a->id))
            continue;
        a->h = h;
        a->url = cm_xstrdup(in->health_url);
        a->interval = in->health_interval_us;
        a->threshold = in->health_threshold;
        for (size_t k = 0; k < n_old; k++)
            if (cm_uuid_eq(old[k].id, a->id)) {
                a->health = old[k].health;
                a->failures = old[k].failures;
            }
        n++;
    }
    drop_apps(h);
    h->apps = apps;
    h->n = n;
    h->changed = n > 0;
    for (size_t i = 0; i < n; i++) {
        cm_timer_init(&apps[i].timer, h->ctx->loop, on_due, &apps[i]);
        cm_timer_every(&apps[i].timer, apps[i].interval);
    }
    cm_timer_every(&h->tick, TICK);
}

struct apphealth *apphealth_new(const struct agent_context *ctx, struct cm_httpc *http)
{
    struct apphealth *h = cm_xcalloc(1, sizeof(*h));
    h->ctx = ctx;
    h->http = http;
    cm_timer_init(&h->tick, ctx->loop, on_tick, h);
    return h;
}

void apphealth_free(struct apphealth *h)
{
    if (!h)
        return;
    if (h->calling)
        cm_rpc_cancel(h->ctx->rpc, h->call);
    drop_apps(h);
    cm_timer_done(&h->tick);
    cm_free(h);
}
