/* The options in force, for administrators. Source: api-behaviour reference, 4.2. */
#include "api/deployment.h"
#include "api/request.h"
#include "app.h"
#include "options.h"

#define VALUE_MAX  ((size_t)64 << 10)
#define CONFIG_MAX ((size_t)1 << 20)

/* In the order of coderd_option_rows: the names under which clients look values up. */
static const char *const members[] = {
#define MEMBER_NAME(type, member, ...) #member,
    CODERD_OPTIONS(MEMBER_NAME)
#undef MEMBER_NAME
};

/* Where clients of the reference look for a value, whose types they insist on: its place in the
 * configuration, its name and group among the options. Other options are at the top, named as here.
 */
static const struct place {
    const char *member;
    const char *in; /* object of the configuration, or NULL */
    const char *key, *name;
    const char *parent, *group; /* NULL: the row's */
    bool list;                  /* written with commas here, a list there */
} places[] = {
    {"http_address", NULL, "http_address", "HTTP Address", "Networking", "HTTP", false},
    {"tls_enable", "tls", "enable", "TLS Enable", "Networking", "TLS", false},
    {"tls_address", "tls", "address", "TLS Address", "Networking", "TLS", false},
    {"tls_cert_file", "tls", "cert_file", "TLS Certificate Files", "Networking", "TLS", true},
    {"tls_key_file", "tls", "key_file", "TLS Key Files", "Networking", "TLS", true},
    {"tls_min_version", "tls", "min_version", "TLS Minimum Version", "Networking", "TLS", false},
    {"access_url", NULL, "access_url", "Access URL", NULL, "Networking", false},
    {"wildcard_access_url", NULL, "wildcard_access_url", "Wildcard Access URL", NULL, "Networking",
     false},
    {"proxy_trusted_origins", NULL, "proxy_trusted_origins", "Proxy Trusted Origins", NULL,
     "Networking", true},
    {"pg_connection_url", NULL, "pg_connection_url", "Postgres Connection URL", NULL, NULL, false},
    {"cache_dir", NULL, "cache_directory", "Cache Directory", NULL, NULL, false},
    {"session_duration", "session_lifetime", "default_duration", "Session Duration", "Networking",
     "HTTP", false},
    {"default_token_lifetime", "session_lifetime", "default_token_lifetime",
     "Default Token Lifetime", NULL, NULL, false},
    {"max_token_lifetime", "session_lifetime", "max_token_lifetime", "Max Token Lifetime",
     "Networking", "HTTP", false},
    {"max_admin_token_lifetime", "session_lifetime", "max_admin_token_lifetime",
     "Maximum Admin Token Lifetime", "Networking", "HTTP", false},
    {"disable_session_expiry_refresh", "session_lifetime", "disable_expiry_refresh",
     "Disable Session Expiry Refresh", "Networking", "HTTP", false},
    {"disable_password_auth", NULL, "disable_password_auth", "Disable Password Authentication",
     "Networking", "HTTP", false},
    {"secure_auth_cookie", "http_cookies", "secure_auth_cookie", "Secure Auth Cookie", NULL,
     "Networking", false},
    {"disable_rate_limits", "rate_limit", "disable_all", "Disable All Rate Limits", NULL, NULL,
     false},
    {"provisioner_daemon_psk", "provisioner", "daemon_psk",
     "Provisioner Daemon Pre-shared Key (PSK)", NULL, "Provisioning", false},
    {"job_hang_detector_interval", NULL, "job_hang_detector_interval", "Job Reaper Detect Interval",
     NULL, NULL, false},
    {"autobuild_poll_interval", NULL, "autobuild_poll_interval", "Autobuild Poll Interval", NULL,
     NULL, false},
    {"enable_terraform_debug_mode", NULL, "enable_terraform_debug_mode",
     "Enable Terraform debug mode", "Introspection", "Logging", false},
    {"ssh_hostname_prefix", "config_ssh", "DeploymentName", "SSH Host Prefix", NULL, "Client",
     false},
    {"workspace_hostname_suffix", NULL, "workspace_hostname_suffix", "Workspace Hostname Suffix",
     NULL, "Client", false},
    {"allow_workspace_renames", NULL, "allow_workspace_renames", "Allow Workspace Renames", NULL,
     NULL, false},
};

static const struct place *place_of(const char *member)
{
    for (size_t i = 0; i < CM_COUNT_OF(places); i++) {
        if (strcmp(places[i].member, member) == 0)
            return &places[i];
    }
    return NULL;
}

static void list_json(struct cm_buf *b, struct cm_str text)
{
    const char *comma = "";
    cm_buf_char(b, '[');
    while (text.len) {
        struct cm_str one;
        text = cm_str_split(text, ',', &one);
        cm_buf_cstr(b, comma);
        cm_json_write_str(b, cm_str_trim(one));
        comma = ",";
    }
    cm_buf_char(b, ']');
}

/* As JSON; a duration as Go has it, in nanoseconds; of a secret nothing. */
static struct cm_str value_json(struct cm_arena *a, const struct cm_opt *o,
                                const struct place *place, const void *at)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(VALUE_MAX);
    struct cm_str text;
    switch (o->type) {
    case CM_OPT_STR:
    case CM_OPT_CHOICE:
        text = cm_str(*(const char *const *)at);
        if (place && place->list)
            list_json(&b, text);
        else
            cm_json_write_str(&b, o->flags & CM_OPT_SECRET ? CM_STR("") : text);
        break;
    case CM_OPT_BOOL:
        cm_buf_cstr(&b, *(const bool *)at ? "true" : "false");
        break;
    case CM_OPT_INT:
        cm_buf_i64(&b, *(const int64_t *)at);
        break;
    case CM_OPT_DURATION:
        cm_buf_i64(&b, *(const cm_usec *)at > INT64_MAX / 1000 ? INT64_MAX
                                                               : *(const cm_usec *)at * 1000);
        break;
    case CM_OPT_LIST:
    case CM_OPT_CHOICES:
        cm_buf_char(&b, '[');
        for (size_t i = 0; i < ((const struct cm_conf_list *)at)->n; i++) {
            if (i)
                cm_buf_char(&b, ',');
            cm_json_write_str(&b, cm_str(((const struct cm_conf_list *)at)->v[i]));
        }
        cm_buf_char(&b, ']');
        break;
    case CM_OPT_UNSET:
        break;
    }
    return b.failed || !b.len ? CM_STR("null") : cm_arena_str(a, cm_buf_view(&b));
}

static enum api_value_source source_of(const struct coderd_options *opt, const struct cm_opt *o)
{
    switch (opt->conf && o->flag ? cm_conf_source(opt->conf, o->flag) : CM_CONF_DEFAULT) {
    case CM_CONF_FLAG:
        return API_VALUE_SOURCE_FLAG;
    case CM_CONF_ENV:
        return API_VALUE_SOURCE_ENV;
    case CM_CONF_FILE:
        return API_VALUE_SOURCE_YAML;
    case CM_CONF_DEFAULT:
        break;
    }
    return API_VALUE_SOURCE_DEFAULT;
}

static void annotate(struct cm_arena *a, const struct cm_opt *o, struct api_serpent_option *out)
{
    out->annotations = CM_NEW_ARRAY(a, struct cm_pair, 2);
    if (o->flags & CM_OPT_SECRET)
        out->annotations[out->n_annotations++] = (struct cm_pair){CM_STR("secret"), CM_STR("true")};
    if (o->type == CM_OPT_DURATION)
        out->annotations[out->n_annotations++] =
            (struct cm_pair){CM_STR("format_duration"), CM_STR("true")};
}

static struct api_serpent_group *make_group(struct cm_arena *a, const char *name,
                                            struct api_serpent_group *parent)
{
    struct api_serpent_group *group = CM_NEW(a, struct api_serpent_group);
    *group = (struct api_serpent_group){.name = cm_str(name), .parent = parent};
    return group;
}

static struct api_serpent_group *group_of(struct cm_arena *a, const struct cm_opt *o,
                                          const struct place *place)
{
    if (place && place->group)
        return make_group(a, place->group,
                          place->parent ? make_group(a, place->parent, NULL) : NULL);
    return !place && o->group ? make_group(a, o->group, NULL) : NULL;
}

static void show_option(struct cm_arena *a, const struct coderd_options *opt,
                        const struct cm_opt *o, const struct place *place,
                        struct api_serpent_option *out)
{
    char env[CM_OPT_ENV_MAX];
    *out = (struct api_serpent_option){
        .name = cm_str(place ? place->name : o->flag),
        .description = cm_str(o->help),
        .flag = cm_str(o->flag),
        .flag_shorthand = o->shorthand ? cm_arena_fmt(a, "%c", o->shorthand) : CM_STR_NONE,
        .env = cm_arena_str(a, cm_str(cm_opt_env(o, env))),
        .yaml = cm_str(o->yaml),
        .default_ = cm_str(o->def),
        .value = value_json(a, o, place, (const char *)opt + o->offset),
        .group = group_of(a, o, place),
        .hidden = (o->flags & CM_OPT_HIDDEN) != 0,
        .value_source = source_of(opt, o)};
    annotate(a, o, out);
}

static const char *object_of(size_t row)
{
    const struct place *place = place_of(members[row]);
    return place ? place->in : NULL;
}

/* "key":value of a row. */
static void write_value(struct cm_buf *b, size_t row, struct cm_str value)
{
    const struct place *place = place_of(members[row]);
    cm_json_write_str(b, cm_str(place ? place->key : members[row]));
    cm_buf_char(b, ':');
    cm_buf_str(b, value);
}

/* The values by their places: what belongs into one object is written with the first of it. */
static void write_values(struct cm_buf *b, const struct api_deployment_config *shown)
{
    bool written[CM_COUNT_OF(members)] = {false};
    const char *comma = "{";
    for (size_t i = 0; i < CM_COUNT_OF(members); i++) {
        const char *object = object_of(i);
        if (written[i])
            continue;
        cm_buf_cstr(b, comma);
        comma = ",";
        if (!object) {
            write_value(b, i, shown->options[i].value);
            continue;
        }
        const char *inner = "{";
        cm_json_write_str(b, cm_str(object));
        cm_buf_char(b, ':');
        for (size_t k = i; k < CM_COUNT_OF(members); k++) {
            if (!object_of(k) || strcmp(object_of(k), object) != 0)
                continue;
            cm_buf_cstr(b, inner);
            inner = ",";
            write_value(b, k, shown->options[k].value);
            written[k] = true;
        }
        cm_buf_char(b, '}');
    }
    cm_buf_char(b, '}');
}

static enum cm_code config(struct api_req *r, struct cm_err *err)
{
    const struct rbac_object o = {.resource = RBAC_deployment_config};
    const struct coderd_options *opt = r->app->opt;
    if (api_authorize_known(r, &o, err) != CM_OK)
        return err->code;
    size_t n = coderd_option_row_count;
    struct api_deployment_config out = {
        .options = CM_NEW_ARRAY(r->arena, struct api_serpent_option, n), .n_options = n};
    CM_AUTOBUF struct cm_buf values = CM_BUF_INIT(CONFIG_MAX);
    for (size_t i = 0; i < n; i++)
        show_option(r->arena, opt, &coderd_option_rows[i], place_of(members[i]), &out.options[i]);
    write_values(&values, &out);
    if (cm_buf_check(&values, "the configuration", err) != CM_OK)
        return err->code;
    out.config = cm_buf_view(&values);
    return api_reply(r, 200, &api_deployment_config_msg, &out);
}

static const struct route rows[] = {
    {CM_HTTP_GET, "/api/v2/deployment/config", AUTH_SESSION, RBAC(deployment_config, read),
     ROUTE_CALL, config, NULL, "Options in force", LIMIT_API, 0, false},
};

const struct route_table config_show_routes = {rows, CM_COUNT_OF(rows)};
