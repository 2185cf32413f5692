#include "background/background.h"

#include "db/db.h"
#include "keyring.h"
#include "obs/log.h"
#include "options.h"

#define PURGE_EVERY (10 * CM_MINUTE)
#define KEYS_EVERY  (20 * CM_SECOND)

enum { CHORES = 4 };

struct chore {
    struct cm_task task;
    struct background *bg;
    const char *name; /* also of its lock */
    background_chore_fn run;
    cm_usec every;
    bool everywhere; /* each replica's own: without a lock */
    struct cm_timer timer;
};

struct background {
    struct coderd *app;
    struct chore chores[CHORES];
    bool stopped;
};

static void run(struct chore *c, struct cm_db *db)
{
    struct cm_err err = {0};
    if (c->run(c->bg->app, db, &err) != CM_OK)
        CM_WARN("a background chore failed", CM_F_CSTR(chore, c->name), CM_F_ERR(&err));
}

static void run_locked(struct chore *c, struct cm_db *db)
{
    struct cm_err err = {0};
    bool got = false;
    int64_t lock = cm_db_lock_id(c->name);
    if (cm_db_try_lock(db, lock, &got, &err) != CM_OK) {
        CM_WARN("a background chore has no database", CM_F_CSTR(chore, c->name), CM_F_ERR(&err));
        return;
    }
    if (!got)
        return;
    uint64_t session = cm_db_session(db);
    run(c, db);
    /* With another connection the lock has gone already. */
    if (cm_db_session(db) == session && cm_db_unlock(db, lock, &err) != CM_OK)
        CM_WARN("a background chore keeps its lock", CM_F_CSTR(chore, c->name), CM_F_ERR(&err));
}

static void work(struct cm_task *t, void *thread_ctx)
{
    struct chore *c = cm_container_of(t, struct chore, task);
    struct worker *w = thread_ctx;
    if (c->everywhere)
        run(c, w->db);
    else
        run_locked(c, w->db);
}

static void done(struct cm_task *t)
{
    struct chore *c = cm_container_of(t, struct chore, task);
    if (!c->bg->stopped)
        cm_timer_start(&c->timer, c->every);
}

static void on_time(void *ctx)
{
    struct chore *c = ctx;
    struct cm_err err;
    c->task = (struct cm_task){.work = work, .done = done, .home = c->bg->app->loops[0]};
    if (cm_pool_submit(c->bg->app->workers, &c->task, &err) != CM_OK)
        cm_timer_start(&c->timer, CM_SECOND);
}

struct background *background_new(struct coderd *app)
{
    struct background *b = cm_xcalloc(1, sizeof(*b));
    const struct chore rows[CHORES] = {
        {.name = "coderd reaper", .run = reaper_run, .every = app->opt->job_hang_detector_interval},
        {.name = "coderd scheduler",
         .run = scheduler_run,
         .every = app->opt->autobuild_poll_interval},
        {.name = "coderd purge", .run = purge_run, .every = PURGE_EVERY},
        {.name = "coderd keys", .run = keyring_run, .every = KEYS_EVERY, .everywhere = true},
    };
    b->app = app;
    for (size_t i = 0; i < CHORES; i++) {
        struct chore *c = &b->chores[i];
        *c = rows[i];
        c->bg = b;
        cm_timer_init(&c->timer, app->loops[0], on_time, c);
        /* The first turns come soon, so that what a stopped server missed is made up for. */
        if (c->every)
            cm_timer_start(&c->timer, CM_MIN(c->every, CM_SECOND));
    }
    return b;
}

void background_stop(struct background *b)
{
    if (!b)
        return;
    b->stopped = true;
    for (size_t i = 0; i < CHORES; i++)
        cm_timer_done(&b->chores[i].timer);
}

void background_free(struct background *b)
{
    cm_free(b);
}
