/* The health report. Source: api-behaviour reference, 4.22. What it says it has measured for this
 * very answer: the database by a round trip, this process by answering. The access URL is not
 * called from here, which the report says. */
#include "api/health.h"

#include "api/request.h"
#include "app.h"
#include "base/version.h"
#include "store/provisioners.h"
#include "store/site.h"

#define DB_THRESHOLD  (15 * CM_MSEC)
#define STALE_SECONDS 90

static const char SETTINGS_KEY[] = "health_settings";

static enum cm_code load_settings(struct api_req *r, struct api_health_settings **ret,
                                  struct cm_str *ret_text, struct cm_err *err)
{
    struct cm_str *stored = NULL;
    if (store_site_config_get(r->db, r->arena, cm_str(SETTINGS_KEY), &stored, err) != CM_OK)
        return err->code;
    *ret_text = stored ? *stored : CM_STR("{\"dismissed_healthchecks\":[]}");
    return cm_json_decode_answer(&api_health_settings_msg, r->arena, *ret_text,
                                 (void **)(uintptr_t)ret, err);
}

static bool is_dismissed(const struct api_health_settings *s, enum api_health_section section)
{
    for (size_t i = 0; i < s->n_dismissed_healthchecks; i++) {
        if (s->dismissed_healthchecks[i] == section)
            return true;
    }
    return false;
}

static void check_database(struct api_req *r, struct api_database_report *out)
{
    struct cm_err err;
    cm_usec start = cm_monotonic_now();
    out->reachable = cm_db_ping(r->db, &err) == CM_OK;
    cm_usec took = cm_monotonic_now() - start;
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(64);
    cm_duration_format(&text, took);
    out->latency = cm_arena_str(r->arena, cm_buf_view(&text));
    out->latency_ms = took / CM_MSEC;
    out->threshold_ms = DB_THRESHOLD / CM_MSEC;
    out->healthy = out->reachable;
    out->severity = API_HEALTH_SEVERITY_OK;
    if (!out->reachable) {
        out->severity = API_HEALTH_SEVERITY_ERROR;
        out->error = cm_arena_str(r->arena, cm_str(err.text));
    } else if (took > DB_THRESHOLD) {
        struct api_health_message *slow = CM_NEW(r->arena, struct api_health_message);
        *slow = (struct api_health_message){
            CM_STR("EDB02"), CM_STR("the database takes longer to answer than it should")};
        out->severity = API_HEALTH_SEVERITY_WARNING;
        out->warnings = slow;
        out->n_warnings = 1;
    }
}

static enum cm_code check_provisioners(struct api_req *r,
                                       struct api_provisioner_daemons_report *out,
                                       struct cm_err *err)
{
    struct store_provisioner_daemons_args f = {.organization_id = r->app->default_org_id,
                                               .stale_seconds = STALE_SECONDS};
    struct store_provisioner_daemon *rows = NULL;
    size_t n = 0;
    if (store_provisioner_daemons(r->db, r->arena, &f, &rows, &n, err) != CM_OK)
        return err->code;
    out->items = CM_NEW_ARRAY(r->arena, struct api_provisioner_daemons_report_item, n);
    out->n_items = n;
    for (size_t i = 0; i < n; i++) {
        struct api_provisioner_daemon *d = CM_NEW(r->arena, struct api_provisioner_daemon);
        *d = (struct api_provisioner_daemon){.id = rows[i].id,
                                             .organization_id = rows[i].organization_id,
                                             .key_id = rows[i].key_id,
                                             .created_at = rows[i].created_at,
                                             .last_seen_at = rows[i].last_seen_at,
                                             .name = rows[i].name,
                                             .version = rows[i].version,
                                             .api_version = rows[i].api_version,
                                             .provisioners = rows[i].provisioners,
                                             .n_provisioners = rows[i].n_provisioners,
                                             .tags = rows[i].tags,
                                             .n_tags = rows[i].n_tags,
                                             .key_name = rows[i].key_name,
                                             .status = rows[i].status};
        out->items[i].provisioner_daemon = d;
    }
    out->severity = API_HEALTH_SEVERITY_OK;
    if (n == 0) {
        struct api_health_message *none = CM_NEW(r->arena, struct api_health_message);
        *none = (struct api_health_message){CM_STR("EPD01"), CM_STR("no provisioner is connected")};
        out->severity = API_HEALTH_SEVERITY_ERROR;
        out->warnings = none;
        out->n_warnings = 1;
    }
    return CM_OK;
}

static enum cm_code health(struct api_req *r, struct cm_err *err)
{
    const struct rbac_object o = {.resource = RBAC_debug_info};
    struct api_health_settings *s = NULL;
    struct cm_str ignored;
    struct api_health_message not_called = {CM_STR("EUNKNOWN"),
                                            CM_STR("the access URL was not called")};
    struct api_access_url_report url = {.severity = API_HEALTH_SEVERITY_OK,
                                        .warnings = &not_called,
                                        .n_warnings = 1,
                                        .healthy = true,
                                        .access_url = cm_str(r->app->access_url)};
    struct api_derp_health_report relay = {
        .severity = API_HEALTH_SEVERITY_OK, .healthy = true, .regions = CM_STR("{}")};
    struct api_websocket_report websocket = {.severity = API_HEALTH_SEVERITY_OK, .healthy = true};
    struct api_workspace_proxy_report proxies = {.severity = API_HEALTH_SEVERITY_OK,
                                                 .healthy = true};
    struct api_database_report database = {0};
    struct api_provisioner_daemons_report daemons = {0};
    if (api_authorize_known(r, &o, err) != CM_OK || load_settings(r, &s, &ignored, err) != CM_OK)
        return err->code;
    check_database(r, &database);
    if (database.reachable && check_provisioners(r, &daemons, err) != CM_OK)
        return err->code;
    url.dismissed = is_dismissed(s, API_HEALTH_SECTION_ACCESS_URL);
    relay.dismissed = is_dismissed(s, API_HEALTH_SECTION_DERP);
    websocket.dismissed = is_dismissed(s, API_HEALTH_SECTION_WEBSOCKET);
    database.dismissed = is_dismissed(s, API_HEALTH_SECTION_DATABASE);
    proxies.dismissed = is_dismissed(s, API_HEALTH_SECTION_WORKSPACE_PROXY);
    daemons.dismissed = is_dismissed(s, API_HEALTH_SECTION_PROVISIONER_DAEMONS);
    bool healthy = database.healthy && daemons.severity != API_HEALTH_SEVERITY_ERROR;
    struct api_healthcheck_report out = {.time = cm_time_now(),
                                         .healthy = healthy,
                                         .severity =
                                             healthy ? CM_MAX(database.severity, daemons.severity)
                                                     : API_HEALTH_SEVERITY_ERROR,
                                         .derp = &relay,
                                         .access_url = &url,
                                         .websocket = &websocket,
                                         .database = &database,
                                         .workspace_proxy = &proxies,
                                         .provisioner_daemons = &daemons,
                                         .coder_version = CM_STR(CM_VERSION)};
    return api_reply(r, 200, &api_healthcheck_report_msg, &out);
}

static enum cm_code settings_get(struct api_req *r, struct cm_err *err)
{
    const struct rbac_object o = {.resource = RBAC_debug_info};
    struct api_health_settings *s = NULL;
    struct cm_str text;
    if (api_authorize_known(r, &o, err) != CM_OK || load_settings(r, &s, &text, err) != CM_OK)
        return err->code;
    return api_reply(r, 200, &api_health_settings_msg, s);
}

static enum cm_code settings_put(struct api_req *r, struct cm_err *err)
{
    const struct api_update_health_settings *q = r->body;
    const struct rbac_object o = {.resource = RBAC_deployment_config};
    struct api_health_settings *now = NULL;
    struct cm_str text;
    if (api_authorize_known(r, &o, err) != CM_OK || load_settings(r, &now, &text, err) != CM_OK)
        return err->code;
    CM_AUTOBUF struct cm_buf wanted = CM_BUF_INIT((size_t)4096);
    cm_json_encode(&wanted, &api_update_health_settings_msg, q);
    if (cm_str_eq(text, cm_buf_view(&wanted)))
        return api_reply_none(r, 204);
    if (cm_buf_check(&wanted, "the settings", err) != CM_OK ||
        store_site_config_set(r->db, r->arena, cm_str(SETTINGS_KEY), cm_buf_view(&wanted), NULL,
                              err) != CM_OK)
        return err->code;
    return api_reply(r, 200, &api_update_health_settings_msg, q);
}

static const struct route rows[] = {
    {CM_HTTP_GET, "/api/v2/debug/health", AUTH_SESSION, RBAC(debug_info, read), ROUTE_CALL, health,
     NULL, "Health report", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/debug/health/settings", AUTH_SESSION, RBAC(debug_info, read), ROUTE_CALL,
     settings_get, NULL, "Get dismissed health checks", LIMIT_API, 0, false},
    {CM_HTTP_PUT, "/api/v2/debug/health/settings", AUTH_SESSION, RBAC(deployment_config, update),
     ROUTE_CALL, settings_put, &api_update_health_settings_msg, "Dismiss health checks", LIMIT_API,
     0, false},
};

const struct route_table health_routes = {rows, CM_COUNT_OF(rows)};
