#include "lifecycle.h"

#include "base/time.h"
#include "net/rpc/client.h"
#include "obs/log.h"

#define STATES_MAX   16
#define CALL_TIMEOUT CM_MINUTE
#define RETRY_AFTER  CM_SECOND

struct report {
    Coder__Agent__V1__LifecycleState state;
    struct cm_time at;
};

struct lifecycle {
    struct cm_rpc_client *rpc;
    struct cm_timer retry;
    Coder__Agent__V1__LifecycleState now;
    struct report queue[STATES_MAX]; /* each state enters once */
    size_t first, count;
    uint64_t call;
    bool calling;
};

static void send_next(struct lifecycle *l);

static void on_sent(void *ctx, enum cm_code code, const void *reply, const struct cm_err *err)
{
    (void)reply;
    struct lifecycle *l = ctx;
    l->calling = false;
    if (code == CM_OK || code == CM_INVALID) {
        l->first++;
        send_next(l);
        return;
    }
    CM_DEBUG("lifecycle was not reported", CM_F_ERR(err));
    cm_timer_start(&l->retry, RETRY_AFTER);
}

static void send_next(struct lifecycle *l)
{
    if (l->calling || l->first == l->count || !l->rpc)
        return;
    Coder__Agent__V1__LifecycleRequest q = CODER__AGENT__V1__LIFECYCLE_REQUEST__INIT;
    q.state = l->queue[l->first].state;
    q.changed_at_us = l->queue[l->first].at.us;
    struct cm_rpc_call_opts opts = {.deadline = CALL_TIMEOUT};
    l->calling = true;
    l->call = cm_rpc_call(l->rpc, "agent.Lifecycle", &q.base,
                          &coder__agent__v1__lifecycle_reply__descriptor, &opts, on_sent, l);
}

static void on_retry(void *ctx)
{
    send_next(ctx);
}

void lifecycle_set(struct lifecycle *l, Coder__Agent__V1__LifecycleState state)
{
    if (state <= l->now)
        return;
    l->now = state;
    cm_assert(l->count < STATES_MAX);
    l->queue[l->count++] = (struct report){.state = state, .at = cm_time_now()};
    send_next(l);
}

bool lifecycle_reported(const struct lifecycle *l)
{
    return l->first == l->count;
}

struct lifecycle *lifecycle_new(struct cm_loop *loop, struct cm_rpc_client *rpc)
{
    struct lifecycle *l = cm_xcalloc(1, sizeof(*l));
    l->rpc = rpc;
    l->now = CODER__AGENT__V1__LIFECYCLE_STATE__CREATED;
    cm_timer_init(&l->retry, loop, on_retry, l);
    return l;
}

void lifecycle_free(struct lifecycle *l)
{
    if (!l)
        return;
    if (l->calling)
        cm_rpc_cancel(l->rpc, l->call);
    cm_timer_done(&l->retry);
    cm_free(l);
}
