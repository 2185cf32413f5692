/* Provisioner daemons, jobs and keys of an organization. Source: api-behaviour reference, 4.9. Keys
 * are things of the type provisioner_daemon: whoever may add daemons may make keys for them. */
#include "api/audit_log.h"
#include "api/job_show.h"
#include "api/lookup.h"
#include "api/organizations.h"
#include "api/targets.h"
#include "app.h"
#include "base/random.h"
#include "base/secret.h"
#include "net/rpc/psk.h"
#include "store/provisioners.h"

#define STALE_SECONDS 90
#define KEY_CHARS     43
#define LIST_MAX      256
#define JOBS_DEFAULT  50

/* The organization in params[0], about whose things of that type the route's rule is. */
static enum cm_code param_org(struct api_req *r, enum rbac_resource res,
                              struct store_organization **ret, struct cm_err *err)
{
    if (target_org(r, 0, ret, err) != CM_OK)
        return err->code;
    const struct rbac_object o = {.resource = res, .org_id = (*ret)->id};
    return api_authorize(r, &o, err);
}

/* ---- filters in the query ---- */

static struct cm_uuid *query_ids(struct api_req *r, size_t *ret_n)
{
    struct cm_str rest = api_query(r, "ids"), one;
    struct cm_uuid *ids = rest.len ? CM_NEW_ARRAY(r->arena, struct cm_uuid, LIST_MAX) : NULL;
    while (rest.len) {
        rest = cm_str_split(rest, ',', &one);
        if (*ret_n == LIST_MAX || !cm_uuid_parse(one, &ids[*ret_n])) {
            cm_violations_add(&r->violations, r->arena, CM_STR("ids"),
                              "must be UUIDs with commas between them, %d at most", LIST_MAX);
            break;
        }
        (*ret_n)++;
    }
    return ids;
}

static struct cm_str *query_statuses(struct api_req *r, const struct cm_enum *en, size_t *ret_n)
{
    struct cm_str rest = api_query(r, "status"), one;
    struct cm_str *out = rest.len ? CM_NEW_ARRAY(r->arena, struct cm_str, en->n) : NULL;
    while (rest.len) {
        int v = 0;
        rest = cm_str_split(rest, ',', &one);
        if (*ret_n == en->n || !cm_enum_parse(en, one, &v) || !v) {
            cm_violations_add(&r->violations, r->arena, CM_STR("status"), "\"%.*s\" is no status",
                              (int)CM_MIN(one.len, (size_t)64), one.ptr);
            break;
        }
        out[(*ret_n)++] = one;
    }
    return out;
}

/* A JSON object of texts, as it goes to the query. */
static struct cm_str query_tags(struct api_req *r)
{
    struct cm_str text = api_query(r, "tags");
    const struct cm_json *tags = NULL;
    if (!text.len)
        return CM_STR_NONE;
    if (cm_json_parse_whole(r->arena, text, NULL, &tags, NULL) == CM_OK &&
        cm_json_type(tags) == CM_JSON_OBJECT)
        return text;
    cm_violations_add(&r->violations, r->arena, CM_STR("tags"),
                      "must be a JSON object such as {\"scope\":\"organization\"}");
    return CM_STR_NONE;
}

/* ---- daemons ---- */

static struct api_provisioner_daemon_job *show_daemon_job(struct cm_arena *a, struct cm_uuid id,
                                                          struct cm_str status, struct cm_str name,
                                                          struct cm_str icon,
                                                          struct cm_str display_name)
{
    struct api_provisioner_daemon_job *j = CM_NEW(a, struct api_provisioner_daemon_job);
    int v = 0;
    cm_ignore(!cm_enum_parse(&api_provisioner_job_status_enum, status, &v),
              "the column has a CHECK");
    *j = (struct api_provisioner_daemon_job){.id = id,
                                             .status = (enum api_provisioner_job_status)v,
                                             .template_name = name,
                                             .template_icon = icon,
                                             .template_display_name = display_name};
    return j;
}

static void show_daemon(struct cm_arena *a, const struct store_provisioner_daemon *d,
                        struct api_provisioner_daemon *out)
{
    *out = (struct api_provisioner_daemon){.id = d->id,
                                           .organization_id = d->organization_id,
                                           .key_id = d->key_id,
                                           .created_at = d->created_at,
                                           .last_seen_at = d->last_seen_at,
                                           .name = d->name,
                                           .version = d->version,
                                           .api_version = d->api_version,
                                           .provisioners = d->provisioners,
                                           .n_provisioners = d->n_provisioners,
                                           .tags = d->tags,
                                           .n_tags = d->n_tags,
                                           .key_name = d->key_name,
                                           .status = d->status};
    if (cm_has(d->has, STORE_PROVISIONER_DAEMON_HAS_CURRENT_JOB_ID))
        out->current_job =
            show_daemon_job(a, d->current_job_id, d->current_job_status, d->current_template_name,
                            d->current_template_icon, d->current_template_display_name);
    if (cm_has(d->has, STORE_PROVISIONER_DAEMON_HAS_PREVIOUS_JOB_ID))
        out->previous_job = show_daemon_job(a, d->previous_job_id, d->previous_job_status,
                                            d->previous_template_name, d->previous_template_icon,
                                            d->previous_template_display_name);
}

static enum cm_code daemon_list(struct api_req *r, struct cm_err *err)
{
    struct store_organization *org = NULL;
    struct store_provisioner_daemons_args f = {.stale_seconds = STALE_SECONDS};
    struct store_provisioner_daemon *rows = NULL;
    struct cm_str age = api_query(r, "max_age");
    cm_usec max_age = 0;
    int64_t seconds;
    size_t n = 0;
    if (param_org(r, RBAC_provisioner_daemon, &org, err) != CM_OK)
        return err->code;
    f.organization_id = org->id;
    f.ids = query_ids(r, &f.n_ids);
    f.statuses = query_statuses(r, &api_provisioner_daemon_status_enum, &f.n_statuses);
    f.tags = query_tags(r);
    f.offline = cm_str_eq_c(api_query(r, "offline"), "true");
    static const char *const names[] = {"limit",  "ids",     "tags", "offline",
                                        "status", "max_age", NULL};
    api_query_only(r, names);
    api_query_i64(r, "limit", 0, INT32_MAX, &f.limit);
    if (age.len && (!cm_duration_parse(age, &max_age) || max_age <= 0))
        cm_violations_add(&r->violations, r->arena, CM_STR("max_age"),
                          "must be a duration such as 15m or 24h");
    if (api_query_check(r, err) != CM_OK)
        return err->code;
    /* Asking for those that are offline says that they are wanted. */
    for (size_t i = 0; i < f.n_statuses; i++)
        f.offline = f.offline || cm_str_eq_c(f.statuses[i], "offline");
    seconds = max_age / CM_SECOND;
    f.max_age_seconds = max_age ? &seconds : NULL;
    if (store_provisioner_daemons(r->db, r->arena, &f, &rows, &n, err) != CM_OK)
        return err->code;
    struct api_provisioner_daemon *out = CM_NEW_ARRAY(r->arena, struct api_provisioner_daemon, n);
    for (size_t i = 0; i < n; i++)
        show_daemon(r->arena, &rows[i], &out[i]);
    return api_reply_list(r, 200, &api_provisioner_daemon_msg, out, n);
}

/* ---- jobs ---- */

static void show_job(struct cm_arena *a, const struct store_job_listed *j,
                     struct api_provisioner_job *out)
{
    struct api_provisioner_job_input *input = CM_NEW(a, struct api_provisioner_job_input);
    struct api_provisioner_job_metadata *about = CM_NEW(a, struct api_provisioner_job_metadata);
    int error_code = 0, transition = 0;
    cm_ignore(!cm_enum_parse(&api_job_error_code_enum, j->error_code, &error_code),
              "a new code reads as none");
    cm_ignore(
        !cm_enum_parse(&api_workspace_transition_enum, j->workspace_build_transition, &transition),
        "the column has a CHECK");
    if (j->type == API_PROVISIONER_JOB_TYPE_WORKSPACE_BUILD)
        input->workspace_build_id = j->workspace_build_id;
    else
        input->template_version_id = j->template_version_id;
    *about = (struct api_provisioner_job_metadata){
        .template_version_name = j->template_version_name,
        .template_id = j->template_id,
        .template_name = j->template_name,
        .template_display_name = j->template_display_name,
        .template_icon = j->template_icon,
        .workspace_id = j->workspace_id,
        .workspace_name = j->workspace_name,
        .workspace_build_transition = (enum api_workspace_transition)transition};
    *out = (struct api_provisioner_job){.id = j->id,
                                        .created_at = j->created_at,
                                        .started_at = j->started_at,
                                        .completed_at = j->completed_at,
                                        .canceled_at = j->canceled_at,
                                        .error = j->error,
                                        .error_code = (enum api_job_error_code)error_code,
                                        .status = j->status,
                                        .worker_id = j->worker_id,
                                        .worker_name = j->worker_name,
                                        .file_id = j->file_id,
                                        .tags = j->tags,
                                        .n_tags = j->n_tags,
                                        .queue_position = j->queue_position,
                                        .queue_size = j->queue_size,
                                        .organization_id = j->organization_id,
                                        .initiator_id = j->initiator_id,
                                        .input = input,
                                        .type = j->type,
                                        .available_workers = j->available_workers,
                                        .n_available_workers = j->n_available_workers,
                                        .metadata = about,
                                        .logs_overflowed = j->logs_overflowed};
}

/* Filters of a list of jobs; NULL and 0: none. */
struct job_filter {
    struct cm_uuid org_id;
    struct cm_uuid *ids;
    size_t n_ids;
    struct cm_str *statuses;
    size_t n_statuses;
    struct cm_str tags;
    const struct cm_uuid *initiator_id;
    int64_t limit;
};

static enum cm_code load_jobs(struct api_req *r, const struct job_filter *f,
                              struct api_provisioner_job **ret, size_t *ret_n, struct cm_err *err)
{
    struct store_job_listed *rows = NULL;
    if (store_jobs_list(r->db, r->arena, f->org_id, f->ids, f->n_ids, f->statuses, f->n_statuses,
                        f->tags, f->initiator_id, f->limit, &rows, ret_n, err) != CM_OK)
        return err->code;
    *ret = CM_NEW_ARRAY(r->arena, struct api_provisioner_job, *ret_n);
    for (size_t i = 0; i < *ret_n; i++)
        show_job(r->arena, &rows[i], &(*ret)[i]);
    return CM_OK;
}

static enum cm_code job_list(struct api_req *r, struct cm_err *err)
{
    struct store_organization *org = NULL;
    struct job_filter f = {.limit = JOBS_DEFAULT};
    struct cm_str initiator = api_query(r, "initiator");
    struct api_provisioner_job *out = NULL;
    size_t n = 0;
    if (param_org(r, RBAC_provisioner_jobs, &org, err) != CM_OK)
        return err->code;
    f.org_id = org->id;
    f.ids = query_ids(r, &f.n_ids);
    f.statuses = query_statuses(r, &api_provisioner_job_status_enum, &f.n_statuses);
    f.tags = query_tags(r);
    f.initiator_id = initiator.len ? lookup_user(r, initiator) : NULL;
    static const char *const names[] = {"limit", "ids", "status", "tags", "initiator", NULL};
    api_query_only(r, names);
    api_query_i64(r, "limit", 0, INT32_MAX, &f.limit);
    if (api_query_check(r, err) != CM_OK || load_jobs(r, &f, &out, &n, err) != CM_OK)
        return err->code;
    return api_reply_list(r, 200, &api_provisioner_job_msg, out, n);
}

static enum cm_code job_get(struct api_req *r, struct cm_err *err)
{
    struct store_organization *org = NULL;
    struct cm_uuid id;
    struct api_provisioner_job *out = NULL;
    size_t n = 0;
    if (param_org(r, RBAC_provisioner_jobs, &org, err) != CM_OK ||
        api_param_uuid(r, 1, &id, err) != CM_OK)
        return err->code;
    struct job_filter f = {.org_id = org->id, .ids = &id, .n_ids = 1};
    if (load_jobs(r, &f, &out, &n, err) != CM_OK)
        return err->code;
    if (n == 0)
        return api_not_found(err);
    return api_reply(r, 200, &api_provisioner_job_msg, out);
}

/* ---- keys ---- */

static void show_key(const struct store_provisioner_key *k, struct api_provisioner_key *out)
{
    *out = (struct api_provisioner_key){.id = k->id,
                                        .created_at = k->created_at,
                                        .organization = k->organization_id,
                                        .name = k->name,
                                        .tags = k->tags,
                                        .n_tags = k->n_tags};
}

static enum cm_code key_list(struct api_req *r, struct cm_err *err)
{
    struct store_organization *org = NULL;
    struct store_provisioner_key *rows = NULL;
    size_t n = 0;
    if (param_org(r, RBAC_provisioner_daemon, &org, err) != CM_OK ||
        store_provisioner_keys(r->db, r->arena, org->id, &rows, &n, err) != CM_OK)
        return err->code;
    struct api_provisioner_key *out = CM_NEW_ARRAY(r->arena, struct api_provisioner_key, n);
    for (size_t i = 0; i < n; i++)
        show_key(&rows[i], &out[i]);
    return api_reply_list(r, 200, &api_provisioner_key_msg, out, n);
}

/* Each key with the daemons that came by it. */
static enum cm_code key_daemons(struct api_req *r, struct cm_err *err)
{
    struct store_organization *org = NULL;
    struct store_provisioner_key *keys = NULL;
    struct store_provisioner_daemon *rows = NULL;
    size_t n_keys = 0, n = 0;
    if (param_org(r, RBAC_provisioner_daemon, &org, err) != CM_OK)
        return err->code;
    struct store_provisioner_daemons_args f = {.organization_id = org->id,
                                               .stale_seconds = STALE_SECONDS};
    if (store_provisioner_keys(r->db, r->arena, org->id, &keys, &n_keys, err) != CM_OK ||
        store_provisioner_daemons(r->db, r->arena, &f, &rows, &n, err) != CM_OK)
        return err->code;
    struct api_provisioner_key_daemons *out =
        CM_NEW_ARRAY(r->arena, struct api_provisioner_key_daemons, n_keys);
    for (size_t i = 0; i < n_keys; i++) {
        struct api_provisioner_key *k = CM_NEW(r->arena, struct api_provisioner_key);
        struct api_provisioner_daemon *daemons =
            CM_NEW_ARRAY(r->arena, struct api_provisioner_daemon, n);
        show_key(&keys[i], k);
        out[i] = (struct api_provisioner_key_daemons){.key = k, .daemons = daemons};
        for (size_t d = 0; d < n; d++) {
            if (cm_uuid_eq(rows[d].key_id, keys[i].id))
                show_daemon(r->arena, &rows[d], &daemons[out[i].n_daemons++]);
        }
    }
    return api_reply_list(r, 200, &api_provisioner_key_daemons_msg, out, n_keys);
}

static bool is_reserved(struct cm_str name)
{
    return cm_str_eq_nocase(name, CM_STR("built-in")) ||
           cm_str_eq_nocase(name, CM_STR("user-auth")) || cm_str_eq_nocase(name, CM_STR("psk"));
}

static enum cm_code key_create(struct api_req *r, struct cm_err *err)
{
    const struct api_create_provisioner_key_request *q = r->body;
    struct store_organization *org = NULL;
    struct cm_uuid id = cm_uuid_random();
    char text[KEY_CHARS + 1];
    uint8_t hash[CM_PSK_KEY];
    size_t n_tags = 0;
    if (param_org(r, RBAC_provisioner_daemon, &org, err) != CM_OK)
        return err->code;
    if (is_reserved(q->name))
        return api_reply_invalid(r, "Name is reserved.", "name",
                                 "must be none of built-in, user-auth and psk");
    struct cm_pair *tags = job_tags(r->arena, q->tags, q->n_tags, r->who->user_id, &n_tags);
    cm_random_alnum(text, KEY_CHARS);
    /* What the handshake takes, which is all that we keep. */
    cm_psk_key_from_text(cm_str(text), hash);
    struct cm_str shown = cm_arena_str(r->arena, cm_str(text));
    enum cm_code code =
        store_provisioner_key_insert(r->db, r->arena, id, org->id, q->name,
                                     cm_str_n(hash, sizeof(hash)), tags, n_tags, NULL, err);
    cm_secret_wipe(text, sizeof(text));
    cm_secret_wipe(hash, sizeof(hash));
    if (code == CM_CONFLICT) {
        cm_violations_add(&r->violations, r->arena, CM_STR("name"),
                          "this name is taken by another key of the organization");
        return api_reply_message(r, 409, "Provisioner key with this name already exists.", NULL);
    }
    if (code != CM_OK)
        return code;
    struct api_create_provisioner_key_response out = {.key = shown};
    return api_reply(r, 201, &api_create_provisioner_key_response_msg, &out);
}

static enum cm_code key_delete(struct api_req *r, struct cm_err *err)
{
    struct store_organization *org = NULL;
    int64_t gone = 0;
    if (param_org(r, RBAC_provisioner_daemon, &org, err) != CM_OK)
        return err->code;
    if (is_reserved(r->params[1]))
        return cm_err_set(err, CM_INVALID, "Reserved keys cannot be deleted.");
    if (store_provisioner_key_delete(r->db, r->arena, org->id, r->params[1], &gone, err) != CM_OK)
        return err->code;
    return gone ? api_reply_none(r, 204) : api_not_found(err);
}

#define O "/api/v2/organizations/{organization}"
static const struct route rows[] = {
    {CM_HTTP_GET, O "/provisionerdaemons", AUTH_SESSION, RBAC(provisioner_daemon, read), ROUTE_CALL,
     daemon_list, NULL, "List provisioner daemons", LIMIT_API, 0, false},
    {CM_HTTP_GET, O "/provisionerjobs", AUTH_SESSION, RBAC(provisioner_jobs, read), ROUTE_CALL,
     job_list, NULL, "List jobs", LIMIT_API, 0, false},
    {CM_HTTP_GET, O "/provisionerjobs/{job}", AUTH_SESSION, RBAC(provisioner_jobs, read),
     ROUTE_CALL, job_get, NULL, "Get a job", LIMIT_API, 0, false},
    {CM_HTTP_GET, O "/provisionerkeys", AUTH_SESSION, RBAC(provisioner_daemon, read), ROUTE_CALL,
     key_list, NULL, "List provisioner keys", LIMIT_API, 0, false},
    {CM_HTTP_POST, O "/provisionerkeys", AUTH_SESSION, RBAC(provisioner_daemon, create), ROUTE_CALL,
     key_create, &api_create_provisioner_key_request_msg, "Make a provisioner key", LIMIT_API, 0,
     false},
    {CM_HTTP_GET, O "/provisionerkeys/daemons", AUTH_SESSION, RBAC(provisioner_daemon, read),
     ROUTE_CALL, key_daemons, NULL, "List keys with their daemons", LIMIT_API, 0, false},
    {CM_HTTP_DELETE, O "/provisionerkeys/{provisionerkey}", AUTH_SESSION,
     RBAC(provisioner_daemon, delete), ROUTE_CALL, key_delete, NULL, "Delete a provisioner key",
     LIMIT_API, 0, false},
};

const struct route_table provisioners_routes = {rows, CM_COUNT_OF(rows)};
