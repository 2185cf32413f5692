/* Reading the audit log. Source: api-behaviour reference, 4.16. */
#include "api/audit.h"

#include "api/search.h"
#include "api/targets.h"
#include "app.h"
#include "store/audit.h"

#define PAGE_DEFAULT 100
#define PAGE_MAX     5000
#define COUNT_CAP    2000

static const char *const search_keys[] = {
    "request_id", "resource_id",  "resource_target", "username", "email",        "date_from",
    "date_to",    "organization", "resource_type",   "action",   "build_reason", NULL};

/* "2026-01-31", the instant at which it begins. */
static const struct cm_time *search_date(struct api_req *r, const struct search *s, const char *key)
{
    struct cm_str v = search_text(s, key);
    struct cm_time *t = CM_NEW(r->arena, struct cm_time);
    if (!v.ptr)
        return NULL;
    if (cm_time_parse(cm_arena_fmt(r->arena, "%.*sT00:00:00Z", CM_STR_ARG(v)), t))
        return t;
    cm_violations_add(&r->violations, r->arena, cm_str(key), "must be a date such as 2026-01-31");
    return NULL;
}

static struct cm_str search_enum(struct api_req *r, const struct search *s, const char *key,
                                 const struct cm_enum *en)
{
    struct cm_str v = search_text(s, key);
    int value;
    if (v.ptr && !cm_enum_parse(en, v, &value))
        cm_violations_add(&r->violations, r->arena, cm_str(key), "\"%.*s\" is not among them",
                          (int)CM_MIN(v.len, (size_t)64), v.ptr);
    return v;
}

static void read_filter(struct api_req *r, const struct search *s, struct store_audit_page_args *f)
{
    struct cm_str username = search_text(s, "username");
    const struct cm_time *to = search_date(r, s, "date_to");
    f->request_id = search_uuid(r, s, "request_id");
    f->resource_id = search_uuid(r, s, "resource_id");
    f->resource_target = search_text(s, "resource_target");
    f->resource_type = search_enum(r, s, "resource_type", &api_resource_type_enum);
    f->action = search_enum(r, s, "action", &api_audit_action_enum);
    f->email = search_text(s, "email");
    f->date_from = search_date(r, s, "date_from");
    f->organization_id = search_org(r, s, "organization");
    f->build_reason = search_enum(r, s, "build_reason", &api_build_reason_enum);
    if (cm_str_eq_c(username, "me"))
        f->user_id = &r->who->user_id;
    else
        f->username = username;
    if (to) {
        struct cm_time *end = CM_NEW(r->arena, struct cm_time);
        *end = cm_time_add(*to, CM_DAY);
        f->date_before = end;
    }
}

/* Auditors of the site see everything, those of organizations theirs. */
static enum cm_code read_rights(struct api_req *r, struct store_audit_page_args *f,
                                struct cm_err *err)
{
    const struct rbac_object all = {.resource = RBAC_audit_log};
    struct cm_uuid *see = CM_NEW_ARRAY(r->arena, struct cm_uuid, r->who->n_orgs);
    f->see_all = api_may(r, RBAC_do_read, &all);
    for (size_t i = 0; i < r->who->n_orgs; i++) {
        const struct rbac_object o = {.resource = RBAC_audit_log, .org_id = r->who->orgs[i].org_id};
        if (api_may(r, RBAC_do_read, &o))
            see[f->n_see_orgs++] = r->who->orgs[i].org_id;
    }
    f->see_orgs = see;
    if (!f->see_all && !f->n_see_orgs)
        return api_forbidden(r, err);
    api_authorize_list(r);
    return CM_OK;
}

/* ---- showing ---- */

static const char *verb_of(enum api_audit_action action)
{
    switch (action) {
    case API_AUDIT_ACTION_CREATE:
        return "created";
    case API_AUDIT_ACTION_WRITE:
        return "updated";
    case API_AUDIT_ACTION_DELETE:
        return "deleted";
    case API_AUDIT_ACTION_START:
        return "started";
    case API_AUDIT_ACTION_STOP:
        return "stopped";
    case API_AUDIT_ACTION_LOGIN:
        return "logged in";
    case API_AUDIT_ACTION_LOGOUT:
        return "logged out";
    case API_AUDIT_ACTION_REGISTER:
        return "registered";
    case API_AUDIT_ACTION_REQUEST_PASSWORD_RESET:
        return "requested a password reset for";
    case API_AUDIT_ACTION_CONNECT:
        return "connected to";
    case API_AUDIT_ACTION_DISCONNECT:
        return "disconnected from";
    case API_AUDIT_ACTION_OPEN:
        return "opened";
    case API_AUDIT_ACTION_CLOSE:
        return "closed";
    case API_AUDIT_ACTION_UNSET:
        break;
    }
    return "touched";
}

/* "workspace_build" reads "workspace build". */
static struct cm_str spaced(struct cm_arena *a, const char *name)
{
    char *text = cm_arena_cstr(a, cm_str(name));
    for (char *p = text; *p; p++) {
        if (*p == '_')
            *p = ' ';
    }
    return cm_str(text);
}

/* {user} and {target} are for the client to fill in. */
static struct cm_str describe(struct cm_arena *a, const struct store_audit_log *l)
{
    bool failed = l->status_code >= 400;
    const char *verb = verb_of(l->action), *mark = failed ? "unsuccessfully attempted: " : "";
    if (l->action == API_AUDIT_ACTION_LOGIN || l->action == API_AUDIT_ACTION_LOGOUT)
        return cm_arena_fmt(a, "{user} %s%s", mark, verb);
    struct cm_str type = spaced(a, api_resource_type_enum.texts[l->resource_type]);
    return cm_arena_fmt(a, "{user} %s%s %.*s {target}", mark, verb, CM_STR_ARG(type));
}

/* Where the dashboard shows it; "" for what has no page. */
static struct cm_str link_of(struct cm_arena *a, const struct store_audit_log *l)
{
    if (l->gone)
        return CM_STR("");
    if (l->resource_type == API_RESOURCE_TYPE_TEMPLATE)
        return cm_arena_fmt(a, "/templates/%.*s", CM_STR_ARG(l->resource_target));
    if (l->resource_type == API_RESOURCE_TYPE_USER)
        return cm_arena_fmt(a, "/users?filter=%.*s", CM_STR_ARG(l->resource_target));
    if (l->resource_type == API_RESOURCE_TYPE_ORGANIZATION)
        return cm_arena_fmt(a, "/organizations/%.*s", CM_STR_ARG(l->resource_target));
    return CM_STR("");
}

static struct api_user *show_actor(struct cm_arena *a, const struct store_audit_log *l)
{
    if (!cm_has(l->has, STORE_AUDIT_LOG_HAS_USER_ID) || !l->username.len)
        return NULL;
    struct api_user *out = CM_NEW(a, struct api_user);
    struct store_user u = {.id = l->user_id,
                           .username = l->username,
                           .email = l->email,
                           .name = l->name,
                           .avatar_url = l->avatar_url,
                           .status = l->status,
                           .login_type = l->login_type,
                           .rbac_roles = l->rbac_roles,
                           .n_rbac_roles = l->n_rbac_roles,
                           .created_at = l->user_created_at,
                           .updated_at = l->user_updated_at,
                           .last_seen_at = l->last_seen_at,
                           .organization_ids = l->organization_ids,
                           .n_organization_ids = l->n_organization_ids};
    show_user(a, &u, out);
    return out;
}

static struct api_minimal_organization *show_org(struct cm_arena *a,
                                                 const struct store_audit_log *l)
{
    if (!l->organization_name.len)
        return NULL;
    struct api_minimal_organization *out = CM_NEW(a, struct api_minimal_organization);
    *out = (struct api_minimal_organization){.id = l->organization_id,
                                             .name = l->organization_name,
                                             .display_name = l->organization_display_name,
                                             .icon = l->organization_icon};
    return out;
}

static void show_log(struct cm_arena *a, const struct store_audit_log *l, struct api_audit_log *out)
{
    *out = (struct api_audit_log){.id = l->id,
                                  .request_id = l->request_id,
                                  .time = l->time,
                                  .ip = l->ip,
                                  .user_agent = l->user_agent,
                                  .resource_type = l->resource_type,
                                  .resource_id = l->resource_id,
                                  .resource_target = l->resource_target,
                                  .resource_icon = l->resource_icon,
                                  .action = l->action,
                                  .status_code = l->status_code,
                                  .additional_fields = l->additional_fields,
                                  .description = describe(a, l),
                                  .resource_link = link_of(a, l),
                                  .is_deleted = l->gone,
                                  .organization_id = l->organization_id,
                                  .organization = show_org(a, l),
                                  .user = show_actor(a, l)};
    void *diff = NULL;
    struct cm_err ignored;
    if (cm_json_decode_answer(&api_audit_diff_msg, a, l->diff, &diff, &ignored) != CM_OK)
        return;
    const struct api_audit_diff *d = diff;
    out->n_diff = d->n_fields;
    out->diff = CM_NEW_ARRAY(a, struct api_audit_log_diff_entry, d->n_fields);
    for (size_t i = 0; i < d->n_fields; i++)
        out->diff[i] = (struct api_audit_log_diff_entry){d->fields[i].key, d->fields[i].value};
}

static void copy_filter(const struct store_audit_page_args *f, struct store_audit_count_args *out)
{
    *out = (struct store_audit_count_args){.see_all = f->see_all,
                                           .see_orgs = f->see_orgs,
                                           .n_see_orgs = f->n_see_orgs,
                                           .request_id = f->request_id,
                                           .resource_id = f->resource_id,
                                           .resource_target = f->resource_target,
                                           .resource_type = f->resource_type,
                                           .action = f->action,
                                           .user_id = f->user_id,
                                           .username = f->username,
                                           .email = f->email,
                                           .date_from = f->date_from,
                                           .date_before = f->date_before,
                                           .organization_id = f->organization_id,
                                           .build_reason = f->build_reason,
                                           .cap = COUNT_CAP};
}

static enum cm_code list(struct api_req *r, struct cm_err *err)
{
    struct store_audit_page_args f = {.limit = PAGE_DEFAULT};
    struct store_audit_count_args c;
    struct store_audit_log *rows = NULL;
    struct search s;
    size_t n = 0;
    if (read_rights(r, &f, err) != CM_OK)
        return err->code;
    search_parse(r, api_query(r, "q"), search_keys, "resource_type", &s);
    read_filter(r, &s, &f);
    api_query_i64(r, "limit", 0, INT32_MAX, &f.limit);
    api_query_i64(r, "offset", 0, INT32_MAX, &f.offset);
    if (api_query_check(r, err) != CM_OK)
        return err->code;
    f.limit = f.limit ? CM_MIN(f.limit, (int64_t)PAGE_MAX) : PAGE_DEFAULT;
    copy_filter(&f, &c);
    struct api_audit_log_response out = {.count_cap = COUNT_CAP};
    if (store_audit_page(r->db, r->arena, &f, &rows, &n, err) != CM_OK ||
        store_audit_count(r->db, r->arena, &c, &out.count, err) != CM_OK)
        return err->code;
    out.audit_logs = CM_NEW_ARRAY(r->arena, struct api_audit_log, n);
    out.n_audit_logs = n;
    for (size_t i = 0; i < n; i++)
        show_log(r->arena, &rows[i], &out.audit_logs[i]);
    return api_reply(r, 200, &api_audit_log_response_msg, &out);
}

static const struct route rows[] = {
    {CM_HTTP_GET, "/api/v2/audit", AUTH_SESSION, RBAC(audit_log, read), ROUTE_CALL, list, NULL,
     "Read the audit log", LIMIT_API, 0, false},
};

const struct route_table audit_list_routes = {rows, CM_COUNT_OF(rows)};
