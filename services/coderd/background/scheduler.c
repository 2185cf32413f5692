#include "background/scheduler.h"

#include "api/audit_log.h"
#include "api/build_start.h"
#include "background/background.h"
#include "domain/cron.h"
#include "obs/log.h"
#include "store/schedule.h"

#define AT_ONCE 100

enum cm_code schedule_next(struct cm_db *db, struct cm_arena *a, struct cm_str text,
                           const struct store_template *t, struct cm_time after,
                           struct cm_time *ret, struct cm_err *err)
{
    struct cron c;
    bool known = false;
    struct cm_time *next = NULL;
    *ret = (struct cm_time){0};
    if (!text.len)
        return CM_OK;
    if (cron_parse(text, &c, err) != CM_OK ||
        store_time_zone_known(db, a, cm_str(c.zone), &known, err) != CM_OK)
        return err->code;
    if (!known)
        return cm_err_set(err, CM_INVALID, "the time zone \"%s\" is unknown", c.zone);
    if (store_schedule_next(db, a, cm_str(c.zone), c.minutes, c.n_minutes, c.hours, c.n_hours,
                            c.weekdays, c.n_weekdays, t->autostart_days_of_week,
                            t->n_autostart_days_of_week, after, &next, err) != CM_OK)
        return err->code;
    if (next)
        *ret = *next;
    return CM_OK;
}

/* ---- the executor ---- */

/* A request that nobody made: builds are begun in the owner's name. */
struct turn {
    struct api_req r;
    struct cm_http_req http;
    struct subject owner;
    struct store_workspace *w;
    struct store_template *t;
};

static enum cm_code load(struct coderd *app, struct cm_db *db, struct cm_arena *a,
                         struct cm_uuid id, struct turn *ret, struct cm_err *err)
{
    *ret = (struct turn){0};
    if (store_workspace_by_id(db, a, id, &ret->w, err) != CM_OK ||
        store_template_by_id(db, a, ret->w->template_id, &ret->t, err) != CM_OK)
        return err->code;
    ret->owner.user_id = ret->w->owner_id;
    ret->owner.username = ret->w->owner_username;
    ret->r = (struct api_req){.app = app,
                              .http = &ret->http,
                              .arena = a,
                              .db = db,
                              .who = &ret->owner,
                              .request_id = cm_uuid_random()};
    return CM_OK;
}

/* Begins a build. What build_start refuses is a failure here, with its words. */
static enum cm_code build(struct turn *x, enum api_workspace_transition transition,
                          enum api_build_reason reason, struct cm_err *err)
{
    bool newest =
        transition == API_WORKSPACE_TRANSITION_START &&
        (x->w->automatic_updates == API_AUTOMATIC_UPDATES_ALWAYS || x->t->require_active_version);
    struct build_request q = {.ws = x->w,
                              .version_id =
                                  newest ? x->t->active_version_id : x->w->latest_version_id,
                              .transition = transition,
                              .reason = reason};
    struct cm_uuid id = {{0}};
    CM_AUTO(cm_db_tx) tx = NULL;
    if (cm_db_tx_begin(x->r.db, &tx, err) != CM_OK || build_start(&x->r, &q, &id, err) != CM_OK)
        return err->code;
    if (cm_uuid_is_nil(id))
        return cm_err_set(err, CM_CONFLICT, "the build was refused: %.*s",
                          (int)CM_MIN(x->r.reply.body.len, (size_t)400), x->r.reply.body.ptr);
    if (cm_db_tx_commit(tx, err) != CM_OK)
        return err->code;
    static const char *const actions[] = {"write", "start", "stop", "delete"};
    audit(&x->r, &(struct audit_event){.action = actions[transition],
                                       .resource_type = "workspace_build",
                                       .resource_id = id,
                                       .target = x->w->name,
                                       .org_id = x->w->organization_id,
                                       .status = 200});
    CM_INFO("workspace build by schedule", CM_F_UUID(workspace_id, x->w->id),
            CM_F_CSTR(action, actions[transition]));
    return CM_OK;
}

static enum cm_code set_next(struct turn *x, struct cm_time after, struct cm_time *ret,
                             struct cm_err *err)
{
    if (schedule_next(x->r.db, x->r.arena, x->w->autostart_schedule, x->t, after, ret, err) !=
        CM_OK)
        return err->code;
    return store_workspace_set_next_start(x->r.db, x->r.arena, x->w->id,
                                          cm_time_is_zero(*ret) ? NULL : ret, NULL, err);
}

static enum cm_code autostart(struct turn *x, struct cm_err *err)
{
    struct store_build *last = NULL;
    struct cm_time next, now = cm_time_now();
    /* A start that the schedule had while the workspace was running is over: what counts comes
     * after it was stopped. */
    if (store_build_by_id(x->r.db, x->r.arena, x->w->latest_build_id, &last, err) != CM_OK ||
        set_next(x, last->created_at, &next, err) != CM_OK)
        return err->code;
    if (cm_time_is_zero(next) || next.us > now.us)
        return CM_OK;
    struct cm_err refused;
    enum cm_code code =
        build(x, API_WORKSPACE_TRANSITION_START, API_BUILD_REASON_AUTOSTART, &refused);
    /* Whether it could be begun or not, the schedule's next time is the next chance. */
    if (set_next(x, now, &next, err) != CM_OK)
        return err->code;
    if (code != CM_OK)
        *err = refused;
    return code;
}

static enum cm_code fall_asleep(struct turn *x, struct cm_err *err)
{
    struct cm_time now = cm_time_now();
    if (store_workspace_set_dormant(x->r.db, x->r.arena, x->w->id, &now, NULL, err) != CM_OK)
        return err->code;
    if (x->w->status != API_WORKSPACE_STATUS_RUNNING)
        return CM_OK;
    return build(x, API_WORKSPACE_TRANSITION_STOP, API_BUILD_REASON_DORMANCY, err);
}

static enum cm_code act(struct turn *x, struct cm_str action, struct cm_err *err)
{
    if (cm_str_eq_c(action, "start"))
        return autostart(x, err);
    if (cm_str_eq_c(action, "dormant"))
        return fall_asleep(x, err);
    if (cm_str_eq_c(action, "delete"))
        return build(x, API_WORKSPACE_TRANSITION_DELETE, API_BUILD_REASON_DORMANCY, err);
    return build(x, API_WORKSPACE_TRANSITION_STOP, API_BUILD_REASON_AUTOSTOP, err);
}

enum cm_code scheduler_run(struct coderd *app, struct cm_db *db, struct cm_err *err)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct store_due *due = NULL;
    size_t n = 0;
    if (store_schedule_due(db, a, AT_ONCE, &due, &n, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        CM_AUTO(cm_arena) one = cm_arena_new();
        struct turn x;
        struct cm_err why;
        if (load(app, db, one, due[i].id, &x, &why) != CM_OK ||
            act(&x, due[i].action, &why) != CM_OK)
            CM_WARN("a workspace cannot follow its schedule", CM_F_UUID(workspace_id, due[i].id),
                    CM_F_STR(action, due[i].action), CM_F_ERR(&why));
    }
    return CM_OK;
}
