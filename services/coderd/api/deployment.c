/* What concerns the deployment as a whole. Source: api-behaviour reference, 4.2. */
#include "api/deployment.h"

#include "api/audit_log.h"
#include "api/build_show.h"
#include "api/external_auth.h"
#include "api/targets.h"
#include "api/template_load.h"
#include "app.h"
#include "base/version.h"
#include "obs/log.h"
#include "options.h"
#include "store/deployment.h"
#include "store/site.h"

#define STATS_SPAN  (15 * CM_MINUTE)
#define STATS_EVERY (30 * CM_SECOND)
#define REPORT_MAX  ((uint64_t)64 << 10)

/* ---- figures and addresses ---- */

static enum cm_code stats(struct api_req *r, struct cm_err *err)
{
    const struct rbac_object o = {.resource = RBAC_deployment_stats};
    struct store_deployment_stats *s = NULL;
    struct cm_time now = cm_time_now();
    if (api_authorize_known(r, &o, err) != CM_OK ||
        store_deployment_stats_get(r->db, r->arena, cm_time_add(now, -STATS_SPAN), &s, err) !=
            CM_OK)
        return err->code;
    struct api_workspace_connection_latency_ms latency = {s->latency_p50, s->latency_p95};
    struct api_workspace_deployment_stats workspaces = {.pending = s->pending,
                                                        .building = s->building,
                                                        .running = s->running,
                                                        .failed = s->failed,
                                                        .stopped = s->stopped,
                                                        .connection_latency_ms = &latency,
                                                        .rx_bytes = s->rx_bytes,
                                                        .tx_bytes = s->tx_bytes};
    struct api_session_count_deployment_stats sessions = {.vscode = s->vscode,
                                                          .ssh = s->ssh,
                                                          .jetbrains = s->jetbrains,
                                                          .reconnecting_pty = s->reconnecting_pty};
    struct api_deployment_stats out = {.aggregated_from = cm_time_add(now, -STATS_SPAN),
                                       .collected_at = now,
                                       .next_update_at = cm_time_add(now, STATS_EVERY),
                                       .workspaces = &workspaces,
                                       .session_count = &sessions};
    return api_reply(r, 200, &api_deployment_stats_msg, &out);
}

static enum cm_code ssh_config(struct api_req *r, struct cm_err *err)
{
    (void)err;
    struct api_ssh_config_response out = {
        .hostname_prefix = cm_str(r->app->opt->ssh_hostname_prefix),
        .hostname_suffix = cm_str(r->app->opt->workspace_hostname_suffix)};
    return api_reply(r, 200, &api_ssh_config_response_msg, &out);
}

/* "*.apps.example.com", from what may be a URL. */
static struct cm_str app_host(const struct api_req *r)
{
    struct cm_str text = cm_str(r->app->opt->wildcard_access_url), scheme;
    struct cm_str rest = cm_str_split(text, '/', &scheme);
    return cm_str_ends(scheme, CM_STR(":")) && cm_str_starts(rest, CM_STR("/"))
               ? cm_str_sub(rest, 1, rest.len)
               : text;
}

static enum cm_code applications_host(struct api_req *r, struct cm_err *err)
{
    (void)err;
    struct api_app_host_response out = {.host = app_host(r)};
    return api_reply(r, 200, &api_app_host_response_msg, &out);
}

static enum cm_code regions(struct api_req *r, struct cm_err *err)
{
    (void)err;
    struct api_region primary = {.id = r->app->deployment_id,
                                 .name = CM_STR("primary"),
                                 .display_name = CM_STR("Default"),
                                 .icon_url = CM_STR("/emojis/1f3e1.png"),
                                 .healthy = true,
                                 .path_app_url = cm_str(r->app->access_url),
                                 .wildcard_hostname = app_host(r)};
    struct api_regions_response out = {.regions = &primary, .n_regions = 1};
    return api_reply(r, 200, &api_regions_response_msg, &out);
}

/* Nobody is called to find out: an installation without a way out must not wait for one. */
static enum cm_code update_check(struct api_req *r, struct cm_err *err)
{
    (void)err;
    struct api_update_check_response out = {
        .current = true, .version = CM_STR(CM_VERSION), .url = cm_str(r->app->access_url)};
    return api_reply(r, 200, &api_update_check_response_msg, &out);
}

/* ---- features ---- */

static enum cm_code experiments(struct api_req *r, struct cm_err *err)
{
    (void)err;
    const struct api_experiments none = {0};
    return api_reply(r, 200, &api_experiments_msg, &none);
}

static enum cm_code experiments_available(struct api_req *r, struct cm_err *err)
{
    (void)err;
    const struct api_available_experiments none = {0};
    return api_reply(r, 200, &api_available_experiments_msg, &none);
}

/* There is one edition, with everything in it; clients hide what is not entitled. */
static const char *const features[] = {"user_limit",
                                       "audit_log",
                                       "connection_log",
                                       "browser_only",
                                       "scim",
                                       "template_rbac",
                                       "user_role_management",
                                       "high_availability",
                                       "multiple_external_auth",
                                       "external_provisioner_daemons",
                                       "appearance",
                                       "advanced_template_scheduling",
                                       "workspace_proxy",
                                       "external_token_encryption",
                                       "workspace_batch_actions",
                                       "task_batch_actions",
                                       "access_control",
                                       "control_shared_ports",
                                       "custom_roles",
                                       "multiple_organizations",
                                       "workspace_prebuilds",
                                       "managed_agent_limit",
                                       "workspace_external_agent",
                                       "service_accounts"};

static enum cm_code entitlements(struct api_req *r, struct cm_err *err)
{
    (void)err;
    static const struct api_feature on = {.entitlement = API_ENTITLEMENT_ENTITLED, .enabled = true};
    struct api_entitlements_features_entry entries[CM_COUNT_OF(features)];
    for (size_t i = 0; i < CM_COUNT_OF(features); i++) {
        struct api_feature *f = CM_NEW(r->arena, struct api_feature);
        *f = on;
        entries[i] = (struct api_entitlements_features_entry){cm_str(features[i]), f};
    }
    struct api_entitlements out = {.features = entries,
                                   .n_features = CM_COUNT_OF(entries),
                                   .has_license = true,
                                   .refreshed_at = cm_time_now()};
    return api_reply(r, 200, &api_entitlements_msg, &out);
}

/* ---- appearance ---- */

static const char APPEARANCE_KEY[] = "appearance";

static enum cm_code appearance_get(struct api_req *r, struct cm_err *err)
{
    struct cm_str *stored = NULL;
    void *decoded = NULL;
    static const struct api_update_appearance_config none;
    if (store_site_config_get(r->db, r->arena, cm_str(APPEARANCE_KEY), &stored, err) != CM_OK)
        return err->code;
    if (stored && cm_json_decode_answer(&api_update_appearance_config_msg, r->arena, *stored,
                                        &decoded, err) != CM_OK)
        return cm_err_wrap(err, "read the stored appearance");
    const struct api_update_appearance_config *c = decoded ? decoded : &none;
    struct api_appearance_config out = {.application_name = c->application_name,
                                        .logo_url = c->logo_url,
                                        .service_banner = c->service_banner,
                                        .announcement_banners = c->announcement_banners,
                                        .n_announcement_banners = c->n_announcement_banners};
    return api_reply(r, 200, &api_appearance_config_msg, &out);
}

static enum cm_code appearance_put(struct api_req *r, struct cm_err *err)
{
    const struct api_update_appearance_config *q = r->body;
    const struct rbac_object o = {.resource = RBAC_deployment_config};
    if (api_authorize_known(r, &o, err) != CM_OK)
        return err->code;
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT((size_t)1 << 20);
    cm_json_encode(&text, &api_update_appearance_config_msg, q);
    if (cm_buf_check(&text, "the appearance", err) != CM_OK ||
        store_site_config_set(r->db, r->arena, cm_str(APPEARANCE_KEY), cm_buf_view(&text), NULL,
                              err) != CM_OK)
        return err->code;
    return api_reply(r, 200, &api_update_appearance_config_msg, q);
}

/* ---- may I? ---- */

/* What the check is about, when it names a thing with rights of its own. */
static enum cm_code load_object(struct api_req *r, struct rbac_object *o, struct cm_err *err)
{
    struct store_template *t = NULL;
    struct store_workspace *w = NULL;
    enum cm_code code = CM_OK;
    if (o->resource == RBAC_template) {
        code = template_load(r, o->id, &t, err);
        if (code == CM_OK)
            *o = template_object(r, t);
    } else if (o->resource == RBAC_workspace) {
        code = store_workspace_by_id(r->db, r->arena, o->id, &w, err);
        if (code == CM_OK)
            *o = workspace_object(r, w);
    } else if (o->resource == RBAC_user) {
        *o = object_user(o->id);
    }
    /* Of what there is not, nobody may do anything but in general. */
    return code == CM_NOT_FOUND ? CM_OK : code;
}

static bool read_id(struct api_req *r, const char *field, struct cm_str text, struct cm_uuid *ret)
{
    if (!text.len || cm_uuid_parse(text, ret))
        return true;
    cm_violations_add(&r->violations, r->arena, cm_str(field), "must be a UUID");
    return false;
}

/* "*" is anybody. */
static bool read_owner(struct api_req *r, struct cm_str text, struct cm_uuid *ret)
{
    if (cm_str_eq_c(text, "me"))
        *ret = r->who->user_id;
    return cm_str_eq_c(text, "me") || cm_str_eq_c(text, "*") || read_id(r, "owner_id", text, ret);
}

static bool read_check(struct api_req *r, const struct api_authorization_check *c,
                       struct rbac_object *o, enum rbac_action *action)
{
    const struct api_authorization_object *q = c->object;
    *o = (struct rbac_object){.any_org = q->any_org};
    if (!rbac_resource_parse(q->resource_type, &o->resource)) {
        cm_violations_add(&r->violations, r->arena, CM_STR("resource_type"),
                          "\"%.*s\" is no type of resource", CM_STR_ARG(q->resource_type));
        return false;
    }
    if (!rbac_action_parse(c->action, action) ||
        !(rbac_resource_actions(o->resource) & (uint32_t)*action)) {
        cm_violations_add(&r->violations, r->arena, CM_STR("action"),
                          "\"%.*s\" is nothing that can be done to a %s", CM_STR_ARG(c->action),
                          rbac_resource_name(o->resource));
        return false;
    }
    return read_owner(r, q->owner_id, &o->owner_id) &&
           read_id(r, "organization_id", q->organization_id, &o->org_id) &&
           read_id(r, "resource_id", q->resource_id, &o->id);
}

static enum cm_code authcheck(struct api_req *r, struct cm_err *err)
{
    const struct api_authorization_request *q = r->body;
    struct api_authorization_response out = {.n_checks = q->n_checks};
    out.checks =
        CM_NEW_ARRAY(r->arena, struct api_authorization_response_checks_entry, q->n_checks);
    for (size_t i = 0; i < q->n_checks; i++) {
        struct rbac_object o;
        enum rbac_action action = RBAC_NO_ACTION;
        if (!read_check(r, q->checks[i].value, &o, &action))
            return api_reply_message(r, 400,
                                     cm_arena_printf(r->arena, "The check \"%.*s\" is invalid.",
                                                     CM_STR_ARG(q->checks[i].key)),
                                     NULL);
        if (!cm_uuid_is_nil(o.id) && load_object(r, &o, err) != CM_OK)
            return err->code;
        out.checks[i].key = q->checks[i].key;
        out.checks[i].value = may(r->who, action, &o);
    }
    return api_reply(r, 200, &api_authorization_response_msg, &out);
}

/* No provider can be set up, so nobody has linked one. */
static enum cm_code external_auth(struct api_req *r, struct cm_err *err)
{
    (void)err;
    const struct api_list_user_external_auth_response none = {0};
    return api_reply(r, 200, &api_list_user_external_auth_response_msg, &none);
}

/* Browsers tell what their content policy kept from being loaded. */
static enum cm_code csp_report(struct api_req *r, struct cm_err *err)
{
    (void)err;
    struct cm_str text = cm_str_sub(r->http->body, 0, 1024);
    if (cm_str_is_utf8(text))
        CM_DEBUG("a browser reports a violated content policy", CM_F_STR(report, text));
    return api_reply_raw(r, 200, "application/json; charset=utf-8", CM_STR("\"ok\"\n"));
}

static const struct route rows[] = {
    {CM_HTTP_GET, "/api/v2/deployment/stats", AUTH_SESSION, RBAC(deployment_stats, read),
     ROUTE_CALL, stats, NULL, "Figures of the deployment", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/deployment/ssh", AUTH_SESSION, RBAC_PUBLIC, ROUTE_CALL, ssh_config, NULL,
     "What config-ssh needs to know", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/applications/host", AUTH_SESSION, RBAC_PUBLIC, ROUTE_CALL,
     applications_host, NULL, "Host of applications", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/regions", AUTH_OPTIONAL, RBAC_PUBLIC, ROUTE_CALL, regions, NULL,
     "Regions of relays", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/updatecheck", AUTH_NONE, RBAC_PUBLIC, ROUTE_LOOP, update_check, NULL,
     "Is there a newer release?", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/experiments", AUTH_SESSION, RBAC_PUBLIC, ROUTE_CALL, experiments, NULL,
     "Experiments that are on", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/experiments/available", AUTH_SESSION, RBAC_PUBLIC, ROUTE_CALL,
     experiments_available, NULL, "Experiments that there are", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/entitlements", AUTH_NONE, RBAC_PUBLIC, ROUTE_LOOP, entitlements, NULL,
     "Features", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/appearance", AUTH_OPTIONAL, RBAC_PUBLIC, ROUTE_CALL, appearance_get,
     NULL, "Name, logo and banners", LIMIT_API, 0, false},
    {CM_HTTP_PUT, "/api/v2/appearance", AUTH_SESSION, RBAC(deployment_config, update), ROUTE_CALL,
     appearance_put, &api_update_appearance_config_msg, "Set name, logo and banners", LIMIT_API, 0,
     false},
    {CM_HTTP_GET, "/api/v2/external-auth", AUTH_SESSION, RBAC_PUBLIC, ROUTE_CALL, external_auth,
     NULL, "Providers of other accounts, and the caller's links", LIMIT_API, 0, false},
    {CM_HTTP_POST, "/api/v2/authcheck", AUTH_SESSION, RBAC_SELF, ROUTE_CALL, authcheck,
     &api_authorization_request_msg, "What may I do?", LIMIT_API, 0, false},
    {CM_HTTP_POST, "/api/v2/csp/reports", AUTH_NONE, RBAC_PUBLIC, ROUTE_LOOP, csp_report, NULL,
     "Report a violated content policy", LIMIT_API, REPORT_MAX, false},
};

const struct route_table deployment_routes = {rows, CM_COUNT_OF(rows)};
