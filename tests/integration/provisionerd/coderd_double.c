#include "coderd_double.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "queue/transfer.h"

#define STATE_MAX ((size_t)64 << 20)

static ProtobufCBinaryData job_id(void)
{
    static uint8_t id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    return (ProtobufCBinaryData){16, id};
}

static PB(Lease) * lease(struct coderd_double *d, struct cm_arena *a)
{
    PB(Lease) *l = CM_NEW(a, PB(Lease));
    coder__provisioner__v1__lease__init(l);
    l->job_id = job_id();
    l->token = d->token;
    l->lease_us = d->lease_us;
    return l;
}

static enum cm_code check(struct coderd_double *d, const PB(Lease) * l, struct cm_err *err)
{
    if (d->fence || l->token != d->token)
        return cm_err_set(err, CM_CONFLICT, "the job belongs to another provisioner");
    return CM_OK;
}

static void fill_job(struct coderd_double *d, struct cm_arena *a, PB(Job) * job)
{
    PB(BuildContext) *c = CM_NEW(a, PB(BuildContext));
    coder__provisioner__v1__job__init(job);
    coder__provisioner__v1__build_context__init(c);
    job->lease = lease(d, a);
    job->kind = d->kind;
    job->source_file_id = cm_rpc_bytes(a, cm_str_n(&d->source_id, 1));
    job->source_size = (int64_t)d->source.len;
    job->has_state_size = true;
    job->state_size = (int64_t)d->state.len;
    c->access_url = cm_arena_cstr(a, CM_STR("http://127.0.0.1:3000"));
    c->workspace_name = cm_arena_cstr(a, CM_STR("dev"));
    c->has_transition = true;
    c->transition = d->transition;
    job->context = c;
}

static enum cm_code acquire(struct cm_rpc_request *rq, const void *request, void *reply,
                            struct cm_err *err)
{
    struct coderd_double *d = rq->app;
    PB(AcquireReply) *out = reply;
    (void)request;
    (void)err;
    if (rq->wake == CM_RPC_GONE)
        return CM_OK;
    pthread_mutex_lock(&d->lock);
    d->acquires++;
    bool offer = d->offer;
    if (offer) {
        d->offer = false;
        d->token++;
        out->job = CM_NEW(rq->arena, PB(Job));
        fill_job(d, rq->arena, out->job);
    }
    pthread_mutex_unlock(&d->lock);
    if (offer)
        return CM_OK;
    /* Looked at again soon: there is nothing here that could wake it. */
    poll(NULL, 0, 10);
    return CM_OK;
}

static enum cm_code fetch(struct cm_rpc_request *rq, const void *request, void *reply,
                          struct cm_err *err)
{
    struct coderd_double *d = rq->app;
    const PB(FetchRequest) *in = request;
    PB(FetchReply) *out = reply;
    pthread_mutex_lock(&d->lock);
    enum cm_code code = check(d, in->lease, err);
    struct cm_str all =
        cm_buf_view(in->what == PB_ENUM(FETCH_REQUEST__WHAT__STATE) ? &d->state : &d->source);
    /* Small parts, so that there are several. */
    out->data = cm_rpc_bytes(rq->arena, cm_str_sub(all, (size_t)in->offset, 1000));
    out->total = (int64_t)all.len;
    pthread_mutex_unlock(&d->lock);
    return code;
}

static enum cm_code store(struct cm_rpc_request *rq, const void *request, void *reply,
                          struct cm_err *err)
{
    struct coderd_double *d = rq->app;
    const PB(StoreRequest) *in = request;
    (void)reply;
    (void)err;
    pthread_mutex_lock(&d->lock);
    /* Late state is welcome, so there is no look at the lease. */
    if (in->what == PB_ENUM(STORE_REQUEST__WHAT__STATE)) {
        if (in->offset == 0)
            cm_buf_reset(&d->storing);
        cm_buf_append(&d->storing, in->data.data, in->data.len);
        if ((int64_t)d->storing.len == in->total) {
            cm_buf_reset(&d->state);
            cm_buf_str(&d->state, cm_buf_view(&d->storing));
            d->states++;
        }
    }
    pthread_mutex_unlock(&d->lock);
    return CM_OK;
}

static enum cm_code update(struct cm_rpc_request *rq, const void *request, void *reply,
                           struct cm_err *err)
{
    struct coderd_double *d = rq->app;
    const PB(UpdateRequest) *in = request;
    PB(UpdateReply) *out = reply;
    pthread_mutex_lock(&d->lock);
    enum cm_code code = check(d, in->lease, err);
    if (code == CM_OK) {
        d->updates++;
        d->variables += (unsigned)in->n_template_variables;
        if (in->first_log_seq != d->log_lines)
            d->log_gap = true;
        d->log_lines += in->n_logs;
        for (size_t i = 0; i < in->n_logs; i++)
            cm_buf_printf(&d->log, "%s|%s|%s\n", in->logs[i]->stage, in->logs[i]->level,
                          in->logs[i]->output);
        out->has_canceled = true;
        out->canceled = d->cancel;
    }
    out->lease = lease(d, rq->arena);
    pthread_mutex_unlock(&d->lock);
    return code;
}

static enum cm_code complete(struct cm_rpc_request *rq, const void *request, void *reply,
                             struct cm_err *err)
{
    struct coderd_double *d = rq->app;
    const PB(CompleteRequest) *in = request;
    (void)reply;
    pthread_mutex_lock(&d->lock);
    enum cm_code code = check(d, in->lease, err);
    if (code == CM_OK) {
        d->completes++;
        d->outcome = in->outcome;
        d->state_before_complete = d->states > 0;
        d->resources = (unsigned)in->n_resources;
        for (size_t i = 0; i < in->n_resources; i++)
            d->agents += (unsigned)in->resources[i]->n_agents;
        snprintf(d->error, sizeof d->error, "%s", in->error ? in->error : "");
    }
    pthread_mutex_unlock(&d->lock);
    return code;
}

#define M(handler, snake)                                                                          \
    &coder__provisioner__v1__##snake##_request__descriptor,                                        \
        &coder__provisioner__v1__##snake##_reply__descriptor, handler
static const struct cm_rpc_method methods[] = {
    {METHOD_ACQUIRE, CM_RPC_ANY_PROVISIONER, M(acquire, acquire)},
    {METHOD_FETCH, CM_RPC_ANY_PROVISIONER, M(fetch, fetch)},
    {METHOD_STORE, CM_RPC_ANY_PROVISIONER, M(store, store)},
    {METHOD_UPDATE, CM_RPC_ANY_PROVISIONER, M(update, update)},
    {METHOD_COMPLETE, CM_RPC_ANY_PROVISIONER, M(complete, complete)},
    {NULL, 0, NULL, NULL, NULL},
};
static const struct cm_rpc_method *const tables[] = {methods};

static enum cm_code hello(void *app, void *thread_ctx, struct cm_arena *a,
                          const struct cm_rpc_hello *h, struct cm_rpc_identity *ret,
                          struct cm_err *err)
{
    struct coderd_double *d = app;
    (void)thread_ctx;
    (void)a;
    (void)err;
    pthread_mutex_lock(&d->lock);
    d->hellos++;
    pthread_mutex_unlock(&d->lock);
    memset(ret->subject_id.b, 7, sizeof ret->subject_id.b);
    ret->name = h->name;
    ret->tags = h->tags;
    ret->n_tags = h->n_tags;
    return CM_OK;
}

void double_init(struct coderd_double *d, const char *dir)
{
    *d = (struct coderd_double){.kind = PB_ENUM(JOB_KIND__WORKSPACE_BUILD),
                                .lease_us = 300 * CM_SECOND};
    snprintf(d->path, sizeof d->path, "%s/rpc.sock", dir);
    snprintf(d->url, sizeof d->url, "ipc://%s", d->path);
    pthread_mutex_init(&d->lock, NULL);
    cm_buf_init(&d->source, STATE_MAX);
    cm_buf_init(&d->state, STATE_MAX);
    cm_buf_init(&d->storing, STATE_MAX);
    cm_buf_init(&d->log, STATE_MAX);
}

void double_start(struct coderd_double *d)
{
    struct cm_err err = {0};
    const struct cm_pool_config pool = {.name = "rpc", .threads = 4, .queue_max = 256};
    struct cm_rpc_key key = {.id = 1};
    memset(key.key, 5, sizeof key.key);
    d->loop = cm_loop_new();
    assert_int_equal(cm_loop_thread_start(d->loop, "server", &err), CM_OK);
    assert_int_equal(cm_pool_new(&pool, &d->pool, &err), CM_OK);
    const struct cm_rpc_server_config cfg = {.loop = d->loop,
                                             .pool = d->pool,
                                             .app = d,
                                             .tables = tables,
                                             .n_tables = 1,
                                             .contexts = 16,
                                             .parked_max = 100,
                                             .api = {[CM_RPC_BUILTIN] = {1, 1}},
                                             .hello = hello};
    if (cm_rpc_server_new(&cfg, &key, 1, &d->server, &err) != CM_OK ||
        cm_rpc_server_listen_unix(d->server, d->path, &err) != CM_OK)
        fail_msg("%s", err.text);
}

void double_stop(struct coderd_double *d)
{
    if (!d->server)
        return;
    cm_loop_thread_join(d->loop);
    cm_rpc_server_free(d->server);
    cm_pool_free(d->pool);
    cm_loop_free(d->loop);
    d->server = NULL;
}

void double_done(struct coderd_double *d)
{
    double_stop(d);
    cm_buf_done(&d->source);
    cm_buf_done(&d->state);
    cm_buf_done(&d->storing);
    cm_buf_done(&d->log);
    pthread_mutex_destroy(&d->lock);
}

void double_offer(struct coderd_double *d, PB(Transition) transition)
{
    pthread_mutex_lock(&d->lock);
    d->transition = transition;
    d->cancel = d->fence = d->log_gap = d->state_before_complete = false;
    d->updates = d->states = d->completes = d->resources = d->agents = d->variables = 0;
    d->log_lines = 0;
    d->error[0] = '\0';
    cm_buf_reset(&d->log);
    d->offer = true;
    pthread_mutex_unlock(&d->lock);
}
