/* What a user sets for itself, and its git key. Source: api-behaviour reference, 4.3. */
#include "api/audit_log.h"
#include "api/notifications.h"
#include "api/targets.h"
#include "api/user_make.h"
#include "domain/quiet_hours.h"
#include "store/builds.h"

static enum cm_code param(struct api_req *r, struct store_user **ret, struct cm_err *err)
{
    if (target_user(r, 0, ret, err) != CM_OK)
        return err->code;
    struct rbac_object o = object_user((*ret)->id);
    return api_authorize(r, &o, err);
}

/* ---- settings kept as text by key ---- */

struct settings {
    struct store_user_config *rows;
    size_t n;
};

static struct cm_str value_of(const struct settings *s, const char *key)
{
    for (size_t i = 0; i < s->n; i++) {
        if (cm_str_eq_c(s->rows[i].key, key))
            return s->rows[i].value;
    }
    return CM_STR("");
}

/* A text that a newer release wrote reads as the default. */
static int enum_of(const struct settings *s, const char *key, const struct cm_enum *en,
                   int fallback)
{
    int v = fallback;
    return cm_enum_parse(en, value_of(s, key), &v) && v ? v : fallback;
}

static void put_text(struct api_req *r, struct cm_db_batch *b, struct cm_uuid user_id,
                     const char *key, struct cm_str value)
{
    struct cm_str text = value.ptr ? value : CM_STR("");
    store_user_config_set_batch(b, user_id, cm_arena_str(r->arena, cm_str(key)), text, NULL);
}

/* Settings that the request leaves out stay. */
static void put_enum(struct api_req *r, struct cm_db_batch *b, struct cm_uuid user_id,
                     const char *key, const struct cm_enum *en, int value)
{
    if (value)
        put_text(r, b, user_id, key, cm_str(en->texts[value]));
}

static enum cm_code reply_appearance(struct api_req *r, struct cm_uuid user_id, struct cm_err *err)
{
    struct settings s = {0};
    if (store_user_configs(r->db, r->arena, user_id, &s.rows, &s.n, err) != CM_OK)
        return err->code;
    struct api_user_appearance_settings out = {
        .theme_preference = value_of(&s, "theme_preference"),
        .theme_mode = (enum api_theme_mode)enum_of(&s, "theme_mode", &api_theme_mode_enum, 0),
        .theme_light = value_of(&s, "theme_light"),
        .theme_dark = value_of(&s, "theme_dark"),
        .terminal_font = (enum api_terminal_font_name)enum_of(&s, "terminal_font",
                                                              &api_terminal_font_name_enum, 0),
    };
    return api_reply(r, 200, &api_user_appearance_settings_msg, &out);
}

static enum cm_code appearance_get(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    if (param(r, &u, err) != CM_OK)
        return err->code;
    return reply_appearance(r, u->id, err);
}

static enum cm_code appearance_put(struct api_req *r, struct cm_err *err)
{
    const struct api_update_user_appearance_settings_request *q = r->body;
    struct store_user *u = NULL;
    if (param(r, &u, err) != CM_OK)
        return err->code;
    struct cm_db_batch *b = cm_db_batch_new(r->arena);
    put_text(r, b, u->id, "theme_preference", q->theme_preference);
    put_text(r, b, u->id, "theme_mode", cm_str(api_theme_mode_enum.texts[q->theme_mode]));
    put_text(r, b, u->id, "theme_light", q->theme_light);
    put_text(r, b, u->id, "theme_dark", q->theme_dark);
    put_text(r, b, u->id, "terminal_font",
             cm_str(api_terminal_font_name_enum.texts[q->terminal_font]));
    if (cm_db_batch_run(b, r->db, err) != CM_OK)
        return err->code;
    return reply_appearance(r, u->id, err);
}

static enum cm_code reply_preferences(struct api_req *r, struct cm_uuid user_id, struct cm_err *err)
{
    struct settings s = {0};
    if (store_user_configs(r->db, r->arena, user_id, &s.rows, &s.n, err) != CM_OK)
        return err->code;
    struct api_user_preference_settings out = {
        .task_notification_alert_dismissed =
            cm_str_eq_c(value_of(&s, "task_notification_alert_dismissed"), "true"),
        .agent_chat_send_shortcut = (enum api_agent_chat_send_shortcut)enum_of(
            &s, "agent_chat_send_shortcut", &api_agent_chat_send_shortcut_enum,
            API_AGENT_CHAT_SEND_SHORTCUT_ENTER),
        .code_diff_display_mode = (enum api_agent_display_mode)enum_of(&s, "code_diff_display_mode",
                                                                       &api_agent_display_mode_enum,
                                                                       API_AGENT_DISPLAY_MODE_AUTO),
        .shell_tool_display_mode = (enum api_agent_display_mode)enum_of(
            &s, "shell_tool_display_mode", &api_agent_display_mode_enum,
            API_AGENT_DISPLAY_MODE_AUTO),
        .thinking_display_mode = (enum api_thinking_display_mode)enum_of(
            &s, "thinking_display_mode", &api_thinking_display_mode_enum,
            API_THINKING_DISPLAY_MODE_AUTO),
    };
    return api_reply(r, 200, &api_user_preference_settings_msg, &out);
}

static enum cm_code preferences_get(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    if (param(r, &u, err) != CM_OK)
        return err->code;
    return reply_preferences(r, u->id, err);
}

static enum cm_code preferences_put(struct api_req *r, struct cm_err *err)
{
    const struct api_update_user_preference_settings_request *q = r->body;
    struct store_user *u = NULL;
    if (param(r, &u, err) != CM_OK)
        return err->code;
    struct cm_db_batch *b = cm_db_batch_new(r->arena);
    if (cm_has(q->has,
               API_UPDATE_USER_PREFERENCE_SETTINGS_REQUEST_HAS_TASK_NOTIFICATION_ALERT_DISMISSED))
        put_text(r, b, u->id, "task_notification_alert_dismissed",
                 q->task_notification_alert_dismissed ? CM_STR("true") : CM_STR("false"));
    put_enum(r, b, u->id, "agent_chat_send_shortcut", &api_agent_chat_send_shortcut_enum,
             q->agent_chat_send_shortcut);
    put_enum(r, b, u->id, "code_diff_display_mode", &api_agent_display_mode_enum,
             q->code_diff_display_mode);
    put_enum(r, b, u->id, "shell_tool_display_mode", &api_agent_display_mode_enum,
             q->shell_tool_display_mode);
    put_enum(r, b, u->id, "thinking_display_mode", &api_thinking_display_mode_enum,
             q->thinking_display_mode);
    if (cm_db_batch_run(b, r->db, err) != CM_OK)
        return err->code;
    return reply_preferences(r, u->id, err);
}

/* ---- git key ---- */

static enum cm_code reply_ssh_key(struct api_req *r, const struct store_git_ssh_key *k)
{
    struct api_git_ssh_key out = {.user_id = k->user_id,
                                  .created_at = k->created_at,
                                  .updated_at = k->updated_at,
                                  .public_key = k->public_key};
    return api_reply(r, 200, &api_git_ssh_key_msg, &out);
}

static enum cm_code gitsshkey_get(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    struct store_git_ssh_key *k = NULL;
    if (param(r, &u, err) != CM_OK)
        return err->code;
    enum cm_code code = store_git_ssh_key_get(r->db, r->arena, u->id, &k, err);
    /* Users made before keys were made with them. */
    if (code == CM_NOT_FOUND)
        code = user_new_ssh_key(r, u->id, &k, err);
    return code == CM_OK ? reply_ssh_key(r, k) : code;
}

static enum cm_code gitsshkey_put(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    struct store_git_ssh_key *k = NULL;
    if (param(r, &u, err) != CM_OK || user_new_ssh_key(r, u->id, &k, err) != CM_OK)
        return err->code;
    audit(r, &(struct audit_event){.action = "write",
                                   .resource_type = "git_ssh_key",
                                   .resource_id = u->id,
                                   .target = u->username,
                                   .status = 200});
    return reply_ssh_key(r, k);
}

/* ---- past parameters ---- */

static enum cm_code autofill(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    struct cm_uuid template_id = {{0}};
    struct api_workspace_build_parameter *rows = NULL;
    size_t n = 0;
    if (param(r, &u, err) != CM_OK)
        return err->code;
    static const char *const names[] = {"template_id", NULL};
    api_query_only(r, names);
    if (!api_query(r, "template_id").len)
        cm_violations_add(&r->violations, r->arena, CM_STR("template_id"), "is required");
    api_query_uuid(r, "template_id", &template_id);
    if (api_query_check(r, err) != CM_OK ||
        store_user_autofill(r->db, r->arena, u->id, template_id, &rows, &n, err) != CM_OK)
        return err->code;
    struct api_user_parameter *out = CM_NEW_ARRAY(r->arena, struct api_user_parameter, n);
    for (size_t i = 0; i < n; i++)
        out[i] = (struct api_user_parameter){.name = rows[i].name, .value = rows[i].value};
    return api_reply_list(r, 200, &api_user_parameter_msg, out, n);
}

/* ---- quiet hours ---- */

static enum cm_code reply_quiet_hours(struct api_req *r, struct cm_uuid user_id, struct cm_err *err)
{
    struct cm_str stored = {0};
    struct quiet_hours q;
    struct cm_time next;
    if (store_user_quiet_hours(r->db, r->arena, user_id, &stored, err) != CM_OK)
        return err->code;
    struct cm_str schedule = stored.len ? stored : CM_STR(QUIET_HOURS_DEFAULT);
    if (quiet_hours_parse(schedule, &q, err) != CM_OK ||
        store_next_daily(r->db, r->arena, q.timezone, q.hour, q.minute, &next, err) != CM_OK)
        return err->code;
    struct api_user_quiet_hours_schedule_response out = {
        .raw_schedule = schedule,
        .user_set = stored.len > 0,
        .user_can_set = true,
        .time = cm_arena_fmt(r->arena, "%02u:%02u", q.hour, q.minute),
        .timezone = q.timezone,
        .next = next};
    return api_reply(r, 200, &api_user_quiet_hours_schedule_response_msg, &out);
}

static enum cm_code quiet_hours_get(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    if (param(r, &u, err) != CM_OK)
        return err->code;
    return reply_quiet_hours(r, u->id, err);
}

static enum cm_code quiet_hours_put(struct api_req *r, struct cm_err *err)
{
    const struct api_update_user_quiet_hours_schedule_request *q = r->body;
    struct store_user *u = NULL;
    struct quiet_hours parsed;
    struct cm_time next;
    if (param(r, &u, err) != CM_OK)
        return err->code;
    /* The database knows which time zones there are. */
    enum cm_code code = quiet_hours_parse(q->schedule, &parsed, err);
    if (code == CM_OK)
        code = store_next_daily(r->db, r->arena, parsed.timezone, parsed.hour, parsed.minute, &next,
                                err);
    if (code == CM_INVALID)
        return api_reply_invalid(r, "Invalid quiet hours schedule.", "schedule",
                                 "must have the form \"CRON_TZ=Europe/Berlin 30 23 * * *\"");
    if (code != CM_OK ||
        store_user_set_quiet_hours(r->db, r->arena, u->id, q->schedule, NULL, err) != CM_OK)
        return err->code;
    audit(r, &(struct audit_event){.action = "write",
                                   .resource_type = "user",
                                   .resource_id = u->id,
                                   .target = u->username,
                                   .status = 200});
    return reply_quiet_hours(r, u->id, err);
}

/* ---- notifications: there are no templates to have a preference about ---- */

static enum cm_code notifications_param(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    if (target_user(r, 0, &u, err) != CM_OK)
        return err->code;
    struct rbac_object o = object_owned(RBAC_notification_preference, u->id);
    return api_authorize(r, &o, err);
}

static enum cm_code notifications_get(struct api_req *r, struct cm_err *err)
{
    if (notifications_param(r, err) != CM_OK)
        return err->code;
    return api_reply_list(r, 200, &api_notification_preference_msg, NULL, 0);
}

static enum cm_code notifications_put(struct api_req *r, struct cm_err *err)
{
    const struct api_update_user_notification_preferences *q = r->body;
    if (notifications_param(r, err) != CM_OK)
        return err->code;
    if (q->n_template_disabled_map)
        return api_reply_invalid(r, "Unable to parse notification template UUID.",
                                 "template_disabled_map", "names a template that there is not");
    return api_reply_list(r, 200, &api_notification_preference_msg, NULL, 0);
}

#define U "/api/v2/users/{user}"
static const struct route rows[] = {
    {CM_HTTP_GET, U "/appearance", AUTH_SESSION, RBAC(user, read_personal), ROUTE_CALL,
     appearance_get, NULL, "Get theme and font", LIMIT_API, 0, false},
    {CM_HTTP_PUT, U "/appearance", AUTH_SESSION, RBAC(user, update_personal), ROUTE_CALL,
     appearance_put, &api_update_user_appearance_settings_request_msg, "Set theme and font",
     LIMIT_API, 0, false},
    {CM_HTTP_GET, U "/preferences", AUTH_SESSION, RBAC(user, read_personal), ROUTE_CALL,
     preferences_get, NULL, "Get preferences", LIMIT_API, 0, false},
    {CM_HTTP_PUT, U "/preferences", AUTH_SESSION, RBAC(user, update_personal), ROUTE_CALL,
     preferences_put, &api_update_user_preference_settings_request_msg, "Set preferences",
     LIMIT_API, 0, false},
    {CM_HTTP_GET, U "/gitsshkey", AUTH_SESSION, RBAC(user, read_personal), ROUTE_CALL,
     gitsshkey_get, NULL, "Get the public git key", LIMIT_API, 0, false},
    {CM_HTTP_PUT, U "/gitsshkey", AUTH_SESSION, RBAC(user, update_personal), ROUTE_CALL,
     gitsshkey_put, NULL, "Replace the git key", LIMIT_API, 0, false},
    {CM_HTTP_GET, U "/autofill-parameters", AUTH_SESSION, RBAC(user, read_personal), ROUTE_CALL,
     autofill, NULL, "Parameters of past builds", LIMIT_API, 0, false},
    {CM_HTTP_GET, U "/quiet-hours", AUTH_SESSION, RBAC(user, read_personal), ROUTE_CALL,
     quiet_hours_get, NULL, "Get quiet hours", LIMIT_API, 0, false},
    {CM_HTTP_PUT, U "/quiet-hours", AUTH_SESSION, RBAC(user, update_personal), ROUTE_CALL,
     quiet_hours_put, &api_update_user_quiet_hours_schedule_request_msg, "Set quiet hours",
     LIMIT_API, 0, false},
    {CM_HTTP_GET, U "/notifications/preferences", AUTH_SESSION, RBAC(notification_preference, read),
     ROUTE_CALL, notifications_get, NULL, "Get notification preferences", LIMIT_API, 0, false},
    {CM_HTTP_PUT, U "/notifications/preferences", AUTH_SESSION,
     RBAC(notification_preference, update), ROUTE_CALL, notifications_put,
     &api_update_user_notification_preferences_msg, "Set notification preferences", LIMIT_API, 0,
     false},
};

const struct route_table user_settings_routes = {rows, CM_COUNT_OF(rows)};
