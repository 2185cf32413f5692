/* When a workspace starts and stops by itself. Source: api-behaviour reference, 4.10;
 * runtime-behaviour reference, 6. */
#include "api/job_show.h"
#include "api/template_load.h"
#include "api/workspace_load.h"
#include "api/workspace_schedule.h"
#include "api/workspaces.h"
#include "app.h"
#include "background/hub.h"
#include "background/scheduler.h"
#include "store/schedule.h"

#define TTL_MIN_MS ((int64_t)60 * 1000)
#define TTL_MAX_MS ((int64_t)30 * 24 * 3600 * 1000)
/* Half an hour, and a minute for the request to arrive. */
#define EXTEND_MIN (29 * CM_MINUTE)

bool workspace_ttl_ok(struct api_req *r, int64_t ttl_ms)
{
    if (ttl_ms == 0 || (ttl_ms >= TTL_MIN_MS && ttl_ms <= TTL_MAX_MS))
        return true;
    api_reply_invalid(r, "Invalid Workspace Time to Shutdown.", "ttl_ms",
                      "must be 0, or from one minute to 30 days");
    return false;
}

static enum cm_code put_ttl(struct api_req *r, struct cm_err *err)
{
    const struct api_update_workspace_ttl_request *q = r->body;
    struct store_workspace *w = NULL;
    if (workspace_param_live(r, 0, &w, err) != CM_OK)
        return err->code;
    int64_t ttl = cm_has(q->has, API_UPDATE_WORKSPACE_TTL_REQUEST_HAS_TTL_MS) ? q->ttl_ms : 0;
    if (!w->template_allow_user_autostop)
        return api_reply_message(
            r, 400, "Custom autostop TTL is not allowed for workspaces using this template.", NULL);
    if (!workspace_ttl_ok(r, ttl))
        return CM_OK;
    ttl -= ttl % TTL_MIN_MS;
    CM_AUTO(cm_db_tx) tx = NULL;
    if (cm_db_tx_begin(r->db, &tx, err) != CM_OK ||
        store_workspace_set_ttl(r->db, r->arena, w->id, ttl ? &ttl : NULL, NULL, err) != CM_OK)
        return err->code;
    /* Another value counts from the next start; none counts at once. */
    if (!ttl && store_workspace_drop_deadline(r->db, r->arena, w->id, NULL, err) != CM_OK)
        return err->code;
    if (hub_notify(r->db, err, TOPIC_WS_FMT, cm_uuid_text(w->id).s) != CM_OK ||
        cm_db_tx_commit(tx, err) != CM_OK)
        return err->code;
    return api_reply_none(r, 204);
}

enum cm_code workspace_schedule_check(struct api_req *r, const struct store_template *t,
                                      struct cm_str schedule, const char *field,
                                      struct cm_time *ret_next, struct cm_err *err)
{
    enum cm_code code = schedule_next(r->db, r->arena, schedule, t, cm_time_now(), ret_next, err);
    if (code == CM_INVALID) {
        cm_violations_add(&r->violations, r->arena, cm_str(field), "%s", err->text);
        return cm_err_set(err, CM_INVALID, "Invalid autostart schedule.");
    }
    return code;
}

static enum cm_code put_autostart(struct api_req *r, struct cm_err *err)
{
    const struct api_update_workspace_autostart_request *q = r->body;
    struct store_workspace *w = NULL;
    struct store_template *t = NULL;
    struct cm_time next;
    if (workspace_param_live(r, 0, &w, err) != CM_OK ||
        template_load(r, w->template_id, &t, err) != CM_OK)
        return err->code;
    struct cm_str schedule = q->schedule.ptr ? cm_str_trim(q->schedule) : CM_STR("");
    if (!t->allow_user_autostart)
        return cm_err_set(err, CM_INVALID,
                          "Autostart is not allowed for workspaces using this template.");
    if (workspace_schedule_check(r, t, schedule, "schedule", &next, err) != CM_OK ||
        store_workspace_set_autostart(r->db, r->arena, w->id, schedule,
                                      cm_time_is_zero(next) ? NULL : &next, NULL, err) != CM_OK ||
        hub_notify(r->db, err, TOPIC_WS_FMT, cm_uuid_text(w->id).s) != CM_OK)
        return err->code;
    return api_reply_none(r, 204);
}

static enum cm_code refuse_deadline(struct api_req *r, int status, const char *message,
                                    const char *detail)
{
    if (status == 400)
        cm_violations_add(&r->violations, r->arena, CM_STR("deadline"), "%s", detail);
    return api_reply_message(r, status, message, status == 400 ? NULL : detail);
}

static enum cm_code put_extend(struct api_req *r, struct cm_err *err)
{
    const struct api_put_extend_workspace_request *q = r->body;
    struct store_workspace *w = NULL;
    struct store_build *b = NULL;
    static const char refused[] = "Cannot extend workspace deadline.";
    if (workspace_param_live(r, 0, &w, err) != CM_OK ||
        store_build_by_id(r->db, r->arena, w->latest_build_id, &b, err) != CM_OK)
        return err->code;
    if (b->transition != API_WORKSPACE_TRANSITION_START)
        return refuse_deadline(r, 409, refused, "The workspace must be started.");
    if (b->job_status != API_PROVISIONER_JOB_STATUS_SUCCEEDED)
        return refuse_deadline(r, 409, refused, "The workspace's start has not been completed.");
    if (!cm_has(b->has, STORE_BUILD_HAS_DEADLINE))
        return refuse_deadline(r, 409, refused, "The workspace is not stopped by itself.");
    if (q->deadline.us < cm_time_now().us + EXTEND_MIN)
        return refuse_deadline(r, 400, refused, "must be at least 30 minutes in the future");
    bool has_max = cm_has(b->has, STORE_BUILD_HAS_MAX_DEADLINE);
    if (has_max && q->deadline.us > b->max_deadline.us)
        return refuse_deadline(r, 400, refused, "must not be after the template's max_deadline");
    if (store_build_set_deadline(r->db, r->arena, b->id, &q->deadline,
                                 has_max ? &b->max_deadline : NULL, NULL, err) != CM_OK ||
        hub_notify(r->db, err, TOPIC_WS_FMT, cm_uuid_text(w->id).s) != CM_OK)
        return err->code;
    char when[CM_TIME_TEXT];
    return api_reply_message(
        r, 200,
        cm_arena_printf(r->arena, "Deadline updated to %s.", cm_time_format(q->deadline, when)),
        NULL);
}

#define W "/api/v2/workspaces/{workspace}"
static const struct route rows[] = {
    {CM_HTTP_PUT, W "/ttl", AUTH_SESSION, RBAC(workspace, update), ROUTE_CALL, put_ttl,
     &api_update_workspace_ttl_request_msg, "Set the time until stop", LIMIT_API, 0, false},
    {CM_HTTP_PUT, W "/autostart", AUTH_SESSION, RBAC(workspace, update), ROUTE_CALL, put_autostart,
     &api_update_workspace_autostart_request_msg, "Set the autostart schedule", LIMIT_API, 0,
     false},
    {CM_HTTP_PUT, W "/extend", AUTH_SESSION, RBAC(workspace, update), ROUTE_CALL, put_extend,
     &api_put_extend_workspace_request_msg, "Put the deadline off", LIMIT_API, 0, false},
};

const struct route_table workspace_schedule_routes = {rows, CM_COUNT_OF(rows)};
