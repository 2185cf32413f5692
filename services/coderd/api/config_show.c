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

/* As JSON; a duration as Go has it, in nanoseconds; of a secret nothing. */
static struct cm_str value_json(struct cm_arena *a, const struct cm_opt *o, const void *at)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(VALUE_MAX);
    struct cm_str text;
    switch (o->type) {
    case CM_OPT_STR:
    case CM_OPT_CHOICE:
        text = cm_str(*(const char *const *)at);
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

static void show_option(struct cm_arena *a, const struct coderd_options *opt,
                        const struct cm_opt *o, struct api_serpent_option *out)
{
    char env[CM_OPT_ENV_MAX];
    struct api_serpent_group *group = CM_NEW(a, struct api_serpent_group);
    group->name = cm_str(o->group);
    *out = (struct api_serpent_option){
        .name = cm_str(o->flag),
        .description = cm_str(o->help),
        .flag = cm_str(o->flag),
        .flag_shorthand = o->shorthand ? cm_arena_fmt(a, "%c", o->shorthand) : CM_STR_NONE,
        .env = cm_arena_str(a, cm_str(cm_opt_env(o, env))),
        .yaml = cm_str(o->yaml),
        .default_ = cm_str(o->def),
        .value = value_json(a, o, (const char *)opt + o->offset),
        .group = o->group ? group : NULL,
        .hidden = (o->flags & CM_OPT_HIDDEN) != 0,
        .value_source = source_of(opt, o)};
    annotate(a, o, out);
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
    for (size_t i = 0; i < n; i++) {
        show_option(r->arena, opt, &coderd_option_rows[i], &out.options[i]);
        cm_buf_cstr(&values, i ? "," : "{");
        cm_json_write_str(&values, cm_str(members[i]));
        cm_buf_char(&values, ':');
        cm_buf_str(&values, out.options[i].value);
    }
    cm_buf_char(&values, '}');
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
