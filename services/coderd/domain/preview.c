#include "domain/preview.h"

#include "domain/parameters.h"

static struct api_null_hcl_string *hcl(struct cm_arena *a, struct cm_str value, bool valid)
{
    struct api_null_hcl_string *s = CM_NEW(a, struct api_null_hcl_string);
    *s = (struct api_null_hcl_string){.value = value.ptr ? value : CM_STR(""), .valid = valid};
    return s;
}

static void complain(struct cm_arena *a, struct api_friendly_diagnostic *d, const char *summary,
                     struct cm_str detail, const char *code)
{
    *d = (struct api_friendly_diagnostic){.severity = API_DIAGNOSTIC_SEVERITY_STRING_ERROR,
                                          .summary = cm_str(summary),
                                          .detail = detail,
                                          .extra = CM_NEW(a, struct api_diagnostic_extra)};
    d->extra->code = cm_str(code);
}

void preview_complain(struct cm_arena *a, struct api_dynamic_parameters_response *out,
                      const char *summary, const char *detail, const char *code)
{
    struct api_friendly_diagnostic *list =
        CM_NEW_ARRAY(a, struct api_friendly_diagnostic, out->n_diagnostics + 1);
    for (size_t i = 0; i < out->n_diagnostics; i++)
        list[i] = out->diagnostics[i];
    complain(a, &list[out->n_diagnostics++], summary, cm_str(detail), code);
    out->diagnostics = list;
}

static enum api_parameter_form_type form_type(const struct api_template_version_parameter *p)
{
    if (p->form_type != API_PARAMETER_FORM_TYPE_UNSET)
        return p->form_type;
    if (p->type == API_OPTION_TYPE_LIST_STRING)
        return API_PARAMETER_FORM_TYPE_TAG_SELECT;
    if (p->n_options)
        return API_PARAMETER_FORM_TYPE_RADIO;
    return p->type == API_OPTION_TYPE_BOOL ? API_PARAMETER_FORM_TYPE_CHECKBOX
                                           : API_PARAMETER_FORM_TYPE_INPUT;
}

static void show_validation(struct cm_arena *a, const struct api_template_version_parameter *p,
                            struct api_preview_parameter *o)
{
    static const char *const orders[] = {"", "increasing", "decreasing"};
    bool min = cm_has(p->has, API_TEMPLATE_VERSION_PARAMETER_HAS_VALIDATION_MIN),
         max = cm_has(p->has, API_TEMPLATE_VERSION_PARAMETER_HAS_VALIDATION_MAX);
    if (!min && !max && !p->validation_regex.len && !p->validation_monotonic)
        return;
    struct api_preview_parameter_validation *v = CM_NEW(a, struct api_preview_parameter_validation);
    v->validation_error = p->validation_error;
    v->validation_regex = p->validation_regex;
    v->validation_monotonic = cm_str(orders[p->validation_monotonic]);
    v->validation_min = p->validation_min;
    v->validation_max = p->validation_max;
    if (min)
        cm_set_has(v->has, API_PREVIEW_PARAMETER_VALIDATION_HAS_VALIDATION_MIN);
    if (max)
        cm_set_has(v->has, API_PREVIEW_PARAMETER_VALIDATION_HAS_VALIDATION_MAX);
    o->validations = v;
    o->n_validations = 1;
}

static const struct cm_str *find_input(const struct cm_pair *inputs, size_t n, struct cm_str name)
{
    for (size_t i = 0; i < n; i++) {
        if (cm_str_eq(inputs[i].key, name))
            return &inputs[i].value;
    }
    return NULL;
}

static void show_one(struct cm_arena *a, const struct api_template_version_parameter *p,
                     const struct cm_str *input, struct api_preview_parameter *o)
{
    bool has_default = !p->required;
    *o = (struct api_preview_parameter){
        .name = p->name,
        .display_name = p->display_name,
        .description = p->description,
        .type = p->type,
        .form_type = form_type(p),
        .mutable = p->mutable,
        .default_value = hcl(a, p->default_value, has_default),
        .icon = p->icon,
        .options = CM_NEW_ARRAY(a, struct api_preview_parameter_option, p->n_options),
        .n_options = p->n_options,
        .required = p->required,
        .ephemeral = p->ephemeral,
        .value = input ? hcl(a, *input, true) : hcl(a, p->default_value, has_default)};
    for (size_t i = 0; i < p->n_options; i++)
        o->options[i] =
            (struct api_preview_parameter_option){.name = p->options[i].name,
                                                  .description = p->options[i].description,
                                                  .value = hcl(a, p->options[i].value, true),
                                                  .icon = p->options[i].icon};
    show_validation(a, p, o);
}

/* One parameter at a time, so that a long form does not hide what is wrong at its end. */
static void check_one(struct cm_arena *a, const struct api_template_version_parameter *p,
                      const struct cm_str *input, struct api_preview_parameter *o)
{
    struct api_workspace_build_parameter given = {.name = p->name};
    struct parameter_resolve in = {.declared = p, .n_declared = 1, .first_build = true};
    struct api_workspace_build_parameter *values = NULL;
    struct cm_violations vs = {0};
    size_t n = 0;
    if (input) {
        given.value = *input;
        in.given = (struct parameter_values){&given, 1};
    }
    parameters_resolve(a, &in, &values, &n, &vs);
    o->diagnostics = CM_NEW_ARRAY(a, struct api_friendly_diagnostic, vs.n);
    o->n_diagnostics = vs.n;
    for (size_t i = 0; i < vs.n; i++)
        complain(a, &o->diagnostics[i],
                 input ? "The value is not valid" : "Required parameter not provided",
                 vs.v[i].detail, input ? "" : "required");
}

static void style(const struct form_value *v, struct api_preview_parameter *o, struct cm_arena *a)
{
    static const char *const names[] = {"placeholder", "label", "disabled", "mask_input"};
    struct form_value f[CM_COUNT_OF(names)];
    if (v->kind != FORM_OBJECT)
        return;
    for (size_t i = 0; i < CM_COUNT_OF(names); i++) {
        const struct form_value *found = form_get(v, cm_str(names[i]));
        f[i] = found ? *found : FORM_NULL_VALUE;
    }
    o->styling = CM_NEW(a, struct api_preview_parameter_styling);
    o->styling->placeholder = f[0].s;
    o->styling->label = f[1].s;
    o->styling->disabled = f[2].b;
    o->styling->mask_input = f[3].b;
}

static void warn(struct cm_arena *a, const char *what, struct api_preview_parameter *o)
{
    struct api_friendly_diagnostic *list =
        CM_NEW_ARRAY(a, struct api_friendly_diagnostic, o->n_diagnostics + 1);
    for (size_t i = 0; i < o->n_diagnostics; i++)
        list[i] = o->diagnostics[i];
    complain(a, &list[o->n_diagnostics], "Shown as it was when the template was imported",
             cm_arena_fmt(a, "Its %s depends on what is only known during a build.", what), "");
    list[o->n_diagnostics++].severity = API_DIAGNOSTIC_SEVERITY_STRING_WARNING;
    o->diagnostics = list;
}

void preview_parameters(struct cm_arena *a, const struct form_parameter *declared, size_t n,
                        const struct cm_pair *inputs, size_t n_inputs,
                        struct api_dynamic_parameters_response *out)
{
    out->parameters = CM_NEW_ARRAY(a, struct api_preview_parameter, n);
    out->n_parameters = n;
    for (size_t i = 0; i < n; i++) {
        const struct api_template_version_parameter *p = &declared[i].p;
        struct api_preview_parameter *o = &out->parameters[i];
        const struct cm_str *input = find_input(inputs, n_inputs, p->name);
        show_one(a, p, input, o);
        o->order = declared[i].order;
        style(&declared[i].styling, o, a);
        check_one(a, p, input, o);
        if (declared[i].uncertain)
            warn(a, declared[i].uncertain, o);
    }
}
