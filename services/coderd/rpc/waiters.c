#include "rpc/waiters.h"

#include <pthread.h>

#include "background/hub.h"

struct waiters {
    struct coderd *app;
    struct hub_sub *sub;
    pthread_mutex_t lock; /* guards the tokens */
    uint64_t *tokens;
    size_t n, cap;
};

/* Tokens of requests that were answered meanwhile do no harm; a growing list of them is swept by
 * waking everybody. */
#define SWEEP_AT 8192

static void wake_all(void *ctx)
{
    struct waiters *w = ctx;
    pthread_mutex_lock(&w->lock);
    uint64_t *tokens = w->tokens;
    size_t n = w->n;
    w->tokens = NULL;
    w->n = w->cap = 0;
    pthread_mutex_unlock(&w->lock);
    for (size_t i = 0; i < n; i++)
        cm_rpc_resume(w->app->rpc, tokens[i]);
    cm_free(tokens);
}

struct waiters *waiters_new(struct coderd *app, const char *topic)
{
    struct waiters *w = cm_xcalloc(1, sizeof(*w));
    w->app = app;
    pthread_mutex_init(&w->lock, NULL);
    w->sub = hub_subscribe(app->hub, topic, app->loops[0], wake_all, w);
    return w;
}

void waiters_free(struct waiters *w)
{
    if (!w)
        return;
    hub_cancel(w->sub);
    pthread_mutex_destroy(&w->lock);
    cm_free(w->tokens);
    cm_free(w);
}

void waiters_add(struct waiters *w, uint64_t token)
{
    pthread_mutex_lock(&w->lock);
    bool sweep = w->n >= SWEEP_AT;
    if (w->n == w->cap) {
        w->cap = w->cap ? 2 * w->cap : 64;
        w->tokens = cm_xrealloc_array(w->tokens, w->cap, sizeof(*w->tokens));
    }
    w->tokens[w->n++] = token;
    pthread_mutex_unlock(&w->lock);
    if (sweep)
        wake_all(w);
}
