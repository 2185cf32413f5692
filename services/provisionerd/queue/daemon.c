#include "queue/daemon.h"

#include <errno.h>
#include <semaphore.h>
#include <sys/statvfs.h>

#include "base/version.h"
#include "obs/log.h"
#include "queue/record.h"
#include "queue/report.h"
#include "queue/transfer.h"
#include "sys/fs.h"

/* The server answers within 25 s; the rest is for a slow way and a reconnect. */
#define ACQUIRE_DEADLINE (40 * CM_SECOND)
#define ACQUIRE_PAUSE    (1 * CM_SECOND)
/* With less in the work folder's file system no job is taken: it could hardly unpack its template,
 * and what is left is for the state of a job that runs. */
#define ROOM_BYTES ((uint64_t)16 << 20)
#define ROOM_FILES 64

enum daemon_state {
    DAEMON_UNSET,
    DAEMON_RECOVERING,
    DAEMON_ACQUIRING,
    DAEMON_RUNNING,
    DAEMON_FINISHED
};

/* A job from its arrival to its final word. */
struct current {
    struct daemon *d;
    struct cm_arena *a;
    PB(Job) * job;
    PB(Lease) report_lease; /* the reporter writes to its own */
    struct report *report;
    struct tf_cancel cancel;
    _Atomic int shutdown; /* enum daemon_stop + 1; 0: no */
    char *folder;
    bool delivered;
    const char *refusal; /* why it is not run at all, or NULL */
    sem_t reported;
    struct cm_task run, send;
    unsigned tasks; /* under way */
};

struct daemon {
    struct daemon_config cfg;
    enum daemon_state state;
    bool stopping;
    _Atomic bool give_up; /* what cannot be handed in now is left for the next start */
    struct cm_task recover;
    struct cm_timer retry;
    struct cm_uuid
        acquire_id; /* kept until there is an answer: the server gives the same job again */
    uint64_t acquire_call;
    bool disowned; /* the last answer to it was that nobody knows us */
    bool no_room;  /* for a job; said once */
    struct current *cur;
};

static void acquire(struct daemon *d);

static void set_state(struct daemon *d, enum daemon_state s)
{
    d->state = s;
    if (s == DAEMON_FINISHED)
        d->cfg.on_finished(d->cfg.ctx);
}

/* --- a job --- */

static void current_free(struct current *c)
{
    if (!c)
        return;
    report_free(c->report);
    tf_cancel_done(&c->cancel);
    sem_destroy(&c->reported);
    cm_free(c->folder);
    cm_arena_free(c->a);
    cm_free(c);
}

static void host_log(void *ctx, const struct job_log_line *line)
{
    struct current *c = ctx;
    report_log(c->report, line);
}

static enum cm_code host_fetch(void *ctx, PB(FetchRequest__What) what, struct cm_buf *out,
                               struct cm_err *err)
{
    struct current *c = ctx;
    return transfer_fetch(c->d->cfg.client, c->job->lease, what, out, err);
}

static void host_state(void *ctx, struct cm_str state)
{
    struct current *c = ctx;
    report_state(c->report, state);
}

static void host_modules(void *ctx, struct cm_str archive)
{
    struct current *c = ctx;
    struct cm_err err;
    if (transfer_store(c->d->cfg.client, c->job->lease, PB_ENUM(STORE_REQUEST__WHAT__MODULES),
                       archive, 0, NULL, NULL, &err) != CM_OK)
        CM_WARN("cannot store modules at the server", CM_F_ERR(&err));
}

static void host_describe(void *ctx, struct cm_str readme, PB(TemplateVariable) *const *variables,
                          size_t n)
{
    struct current *c = ctx;
    report_describe(c->report, readme, variables, n);
}

static void fail(struct current *c, PB(CompleteRequest) * done, const char *why)
{
    done->outcome = PB_ENUM(COMPLETE_REQUEST__OUTCOME__FAILED);
    done->error = cm_arena_printf(c->a, "%s", why);
}

/* A job that we broke off ourselves was not canceled by a user. */
static void explain_stop(struct current *c, PB(CompleteRequest) * done)
{
    if (done->outcome != PB_ENUM(COMPLETE_REQUEST__OUTCOME__CANCELED))
        return;
    if (c->shutdown)
        fail(c, done,
             "the provisioner was shut down in the middle of the job; start the build again");
    else if (report_lost(c->report) == REPORT_EXPIRED)
        fail(c, done,
             "the provisioner lost contact with the server and stopped the job; start the build "
             "again");
}

static void record(struct current *c, PB(CompleteRequest) * done)
{
    struct cm_err err;
    enum cm_code code = record_complete(c->folder, done, &err);
    if (code == CM_TOO_LARGE) {
        PB(CompleteRequest) small = PB_INIT(COMPLETE_REQUEST);
        small.lease = done->lease;
        *done = small;
        fail(c, done,
             "what the template describes is larger than one message may be; use fewer or shorter "
             "scripts");
        code = record_complete(c->folder, done, &err);
    }
    if (code != CM_OK)
        CM_WARN("cannot keep the result of a job on disk", CM_F_ERR(&err));
}

/* On a pool thread: the whole job. */
static void run_work(struct cm_task *t, void *thread_ctx)
{
    struct current *c = cm_container_of(t, struct current, run);
    PB(CompleteRequest) *done = CM_NEW(c->a, PB(CompleteRequest));
    const struct job_host host = {.ctx = c,
                                  .log = host_log,
                                  .fetch = host_fetch,
                                  .state = host_state,
                                  .modules = host_modules,
                                  .describe = host_describe};
    struct cm_err err;
    (void)thread_ctx;
    job_run(c->d->cfg.job, c->job, &host, &c->cancel, c->folder, c->a, done);
    done->lease = c->job->lease;
    explain_stop(c, done);
    record(c, done);
    report_finish(c->report);
    while (sem_wait(&c->reported) < 0)
        ;
    /* The final word comes last: with it the server takes the state as complete. */
    if (!report_state_delivered(c->report) && report_lost(c->report) != REPORT_FENCED &&
        c->shutdown)
        return;
    enum cm_code code = record_deliver(c->d->cfg.client, done, &c->d->give_up, &err);
    c->delivered = code != CM_CANCELED;
    if (code != CM_OK)
        CM_WARN("the server did not take the result of a job", CM_F_ERR(&err));
}

static void send_work(struct cm_task *t, void *thread_ctx)
{
    struct current *c = cm_container_of(t, struct current, send);
    (void)thread_ctx;
    report_main(c->report);
    sem_post(&c->reported);
}

static void task_done(struct current *c)
{
    struct daemon *d = c->d;
    struct cm_err err;
    if (--c->tasks > 0)
        return;
    if (c->delivered && c->folder && cm_fs_remove_tree(c->folder, &err) != CM_OK)
        CM_WARN("cannot remove the folder of a job", CM_F_ERR(&err));
    CM_INFO("job ended");
    current_free(c);
    d->cur = NULL;
    if (d->stopping)
        set_state(d, DAEMON_FINISHED);
    else
        acquire(d);
}

static void run_done(struct cm_task *t)
{
    task_done(cm_container_of(t, struct current, run));
}

static void send_done(struct cm_task *t)
{
    task_done(cm_container_of(t, struct current, send));
}

/* On a pool thread: a job that cannot be started here. Its user shall not wait for the lease's end.
 */
static void refuse_work(struct cm_task *t, void *thread_ctx)
{
    struct current *c = cm_container_of(t, struct current, run);
    PB(CompleteRequest) *done = CM_NEW(c->a, PB(CompleteRequest));
    struct cm_err err;
    (void)thread_ctx;
    coder__provisioner__v1__complete_request__init(done);
    done->lease = c->job->lease;
    fail(c, done, c->refusal);
    if (record_deliver(c->d->cfg.client, done, &c->d->give_up, &err) != CM_OK)
        CM_WARN("the server did not take the result of a job", CM_F_ERR(&err));
    c->delivered = true;
}

static enum cm_code current_new(struct daemon *d, const PB(Job) * job, struct current **ret,
                                struct cm_err *err)
{
    struct current *c = cm_xcalloc(1, sizeof *c);
    ProtobufCMessage *copy = NULL;
    struct cm_str packed;
    c->d = d;
    c->a = cm_arena_new();
    sem_init(&c->reported, 0, 0);
    enum cm_code code = tf_cancel_init(&c->cancel, err);
    if (code == CM_OK)
        code = cm_rpc_pack(c->a, &job->base, &packed, err);
    if (code == CM_OK)
        code = cm_rpc_unpack(c->a, &coder__provisioner__v1__job__descriptor, packed, &copy, err);
    if (code != CM_OK) {
        current_free(c);
        return code;
    }
    c->job = (PB(Job) *)copy;
    c->report_lease = *c->job->lease;
    c->run = (struct cm_task){.work = run_work, .done = run_done, .home = d->cfg.loop};
    c->send = (struct cm_task){.work = send_work, .done = send_done, .home = d->cfg.loop};
    *ret = c;
    return CM_OK;
}

/* Is there room for a job? The log says when there is none, and when there is again. */
static enum cm_code check_room(struct daemon *d, struct cm_err *err)
{
    const char *path = d->cfg.job->work_root;
    struct statvfs fs;
    if (statvfs(path, &fs) < 0)
        return cm_err_errno(err, CM_IO, "%s", path);
    /* File systems that count nothing say 0 of 0. */
    bool full = (fs.f_blocks > 0 && (uint64_t)fs.f_bavail * fs.f_frsize < ROOM_BYTES) ||
                (fs.f_files > 0 && fs.f_favail < ROOM_FILES);
    if (full && !d->no_room)
        CM_ERROR("the disk is full: no job is taken until there is room in the work folder",
                 CM_F_CSTR(path, path));
    else if (!full && d->no_room)
        CM_INFO("there is room for jobs again", CM_F_CSTR(path, path));
    d->no_room = full;
    return full ? cm_err_set(err, CM_UNAVAILABLE, "the disk of %s is full", path) : CM_OK;
}

/* What it works in and reports with. */
static enum cm_code current_prepare(struct current *c, struct cm_err *err)
{
    struct daemon *d = c->d;
    const struct report_config cfg = {.client = d->cfg.client,
                                      .lease = &c->report_lease,
                                      .cancel = &c->cancel,
                                      .heartbeat = d->cfg.heartbeat};
    enum cm_code code = check_room(d, err);
    if (code == CM_OK)
        code = cm_fs_temp_dir(d->cfg.job->work_root, "job-", &c->folder, err);
    if (code == CM_OK)
        code = record_lease(c->folder, c->job->lease, err);
    if (code == CM_OK)
        code = report_new(&cfg, &c->report, err);
    return code;
}

static void start_job(struct daemon *d, const PB(Job) * job)
{
    struct current *c = NULL;
    struct cm_err err;
    struct cm_uuid id = {0};
    enum cm_code code = current_new(d, job, &c, &err);
    if (code != CM_OK) {
        CM_ERROR("cannot start a job", CM_F_ERR(&err));
        cm_timer_start(&d->retry, ACQUIRE_PAUSE);
        return;
    }
    cm_ignore(!cm_rpc_get_uuid(c->job->lease->job_id, &id), "it is for the log");
    code = current_prepare(c, &err);
    if (code != CM_OK) {
        CM_ERROR("cannot start a job", CM_F_UUID(job_id, id), CM_F_ERR(&err));
        c->refusal = cm_arena_printf(c->a,
                                     "the provisioner \"%s\" cannot start the job: %s; ask its "
                                     "administrator to put that right, then try again",
                                     d->cfg.name, err.text);
        c->run.work = refuse_work;
    } else {
        CM_INFO("job started", CM_F_UUID(job_id, id));
    }
    d->cur = c;
    c->tasks = code == CM_OK ? 2 : 1;
    /* The pool is ours, with room for both. */
    cm_assert(cm_pool_submit(d->cfg.pool, &c->run, &err) == CM_OK);
    if (code == CM_OK)
        cm_assert(cm_pool_submit(d->cfg.pool, &c->send, &err) == CM_OK);
    set_state(d, DAEMON_RUNNING);
}

/* --- waiting for one --- */

static void on_acquired(void *ctx, enum cm_code code, const void *reply, const struct cm_err *err)
{
    struct daemon *d = ctx;
    const PB(AcquireReply) *r = reply;
    d->acquire_call = 0;
    if (code != CM_OK) {
        if (code != CM_TIMEOUT)
            CM_WARN("cannot ask for a job", CM_F_ERR(err));
        d->disowned = code == CM_UNAUTHENTICATED;
        cm_timer_start(&d->retry, ACQUIRE_PAUSE);
        return;
    }
    d->acquire_id = cm_uuid_random();
    if (r->job && r->job->lease)
        start_job(d, r->job);
    else
        acquire(d);
}

static void acquire(struct daemon *d)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    PB(AcquireRequest) req = PB_INIT(ACQUIRE_REQUEST);
    const struct cm_rpc_call_opts opts = {.deadline = ACQUIRE_DEADLINE,
                                          .request_id = d->acquire_id};
    set_state(d, DAEMON_ACQUIRING);
    if (check_room(d, NULL) == CM_UNAVAILABLE) {
        cm_timer_start(&d->retry, ACQUIRE_PAUSE);
        return;
    }
    req.daemon_name = cm_arena_printf(a, "%s", d->cfg.name);
    req.version = cm_arena_printf(a, "%s", CM_VERSION);
    req.tags = CM_NEW_ARRAY(a, PB(Pair) *, d->cfg.n_tags + 1);
    for (size_t i = 0; i < d->cfg.n_tags; i++) {
        PB(Pair) *p = req.tags[req.n_tags++] = CM_NEW(a, PB(Pair));
        coder__provisioner__v1__pair__init(p);
        p->name = cm_arena_cstr(a, d->cfg.tags[i].name);
        p->value = cm_arena_cstr(a, d->cfg.tags[i].value);
    }
    d->acquire_call =
        cm_rpc_call(d->cfg.client, METHOD_ACQUIRE, &req.base,
                    &coder__provisioner__v1__acquire_reply__descriptor, &opts, on_acquired, d);
}

static void on_retry(void *ctx)
{
    struct daemon *d = ctx;
    if (d->stopping)
        return;
    /* The server forgot us while we were connected, e.g. with a deleted key: a new Hello tells. */
    if (d->disowned && cm_rpc_client_state(d->cfg.client) == CM_RPC_READY)
        cm_rpc_client_reconnect(d->cfg.client);
    d->disowned = false;
    acquire(d);
}

/* --- start and stop --- */

static void recover_work(struct cm_task *t, void *thread_ctx)
{
    struct daemon *d = cm_container_of(t, struct daemon, recover);
    (void)thread_ctx;
    record_recover(d->cfg.client, d->cfg.job->work_root, d->cfg.job->grace, &d->give_up);
}

static void recover_done(struct cm_task *t)
{
    struct daemon *d = cm_container_of(t, struct daemon, recover);
    if (d->stopping)
        set_state(d, DAEMON_FINISHED);
    else
        acquire(d);
}

enum cm_code daemon_new(const struct daemon_config *cfg, struct daemon **ret, struct cm_err *err)
{
    CM_AUTO(daemon) d = cm_xcalloc(1, sizeof *d);
    d->cfg = *cfg;
    d->acquire_id = cm_uuid_random();
    cm_timer_init(&d->retry, cfg->loop, on_retry, d);
    d->recover = (struct cm_task){.work = recover_work, .done = recover_done, .home = cfg->loop};
    d->state = DAEMON_RECOVERING;
    enum cm_code code = cm_pool_submit(cfg->pool, &d->recover, err);
    if (code != CM_OK)
        return code;
    *ret = CM_TAKE(d);
    return CM_OK;
}

void daemon_free(struct daemon *d)
{
    if (!d)
        return;
    current_free(d->cur);
    cm_timer_done(&d->retry);
    cm_free(d);
}

void daemon_stop(struct daemon *d, enum daemon_stop how)
{
    CM_ON_LOOP(d->cfg.loop);
    d->stopping = true;
    switch (d->state) {
    case DAEMON_RECOVERING:
        d->give_up = true; /* recover_done finishes */
        break;
    case DAEMON_ACQUIRING:
        if (d->acquire_call)
            cm_rpc_cancel(d->cfg.client, d->acquire_call);
        d->acquire_call = 0;
        cm_timer_stop(&d->retry);
        set_state(d, DAEMON_FINISHED);
        break;
    case DAEMON_RUNNING:
        if (how == DAEMON_DRAIN)
            break;
        d->cur->shutdown = (int)how + 1;
        tf_cancel_request(&d->cur->cancel, how == DAEMON_QUIT ? TF_STOP_NOW : TF_STOP_GENTLY);
        if (how == DAEMON_QUIT) {
            d->give_up = true;
            if (d->cur->report)
                report_abandon(d->cur->report);
        }
        break;
    case DAEMON_UNSET:
    case DAEMON_FINISHED:
        break;
    }
}
