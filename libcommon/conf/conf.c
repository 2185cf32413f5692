#include "conf/conf.h"

#include <ctype.h>
#include <stdio.h>

#include "conf/value.h"

#define JOINED_MAX ((size_t)64 << 10)

struct slot {
    const struct cm_opt *opt;
    void *target;
    enum cm_conf_source source;
};

struct cm_conf {
    struct cm_arena *arena;
    struct slot *slots;
    size_t n_slots;
    const char **args;
    size_t n_args;
};

void cm_conf_free(struct cm_conf *c)
{
    if (!c)
        return;
    cm_arena_free(c->arena);
    cm_free(c);
}

struct cm_arena *cm_conf_arena(struct cm_conf *c)
{
    return c->arena;
}

const char *cm_opt_env(const struct cm_opt *o, char out[CM_OPT_ENV_MAX])
{
    out[0] = '\0';
    if (!o->env)
        return out;
    if (strcmp(o->env, "=") != 0)
        snprintf(out, CM_OPT_ENV_MAX, "%s", o->env);
    else
        snprintf(out, CM_OPT_ENV_MAX, "CODER_%s", o->flag);
    for (char *p = out; *p; p++) {
        if (*p == '-')
            *p = '_';
        else
            *p = (char)toupper((unsigned char)*p);
    }
    return out;
}

static struct slot *find(const struct cm_conf *c, struct cm_str flag)
{
    for (size_t i = 0; i < c->n_slots; i++)
        if (c->slots[i].opt->flag && cm_str_eq_c(flag, c->slots[i].opt->flag))
            return &c->slots[i];
    return NULL;
}

static struct slot *find_short(const struct cm_conf *c, char shorthand)
{
    for (size_t i = 0; i < c->n_slots; i++)
        if (c->slots[i].opt->shorthand == shorthand)
            return &c->slots[i];
    return NULL;
}

/* How the option is called in errors: "-y, --yes". */
static const char *title(struct cm_conf *c, const struct cm_opt *o)
{
    if (!o->shorthand)
        return cm_arena_printf(c->arena, "--%s", o->flag ? o->flag : "");
    return cm_arena_printf(c->arena, "-%c, --%s", o->shorthand, o->flag ? o->flag : "");
}

static enum cm_code set(struct cm_conf *c, struct slot *s, struct cm_str text,
                        enum cm_conf_source source, struct cm_err *err)
{
    /* A list grows with each flag, but the first one replaces what other sources said. */
    bool append = source == CM_CONF_FLAG && s->source == CM_CONF_FLAG;
    if (cm_opt_set(c->arena, s->opt, s->target, text, append, err) != CM_OK) {
        char env[CM_OPT_ENV_MAX];
        struct cm_str shown = s->opt->flags & CM_OPT_SECRET ? CM_STR("***") : text;
        if (source == CM_CONF_ENV)
            return cm_err_wrap(err, "invalid value \"%.*s\" in %s", CM_STR_ARG(shown),
                               cm_opt_env(s->opt, env));
        if (source == CM_CONF_FILE)
            return cm_err_wrap(err, "invalid value \"%.*s\" for %s", CM_STR_ARG(shown),
                               s->opt->yaml);
        return cm_err_wrap(err, "invalid argument \"%.*s\" for \"%s\" flag", CM_STR_ARG(shown),
                           title(c, s->opt));
    }
    s->source = source;
    return CM_OK;
}

static bool is_bool(const struct slot *s)
{
    return s->opt->type == CM_OPT_BOOL;
}

static enum cm_code parse_long(struct cm_conf *c, const char *const *args, size_t n, size_t *i,
                               struct cm_err *err)
{
    struct cm_str name, value = cm_str_split(cm_str(args[*i] + 2), '=', &name);
    struct slot *s = find(c, name);

    if (!name.len || name.ptr[0] == '-')
        return cm_err_set(err, CM_INVALID, "bad flag syntax: %s", args[*i]);
    if (!s)
        return cm_err_set(err, CM_INVALID, "unknown flag: --%.*s", CM_STR_ARG(name));
    if (!value.ptr) {
        if (is_bool(s)) {
            value = CM_STR("true");
        } else if (*i + 1 < n) {
            value = cm_str(args[++*i]);
        } else {
            return cm_err_set(err, CM_INVALID, "flag needs an argument: --%.*s", CM_STR_ARG(name));
        }
    }
    return set(c, s, value, CM_CONF_FLAG, err);
}

static enum cm_code parse_short(struct cm_conf *c, const char *const *args, size_t n, size_t *i,
                                struct cm_err *err)
{
    const char *cluster = args[*i] + 1;

    for (const char *p = cluster; *p; p++) {
        struct slot *s = find_short(c, *p);
        struct cm_str value = CM_STR("true");
        bool last = false;
        if (!s)
            return cm_err_set(err, CM_INVALID, "unknown shorthand flag: '%c' in -%s", *p, p);
        if (p[1] == '=') {
            value = cm_str(p + 2);
            last = true;
        } else if (!is_bool(s)) {
            if (p[1])
                value = cm_str(p + 1);
            else if (*i + 1 < n)
                value = cm_str(args[++*i]);
            else
                return cm_err_set(err, CM_INVALID, "flag needs an argument: '%c' in -%s", *p, p);
            last = true;
        }
        if (set(c, s, value, CM_CONF_FLAG, err) != CM_OK)
            return CM_INVALID;
        if (last)
            break;
    }
    return CM_OK;
}

static enum cm_code parse_flags(struct cm_conf *c, const char *const *args, size_t n,
                                struct cm_err *err)
{
    c->args = CM_NEW_ARRAY(c->arena, const char *, n + 1);
    for (size_t i = 0; i < n; i++) {
        const char *a = args[i];
        enum cm_code code = CM_OK;
        if (strcmp(a, "--") == 0) {
            for (i++; i < n; i++)
                c->args[c->n_args++] = args[i];
            break;
        }
        if (a[0] == '-' && a[1] == '-')
            code = parse_long(c, args, n, &i, err);
        else if (a[0] == '-' && a[1])
            code = parse_short(c, args, n, &i, err);
        else
            c->args[c->n_args++] = a;
        if (code != CM_OK)
            return code;
    }
    return CM_OK;
}

static enum cm_code read_env(struct cm_conf *c, const char *(*getenv_fn)(const char *),
                             struct cm_err *err)
{
    char name[CM_OPT_ENV_MAX];

    for (size_t i = 0; getenv_fn && i < c->n_slots; i++) {
        const char *value = *cm_opt_env(c->slots[i].opt, name) ? getenv_fn(name) : NULL;
        if (value && *value && set(c, &c->slots[i], cm_str(value), CM_CONF_ENV, err) != CM_OK)
            return CM_INVALID;
    }
    return CM_OK;
}

enum cm_code cm_conf_load(const struct cm_conf_set *sets, size_t n_sets, const char *const *args,
                          size_t n_args, const char *(*getenv_fn)(const char *name),
                          struct cm_conf **ret, struct cm_err *err)
{
    CM_AUTO(cm_conf) c = cm_xcalloc(1, sizeof(*c));

    c->arena = cm_arena_new();
    for (size_t i = 0; i < n_sets; i++)
        c->n_slots += sets[i].n;
    c->slots = CM_NEW_ARRAY(c->arena, struct slot, c->n_slots + 1);
    for (size_t i = 0, k = 0; i < n_sets; i++) {
        for (size_t j = 0; j < sets[i].n; j++, k++) {
            const struct cm_opt *o = &sets[i].opts[j];
            struct cm_err why;
            c->slots[k] = (struct slot){o, sets[i].target, CM_CONF_DEFAULT};
            /* A default that does not parse is a mistake in the table. */
            cm_assert(cm_opt_set(c->arena, o, sets[i].target, cm_str(o->def ? o->def : ""), false,
                                 &why) == CM_OK);
        }
    }
    if (read_env(c, getenv_fn, err) != CM_OK || parse_flags(c, args, n_args, err) != CM_OK)
        return CM_INVALID;
    *ret = CM_TAKE(c);
    return CM_OK;
}

size_t cm_conf_args(const struct cm_conf *c, const char *const **ret)
{
    *ret = c->args;
    return c->n_args;
}

enum cm_conf_source cm_conf_source(const struct cm_conf *c, const char *flag)
{
    const struct slot *s = find(c, cm_str(flag));
    return s ? s->source : CM_CONF_DEFAULT;
}

bool cm_conf_given(const struct cm_conf *c, const char *flag)
{
    return cm_conf_source(c, flag) != CM_CONF_DEFAULT;
}

void cm_conf_warnings(const struct cm_conf *c, struct cm_buf *out)
{
    for (size_t i = 0; i < c->n_slots; i++)
        if (c->slots[i].opt->deprecated && c->slots[i].source != CM_CONF_DEFAULT)
            cm_buf_printf(out, "--%s is deprecated, please use %s instead\n", c->slots[i].opt->flag,
                          c->slots[i].opt->deprecated);
}

static struct slot *find_yaml(const struct cm_conf *c, const char *path)
{
    for (size_t i = 0; i < c->n_slots; i++)
        if (c->slots[i].opt->yaml && strcmp(c->slots[i].opt->yaml, path) == 0)
            return &c->slots[i];
    return NULL;
}

static enum cm_code apply_value(struct cm_conf *c, struct slot *s, const struct cm_json *n,
                                struct cm_err *err)
{
    struct cm_str text;

    if (s->opt->flags & CM_OPT_SECRET)
        return cm_err_set(err, CM_INVALID,
                          "%s is a secret: give it by the environment, not by a file",
                          s->opt->yaml);
    if (s->source == CM_CONF_FLAG || s->source == CM_CONF_ENV || cm_json_is_null(n))
        return CM_OK;
    if (cm_json_type(n) == CM_JSON_ARRAY) {
        bool joined = s->opt->type == CM_OPT_STR; /* what is written with commas elsewhere */
        CM_AUTOBUF struct cm_buf one = CM_BUF_INIT(JOINED_MAX);
        if (!joined && s->opt->type != CM_OPT_LIST && s->opt->type != CM_OPT_CHOICES)
            return cm_err_set(err, CM_INVALID, "%s takes one value, not a list", s->opt->yaml);
        const char **v = CM_NEW_ARRAY(c->arena, const char *, cm_json_count(n) + 1);
        for (size_t i = 0; i < cm_json_count(n); i++) {
            if (!cm_json_scalar_text(cm_json_at(n, i), &text))
                return cm_err_set(err, CM_INVALID, "%s is a list of plain values", s->opt->yaml);
            v[i] = cm_arena_cstr(c->arena, text);
            cm_buf_printf(&one, "%s%s", i ? "," : "", v[i]);
        }
        if (joined)
            return cm_buf_check(&one, s->opt->yaml, err) == CM_OK
                       ? set(c, s, cm_buf_view(&one), CM_CONF_FILE, err)
                       : err->code;
        *(struct cm_conf_list *)(void *)((char *)s->target + s->opt->offset) =
            (struct cm_conf_list){v, cm_json_count(n)};
        s->source = CM_CONF_FILE;
        return CM_OK;
    }
    if (!cm_json_scalar_text(n, &text))
        return cm_err_set(err, CM_INVALID, "%s takes a plain value", s->opt->yaml);
    return set(c, s, text, CM_CONF_FILE, err);
}

static enum cm_code apply_node(struct cm_conf *c, const char *prefix, const struct cm_json *n,
                               struct cm_err *err)
{
    for (size_t i = 0; i < cm_json_count(n); i++) {
        const struct cm_json *m = cm_json_at(n, i);
        const char *path = cm_arena_printf(c->arena, "%s%s%.*s", prefix, *prefix ? "." : "",
                                           CM_STR_ARG(cm_json_key(m)));
        struct slot *s = find_yaml(c, path);
        enum cm_code code;
        if (s)
            code = apply_value(c, s, m, err);
        else if (cm_json_type(m) == CM_JSON_OBJECT)
            code = apply_node(c, path, m, err);
        else
            code = cm_err_set(err, CM_INVALID, "unknown option %s", path);
        if (code != CM_OK)
            return code;
    }
    return CM_OK;
}

enum cm_code cm_conf_apply_file(struct cm_conf *c, const struct cm_json *root, struct cm_err *err)
{
    if (cm_json_is_null(root))
        return CM_OK;
    if (cm_json_type(root) != CM_JSON_OBJECT)
        return cm_err_set(err, CM_INVALID, "a configuration file is a mapping of names to values");
    return apply_node(c, "", root, err);
}
