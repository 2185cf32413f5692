/* Workspaces. Source: api-behaviour reference, 4.10. */
#include "api/workspaces.h"

#include "api/acl.h"
#include "api/audit_log.h"
#include "api/build_start.h"
#include "api/job_show.h"
#include "api/search.h"
#include "api/targets.h"
#include "api/workspace_load.h"
#include "api/workspace_schedule.h"
#include "app.h"
#include "background/hub.h"
#include "options.h"
#include "store/schedule.h"
#include "store/workspace_list.h"

static enum cm_code reply_one(struct api_req *r, int status, const struct store_workspace *w,
                              struct cm_err *err)
{
    struct api_workspace *out = NULL;
    if (workspaces_show(r, w, 1, &out, err) != CM_OK)
        return err->code;
    return api_reply(r, status, &api_workspace_msg, out);
}

static enum cm_code workspace_get(struct api_req *r, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    bool deleted_too = cm_str_eq_c(api_query(r, "include_deleted"), "true");
    if ((deleted_too ? workspace_param : workspace_param_live)(r, 0, &w, err) != CM_OK)
        return err->code;
    return reply_one(r, 200, w, err);
}

static enum cm_code by_name(struct api_req *r, struct store_workspace **ret, struct cm_err *err)
{
    struct store_user *u = NULL;
    if (target_user(r, 0, &u, err) != CM_OK)
        return err->code;
    enum cm_code code = store_workspace_by_name(r->db, r->arena, u->id, r->params[1], ret, err);
    if (code == CM_NOT_FOUND && cm_str_eq_c(api_query(r, "include_deleted"), "true"))
        code = store_workspace_by_name_deleted(r->db, r->arena, u->id, r->params[1], ret, err);
    if (code != CM_OK)
        return code == CM_NOT_FOUND ? api_not_found(err) : code;
    struct rbac_object o = workspace_object(r, *ret);
    return api_authorize(r, &o, err);
}

static enum cm_code workspace_by_name(struct api_req *r, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    if (by_name(r, &w, err) != CM_OK)
        return err->code;
    return reply_one(r, 200, w, err);
}

static enum cm_code build_by_number(struct api_req *r, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    struct store_build *b = NULL;
    struct api_workspace_build *out = NULL;
    int64_t number;
    if (by_name(r, &w, err) != CM_OK)
        return err->code;
    if (!cm_str_to_i64(r->params[2], &number))
        return cm_err_set(err, CM_INVALID, "Failed to parse build number as integer.");
    enum cm_code code = store_build_by_number(r->db, r->arena, w->id, number, &b, err);
    if (code != CM_OK)
        return code == CM_NOT_FOUND ? api_not_found(err) : code;
    if (builds_show(r, b, 1, &out, err) != CM_OK)
        return err->code;
    return api_reply(r, 200, &api_workspace_build_msg, out);
}

/* ---- the list ---- */

static const bool yes = true, no = false;

static const bool *parse_bool(struct api_req *r, const char *key, struct cm_str v)
{
    if (cm_str_eq_nocase(v, CM_STR("true")) || cm_str_eq_c(v, "1"))
        return &yes;
    if (cm_str_eq_nocase(v, CM_STR("false")) || cm_str_eq_c(v, "0"))
        return &no;
    cm_violations_add(&r->violations, r->arena, cm_str(key), "must be true or false");
    return NULL;
}

static const struct cm_time *parse_time(struct api_req *r, const char *key, struct cm_str v)
{
    struct cm_time *t = CM_NEW(r->arena, struct cm_time);
    if (cm_time_parse(v, t))
        return t;
    cm_violations_add(&r->violations, r->arena, cm_str(key),
                      "must be a time such as \"2026-01-31T00:00:00Z\"");
    return NULL;
}

static const struct cm_uuid *parse_id(struct api_req *r, const char *key, struct cm_str v)
{
    struct cm_uuid *id = CM_NEW(r->arena, struct cm_uuid);
    if (cm_uuid_parse(v, id))
        return id;
    cm_violations_add(&r->violations, r->arena, cm_str(key), "must be a UUID");
    return NULL;
}

static void read_filter_key(struct api_req *r, const struct search_term *t,
                            struct store_workspace_filter *f)
{
    const char *key = t->key;
    struct cm_str v = t->n ? t->values[0] : CM_STR("");
    if (strcmp(key, "owner") == 0) {
        if (cm_str_eq_c(v, "me"))
            f->owner_id = &r->who->user_id;
        else
            f->owner_username = v;
    } else if (strcmp(key, "name") == 0) {
        struct cm_str owner;
        struct cm_str name = cm_str_split(v, '/', &owner);
        f->name = name.ptr ? name : v;
        if (name.ptr)
            f->owner_username = owner;
    } else if (strcmp(key, "template") == 0) {
        f->template_name = v;
    } else if (strcmp(key, "id") == 0) {
        f->ids = parse_id(r, key, v);
        f->n_ids = f->ids ? 1 : 0;
    } else if (strcmp(key, "status") == 0) {
        f->statuses = t->values;
        f->n_statuses = t->n;
    } else if (strcmp(key, "has-agent") == 0) {
        f->agent_statuses = t->values;
        f->n_agent_statuses = t->n;
    } else if (strcmp(key, "dormant") == 0) {
        f->dormant = parse_bool(r, key, v);
    } else if (strcmp(key, "outdated") == 0) {
        f->outdated = parse_bool(r, key, v);
    } else if (strcmp(key, "shared") == 0) {
        f->shared = parse_bool(r, key, v);
    } else if (strcmp(key, "healthy") == 0) {
        f->healthy = parse_bool(r, key, v);
    } else if (strcmp(key, "has_external_agent") == 0) {
        f->has_external_agent = parse_bool(r, key, v);
    } else if (strcmp(key, "last_used_after") == 0) {
        f->last_used_after = parse_time(r, key, v);
    } else if (strcmp(key, "last_used_before") == 0) {
        f->last_used_before = parse_time(r, key, v);
    } else if (strcmp(key, "organization") == 0) {
        struct store_organization *org = NULL;
        struct cm_err ignored;
        static const struct cm_uuid nowhere = {{0xff}};
        struct cm_uuid id;
        if (cm_uuid_parse(v, &id))
            f->organization_id = parse_id(r, key, v);
        else if (store_organization_by_name(r->db, r->arena, v, &org, &ignored) == CM_OK)
            f->organization_id = &org->id;
        else
            f->organization_id = &nowhere;
    } else if (strcmp(key, "param") == 0) {
        struct cm_str *names = CM_NEW_ARRAY(r->arena, struct cm_str, t->n),
                      *values = CM_NEW_ARRAY(r->arena, struct cm_str, t->n);
        for (size_t i = 0; i < t->n; i++) {
            values[i] = cm_str_split(t->values[i], '=', &names[i]);
            if (!values[i].ptr)
                values[i] = CM_STR("");
        }
        f->param_names = names;
        f->param_values = values;
        f->n_params = t->n;
    }
}

static enum cm_code workspace_list(struct api_req *r, struct cm_err *err)
{
    static const char *const keys[] = {"id",
                                       "owner",
                                       "template",
                                       "name",
                                       "status",
                                       "has-agent",
                                       "dormant",
                                       "last_used_after",
                                       "last_used_before",
                                       "outdated",
                                       "has_external_agent",
                                       "organization",
                                       "shared",
                                       "healthy",
                                       "param",
                                       NULL};
    struct store_workspace_filter f = {.caller = r->who->user_id};
    api_query_i64(r, "limit", 0, INT32_MAX, &f.limit);
    api_query_i64(r, "offset", 0, INT32_MAX, &f.offset);
    struct search s;
    search_parse(r, api_query(r, "q"), keys, "name", &s);
    for (size_t i = 0; i < s.n; i++)
        read_filter_key(r, &s.terms[i], &f);
    if (api_query_check(r, err) != CM_OK)
        return err->code;
    struct rbac_object any = {.resource = RBAC_workspace};
    f.see_all = api_may(r, RBAC_do_read, &any);
    struct cm_uuid *see = CM_NEW_ARRAY(r->arena, struct cm_uuid, r->who->n_orgs);
    for (size_t i = 0; i < r->who->n_orgs; i++) {
        struct rbac_object in_org = {.resource = RBAC_workspace, .org_id = r->who->orgs[i].org_id};
        if (api_may(r, RBAC_do_read, &in_org))
            see[f.n_see_orgs++] = r->who->orgs[i].org_id;
    }
    f.see_orgs = see;
    f.groups = acl_my_groups_text(r, &f.n_groups);
    api_authorize_list(r);
    struct store_workspace *rows = NULL;
    size_t n = 0;
    struct api_workspaces_response out = {0};
    /* A key whose scopes do not reach workspaces sees none of them. */
    struct rbac_object own = {
        .resource = RBAC_workspace, .owner_id = r->who->user_id, .any_org = true};
    if (!api_may(r, RBAC_do_read, &own) && !f.see_all && !f.n_see_orgs)
        return api_reply(r, 200, &api_workspaces_response_msg, &out);
    if (store_workspaces_list(r->db, r->arena, &f, &rows, &n, &out.count, err) != CM_OK ||
        workspaces_show(r, rows, n, &out.workspaces, err) != CM_OK)
        return err->code;
    out.n_workspaces = n;
    return api_reply(r, 200, &api_workspaces_response_msg, &out);
}

/* ---- create ---- */

/* Template and version from the request: one of the two. */
static enum cm_code create_source(struct api_req *r, const struct api_create_workspace_request *q,
                                  struct store_template **ret_t, struct cm_uuid *ret_version,
                                  struct cm_err *err)
{
    bool by_version = !cm_uuid_is_nil(q->template_version_id);
    if (by_version == !cm_uuid_is_nil(q->template_id)) {
        cm_violations_add(&r->violations, r->arena, CM_STR("template_id"),
                          "give template_id or template_version_id");
        return api_reply_message(r, 400, "Validation failed.", NULL);
    }
    struct cm_uuid template_id = q->template_id;
    if (by_version) {
        struct store_template_version *v = NULL;
        enum cm_code code =
            store_template_version_by_id(r->db, r->arena, q->template_version_id, &v, err);
        if (code == CM_NOT_FOUND || (code == CM_OK && cm_uuid_is_nil(v->template_id)))
            return api_reply_invalid(r, "Invalid template version.", "template_version_id",
                                     "there is no such version");
        if (code != CM_OK)
            return code;
        template_id = v->template_id;
    }
    enum cm_code code = store_template_by_id(r->db, r->arena, template_id, ret_t, err);
    if (code == CM_NOT_FOUND)
        return api_reply_invalid(r, "Template doesn't exist.",
                                 by_version ? "template_version_id" : "template_id",
                                 "there is no such template");
    if (code != CM_OK)
        return code;
    *ret_version = by_version ? q->template_version_id : (*ret_t)->active_version_id;
    return CM_OK;
}

static enum cm_code create_for(struct api_req *r, const struct store_user *owner,
                               struct cm_err *err)
{
    const struct api_create_workspace_request *q = r->body;
    struct store_template *t = NULL;
    struct cm_uuid version_id, build_id = {{0}};
    if (create_source(r, q, &t, &version_id, err) != CM_OK || !t)
        return r->reply.status ? CM_OK : err->code;
    struct rbac_object o = {
        .resource = RBAC_workspace, .org_id = t->organization_id, .owner_id = owner->id};
    struct rbac_object to = template_object(r, t);
    if (!api_may(r, RBAC_do_read, &to))
        return api_reply_invalid(r, "Template doesn't exist.", "template_id",
                                 "there is no such template");
    if (!api_may(r, RBAC_do_use, &to))
        return cm_err_set(err, CM_DENIED, "You are not allowed to use this template.");
    if (!api_may(r, RBAC_do_create, &o))
        return cm_err_set(
            err, CM_DENIED,
            "You are not allowed to create a workspace for this user in this organization.");
    if (api_authorize(r, &o, err) != CM_OK)
        return err->code;
    if (t->deprecation_message.len)
        return cm_err_set(
            err, CM_INVALID,
            "Template \"%.*s\" has been deprecated, and cannot be used to create a new "
            "workspace.",
            CM_STR_ARG(t->name));
    bool has_ttl = cm_has(q->has, API_CREATE_WORKSPACE_REQUEST_HAS_TTL_MS);
    if (has_ttl && !workspace_ttl_ok(r, q->ttl_ms))
        return CM_OK;
    struct cm_str schedule =
        q->autostart_schedule.ptr ? cm_str_trim(q->autostart_schedule) : CM_STR("");
    struct cm_time next;
    if (schedule.len && !t->allow_user_autostart)
        return cm_err_set(err, CM_INVALID,
                          "Autostart is not allowed for workspaces using this template.");
    if (workspace_schedule_check(r, t, schedule, "autostart_schedule", &next, err) != CM_OK)
        return err->code;
    struct store_workspace w = {.id = cm_uuid_random(),
                                .organization_id = t->organization_id,
                                .owner_id = owner->id,
                                .template_id = t->id,
                                .name = q->name};
    int64_t ttl = has_ttl ? q->ttl_ms : t->default_ttl_ms;
    struct store_workspace_insert_args row = {
        .id = w.id,
        .owner_id = owner->id,
        .organization_id = t->organization_id,
        .template_id = t->id,
        .name = q->name,
        .autostart_schedule = schedule,
        .next_start_at = cm_time_is_zero(next) ? NULL : &next,
        .ttl_ms = ttl ? &ttl : NULL,
        .automatic_updates =
            q->automatic_updates ? q->automatic_updates : API_AUTOMATIC_UPDATES_NEVER};
    CM_AUTO(cm_db_tx) tx = NULL;
    if (cm_db_tx_begin(r->db, &tx, err) != CM_OK)
        return err->code;
    enum cm_code code = store_workspace_insert(r->db, r->arena, &row, NULL, err);
    if (code == CM_CONFLICT) {
        cm_violations_add(&r->violations, r->arena, CM_STR("name"),
                          "this name is taken by another workspace of the user");
        return api_reply_message(
            r, 409,
            cm_arena_printf(r->arena, "Workspace \"%.*s\" already exists.", CM_STR_ARG(q->name)),
            NULL);
    }
    if (code != CM_OK)
        return code;
    struct build_request b = {.ws = &w,
                              .version_id = version_id,
                              .preset_id = q->template_version_preset_id,
                              .transition = API_WORKSPACE_TRANSITION_START,
                              .reason = API_BUILD_REASON_INITIATOR,
                              .values = {q->rich_parameter_values, q->n_rich_parameter_values},
                              .first = true};
    if (build_start(r, &b, &build_id, err) != CM_OK)
        return err->code;
    if (cm_uuid_is_nil(build_id))
        return CM_OK; /* the reply says why; the transaction rolls back */
    if (cm_db_tx_commit(tx, err) != CM_OK)
        return err->code;
    audit(r, &(struct audit_event){.action = "create",
                                   .resource_type = "workspace",
                                   .resource_id = w.id,
                                   .target = q->name,
                                   .org_id = t->organization_id,
                                   .status = 201});
    struct store_workspace *made = NULL;
    if (store_workspace_by_id(r->db, r->arena, w.id, &made, err) != CM_OK)
        return err->code;
    return reply_one(r, 201, made, err);
}

static enum cm_code workspace_create(struct api_req *r, struct cm_err *err)
{
    struct store_user *owner = NULL;
    if (target_user(r, 0, &owner, err) != CM_OK)
        return err->code;
    return create_for(r, owner, err);
}

static enum cm_code workspace_create_in_org(struct api_req *r, struct cm_err *err)
{
    struct store_organization *org = NULL;
    struct store_user *owner = NULL;
    if (target_org(r, 0, &org, err) != CM_OK || target_user(r, 1, &owner, err) != CM_OK)
        return err->code;
    return create_for(r, owner, err);
}

/* ---- builds ---- */

static enum cm_code build_list(struct api_req *r, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    struct store_build *rows = NULL;
    struct api_workspace_build *out = NULL;
    size_t n = 0;
    int64_t limit = 0, offset = 0;
    struct cm_uuid after = {{0}};
    struct cm_time since;
    if (workspace_param_live(r, 0, &w, err) != CM_OK)
        return err->code;
    api_query_i64(r, "limit", 0, INT32_MAX, &limit);
    api_query_i64(r, "offset", 0, INT32_MAX, &offset);
    api_query_uuid(r, "after_id", &after);
    struct cm_str since_text = api_query(r, "since");
    if (since_text.len && !cm_time_parse(since_text, &since))
        cm_violations_add(&r->violations, r->arena, CM_STR("since"),
                          "must be a time such as 2026-01-31T00:00:00Z");
    if (api_query_check(r, err) != CM_OK)
        return err->code;
    bool has_after = !cm_uuid_is_nil(after);
    if (has_after) {
        struct store_build *cursor = NULL;
        enum cm_code code = store_build_by_id(r->db, r->arena, after, &cursor, err);
        if (code == CM_NOT_FOUND || (code == CM_OK && !cm_uuid_eq(cursor->workspace_id, w->id)))
            return cm_err_set(err, CM_INVALID, "Record at \"after_id\" does not exist.");
        if (code != CM_OK)
            return code;
    }
    if (store_builds_page(r->db, r->arena, w->id, since_text.len ? &since : NULL,
                          has_after ? &after : NULL, limit, offset, &rows, &n, err) != CM_OK ||
        builds_show(r, rows, n, &out, err) != CM_OK)
        return err->code;
    return api_reply_list(r, 200, &api_workspace_build_msg, out, n);
}

static enum cm_code build_permission(struct api_req *r,
                                     const struct api_create_workspace_build_request *q,
                                     const struct store_workspace *w, struct cm_err *err)
{
    static const struct {
        enum rbac_action action;
        const char *text;
    } rules[] = {
        [API_WORKSPACE_TRANSITION_START] = {RBAC_do_start,
                                            "You do not have permission to start this workspace."},
        [API_WORKSPACE_TRANSITION_STOP] = {RBAC_do_stop,
                                           "You do not have permission to stop this workspace."},
        [API_WORKSPACE_TRANSITION_DELETE] = {
            RBAC_do_delete, "You do not have permission to delete this workspace."}};
    struct rbac_object o = workspace_object(r, w);
    if (!api_may(r, rules[q->transition].action, &o))
        return cm_err_set(err, CM_DENIED, "%s", rules[q->transition].text);
    struct store_template *t = NULL;
    if (template_load(r, w->template_id, &t, err) != CM_OK)
        return err->code;
    struct rbac_object to = template_object(r, t);
    if (q->state.len && !api_may(r, RBAC_do_update, &to))
        return cm_err_set(err, CM_DENIED, "Only template managers may provide custom state.");
    if (q->log_level == API_PROVISIONER_LOG_LEVEL_DEBUG) {
        struct rbac_object dc = {.resource = RBAC_deployment_config};
        if (!api_may(r, RBAC_do_read, &dc))
            return cm_err_set(
                err, CM_INVALID,
                "Workspace builds with a custom log level are restricted to administrators "
                "only.");
        if (!r->app->opt->enable_terraform_debug_mode)
            return cm_err_set(err, CM_INVALID,
                              "Terraform debug mode is disabled in the deployment configuration.");
    }
    if (t->require_active_version && q->transition == API_WORKSPACE_TRANSITION_START &&
        !api_may(r, RBAC_do_update, &to)) {
        struct cm_uuid version =
            cm_uuid_is_nil(q->template_version_id) ? w->latest_version_id : q->template_version_id;
        if (!cm_uuid_eq(version, t->active_version_id))
            return cm_err_set(err, CM_DENIED, "You must use the active version of the template.");
    }
    return CM_OK;
}

static enum api_build_reason build_reason(enum api_create_workspace_build_reason r)
{
    static const enum api_build_reason reasons[] = {
        [API_CREATE_WORKSPACE_BUILD_REASON_UNSET] = API_BUILD_REASON_INITIATOR,
        [API_CREATE_WORKSPACE_BUILD_REASON_DASHBOARD] = API_BUILD_REASON_DASHBOARD,
        [API_CREATE_WORKSPACE_BUILD_REASON_CLI] = API_BUILD_REASON_CLI,
        [API_CREATE_WORKSPACE_BUILD_REASON_SSH_CONNECTION] = API_BUILD_REASON_SSH_CONNECTION,
        [API_CREATE_WORKSPACE_BUILD_REASON_VSCODE_CONNECTION] = API_BUILD_REASON_VSCODE_CONNECTION,
        [API_CREATE_WORKSPACE_BUILD_REASON_JETBRAINS_CONNECTION] =
            API_BUILD_REASON_JETBRAINS_CONNECTION,
        [API_CREATE_WORKSPACE_BUILD_REASON_TASK_MANUAL_PAUSE] = API_BUILD_REASON_TASK_MANUAL_PAUSE,
        [API_CREATE_WORKSPACE_BUILD_REASON_TASK_RESUME] = API_BUILD_REASON_TASK_RESUME,
    };
    return reasons[r];
}

/* Forgetting resources needs no provisioner: where none is alive, the build ends at once. */
static enum cm_code orphan_alone(struct api_req *r, const struct store_workspace *w,
                                 struct cm_uuid build_id, struct cm_err *err)
{
    struct store_build *b = NULL;
    struct store_job *job = NULL;
    struct api_matched_provisioners *m = NULL;
    if (store_build_by_id(r->db, r->arena, build_id, &b, err) != CM_OK ||
        job_load(r, b->job_id, &job, err) != CM_OK ||
        matched_provisioners(r, w->organization_id, job->tags, job->n_tags, &m, err) != CM_OK)
        return err->code;
    if (m->available)
        return CM_OK;
    if (store_job_log_add(r->db, r->arena, job->id, CM_STR("info"), CM_STR("Cleaning Up"),
                          CM_STR("No provisioner is alive: the workspace's resources were left to "
                                 "themselves."),
                          NULL, err) != CM_OK ||
        store_job_succeed(r->db, r->arena, job->id, NULL, err) != CM_OK ||
        hub_notify(r->db, err, TOPIC_JOB_FMT, cm_uuid_text(job->id).s) != CM_OK)
        return err->code;
    return store_workspace_delete(r->db, r->arena, w->id, NULL, err);
}

static enum cm_code build_create(struct api_req *r, struct cm_err *err)
{
    const struct api_create_workspace_build_request *q = r->body;
    struct store_workspace *w = NULL;
    struct store_build *b = NULL;
    struct api_workspace_build *out = NULL;
    struct cm_uuid id = {{0}};
    if (workspace_param_live(r, 0, &w, err) != CM_OK)
        return err->code;
    if (build_permission(r, q, w, err) != CM_OK)
        return err->code;
    if (q->orphan && q->transition != API_WORKSPACE_TRANSITION_DELETE)
        return cm_err_set(err, CM_INVALID, "Orphan is only permitted when deleting a workspace.");
    if (q->orphan && q->state.len)
        return cm_err_set(err, CM_INVALID, "Custom state cannot be set when orphan intent.");
    struct build_request br = {.ws = w,
                               .version_id = q->template_version_id,
                               .preset_id = q->template_version_preset_id,
                               .transition = q->transition,
                               .reason = build_reason(q->reason),
                               .values = {q->rich_parameter_values, q->n_rich_parameter_values},
                               .state = q->orphan      ? CM_STR("")
                                        : q->state.len ? q->state
                                                       : CM_STR_NONE,
                               .orphan = q->orphan,
                               .debug_log = q->log_level == API_PROVISIONER_LOG_LEVEL_DEBUG};
    CM_AUTO(cm_db_tx) tx = NULL;
    if (cm_db_tx_begin(r->db, &tx, err) != CM_OK)
        return err->code;
    if (q->transition == API_WORKSPACE_TRANSITION_START &&
        cm_has(w->has, STORE_WORKSPACE_HAS_DORMANT_AT) &&
        store_workspace_set_dormant(r->db, r->arena, w->id, NULL, NULL, NULL, err) != CM_OK)
        return err->code;
    if (build_start(r, &br, &id, err) != CM_OK)
        return err->code;
    if (cm_uuid_is_nil(id))
        return CM_OK;
    if (q->orphan && orphan_alone(r, w, id, err) != CM_OK)
        return err->code;
    if (cm_db_tx_commit(tx, err) != CM_OK ||
        store_build_by_id(r->db, r->arena, id, &b, err) != CM_OK ||
        builds_show(r, b, 1, &out, err) != CM_OK)
        return err->code;
    if (matched_provisioners(r, w->organization_id, out->job->tags, out->job->n_tags,
                             &out->matched_provisioners, err) != CM_OK)
        return err->code;
    static const char *const actions[] = {"write", "start", "stop", "delete"};
    audit(r, &(struct audit_event){.action = actions[q->transition],
                                   .resource_type = "workspace_build",
                                   .resource_id = id,
                                   .target = w->name,
                                   .org_id = w->organization_id,
                                   .status = 201});
    return api_reply(r, 201, &api_workspace_build_msg, out);
}

/* ---- small changes ---- */

static enum cm_code workspace_rename(struct api_req *r, struct cm_err *err)
{
    const struct api_update_workspace_request *q = r->body;
    struct store_workspace *w = NULL;
    if (workspace_param_live(r, 0, &w, err) != CM_OK)
        return err->code;
    if (!q->name.len || cm_str_eq(q->name, w->name))
        return api_reply_none(r, 204);
    if (!r->app->opt->allow_workspace_renames)
        return cm_err_set(err, CM_INVALID, "Workspace renames are not allowed on this deployment.");
    enum cm_code code = store_workspace_rename(r->db, r->arena, w->id, q->name, NULL, err);
    if (code == CM_CONFLICT) {
        cm_violations_add(&r->violations, r->arena, CM_STR("name"),
                          "this name is taken by another workspace of the user");
        return api_reply_message(r, 409, "A workspace with this name already exists.", NULL);
    }
    return code == CM_OK ? api_reply_none(r, 204) : code;
}

static enum cm_code workspace_favorite(struct api_req *r, bool favorite, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    if (workspace_param_live(r, 0, &w, err) != CM_OK)
        return err->code;
    if (!cm_uuid_eq(w->owner_id, r->who->user_id))
        return cm_err_set(err, CM_DENIED, "You can only favorite workspaces that you own.");
    if (store_workspace_set_favorite(r->db, r->arena, w->id, favorite, NULL, err) != CM_OK)
        return err->code;
    return api_reply_none(r, 204);
}

static enum cm_code favorite_put(struct api_req *r, struct cm_err *err)
{
    return workspace_favorite(r, true, err);
}

static enum cm_code favorite_delete(struct api_req *r, struct cm_err *err)
{
    return workspace_favorite(r, false, err);
}

static enum cm_code workspace_autoupdates(struct api_req *r, struct cm_err *err)
{
    const struct api_update_workspace_automatic_updates_request *q = r->body;
    struct store_workspace *w = NULL;
    if (workspace_param_live(r, 0, &w, err) != CM_OK ||
        store_workspace_set_automatic_updates(r->db, r->arena, w->id, q->automatic_updates, NULL,
                                              err) != CM_OK)
        return err->code;
    return api_reply_none(r, 204);
}

static enum cm_code workspace_dormant(struct api_req *r, struct cm_err *err)
{
    const struct api_update_workspace_dormancy *q = r->body;
    struct store_workspace *w = NULL;
    struct cm_time now = cm_time_now();
    if (workspace_param_live(r, 0, &w, err) != CM_OK)
        return err->code;
    if (q->dormant == cm_has(w->has, STORE_WORKSPACE_HAS_DORMANT_AT))
        return api_reply_none(r, 304);
    if (store_workspace_set_dormant(r->db, r->arena, w->id, q->dormant ? &now : NULL, NULL, NULL,
                                    err) != CM_OK ||
        store_workspace_by_id(r->db, r->arena, w->id, &w, err) != CM_OK)
        return err->code;
    return reply_one(r, 200, w, err);
}

static enum cm_code workspace_usage(struct api_req *r, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    if (workspace_param_live(r, 0, &w, err) != CM_OK ||
        store_workspaces_used(r->db, r->arena, &w->id, 1, cm_time_now(), NULL, err) != CM_OK ||
        store_workspace_bump(r->db, r->arena, w->id, NULL, err) != CM_OK)
        return err->code;
    return api_reply_none(r, 204);
}

static enum cm_code resolve_autostart(struct api_req *r, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    struct api_resolve_autostart_response out = {0};
    if (workspace_param_live(r, 0, &w, err) != CM_OK)
        return err->code;
    return api_reply(r, 200, &api_resolve_autostart_response_msg, &out);
}

#define W "/api/v2/workspaces/{workspace}"
static const struct route rows[] = {
    {CM_HTTP_GET, "/api/v2/workspaces", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL,
     workspace_list, NULL, "List workspaces", LIMIT_API, 0, false},
    {CM_HTTP_POST, "/api/v2/users/{user}/workspaces", AUTH_SESSION, RBAC(workspace, create),
     ROUTE_CALL, workspace_create, &api_create_workspace_request_msg, "Create a workspace",
     LIMIT_API, 0, false},
    {CM_HTTP_POST, "/api/v2/organizations/{organization}/members/{user}/workspaces", AUTH_SESSION,
     RBAC(workspace, create), ROUTE_CALL, workspace_create_in_org,
     &api_create_workspace_request_msg, "Create a workspace in an organization", LIMIT_API, 0,
     false},
    {CM_HTTP_GET, "/api/v2/users/{user}/workspace/{workspacename}", AUTH_SESSION,
     RBAC(workspace, read), ROUTE_CALL, workspace_by_name, NULL, "Get a workspace by name",
     LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/users/{user}/workspace/{workspacename}/builds/{buildnumber}",
     AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL, build_by_number, NULL,
     "Get a build by number", LIMIT_API, 0, false},
    {CM_HTTP_GET, W, AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL, workspace_get, NULL,
     "Get a workspace", LIMIT_API, 0, false},
    {CM_HTTP_PATCH, W, AUTH_SESSION, RBAC(workspace, update), ROUTE_CALL, workspace_rename,
     &api_update_workspace_request_msg, "Rename a workspace", LIMIT_API, 0, false},
    {CM_HTTP_GET, W "/builds", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL, build_list, NULL,
     "List builds", LIMIT_API, 0, false},
    {CM_HTTP_POST, W "/builds", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL, build_create,
     &api_create_workspace_build_request_msg, "Start, stop or delete", LIMIT_API,
     (uint64_t)160 * 1024 * 1024, false},
    {CM_HTTP_PUT, W "/favorite", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL, favorite_put,
     NULL, "Make a favourite", LIMIT_API, 0, false},
    {CM_HTTP_DELETE, W "/favorite", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL,
     favorite_delete, NULL, "No favourite any more", LIMIT_API, 0, false},
    {CM_HTTP_PUT, W "/autoupdates", AUTH_SESSION, RBAC(workspace, update), ROUTE_CALL,
     workspace_autoupdates, &api_update_workspace_automatic_updates_request_msg,
     "Set automatic updates", LIMIT_API, 0, false},
    {CM_HTTP_PUT, W "/dormant", AUTH_SESSION, RBAC(workspace, update), ROUTE_CALL,
     workspace_dormant, &api_update_workspace_dormancy_msg, "Set dormancy", LIMIT_API, 0, false},
    {CM_HTTP_POST, W "/usage", AUTH_SESSION, RBAC(workspace, update), ROUTE_CALL, workspace_usage,
     NULL, "Note usage", LIMIT_API, 0, false},
    {CM_HTTP_GET, W "/resolve-autostart", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL,
     resolve_autostart, NULL, "Will autostart need new parameters?", LIMIT_API, 0, false},
};

const struct route_table workspaces_routes = {rows, CM_COUNT_OF(rows)};
