#include "queue/report.h"

#include <pthread.h>
#include <time.h>

#include "obs/log.h"
#include "queue/transfer.h"

#define HEARTBEAT     (5 * CM_SECOND)
#define BATCH_DELAY   (100 * CM_MSEC) /* log lines that come together travel together */
#define BATCH_BYTES   ((size_t)256 << 10)
#define BATCH_LINES   2000
#define CALL_DEADLINE (8 * CM_SECOND) /* less for a short lease */
#define CALL_PART     6
#define RETRY_DELAY   (1 * CM_SECOND)
/* Of the lease: when to stop terraform gently, and when by force, for want of contact. */
#define GENTLE_PART 3
#define FORCE_PART  15

struct line {
    struct line *next;
    struct cm_time at;
    const char *source, *level, *stage; /* static */
    size_t len;
    char text[];
};

struct report {
    struct report_config cfg;
    cm_usec lease_until; /* monotonic; report_main's own from here on */
    uint64_t next_seq;   /* of the first line that is not acknowledged */
    cm_usec last_update;
    enum report_loss lost;
    bool state_refused;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    struct line *first, **last;
    size_t lines;
    struct cm_buf state; /* to be sent; state_pending */
    uint64_t state_version, state_sent;
    struct cm_buf description; /* a packed UpdateRequest with readme and variables */
    bool description_pending;
    bool finishing, abandoned;
};

static void wake(struct report *r)
{
    pthread_cond_signal(&r->wake);
}

enum cm_code report_new(const struct report_config *cfg, struct report **ret, struct cm_err *err)
{
    pthread_condattr_t attr;
    struct report *r = cm_xcalloc(1, sizeof *r);
    r->cfg = *cfg;
    if (r->cfg.heartbeat <= 0)
        r->cfg.heartbeat = HEARTBEAT;
    r->lease_until = cm_monotonic_now() + cfg->lease->lease_us;
    r->last_update = cm_monotonic_now();
    r->last = &r->first;
    cm_buf_init(&r->state, JOB_STATE_MAX);
    cm_buf_init(&r->description, CM_RPC_PAYLOAD_MAX);
    r->state.wipe = true;
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int rc = pthread_cond_init(&r->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (rc != 0) {
        report_free(r);
        return cm_err_set(err, CM_INTERNAL, "make a condition variable");
    }
    *ret = r;
    return CM_OK;
}

static void drop_lines(struct report *r, size_t n)
{
    for (; n > 0 && r->first; n--) {
        struct line *l = r->first;
        r->first = l->next;
        if (!r->first)
            r->last = &r->first;
        r->lines--;
        cm_free(l);
    }
}

void report_free(struct report *r)
{
    if (!r)
        return;
    drop_lines(r, r->lines);
    cm_buf_done(&r->state);
    cm_buf_done(&r->description);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->wake);
    cm_free(r);
}

/* --- the job's side --- */

void report_log(struct report *r, const struct job_log_line *line)
{
    struct line *l = cm_xcalloc(1, sizeof *l + line->output.len + 1);
    l->at = line->at;
    l->source = line->source;
    l->level = line->level;
    l->stage = line->stage;
    l->len = line->output.len;
    if (l->len > 0)
        memcpy(l->text, line->output.ptr, l->len);
    pthread_mutex_lock(&r->lock);
    *r->last = l;
    r->last = &l->next;
    r->lines++;
    wake(r);
    pthread_mutex_unlock(&r->lock);
}

void report_state(struct report *r, struct cm_str state)
{
    pthread_mutex_lock(&r->lock);
    cm_buf_reset(&r->state);
    cm_buf_str(&r->state, state);
    r->state_version++;
    wake(r);
    pthread_mutex_unlock(&r->lock);
}

void report_describe(struct report *r, struct cm_str readme, PB(TemplateVariable) *const *variables,
                     size_t n)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    PB(UpdateRequest) req = PB_INIT(UPDATE_REQUEST);
    struct cm_str packed;
    struct cm_err err;
    req.lease = r->cfg.lease;
    req.readme = readme.len > 0 ? cm_arena_cstr(a, readme) : NULL;
    req.template_variables = (PB(TemplateVariable) **)(uintptr_t)variables;
    req.n_template_variables = n;
    if (cm_rpc_pack(a, &req.base, &packed, &err) != CM_OK) {
        CM_WARN("cannot report the variables of a template", CM_F_ERR(&err));
        return;
    }
    pthread_mutex_lock(&r->lock);
    cm_buf_reset(&r->description);
    cm_buf_str(&r->description, packed);
    r->description_pending = true;
    wake(r);
    pthread_mutex_unlock(&r->lock);
}

void report_finish(struct report *r)
{
    pthread_mutex_lock(&r->lock);
    r->finishing = true;
    wake(r);
    pthread_mutex_unlock(&r->lock);
}

void report_abandon(struct report *r)
{
    pthread_mutex_lock(&r->lock);
    r->abandoned = true;
    wake(r);
    pthread_mutex_unlock(&r->lock);
}

/* --- the sending side --- */

/* Contact is lost or the job taken away: terraform has to stop. */
static void lose(struct report *r, enum report_loss how)
{
    if (r->lost == REPORT_KEPT) {
        r->lost = how;
        CM_WARN(how == REPORT_FENCED ? "the server gave the job away"
                                     : "no contact with the server: stopping the job");
    }
    tf_cancel_request(r->cfg.cancel, TF_STOP_GENTLY);
}

static void check_lease(struct report *r)
{
    cm_usec left = r->lease_until - cm_monotonic_now(), whole = r->cfg.lease->lease_us;
    if (left < whole / GENTLE_PART)
        lose(r, REPORT_EXPIRED);
    if (left < whole / FORCE_PART)
        tf_cancel_request(r->cfg.cancel, TF_STOP_NOW);
}

/* Copies the first lines into a message. */
static size_t fill_lines(struct report *r, struct cm_arena *a, PB(UpdateRequest) * req)
{
    size_t n = 0, bytes = 0;
    const struct line *l;
    pthread_mutex_lock(&r->lock);
    req->logs = CM_NEW_ARRAY(a, PB(LogLine) *, CM_MIN(r->lines, BATCH_LINES) + 1);
    for (l = r->first; l && n < BATCH_LINES && bytes < BATCH_BYTES; l = l->next) {
        PB(LogLine) *m = req->logs[n++] = CM_NEW(a, PB(LogLine));
        coder__provisioner__v1__log_line__init(m);
        m->created_at_us = l->at.us;
        m->source = (char *)(uintptr_t)l->source;
        m->level = (char *)(uintptr_t)l->level;
        m->stage = (char *)(uintptr_t)l->stage;
        m->output = cm_arena_cstr(a, cm_str_n(l->text, CM_MIN(l->len, BATCH_BYTES)));
        bytes += l->len + 64;
    }
    req->n_logs = n;
    pthread_mutex_unlock(&r->lock);
    return n;
}

static bool fill_description(struct report *r, struct cm_arena *a, PB(UpdateRequest) * req)
{
    ProtobufCMessage *m = NULL;
    bool pending;
    pthread_mutex_lock(&r->lock);
    pending = r->description_pending;
    struct cm_str packed = pending ? cm_arena_str(a, cm_buf_view(&r->description)) : CM_STR_NONE;
    pthread_mutex_unlock(&r->lock);
    if (!pending || cm_rpc_unpack(a, &coder__provisioner__v1__update_request__descriptor, packed,
                                  &m, NULL) != CM_OK)
        return false;
    const PB(UpdateRequest) *d = (const void *)m;
    req->readme = d->readme;
    req->template_variables = d->template_variables;
    req->n_template_variables = d->n_template_variables;
    return true;
}

static void on_update(struct report *r, const PB(UpdateReply) * reply, size_t lines, bool described,
                      cm_usec sent_at)
{
    r->next_seq += lines;
    r->last_update = cm_monotonic_now();
    if (reply->lease && reply->lease->lease_us > 0) {
        r->cfg.lease->lease_us = reply->lease->lease_us;
        r->lease_until = sent_at + reply->lease->lease_us;
    }
    if (reply->canceled)
        tf_cancel_request(r->cfg.cancel, TF_STOP_GENTLY);
    pthread_mutex_lock(&r->lock);
    drop_lines(r, lines);
    if (described)
        r->description_pending = false;
    pthread_mutex_unlock(&r->lock);
}

/* A call that gets no answer must leave time to stop terraform before the lease ends. */
static cm_usec call_deadline(const struct report *r)
{
    return CM_MAX(CM_MIN(CALL_DEADLINE, r->cfg.lease->lease_us / CALL_PART), 100 * CM_MSEC);
}

/* Heartbeat and logs in one. A description comes alone: with a full batch of lines it may not fit.
 */
static enum cm_code send_update(struct report *r)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    PB(UpdateRequest) req = PB_INIT(UPDATE_REQUEST);
    const struct cm_rpc_call_opts opts = {.deadline = call_deadline(r)};
    const void *answer = NULL;
    struct cm_err err;
    size_t lines = 0;
    req.lease = r->cfg.lease;
    req.first_log_seq = r->next_seq;
    bool described = fill_description(r, a, &req);
    if (!described)
        lines = fill_lines(r, a, &req);
    cm_usec sent_at = cm_monotonic_now();
    enum cm_code code = cm_rpc_call_wait(r->cfg.client, METHOD_UPDATE, &req.base,
                                         &coder__provisioner__v1__update_reply__descriptor, &opts,
                                         a, &answer, &err);
    if (code == CM_OK)
        on_update(r, answer, lines, described, sent_at);
    else if (transfer_is_final(code))
        lose(r, REPORT_FENCED);
    if (code != CM_OK)
        CM_WARN("cannot report to the server", CM_F_ERR(&err));
    check_lease(r);
    return code;
}

static void between_chunks(void *ctx)
{
    struct report *r = ctx;
    if (cm_monotonic_now() - r->last_update >= r->cfg.heartbeat)
        cm_ignore(send_update(r) != CM_OK, "the next one may work");
}

static enum cm_code send_state(struct report *r)
{
    CM_AUTOBUF struct cm_buf copy = CM_BUF_INIT(JOB_STATE_MAX);
    struct cm_err err;
    copy.wipe = true;
    pthread_mutex_lock(&r->lock);
    cm_buf_str(&copy, cm_buf_view(&r->state));
    uint64_t version = r->state_version;
    pthread_mutex_unlock(&r->lock);
    enum cm_code code =
        transfer_store(r->cfg.client, r->cfg.lease, PB_ENUM(STORE_REQUEST__WHAT__STATE),
                       cm_buf_view(&copy), call_deadline(r), between_chunks, r, &err);
    if (code == CM_OK) {
        r->state_sent = version;
        return code;
    }
    CM_WARN("cannot store the state at the server", CM_F_ERR(&err));
    if (transfer_is_final(code))
        r->state_refused = true;
    return code;
}

static void wait_for(struct report *r, cm_usec timeout)
{
    struct timespec ts;
    cm_usec until = cm_monotonic_now() + CM_MAX(timeout, CM_MSEC);
    ts.tv_sec = until / CM_SECOND;
    ts.tv_nsec = (until % CM_SECOND) * 1000;
    pthread_cond_timedwait(&r->wake, &r->lock, &ts);
}

struct todo {
    bool state, update, done;
};

/* Waits until there is something to do, or it is time for a heartbeat. */
static struct todo wait_todo(struct report *r)
{
    struct todo t = {0};
    pthread_mutex_lock(&r->lock);
    cm_usec started = cm_monotonic_now();
    for (;;) {
        cm_usec now = cm_monotonic_now(), due = r->last_update + r->cfg.heartbeat;
        bool lines = r->first || r->description_pending;
        t.state = r->state_version != r->state_sent && !r->state_refused;
        /* A short wait gathers lines; at the end there is nothing to wait for. */
        t.update =
            now >= due ||
            (lines && (r->finishing || now - CM_MAX(r->last_update, started) >= BATCH_DELAY));
        if (r->lost == REPORT_FENCED)
            t.update = false;
        t.done = r->abandoned || (r->finishing && !t.state && (!lines || r->lost == REPORT_FENCED));
        if (t.state || t.update || t.done)
            break;
        cm_usec wait = lines ? BATCH_DELAY : due - now;
        wait_for(r, r->lost == REPORT_FENCED ? r->cfg.heartbeat : wait);
    }
    pthread_mutex_unlock(&r->lock);
    return t;
}

static void pause_after_failure(struct report *r)
{
    pthread_mutex_lock(&r->lock);
    cm_usec until = cm_monotonic_now() + RETRY_DELAY;
    for (cm_usec left; !r->abandoned && (left = until - cm_monotonic_now()) > 0;)
        wait_for(r, left);
    pthread_mutex_unlock(&r->lock);
}

void report_main(struct report *r)
{
    for (;;) {
        struct todo t = wait_todo(r);
        if (t.done)
            return;
        enum cm_code code = CM_OK;
        if (t.state)
            code = send_state(r);
        /* Also after a state that could not be stored: a missed heartbeat costs the lease. */
        if (t.update) {
            enum cm_code updated = send_update(r);
            code = code == CM_OK ? updated : code;
        }
        if (code != CM_OK) {
            check_lease(r);
            pause_after_failure(r);
        }
    }
}

enum report_loss report_lost(const struct report *r)
{
    return r->lost;
}

bool report_state_delivered(const struct report *r)
{
    return r->state_version == r->state_sent;
}
