/* Where the values of a template's parameters come from: the last build, flags, a file, defaults,
 * and at last the person. */
#include "cmd/cmd.h"
#include "cmd/param_ask.h"
#include "codec/yaml.h"
#include "near.h"
#include "sys/fs.h"

#define FILE_MAX ((size_t)1 << 20)

struct value {
    struct cm_str name, value;
    bool used;
};

struct values {
    struct value *v;
    size_t n;
};

static enum cm_code read_pairs(struct cm_arena *a, const struct cm_conf_list *list,
                               struct values *out, struct cm_err *err)
{
    out->v = CM_NEW_ARRAY(a, struct value, list->n + 1);
    for (size_t i = 0; i < list->n; i++) {
        struct value *v = &out->v[out->n++];
        if (split_pair(a, list->v[i], &v->name, &v->value, err) != CM_OK)
            return err->code;
    }
    return CM_OK;
}

/* A mapping of names to scalars; lists become JSON text, as list parameters want it. */
static enum cm_code read_file(struct cli *cli, const char *path, struct values *out,
                              struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(FILE_MAX);
    const struct cm_json *root;

    if (!path || !*path)
        return CM_OK;
    if (cm_fs_read(path, &text, err) != CM_OK ||
        cm_yaml_parse(cli->arena, cm_buf_view(&text), NULL, &root, err) != CM_OK)
        return cm_err_wrap(err, "read parameter file %s", path);
    if (!cm_json_is_null(root) && cm_json_type(root) != CM_JSON_OBJECT)
        return cm_err_set(err, CM_INVALID, "parameter file %s must be a mapping of names to values",
                          path);
    out->v = CM_NEW_ARRAY(cli->arena, struct value, cm_json_count(root) + 1);
    for (size_t i = 0; i < cm_json_count(root); i++) {
        const struct cm_json *m = cm_json_at(root, i);
        struct value *v = &out->v[out->n++];
        CM_AUTOBUF struct cm_buf json = CM_BUF_INIT(FILE_MAX);
        v->name = cm_json_key(m);
        if (!cm_json_scalar_text(m, &v->value)) {
            cm_json_write(&json, m);
            v->value = cm_arena_str(cli->arena, cm_buf_view(&json));
        }
    }
    return CM_OK;
}

/* The last one of that name counts; none of them is left unused. */
static struct value *find(const struct values *vs, struct cm_str name)
{
    struct value *last = NULL;
    for (size_t i = 0; i < vs->n; i++) {
        if (cm_str_eq(vs->v[i].name, name)) {
            last = &vs->v[i];
            last->used = true;
        }
    }
    return last;
}

static const struct api_workspace_build_parameter *find_last(const struct param_sources *from,
                                                             struct cm_str name)
{
    for (size_t i = 0; i < from->n_last; i++)
        if (cm_str_eq(from->last[i].name, name))
            return &from->last[i];
    return NULL;
}

static bool is_option(const struct api_template_version_parameter *p, struct cm_str value)
{
    for (size_t i = 0; i < p->n_options; i++)
        if (cm_str_eq(p->options[i].value, value))
            return true;
    return false;
}

struct resolver {
    struct cli *cli;
    const struct param_sources *from;
    struct values flags, file, defaults, ephemeral;
    struct api_workspace_build_parameter *out; /* so far */
    size_t n_out;
};

static enum cm_code ask(const struct resolver *r, const struct api_template_version_parameter *p,
                        struct cm_str def, struct cm_str *ret, struct cm_err *err)
{
    const struct param_question q = {r->from->version, p, def, r->out, r->n_out};
    return param_ask(r->cli, &q, ret, err);
}

/* Whether the template still offers what the last build was given. Its list is made for the
 * defaults; what it offers for the other values as they are, the server knows. */
static bool still_offered(const struct resolver *r, const struct api_template_version_parameter *p,
                          struct cm_str value)
{
    const struct param_question q = {r->from->version, p, value, r->from->last, r->from->n_last};
    return p->n_options == 0 || is_option(p, value) || param_is_accepted(r->cli, &q, value);
}

/* What was there goes before what was typed, as scripts written for that expect; whoever typed
 * something else is told. */
static void say_kept(const struct resolver *r, const struct api_template_version_parameter *p,
                     struct cm_str kept, const struct value *typed)
{
    if (!typed || cm_str_eq(typed->value, kept))
        return;
    if (r->from->last_is_copy)
        fprintf(stderr,
                "Parameter \"%.*s\" is \"%.*s\", as the preset or the copied workspace has it, "
                "not \"%.*s\".\n",
                CM_STR_ARG(p->name), CM_STR_ARG(kept), CM_STR_ARG(typed->value));
    else
        fprintf(stderr,
                "Parameter \"%.*s\" keeps the value \"%.*s\" of the last build; with "
                "--always-prompt it becomes \"%.*s\".\n",
                CM_STR_ARG(p->name), CM_STR_ARG(kept), CM_STR_ARG(typed->value));
}

/* *ret_has false: the server keeps or fills in what there is. */
static enum cm_code resolve_one(struct resolver *r, const struct api_template_version_parameter *p,
                                bool *ret_has, struct cm_str *ret, struct cm_err *err)
{
    const struct param_opts *o = &r->cli->params;
    const struct api_workspace_build_parameter *last = find_last(r->from, p->name);
    struct value *flag = find(&r->flags, p->name), *file = find(&r->file, p->name);
    struct value *def = find(&r->defaults, p->name), *once = find(&r->ephemeral, p->name);
    struct cm_str fallback = def ? def->value : p->default_value;

    *ret_has = true;
    if (p->ephemeral) {
        if (once || flag) {
            *ret = once ? once->value : flag->value;
            return CM_OK;
        }
        if (o->prompt_ephemeral)
            return ask(r, p, fallback, ret, err);
        *ret_has = false;
        return CM_OK;
    }
    if (!p->mutable && !r->from->is_new && last) {
        *ret_has = false; /* it cannot change any more */
        return CM_OK;
    }
    if (last && !r->from->last_is_copy && !still_offered(r, p, last->value))
        last = NULL;
    if (last && !o->always_prompt && (p->mutable || r->from->last_is_copy)) {
        *ret = last->value;
        say_kept(r, p, *ret, flag ? flag : file);
        return CM_OK;
    }
    if (flag || file) {
        *ret = flag ? flag->value : file->value;
        return CM_OK;
    }
    if (o->use_defaults && (def || !p->required)) {
        *ret = fallback;
        return CM_OK;
    }
    enum cm_code code = ask(r, p, last ? last->value : fallback, ret, err);
    if (code == CM_END && r->cli->yes && (last || def || !p->required)) {
        /* A script that says -y wants no questions, and there is nobody to answer this one. */
        *ret = last ? last->value : fallback;
        fprintf(stderr, "%.*s\n", CM_STR_ARG(*ret));
        return CM_OK;
    }
    if (code == CM_END)
        r->cli->hint = cm_arena_printf(
            r->cli->arena, "Give the value by --parameter %.*s=<value>%s.", CM_STR_ARG(p->name),
            p->required ? "" : ", or take the defaults by --use-parameter-defaults");
    return code;
}

static enum cm_code refuse_unknown(const struct values *vs,
                                   const struct api_template_version_parameter *params, size_t n,
                                   struct cm_err *err)
{
    for (size_t i = 0; i < vs->n; i++) {
        struct near near = near_start(vs->v[i].name);
        if (vs->v[i].used)
            continue;
        for (size_t k = 0; k < n; k++)
            near_try(&near, params[k].name);
        if (near.best.ptr)
            return cm_err_set(
                err, CM_INVALID,
                "parameter \"%.*s\" is not present in the template\nDid you mean: %.*s",
                CM_STR_ARG(vs->v[i].name), CM_STR_ARG(near.best));
        return cm_err_set(err, CM_INVALID, "parameter \"%.*s\" is not present in the template",
                          CM_STR_ARG(vs->v[i].name));
    }
    return CM_OK;
}

static void set_input(struct api_dynamic_parameters_request *q, struct cm_str name,
                      struct cm_str value)
{
    size_t i = 0;
    while (i < q->n_inputs && !cm_str_eq(q->inputs[i].key, name))
        i++;
    q->inputs[i] = (struct cm_pair){name, value};
    q->n_inputs = CM_MAX(q->n_inputs, i + 1);
}

/* The form as it is for all values that there are, in the order in which they go before each
 * other. */
static enum cm_code evaluate(struct resolver *r, struct api_dynamic_parameters_response **ret,
                             struct cm_err *err)
{
    struct cli *cli = r->cli;
    size_t n_last = cli->params.always_prompt ? 0 : r->from->n_last;
    struct api_dynamic_parameters_request q = {
        .id = 1,
        .inputs = CM_NEW_ARRAY(cli->arena, struct cm_pair, r->file.n + r->flags.n + n_last + 1)};
    for (size_t i = 0; i < r->file.n; i++)
        set_input(&q, r->file.v[i].name, r->file.v[i].value);
    for (size_t i = 0; i < r->flags.n; i++)
        set_input(&q, r->flags.v[i].name, r->flags.v[i].value);
    for (size_t i = 0; i < n_last; i++)
        set_input(&q, r->from->last[i].name, r->from->last[i].value);
    if (cm_sdk_send(cli->sdk, cli->arena, "POST", &api_dynamic_parameters_request_msg, &q,
                    &api_dynamic_parameters_response_msg, (void **)ret, err,
                    "/api/v2/templateversions/%s/dynamic-parameters/evaluate",
                    cm_uuid_text(r->from->version).s) != CM_OK)
        return cm_err_wrap(err, "evaluate the template's parameters");
    return CM_OK;
}

static bool all_used(const struct values *vs)
{
    for (size_t i = 0; i < vs->n; i++)
        if (!vs->v[i].used)
            return false;
    return true;
}

static bool in_form(const struct api_dynamic_parameters_response *form, struct cm_str name)
{
    for (size_t i = 0; i < form->n_parameters; i++)
        if (cm_str_eq(form->parameters[i].name, name))
            return true;
    return false;
}

static void take(struct resolver *r, const struct api_dynamic_parameters_response *form,
                 struct values *vs)
{
    for (size_t i = 0; i < vs->n; i++) {
        struct cm_str name = vs->v[i].name;
        if (vs->v[i].used || !in_form(form, name))
            continue;
        r->out[r->n_out++] =
            (struct api_workspace_build_parameter){.name = name, .value = find(vs, name)->value};
        find(&r->file, name); /* what was typed goes before it */
    }
}

/* Parameters that there are only for the values given: the list, which is made for the defaults,
 * does not have them, but the form that the server evaluates does. Their values go along as they
 * are. */
static enum cm_code take_conditional(struct resolver *r, struct cm_err *err)
{
    struct api_dynamic_parameters_response *form = NULL;
    if (all_used(&r->flags) && all_used(&r->file))
        return CM_OK;
    if (evaluate(r, &form, err) != CM_OK)
        return err->code;
    take(r, form, &r->flags);
    take(r, form, &r->file);
    return CM_OK;
}

enum cm_code resolve_params(struct cli *cli, const struct param_sources *from,
                            struct api_workspace_build_parameter **ret, size_t *ret_n,
                            struct cm_err *err)
{
    struct resolver r = {.cli = cli, .from = from};
    struct api_template_version_parameter *params = NULL;
    struct cm_conf_list *o = &cli->params.values;
    struct values build_options = {NULL, 0};
    size_t n = 0;

    if (read_pairs(cli->arena, o, &r.flags, err) != CM_OK ||
        read_pairs(cli->arena, &cli->params.defaults, &r.defaults, err) != CM_OK ||
        read_pairs(cli->arena, &cli->params.ephemeral, &r.ephemeral, err) != CM_OK ||
        read_pairs(cli->arena, &cli->params.build_options, &build_options, err) != CM_OK ||
        read_file(cli, cli->params.file, &r.file, err) != CM_OK)
        return err->code;
    if (!r.ephemeral.n)
        r.ephemeral = build_options;
    if (cm_sdk_get_list(cli->sdk, cli->arena, &api_template_version_parameter_msg, &params, &n, err,
                        "/api/v2/templateversions/%s/rich-parameters",
                        cm_uuid_text(from->version).s) != CM_OK)
        return cm_err_wrap(err, "get template version rich parameters");
    for (size_t i = 0; i < n; i++) {
        find(&r.flags, params[i].name);
        find(&r.file, params[i].name);
        find(&r.ephemeral, params[i].name);
        find(&r.defaults, params[i].name);
    }
    r.out = CM_NEW_ARRAY(cli->arena, struct api_workspace_build_parameter,
                         n + r.flags.n + r.file.n + 1);
    /* A file may hold values for several templates; what was typed must fit this one. */
    if (take_conditional(&r, err) != CM_OK || refuse_unknown(&r.flags, params, n, err) != CM_OK ||
        refuse_unknown(&r.ephemeral, params, n, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        struct cm_str value = CM_STR_NONE;
        bool has = false;
        if (resolve_one(&r, &params[i], &has, &value, err) != CM_OK)
            return err->code;
        if (has)
            r.out[r.n_out++] =
                (struct api_workspace_build_parameter){.name = params[i].name, .value = value};
    }
    *ret = r.out;
    *ret_n = r.n_out;
    return CM_OK;
}
