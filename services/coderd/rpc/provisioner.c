/* What provisioner daemons ask and tell. A job is a lease with a fencing token: what comes with an
 * old one changes nothing, except for state, which is taken as long as no newer build exists, since
 * refusing it would orphan what was made. */
#include "rpc/rpc.h"

#include "api/builds.h"
#include "api/job_show.h"
#include "app.h"
#include "background/hub.h"
#include "obs/log.h"
#include "options.h"
#include "rpc/job.h"
#include "rpc/waiters.h"
#include "store/builds.h"
#include "store/files.h"
#include "store/provisioners.h"
#include "store/template_versions.h"

#define JOB_LOGS_MAX  ((int64_t)1024 * 1024)
#define JOB_LINES_MAX 4096
#define FILE_PIECE    ((int64_t)1024 * 1024)
#define STATE_MAX     ((int64_t)100 * 1024 * 1024)
#define README_MAX    ((size_t)1024 * 1024)

static const char LEASE_LOST[] =
    "the lease of this job is lost: it was taken from this daemon or has ended";

static struct cm_db *db_of(const struct cm_rpc_request *rq)
{
    return ((struct worker *)rq->thread_ctx)->db;
}

struct lease_ref {
    struct cm_uuid job_id;
    int64_t token;
};

static enum cm_code lease_of(const Coder__Provisioner__V1__Lease *l, struct lease_ref *ret,
                             struct cm_err *err)
{
    if (!cm_rpc_get_uuid(l->job_id, &ret->job_id))
        return cm_err_set(err, CM_INVALID, "job_id must have 16 bytes");
    ret->token = (int64_t)l->token;
    return CM_OK;
}

/* The job, if this caller holds its lease now (or held it last: *ret_current tells). */
static enum cm_code load_job(struct cm_rpc_request *rq, const struct lease_ref *l,
                             struct store_job **ret, bool *ret_current, struct cm_err *err)
{
    struct store_job *j = NULL;
    size_t n = 0;
    if (store_jobs_by_ids(db_of(rq), rq->arena, &l->job_id, 1, &j, &n, err) != CM_OK)
        return err->code;
    if (!n || !cm_uuid_eq(j->worker_id, rq->who->subject_id))
        return cm_err_set(err, CM_PRECONDITION, "%s", LEASE_LOST);
    *ret = j;
    *ret_current =
        j->fencing_token == l->token && (j->status == API_PROVISIONER_JOB_STATUS_RUNNING ||
                                         j->status == API_PROVISIONER_JOB_STATUS_CANCELING);
    return CM_OK;
}

/* ---- acquire ---- */

/* A job that cannot even be described ends here, with the reason for its user. */
static enum cm_code fail_job(struct cm_rpc_request *rq, struct cm_uuid job_id,
                             const struct cm_err *why, struct cm_err *err)
{
    if (store_job_fail(db_of(rq), rq->arena, job_id, cm_str(why->text), NULL, err) != CM_OK)
        return err->code;
    return hub_notify(db_of(rq), err, TOPIC_JOB_FMT, cm_uuid_text(job_id).s);
}

static enum cm_code notify_build(struct cm_rpc_request *rq, struct cm_uuid build_id,
                                 struct cm_err *err)
{
    struct store_build *b = NULL;
    if (cm_uuid_is_nil(build_id))
        return CM_OK;
    if (store_build_by_id(db_of(rq), rq->arena, build_id, &b, err) != CM_OK)
        return err->code;
    return hub_notify(db_of(rq), err, TOPIC_WS_FMT, cm_uuid_text(b->workspace_id).s);
}

static enum cm_code try_acquire(struct cm_rpc_request *rq,
                                Coder__Provisioner__V1__AcquireReply *out, struct cm_err *err)
{
    static const struct cm_str kinds[] = {{"terraform", 9}};
    struct coderd *app = rq->app;
    size_t n_tags = rq->who->n_tags;
    struct cm_pair *tags = CM_NEW_ARRAY(rq->arena, struct cm_pair, n_tags);
    for (size_t i = 0; i < n_tags; i++)
        tags[i] = (struct cm_pair){rq->who->tags[i].name, rq->who->tags[i].value};
    struct store_lease *lease = NULL;
    if (store_job_acquire(db_of(rq), rq->arena, rq->who->organization_id, kinds, 1, tags, n_tags,
                          rq->who->subject_id, app->opt->job_lease / CM_SECOND,
                          cm_arena_str(rq->arena, cm_str(cm_uuid_text(rq->id).s)), &lease,
                          err) != CM_OK)
        return err->code;
    if (!lease)
        return CM_OK;
    struct cm_err why;
    if (job_describe(app, db_of(rq), rq->arena, lease, app->opt->job_lease, &out->job, &why) !=
        CM_OK) {
        out->job = NULL;
        CM_ERROR("a job cannot be described", CM_F_UUID(job_id, lease->id), CM_F_ERR(&why));
        return fail_job(rq, lease->id, &why, err);
    }
    CM_INFO("job acquired", CM_F_UUID(job_id, lease->id), CM_F_STR(daemon, rq->who->name));
    struct job_input in = job_input_parse(rq->arena, lease->input);
    if (hub_notify(db_of(rq), err, TOPIC_JOB_FMT, cm_uuid_text(lease->id).s) != CM_OK)
        return err->code;
    return notify_build(rq, in.workspace_build_id, err);
}

static enum cm_code acquire(struct cm_rpc_request *rq, const void *request, void *reply,
                            struct cm_err *err)
{
    (void)request;
    struct coderd *app = rq->app;
    Coder__Provisioner__V1__AcquireReply *out = reply;
    if (rq->wake == CM_RPC_GONE)
        return CM_OK;
    /* Each time, since the key may have been deleted while this was parked; its daemons go with it.
     */
    int64_t known = 0;
    if (store_provisioner_daemons_seen(db_of(rq), rq->arena, &rq->who->subject_id, 1, &known,
                                       err) != CM_OK)
        return err->code;
    if (known == 0)
        return cm_err_set(err, CM_UNAUTHENTICATED,
                          "this provisioner is not known any more: was its key deleted?");
    if (try_acquire(rq, out, err) != CM_OK)
        return err->code;
    if (out->job || rq->wake == CM_RPC_DEADLINE)
        return CM_OK;
    uint64_t token = cm_rpc_park(rq);
    if (!token)
        return CM_OK;
    waiters_add(app->job_waiters, token);
    /* A job that came between the look and the parking would not wake us: look once more. The job,
     * if any, is given to the same request id again when the handler runs for the resumption. */
    if (try_acquire(rq, out, err) != CM_OK || out->job)
        cm_rpc_resume(app->rpc, token);
    return CM_OK;
}

/* ---- reading what belongs to the job ---- */

static enum cm_code fetch_file(struct cm_rpc_request *rq, struct cm_uuid file_id, int64_t offset,
                               Coder__Provisioner__V1__FetchReply *out, struct cm_err *err)
{
    struct store_file *f = NULL;
    struct cm_str *piece = NULL;
    if (store_file_by_id(db_of(rq), rq->arena, file_id, &f, err) != CM_OK)
        return err->code;
    out->total = f->size_bytes;
    if (offset >= f->size_bytes)
        return CM_OK;
    if (store_file_chunk_get(db_of(rq), rq->arena, file_id, offset / FILE_PIECE, &piece, err) !=
        CM_OK)
        return err->code;
    if (!piece)
        return cm_err_set(err, CM_INTERNAL, "a piece of the archive is missing from the database");
    out->data =
        cm_rpc_bytes(rq->arena, cm_str_sub(*piece, (size_t)(offset % FILE_PIECE), CM_RPC_CHUNK));
    return CM_OK;
}

static enum cm_code version_of(struct cm_rpc_request *rq, const struct job_input *in,
                               struct store_template_version **ret, struct cm_err *err)
{
    struct cm_uuid id = in->template_version_id;
    struct store_build *b = NULL;
    if (!cm_uuid_is_nil(in->workspace_build_id)) {
        if (store_build_by_id(db_of(rq), rq->arena, in->workspace_build_id, &b, err) != CM_OK)
            return err->code;
        id = b->template_version_id;
    }
    return store_template_version_by_id(db_of(rq), rq->arena, id, ret, err);
}

static enum cm_code fetch(struct cm_rpc_request *rq, const void *request, void *reply,
                          struct cm_err *err)
{
    const Coder__Provisioner__V1__FetchRequest *q = request;
    Coder__Provisioner__V1__FetchReply *out = reply;
    struct lease_ref l;
    struct store_job *job = NULL;
    struct store_template_version *v = NULL;
    struct cm_str *state = NULL;
    bool current;
    if (lease_of(q->lease, &l, err) != CM_OK || load_job(rq, &l, &job, &current, err) != CM_OK)
        return err->code;
    if (!current)
        return cm_err_set(err, CM_PRECONDITION, "%s", LEASE_LOST);
    if (q->offset < 0)
        return cm_err_set(err, CM_INVALID, "offset must not be negative");
    struct job_input in = job_input_parse(rq->arena, job->input);
    switch (q->what) {
    case CODER__PROVISIONER__V1__FETCH_REQUEST__WHAT__SOURCE:
        return fetch_file(rq, job->file_id, q->offset, out, err);
    case CODER__PROVISIONER__V1__FETCH_REQUEST__WHAT__MODULES:
        if (version_of(rq, &in, &v, err) != CM_OK)
            return err->code;
        if (cm_uuid_is_nil(v->modules_file_id))
            return CM_OK;
        return fetch_file(rq, v->modules_file_id, q->offset, out, err);
    case CODER__PROVISIONER__V1__FETCH_REQUEST__WHAT__STATE:
        if (cm_uuid_is_nil(in.workspace_build_id))
            return CM_OK;
        if (store_build_state(db_of(rq), rq->arena, in.workspace_build_id, &state, err) != CM_OK)
            return err->code;
        if (state) {
            out->total = (int64_t)state->len;
            out->data =
                cm_rpc_bytes(rq->arena, cm_str_sub(*state, (size_t)q->offset, CM_RPC_CHUNK));
        }
        return CM_OK;
    default: /* protobuf lets unknown numbers through */
        return cm_err_set(err, CM_INVALID, "there is nothing of kind %d to fetch", (int)q->what);
    }
}

/* ---- writing what it made ---- */

static enum cm_code store(struct cm_rpc_request *rq, const void *request, void *reply,
                          struct cm_err *err)
{
    (void)reply;
    const Coder__Provisioner__V1__StoreRequest *q = request;
    bool state = q->what == CODER__PROVISIONER__V1__STORE_REQUEST__WHAT__STATE;
    struct cm_str what = state ? CM_STR("state") : CM_STR("modules");
    struct lease_ref l;
    struct store_job *job = NULL;
    bool current;
    if (lease_of(q->lease, &l, err) != CM_OK || load_job(rq, &l, &job, &current, err) != CM_OK)
        return err->code;
    if (!current && (!state || l.token > job->fencing_token))
        return cm_err_set(err, CM_PRECONDITION, "%s", LEASE_LOST);
    if (q->offset < 0 || q->total < 0 || q->total > STATE_MAX || q->offset > q->total ||
        (int64_t)q->data.len > q->total - q->offset)
        return cm_err_set(
            err, CM_INVALID,
            "a part from %lld of %zu bytes does not fit a whole of %lld (at most %lld)",
            (long long)q->offset, q->data.len, (long long)q->total, (long long)STATE_MAX);
    CM_AUTO(cm_db_tx) tx = NULL;
    if (cm_db_tx_begin(db_of(rq), &tx, err) != CM_OK)
        return err->code;
    if (q->offset == 0 &&
        store_job_upload_drop(db_of(rq), rq->arena, job->id, what, NULL, err) != CM_OK)
        return err->code;
    int64_t size = 0;
    if ((q->data.len && store_job_upload_put(db_of(rq), rq->arena, job->id, what, q->offset,
                                             cm_rpc_str(q->data), NULL, err) != CM_OK) ||
        store_job_upload_size(db_of(rq), rq->arena, job->id, what, &size, err) != CM_OK)
        return err->code;
    if (state && size == q->total) {
        int64_t taken = 0;
        if (store_build_take_state(db_of(rq), rq->arena, job->id, &taken, err) != CM_OK)
            return err->code;
        if (!taken && size)
            CM_WARN("late Terraform state was refused: a newer build exists",
                    CM_F_UUID(job_id, job->id));
    }
    return cm_db_tx_commit(tx, err);
}

static enum cm_code append_logs(struct cm_rpc_request *rq, const struct lease_ref *l,
                                const Coder__Provisioner__V1__UpdateRequest *q,
                                struct store_job_state **ret, struct cm_err *err)
{
    static const char *const levels[] = {"info", "trace", "debug", "warn", "error", NULL};
    struct coderd *app = rq->app;
    size_t n = q->n_logs;
    int64_t lease = app->opt->job_lease / CM_SECOND;
    if (!n)
        return store_job_renew(db_of(rq), rq->arena, l->job_id, l->token, lease, ret, err);
    struct cm_time *times = CM_NEW_ARRAY(rq->arena, struct cm_time, n);
    struct cm_str *source = CM_NEW_ARRAY(rq->arena, struct cm_str, n),
                  *level = CM_NEW_ARRAY(rq->arena, struct cm_str, n);
    struct cm_str *stage = CM_NEW_ARRAY(rq->arena, struct cm_str, n),
                  *output = CM_NEW_ARRAY(rq->arena, struct cm_str, n);
    for (size_t i = 0; i < n; i++) {
        const Coder__Provisioner__V1__LogLine *line = q->logs[i];
        bool daemon = strcmp(line->source, "provisioner_daemon") == 0;
        times[i].us = line->created_at_us;
        source[i] = daemon ? CM_STR("provisioner_daemon") : CM_STR("provisioner");
        level[i] = CM_STR("info");
        for (size_t k = 0; levels[k]; k++) {
            if (strcmp(levels[k], line->level) == 0)
                level[i] = cm_str(levels[k]);
        }
        stage[i] = cm_str_is_utf8(cm_str(line->stage)) ? cm_str(line->stage) : CM_STR("");
        output[i] = cm_str_is_utf8(cm_str(line->output)) ? cm_str(line->output)
                                                         : CM_STR("(a line that is not UTF-8)");
    }
    struct store_job_logs_append_args row = {.id = l->job_id,
                                             .fencing_token = l->token,
                                             .lease_seconds = lease,
                                             .first_seq = (int64_t)q->first_log_seq,
                                             .max_bytes = JOB_LOGS_MAX,
                                             .times = times,
                                             .n_times = n,
                                             .sources = source,
                                             .n_sources = n,
                                             .levels = level,
                                             .n_levels = n,
                                             .stages = stage,
                                             .n_stages = n,
                                             .outputs = output,
                                             .n_outputs = n};
    return store_job_logs_append(db_of(rq), rq->arena, &row, ret, err);
}

/* Variables that the template declares; values that the user has given stay. */
static enum cm_code store_variables(struct cm_rpc_request *rq, struct cm_uuid version_id,
                                    const Coder__Provisioner__V1__UpdateRequest *q,
                                    struct cm_err *err)
{
    struct api_template_version_variable *had = NULL;
    size_t n_had = 0;
    if (store_template_version_variables(db_of(rq), rq->arena, version_id, &had, &n_had, err) !=
        CM_OK)
        return err->code;
    for (size_t i = 0; i < q->n_template_variables; i++) {
        const Coder__Provisioner__V1__TemplateVariable *v = q->template_variables[i];
        struct cm_str value = cm_str(v->default_value ? v->default_value : "");
        for (size_t k = 0; k < n_had; k++) {
            if (cm_str_eq_c(had[k].name, v->name))
                value = had[k].value;
        }
        struct store_template_version_variable_insert_args row = {
            .template_version_id = version_id,
            .name = cm_str(v->name),
            .description = cm_str(v->description ? v->description : ""),
            .type = cm_str(v->type ? v->type : "string"),
            .value = value,
            .default_value = cm_str(v->default_value ? v->default_value : ""),
            .required = v->required,
            .sensitive = v->sensitive,
        };
        if (store_template_version_variable_insert(db_of(rq), rq->arena, &row, NULL, err) != CM_OK)
            return err->code;
    }
    return CM_OK;
}

static enum cm_code update(struct cm_rpc_request *rq, const void *request, void *reply,
                           struct cm_err *err)
{
    const Coder__Provisioner__V1__UpdateRequest *q = request;
    Coder__Provisioner__V1__UpdateReply *out = reply;
    struct coderd *app = rq->app;
    struct lease_ref l;
    struct store_job *job = NULL;
    struct store_job_state *state = NULL;
    bool current;
    if (q->n_logs > JOB_LINES_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "at most %d log lines fit one update", JOB_LINES_MAX);
    /* Renewing the lease locks the job until all that comes with it is written: nobody takes the
     * lease away in between. */
    CM_AUTO(cm_db_tx) tx = NULL;
    if (lease_of(q->lease, &l, err) != CM_OK || load_job(rq, &l, &job, &current, err) != CM_OK ||
        cm_db_tx_begin(db_of(rq), &tx, err) != CM_OK ||
        append_logs(rq, &l, q, &state, err) != CM_OK)
        return err->code;
    if (!state)
        return cm_err_set(err, CM_PRECONDITION, "%s", LEASE_LOST);
    struct job_input in = job_input_parse(rq->arena, job->input);
    if (job->type == API_PROVISIONER_JOB_TYPE_TEMPLATE_VERSION_IMPORT) {
        struct cm_str readme = cm_str_sub(cm_str(q->readme), 0, README_MAX);
        if (q->readme && cm_str_is_utf8(readme) &&
            store_template_version_set_readme(db_of(rq), rq->arena, in.template_version_id, readme,
                                              NULL, err) != CM_OK)
            return err->code;
        if (store_variables(rq, in.template_version_id, q, err) != CM_OK)
            return err->code;
    }
    if (q->n_logs && hub_notify(db_of(rq), err, TOPIC_JOB_FMT, cm_uuid_text(job->id).s) != CM_OK)
        return err->code;
    if (store_provisioner_daemons_seen(db_of(rq), rq->arena, &rq->who->subject_id, 1, NULL, err) !=
            CM_OK ||
        cm_db_tx_commit(tx, err) != CM_OK)
        return err->code;
    out->lease = CM_NEW(rq->arena, Coder__Provisioner__V1__Lease);
    coder__provisioner__v1__lease__init(out->lease);
    out->lease->job_id = cm_rpc_uuid(rq->arena, job->id);
    out->lease->token = (uint64_t)l.token;
    out->lease->lease_us = app->opt->job_lease;
    out->has_canceled = true;
    out->canceled = state->status == API_PROVISIONER_JOB_STATUS_CANCELING;
    return CM_OK;
}

/* ---- the final word ---- */

static const char *error_code_of(const char *code)
{
    static const char *const codes[] = {"REQUIRED_TEMPLATE_VARIABLES", "MISSING_TEMPLATE_PARAMETER",
                                        "INSUFFICIENT_QUOTA"};
    for (size_t i = 0; i < CM_COUNT_OF(codes); i++) {
        if (code && strcmp(code, codes[i]) == 0)
            return codes[i];
    }
    return "";
}

static enum cm_code finish(struct cm_rpc_request *rq, const struct store_job *job, int64_t token,
                           struct cm_str error, struct cm_str code,
                           const Coder__Provisioner__V1__CompleteRequest *result,
                           struct cm_err *err)
{
    struct job_input in = job_input_parse(rq->arena, job->input);
    int64_t done = 0;
    CM_AUTO(cm_db_tx) tx = NULL;
    if (cm_db_tx_begin(db_of(rq), &tx, err) != CM_OK)
        return err->code;
    if (result && job_store_result(db_of(rq), rq->arena, job, result, err) != CM_OK)
        return err->code;
    if (store_job_complete(db_of(rq), rq->arena, job->id, token, error, code, &done, err) != CM_OK)
        return err->code;
    if (!done)
        return cm_err_set(err, CM_PRECONDITION, "%s", LEASE_LOST);
    if (hub_notify(db_of(rq), err, TOPIC_JOB_FMT, cm_uuid_text(job->id).s) != CM_OK ||
        notify_build(rq, in.workspace_build_id, err) != CM_OK)
        return err->code;
    return cm_db_tx_commit(tx, err);
}

static enum cm_code complete(struct cm_rpc_request *rq, const void *request, void *reply,
                             struct cm_err *err)
{
    (void)reply;
    const Coder__Provisioner__V1__CompleteRequest *q = request;
    struct lease_ref l;
    struct store_job *job = NULL;
    bool current;
    if (lease_of(q->lease, &l, err) != CM_OK || load_job(rq, &l, &job, &current, err) != CM_OK)
        return err->code;
    if (!current) {
        /* The same final word again, after its answer was lost, is no error. */
        bool repeated =
            job->fencing_token == l.token && cm_has(job->has, STORE_JOB_HAS_COMPLETED_AT);
        return repeated ? CM_OK : cm_err_set(err, CM_PRECONDITION, "%s", LEASE_LOST);
    }
    bool failed = q->outcome == CODER__PROVISIONER__V1__COMPLETE_REQUEST__OUTCOME__FAILED;
    struct cm_str error =
        failed ? cm_str(q->error && q->error[0] ? q->error : "the provisioner gave no reason")
               : CM_STR("");
    if (q->outcome == CODER__PROVISIONER__V1__COMPLETE_REQUEST__OUTCOME__CANCELED &&
        job->status != API_PROVISIONER_JOB_STATUS_CANCELING)
        error = CM_STR("The provisioner was stopped before the job had ended. Start it again.");
    enum cm_code code =
        finish(rq, job, l.token, error, cm_str(error_code_of(q->error_code)), q, err);
    if (code == CM_INVALID || code == CM_CONFLICT) {
        /* What the template made breaks a rule of ours: the job failed, and its user learns why. */
        struct cm_err why = *err;
        return finish(rq, job, l.token, cm_str(why.text), CM_STR(""), NULL, err);
    }
    if (code == CM_OK)
        CM_INFO("job completed", CM_F_UUID(job_id, job->id), CM_F_STR(error, error));
    return code;
}

#define METHOD(name, fn, stem)                                                                     \
    {                                                                                              \
        "provisioner." name, CM_RPC_ANY_PROVISIONER,                                               \
            &coder__provisioner__v1__##stem##_request__descriptor,                                 \
            &coder__provisioner__v1__##stem##_reply__descriptor, fn                                \
    }
const struct cm_rpc_method provisioner_methods[] = {
    METHOD("Acquire", acquire, acquire),    METHOD("Fetch", fetch, fetch),
    METHOD("Store", store, store),          METHOD("Update", update, update),
    METHOD("Complete", complete, complete), {0},
};
