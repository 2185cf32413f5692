#include "stats/stats.h"

#include "net/rpc/client.h"
#include "obs/log.h"

#define CALL_TIMEOUT     (30 * CM_SECOND)
#define DEFAULT_INTERVAL (5 * CM_MINUTE)

struct stats {
    const struct agent_context *ctx;
    const struct agent_counters *counters;
    struct cm_timer timer;
    cm_usec interval;
    int64_t reported_rx, reported_tx;
    bool started, calling;
    uint64_t call;
};

static void on_sent(void *ctx, enum cm_code code, const void *reply, const struct cm_err *err)
{
    struct stats *s = ctx;
    const Coder__Agent__V1__StatsReply *r = reply;
    s->calling = false;
    if (code != CM_OK)
        CM_DEBUG("statistics were not reported", CM_F_ERR(err));
    else if (r->has_interval_us && r->interval_us >= CM_SECOND)
        s->interval = r->interval_us;
    cm_timer_start(&s->timer, s->interval);
}

static void send_report(struct stats *s, bool blank)
{
    const struct agent_counters *c = s->counters;
    Coder__Agent__V1__StatsRequest q = CODER__AGENT__V1__STATS_REQUEST__INIT;
    if (!blank) {
        q.has_connection_count = q.has_rx_bytes = q.has_tx_bytes = true;
        q.has_sessions_ssh = q.has_sessions_vscode = q.has_sessions_jetbrains = q.has_sessions_pty =
            true;
        q.connection_count = c->connections;
        q.rx_bytes = c->rx_bytes - s->reported_rx;
        q.tx_bytes = c->tx_bytes - s->reported_tx;
        q.sessions_ssh = c->ssh;
        q.sessions_vscode = c->vscode;
        q.sessions_jetbrains = c->jetbrains;
        q.sessions_pty = c->ptys;
        q.has_median_latency_ms = c->median_latency_ms >= 0;
        q.median_latency_ms = c->median_latency_ms;
        s->reported_rx = c->rx_bytes;
        s->reported_tx = c->tx_bytes;
    }
    struct cm_rpc_call_opts opts = {.deadline = CALL_TIMEOUT};
    s->calling = true;
    s->call = cm_rpc_call(s->ctx->rpc, "agent.Stats", &q.base,
                          &coder__agent__v1__stats_reply__descriptor, &opts, on_sent, s);
}

static void on_timer(void *ctx)
{
    struct stats *s = ctx;
    if (!s->calling)
        send_report(s, false);
}

void stats_start(struct stats *s)
{
    if (s->started)
        return;
    s->started = true;
    send_report(s, true);
}

struct stats *stats_new(const struct agent_context *ctx, const struct agent_counters *counters)
{
    struct stats *s = cm_xcalloc(1, sizeof(*s));
    s->ctx = ctx;
    s->counters = counters;
    s->interval = DEFAULT_INTERVAL;
    cm_timer_init(&s->timer, ctx->loop, on_timer, s);
    return s;
}

void stats_free(struct stats *s)
{
    if (!s)
        return;
    if (s->calling)
        cm_rpc_cancel(s->ctx->rpc, s->call);
    cm_timer_done(&s->timer);
    cm_free(s);
}
