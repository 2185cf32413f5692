/* Ends jobs that nobody works on: the daemon's lease is over, a cancel went unheard, or no daemon
 * ever took the job. Source: runtime-behaviour reference, 5.4. A job is never given to another
 * daemon, since nobody knows how far the first one got: its user starts a new build. The state of
 * the workspace stays: a build begins with that of the build before, and takes what its daemon
 * uploads, also after this. */
#include "api/builds.h"
#include "api/job_show.h"
#include "background/background.h"
#include "background/hub.h"
#include "obs/log.h"
#include "options.h"
#include "store/builds.h"

#define AT_ONCE      10
#define CANCEL_AFTER (10 * CM_MINUTE)
#define PENDING_MAX  (30 * CM_MINUTE)

struct limits {
    struct cm_time cancel_before, pending_before;
};

static struct cm_str how_long(struct cm_arena *a, cm_usec d)
{
    if (d % CM_MINUTE == 0 && d > CM_MINUTE)
        return cm_arena_fmt(a, "%lld minutes", (long long)(d / CM_MINUTE));
    return cm_arena_fmt(a, "%lld seconds", (long long)(d / CM_SECOND));
}

/* For the log: what is the matter; for the job's error: what was done, and what to do now. */
static void texts(struct coderd *app, struct cm_arena *a, const struct store_job_hung *j,
                  struct cm_str *ret_notice, struct cm_str *ret_error)
{
    const char *next = j->type == API_PROVISIONER_JOB_TYPE_WORKSPACE_BUILD
                           ? "Start the build again."
                           : "Try it again.";
    if (j->status == API_PROVISIONER_JOB_STATUS_PENDING) {
        struct cm_str t = how_long(a, PENDING_MAX);
        *ret_notice = cm_arena_fmt(
            a, "Coder: Build has been detected as pending for %.*s and will be terminated.",
            CM_STR_ARG(t));
        *ret_error = cm_arena_fmt(a,
                                  "Build has been detected as pending for %.*s and has been "
                                  "terminated by the reaper: no provisioner took it. %s",
                                  CM_STR_ARG(t), next);
        return;
    }
    if (!j->lost) {
        struct cm_str t = how_long(a, CANCEL_AFTER);
        *ret_notice = cm_arena_fmt(
            a, "Coder: The cancel of this build went unheard for %.*s; it will be terminated.",
            CM_STR_ARG(t));
        *ret_error =
            cm_arena_fmt(a, "Cancel timed out: the provisioner did not stop within %.*s. %s",
                         CM_STR_ARG(t), next);
        return;
    }
    struct cm_str t = how_long(a, app->opt->job_lease);
    *ret_notice =
        cm_arena_fmt(a, "Coder: Build has been detected as hung for %.*s and will be terminated.",
                     CM_STR_ARG(t));
    *ret_error = cm_arena_fmt(a,
                              "Build has been detected as hung for %.*s and has been terminated by "
                              "the reaper: its provisioner was not heard of. %s",
                              CM_STR_ARG(t), next);
}

static enum cm_code reap(struct coderd *app, struct cm_db *db, struct cm_arena *a,
                         const struct limits *l, const struct store_job_hung *j, struct cm_err *err)
{
    struct cm_str notice, error;
    int64_t ended = 0;
    struct store_build *b = NULL;
    texts(app, a, j, &notice, &error);
    const struct cm_str lines[] = {CM_STR(""), CM_STR("===================="), notice,
                                   CM_STR("===================="), CM_STR("")};
    CM_AUTO(cm_db_tx) tx = NULL;
    if (cm_db_tx_begin(db, &tx, err) != CM_OK ||
        store_job_reap(db, a, j->id, l->cancel_before, l->pending_before, error, &ended, err) !=
            CM_OK)
        return err->code;
    if (!ended)
        return CM_OK;
    if (store_job_notice(db, a, j->id, lines, CM_COUNT_OF(lines), NULL, err) != CM_OK ||
        hub_notify(db, err, TOPIC_JOB_FMT, cm_uuid_text(j->id).s) != CM_OK)
        return err->code;
    if (j->type == API_PROVISIONER_JOB_TYPE_WORKSPACE_BUILD &&
        (store_build_by_job(db, a, j->id, &b, err) != CM_OK ||
         hub_notify(db, err, TOPIC_WS_FMT, cm_uuid_text(b->workspace_id).s) != CM_OK))
        return err->code;
    if (cm_db_tx_commit(tx, err) != CM_OK)
        return err->code;
    CM_WARN("a job was ended by the reaper", CM_F_UUID(job_id, j->id), CM_F_STR(error, error));
    return CM_OK;
}

enum cm_code reaper_run(struct coderd *app, struct cm_db *db, struct cm_err *err)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_time now = cm_time_now();
    struct limits l = {.cancel_before = cm_time_add(now, -CANCEL_AFTER),
                       .pending_before = cm_time_add(now, -PENDING_MAX)};
    struct store_job_hung *jobs = NULL;
    size_t n = 0;
    enum cm_code code = CM_OK;
    if (store_jobs_hung(db, a, l.cancel_before, l.pending_before, AT_ONCE, &jobs, &n, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        struct cm_err one;
        if (reap(app, db, a, &l, &jobs[i], &one) != CM_OK) {
            code = one.code;
            *err = one;
        }
    }
    return code;
}
