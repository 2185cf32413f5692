#include "stats/metadata.h"

#include "base/buf.h"
#include "base/list.h"
#include "logs/text.h"
#include "net/rpc/client.h"
#include "obs/log.h"
#include "scripts/run.h"

#define TICK            CM_SECOND
#define OUTPUT_MAX      ((size_t)10 * 1024)
#define DEFAULT_TIMEOUT (3 * CM_SECOND)
#define CALL_TIMEOUT    (30 * CM_SECOND)
#define ITEMS_MAX       256

struct item {
    struct metadata *m;
    char *key, *script;
    cm_usec interval, timeout;
    cm_usec next; /* monotonic; 0: at once */
    bool once_done, changed, cut;
    struct run *run;
    struct cm_buf output;
    struct cm_time collected_at;
    char *value, *error;
};

struct metadata {
    const struct agent_context *ctx;
    struct cm_timer tick;
    struct item *items;
    size_t n;
    uint64_t call;
    bool calling;
};

static void item_done(struct item *it)
{
    if (it->run)
        run_abort(it->run);
    cm_buf_done(&it->output);
    cm_free(it->key);
    cm_free(it->script);
    cm_free(it->value);
    cm_free(it->error);
}

static void on_output(void *ctx, struct cm_str piece, bool is_stderr)
{
    (void)is_stderr;
    struct item *it = ctx;
    size_t room = OUTPUT_MAX - it->output.len;
    it->cut = it->cut || piece.len > room;
    cm_buf_append(&it->output, piece.ptr, CM_MIN(piece.len, room));
}

static char *failure(const struct item *it, const struct run_result *r, const struct cm_err *err)
{
    switch (r->status) {
    case RUN_NOT_STARTED:
        return cm_xstrdup(err->text);
    case RUN_TIMED_OUT:
        return cm_xasprintf("timed out after %lld ms", (long long)(it->timeout / CM_MSEC));
    case RUN_PIPES_LEFT_OPEN:
        return cm_xstrdup("a background process keeps the output open");
    case RUN_EXIT_FAILURE:
        return cm_xasprintf("exit status %d", r->exit_code);
    case RUN_OK:
        break;
    }
    return it->cut ? cm_xasprintf("the output was cut: it is larger than %zu bytes", OUTPUT_MAX)
                   : cm_xstrdup("");
}

static void on_done(void *ctx, const struct run_result *result, const struct cm_err *err)
{
    struct item *it = ctx;
    it->run = NULL;
    cm_free(it->value);
    cm_free(it->error);
    CM_AUTOBUF struct cm_buf clean = CM_BUF_INIT(4 * OUTPUT_MAX);
    logs_clean(&clean, cm_buf_view(&it->output));
    it->value = cm_str_xdup(cm_buf_view(&clean));
    it->error = failure(it, result, err);
    it->collected_at = cm_time_now();
    it->changed = true;
}

static void collect(struct item *it)
{
    const struct agent_context *c = it->m->ctx;
    cm_buf_reset(&it->output);
    it->cut = false;
    struct run_spec spec = {
        .environment = c->environment,
        .base_env = c->base_env,
        .user = &c->user,
        .script = cm_str(it->script),
        .timeout = it->timeout,
        .kill_after = CM_SECOND,
        .pipe_grace = CM_SECOND,
        .output = on_output,
        .done = on_done,
        .ctx = it,
    };
    it->run = run_start(c->loop, &spec);
    it->once_done = true;
    it->next = cm_monotonic_now() + it->interval;
}

static void on_sent(void *ctx, enum cm_code code, const void *reply, const struct cm_err *err)
{
    (void)reply;
    struct metadata *m = ctx;
    m->calling = false;
    if (code != CM_OK)
        CM_DEBUG("metadata was not reported", CM_F_ERR(err));
}

static void report(struct metadata *m)
{
    Coder__Agent__V1__MetadataResult results[ITEMS_MAX], *list[ITEMS_MAX];
    Coder__Agent__V1__MetadataRequest q = CODER__AGENT__V1__METADATA_REQUEST__INIT;
    q.results = list;
    for (size_t i = 0; i < m->n; i++) {
        struct item *it = &m->items[i];
        if (!it->changed)
            continue;
        Coder__Agent__V1__MetadataResult *r = &results[q.n_results];
        coder__agent__v1__metadata_result__init(r);
        r->key = it->key;
        r->value = it->value;
        r->error = it->error;
        r->collected_at_us = it->collected_at.us;
        list[q.n_results++] = r;
        it->changed = false;
    }
    if (!q.n_results)
        return;
    struct cm_rpc_call_opts opts = {.deadline = CALL_TIMEOUT};
    m->calling = true;
    m->call = cm_rpc_call(m->ctx->rpc, "agent.Metadata", &q.base,
                          &coder__agent__v1__metadata_reply__descriptor, &opts, on_sent, m);
}

static void on_tick(void *ctx)
{
    struct metadata *m = ctx;
    cm_usec now = cm_monotonic_now();
    for (size_t i = 0; i < m->n; i++) {
        struct item *it = &m->items[i];
        bool due = it->interval ? now >= it->next : !it->once_done;
        if (due && !it->run)
            collect(it);
    }
    if (!m->calling && m->ctx->rpc)
        report(m);
}

void metadata_refresh(struct metadata *m)
{
    const Coder__Agent__V1__Manifest *mf = m->ctx->manifest;
    size_t n = CM_MIN(mf->n_metadata, (size_t)ITEMS_MAX);
    struct item *items = cm_xcalloc(n ? n : 1, sizeof(*items));
    for (size_t i = 0; i < n; i++) {
        const Coder__Agent__V1__MetadataDescription *d = mf->metadata[i];
        items[i] = (struct item){
            .m = m,
            .key = cm_xstrdup(d->key),
            .script = cm_xstrdup(d->script ? d->script : ""),
            .interval = CM_MAX(d->interval_us, (int64_t)0),
            .timeout = d->timeout_us > 0    ? d->timeout_us
                       : d->interval_us > 0 ? d->interval_us
                                            : DEFAULT_TIMEOUT,
        };
        cm_buf_init(&items[i].output, OUTPUT_MAX);
        /* What is collected once in a process is not collected again because of a reconnect. */
        for (size_t k = 0; k < m->n; k++)
            if (strcmp(m->items[k].key, d->key) == 0 &&
                strcmp(m->items[k].script, items[i].script) == 0) {
                items[i].once_done = m->items[k].once_done;
                items[i].next = m->items[k].next;
            }
    }
    for (size_t i = 0; i < m->n; i++)
        item_done(&m->items[i]);
    cm_free(m->items);
    m->items = items;
    m->n = n;
    cm_timer_every(&m->tick, TICK);
}

struct metadata *metadata_new(const struct agent_context *ctx)
{
    struct metadata *m = cm_xcalloc(1, sizeof(*m));
    m->ctx = ctx;
    cm_timer_init(&m->tick, ctx->loop, on_tick, m);
    return m;
}

void metadata_free(struct metadata *m)
{
    if (!m)
        return;
    if (m->calling)
        cm_rpc_cancel(m->ctx->rpc, m->call);
    for (size_t i = 0; i < m->n; i++)
        item_done(&m->items[i]);
    cm_free(m->items);
    cm_timer_done(&m->tick);
    cm_free(m);
}
