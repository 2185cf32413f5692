/* Imports and dry runs: plans, and what can be read out of them. */
#include "codec/node.h"
#include "runner/job_impl.h"
#include "sys/fs.h"
#include "terraform/unpack.h"

#define PLAN_JSON_MAX ((size_t)256 << 20)
#define README_MAX    ((size_t)512 << 10) /* it travels in one message */

/* Plans for one transition and reads the plan. */
static enum cm_code plan(struct job *j, const char *transition, struct tf_resources *ret,
                         struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(PLAN_JSON_MAX);
    const struct cm_json *root = NULL;
    const char *file = cm_arena_printf(j->a, "%s/plan-%s", j->folder, transition);
    const char *const show[] = {"show", "-json", "-no-color", file, NULL};
    const char *args[] = {"plan",          "-no-color",
                          "-input=false",  "-json",
                          "-refresh=true", cm_arena_printf(j->a, "-out=%s", file),
                          j->var_file,     NULL};
    tf_env_set(&j->full, "CODER_WORKSPACE_TRANSITION", transition);
    j->timing_stage = "plan";
    enum cm_code code = job_terraform(j, args, &j->full, err);
    if (code == CM_OK)
        code = job_terraform_output(j, show, &text, err);
    if (code == CM_OK)
        code = cm_json_parse(j->a, cm_buf_view(&text), &cm_json_file_limits, &root, err);
    if (code == CM_OK)
        code = tf_plan_read(j->a, root, ret, err);
    return code;
}

static void take_resources(struct job *j, const struct tf_extracted *x)
{
    j->out->resources = x->resources;
    j->out->n_resources = x->n;
    j->out->has_daily_cost = j->out->has_has_external_agent = true;
    j->out->daily_cost = x->daily_cost;
    j->out->has_external_agent = x->has_external_agent;
}

static enum cm_code take_inputs(struct job *j, const struct tf_resources *list, struct cm_err *err)
{
    struct tf_inputs in;
    enum cm_code code = tf_extract_inputs(j->a, list, &in, err);
    if (code != CM_OK)
        return code;
    j->out->parameters = in.parameters;
    j->out->n_parameters = in.n_parameters;
    j->out->presets = in.presets;
    j->out->n_presets = in.n_presets;
    j->out->external_auth_ids = in.external_auth_ids;
    j->out->n_external_auth_ids = in.n_external_auth_ids;
    j->out->optional_external_auth_ids = in.optional_auth_ids;
    j->out->n_optional_external_auth_ids = in.n_optional_auth_ids;
    return CM_OK;
}

/* --- what can be said without terraform --- */

static bool has_value(const struct job *j, struct cm_str name)
{
    for (size_t i = 0; i < j->msg->n_variables; i++) {
        if (cm_str_eq_c(name, j->msg->variables[i]->name))
            return true;
    }
    return false;
}

static PB(TemplateVariable) * variable_message(struct cm_arena *a, const struct tf_variable *v)
{
    PB(TemplateVariable) *m = CM_NEW(a, PB(TemplateVariable));
    coder__provisioner__v1__template_variable__init(m);
    m->name = cm_arena_cstr(a, v->name);
    m->description = v->description.len ? cm_arena_cstr(a, v->description) : NULL;
    m->type = v->type.len ? cm_arena_cstr(a, v->type) : NULL;
    m->default_value = v->has_default ? cm_arena_cstr(a, v->default_value) : NULL;
    m->has_required = m->has_sensitive = true;
    m->required = !v->has_default;
    m->sensitive = v->sensitive;
    return m;
}

static struct cm_str read_readme(struct job *j)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(README_MAX);
    if (cm_fs_read(cm_fs_join(j->a, j->src, "README.md"), &text, NULL) != CM_OK ||
        !cm_str_is_utf8(cm_buf_view(&text)))
        return CM_STR_NONE;
    return cm_arena_str(j->a, cm_buf_view(&text));
}

static enum cm_code describe(struct job *j, struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf missing = CM_BUF_INIT((size_t)400);
    PB(TemplateVariable) **messages =
        CM_NEW_ARRAY(j->a, PB(TemplateVariable) *, j->variables.n + 1);
    bool complete = true;
    job_stage(j, STAGE_PARSE);
    for (size_t i = 0; i < j->variables.n; i++) {
        const struct tf_variable *v = &j->variables.v[i];
        messages[i] = variable_message(j->a, v);
        if (v->has_default || has_value(j, v->name))
            continue;
        cm_buf_printf(&missing, "%s%.*s", missing.len ? ", " : "", CM_STR_ARG(v->name));
        complete = false;
    }
    j->host->describe(j->host->ctx, read_readme(j), messages, j->variables.n);
    if (complete)
        return CM_OK;
    j->out->error_code = cm_arena_printf(j->a, "REQUIRED_TEMPLATE_VARIABLES");
    return cm_err_set(err, CM_INVALID, "required template variables need values: %s",
                      missing.ptr ? missing.ptr : "");
}

/* --- modules --- */

static void take_modules(struct job *j)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT((size_t)16 << 20),
                             archive = CM_BUF_INIT(JOB_MODULES_MAX);
    const struct cm_json *root = NULL;
    const char *dir = cm_fs_join(j->a, j->src, ".terraform");
    bool remote = false;
    struct cm_err err;
    if (cm_fs_read(cm_fs_join(j->a, dir, "modules/modules.json"), &text, NULL) != CM_OK ||
        cm_json_parse(j->a, cm_buf_view(&text), NULL, &root, NULL) != CM_OK)
        return;
    const struct cm_json *list = cm_json_get(root, "Modules");
    PB(Pair) **pairs = CM_NEW_ARRAY(j->a, PB(Pair) *, cm_json_count(list) + 1);
    for (size_t i = 0; i < cm_json_count(list); i++) {
        const struct cm_json *m = cm_json_at(list, i);
        if (cm_json_str(cm_json_get(m, "Key")).len == 0)
            continue; /* the root */
        PB(Pair) *p = pairs[j->out->n_modules++] = CM_NEW(j->a, PB(Pair));
        coder__provisioner__v1__pair__init(p);
        p->name = cm_arena_cstr(j->a, cm_json_str(cm_json_get(m, "Source")));
        p->value = cm_arena_cstr(j->a, cm_json_str(cm_json_get(m, "Version")));
        remote = remote || cm_str_starts(cm_json_str(cm_json_get(m, "Dir")), CM_STR(".terraform/"));
    }
    j->out->modules = pairs;
    if (!remote)
        return;
    if (tf_pack(dir, "modules", JOB_MODULES_MAX, &archive, &err) == CM_OK)
        j->host->modules(j->host->ctx, cm_buf_view(&archive));
    else
        job_logf(j, "warn", "the modules are not stored, so each build fetches them again: %s",
                 err.text);
}

static enum cm_code plan_start(struct job *j, struct tf_graph **ret_graph, struct cm_err *err)
{
    struct tf_resources list;
    struct tf_extracted x;
    enum cm_code code = plan(j, "start", &list, err);
    if (code == CM_OK)
        code = job_graph(j, ret_graph, err);
    if (code == CM_OK)
        code = tf_extract_resources(j->a, &list, *ret_graph, &x, err);
    if (code != CM_OK)
        return code;
    take_resources(j, &x);
    return take_inputs(j, &list, err);
}

static enum cm_code plan_stop(struct job *j, const struct tf_graph *graph, struct cm_err *err)
{
    struct tf_resources list;
    struct tf_extracted x;
    enum cm_code code = plan(j, "stop", &list, err);
    if (code == CM_OK)
        code = tf_extract_resources(j->a, &list, graph, &x, err);
    if (code != CM_OK)
        return code;
    j->out->stop_resources = x.resources;
    j->out->n_stop_resources = x.n;
    return CM_OK;
}

enum cm_code job_import(struct job *j, struct cm_err *err)
{
    struct tf_graph *graph = NULL;
    enum cm_code code = job_setup(j, err);
    if (code == CM_OK)
        code = describe(j, err);
    if (code == CM_OK)
        code = job_init(j, err);
    if (code != CM_OK)
        return code;
    job_stage(j, STAGE_PERSISTENT);
    code = plan_start(j, &graph, err);
    if (code != CM_OK)
        return code;
    job_stage(j, STAGE_EPHEMERAL);
    code = plan_stop(j, graph, err);
    if (code == CM_OK)
        take_modules(j);
    return code;
}

enum cm_code job_dry_run(struct job *j, struct cm_err *err)
{
    struct tf_graph *graph = NULL;
    enum cm_code code = job_setup(j, err);
    if (code == CM_OK)
        code = job_init(j, err);
    if (code != CM_OK)
        return code;
    job_stage(j, STAGE_PLAN);
    return plan_start(j, &graph, err);
}
