/* Data sources that say what a template wants to know: parameters, presets, external
 * authentication. Its tags chose this provisioner before terraform was asked. */
#include <stdlib.h>

#include "terraform/extract_impl.h"

static void fill_options(struct cm_arena *a, const struct cm_json *list, PB(Parameter) * p)
{
    struct ptrs out = {0};
    for (size_t i = 0; i < cm_json_count(list); i++) {
        const struct cm_json *o = cm_json_at(list, i);
        PB(ParameterOption) *m = CM_NEW(a, PB(ParameterOption));
        coder__provisioner__v1__parameter_option__init(m);
        char *name = text_of(a, cm_json_get(o, "name"));
        m->name = name ? name : cm_arena_printf(a, "%zu", i);
        m->description = nonempty_of(a, cm_json_get(o, "description"));
        m->value = text_of(a, cm_json_get(o, "value"));
        m->icon = nonempty_of(a, cm_json_get(o, "icon"));
        ptrs_add(a, &out, m);
    }
    p->options = (PB(ParameterOption) **)out.v;
    p->n_options = out.n;
}

static void fill_validation(struct cm_arena *a, const struct cm_json *v, PB(Parameter) * p)
{
    p->validation_regex = nonempty_of(a, cm_json_get(v, "regex"));
    p->validation_error = nonempty_of(a, cm_json_get(v, "error"));
    p->validation_monotonic = nonempty_of(a, cm_json_get(v, "monotonic"));
    /* Bounds that are not set read as 0, beside a flag that says so. */
    if (!cm_json_bool(cm_json_get(v, "min_disabled")))
        SET_INT(p, validation_min, cm_json_get(v, "min"));
    if (!cm_json_bool(cm_json_get(v, "max_disabled")))
        SET_INT(p, validation_max, cm_json_get(v, "max"));
}

static PB(Parameter) * read_parameter(struct cm_arena *a, const struct tf_resource *r)
{
    PB(Parameter) *p = CM_NEW(a, PB(Parameter));
    bool is_mutable = false;
    coder__provisioner__v1__parameter__init(p);
    char *name = text_of(a, value_of(r, "name"));
    p->name = name ? name : cm_arena_cstr(a, r->name);
    p->display_name = nonempty_of(a, value_of(r, "display_name"));
    p->description = nonempty_of(a, value_of(r, "description"));
    p->type = nonempty_of(a, value_of(r, "type"));
    p->form_type = nonempty_of(a, value_of(r, "form_type"));
    p->styling = nonempty_of(a, value_of(r, "styling"));
    p->default_value = text_of(a, value_of(r, "default"));
    p->icon = nonempty_of(a, value_of(r, "icon"));
    p->has_mutable_ = cm_json_to_bool(value_of(r, "mutable"), &is_mutable);
    p->mutable_ = is_mutable;
    SET_BOOL(p, ephemeral, value_of(r, "ephemeral"));
    SET_INT(p, order, value_of(r, "order"));
    p->has_required = true;
    p->required = !cm_json_bool(value_of(r, "optional"));
    fill_options(a, value_of(r, "option"), p);
    if (cm_json_count(value_of(r, "validation")) > 0)
        fill_validation(a, cm_json_at(value_of(r, "validation"), 0), p);
    return p;
}

static void fill_prebuilds(struct cm_arena *a, const struct cm_json *b, PB(Preset) * p)
{
    const struct cm_json *expiry = cm_json_at(cm_json_get(b, "expiration_policy"), 0);
    const struct cm_json *scheduling = cm_json_at(cm_json_get(b, "scheduling"), 0);
    const struct cm_json *list = cm_json_get(scheduling, "schedule");
    struct ptrs out = {0};
    SET_INT(p, prebuild_instances, cm_json_get(b, "instances"));
    SET_INT(p, prebuild_ttl_seconds, cm_json_get(expiry, "ttl"));
    p->prebuild_timezone = nonempty_of(a, cm_json_get(scheduling, "timezone"));
    for (size_t i = 0; i < cm_json_count(list); i++) {
        PB(PrebuildSchedule) *s = CM_NEW(a, PB(PrebuildSchedule));
        coder__provisioner__v1__prebuild_schedule__init(s);
        s->cron = text_of(a, cm_json_get(cm_json_at(list, i), "cron"));
        SET_INT(s, instances, cm_json_get(cm_json_at(list, i), "instances"));
        ptrs_add(a, &out, s);
    }
    p->prebuild_schedules = (PB(PrebuildSchedule) **)out.v;
    p->n_prebuild_schedules = out.n;
}

/* An object as pairs of name and text. */
static void read_map(struct cm_arena *a, const struct cm_json *map, struct ptrs *out)
{
    if (cm_json_type(map) != CM_JSON_OBJECT)
        return;
    for (size_t i = 0; i < cm_json_count(map); i++) {
        const struct cm_json *v = cm_json_at(map, i);
        char *text = text_of(a, v);
        if (text)
            ptrs_add(a, out, pair_new(a, cm_arena_cstr(a, cm_json_key(v)), text));
    }
}

static PB(Preset) * read_preset(struct cm_arena *a, const struct tf_resource *r)
{
    PB(Preset) *p = CM_NEW(a, PB(Preset));
    struct ptrs parameters = {0};
    coder__provisioner__v1__preset__init(p);
    char *name = nonempty_of(a, value_of(r, "name"));
    p->name = name ? name : cm_arena_cstr(a, r->name);
    p->description = nonempty_of(a, value_of(r, "description"));
    p->icon = nonempty_of(a, value_of(r, "icon"));
    SET_BOOL(p, is_default, value_of(r, "default"));
    read_map(a, value_of(r, "parameters"), &parameters);
    p->parameters = (PB(Pair) **)parameters.v;
    p->n_parameters = parameters.n;
    if (cm_json_count(value_of(r, "prebuilds")) > 0)
        fill_prebuilds(a, cm_json_at(value_of(r, "prebuilds"), 0), p);
    return p;
}

static enum cm_code check_inputs(const struct tf_inputs *in, struct cm_err *err)
{
    const char *first_default = NULL;
    for (size_t i = 0; i < in->n_parameters; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(in->parameters[i]->name, in->parameters[j]->name) == 0)
                return cm_err_set(err, CM_INVALID,
                                  "two parameters are called \"%s\": each needs its own name",
                                  in->parameters[i]->name);
        }
    }
    for (size_t i = 0; i < in->n_presets; i++) {
        const PB(Preset) *p = in->presets[i];
        for (size_t j = 0; j < i; j++) {
            if (strcmp(p->name, in->presets[j]->name) == 0)
                return cm_err_set(err, CM_INVALID,
                                  "two presets are called \"%s\": each needs its own name",
                                  p->name);
        }
        if (p->is_default && first_default)
            return cm_err_set(err, CM_INVALID,
                              "the presets \"%s\" and \"%s\" both are the default; only one can be",
                              first_default, p->name);
        if (p->is_default)
            first_default = p->name;
    }
    return CM_OK;
}

static int cmp_cstr(const void *pa, const void *pb)
{
    return strcmp(*(char *const *)pa, *(char *const *)pb);
}

static bool has_text(const struct ptrs *p, const char *text)
{
    for (size_t i = 0; i < p->n; i++) {
        if (strcmp(p->v[i], text) == 0)
            return true;
    }
    return false;
}

static void add_auth(struct cm_arena *a, const struct tf_resource *r, struct ptrs *ids,
                     struct ptrs *optional)
{
    char *id = nonempty_of(a, value_of(r, "id"));
    if (!id || has_text(ids, id))
        return;
    ptrs_add(a, ids, id);
    if (cm_json_bool(value_of(r, "optional")))
        ptrs_add(a, optional, id);
}

static void sort_texts(struct ptrs *p)
{
    if (p->n > 1)
        qsort(p->v, p->n, sizeof *p->v, cmp_cstr);
}

/* Child modules before the root, each in terraform's order. */
static enum cm_code collect(struct cm_arena *a, const struct tf_resources *list,
                            struct tf_inputs *out, struct cm_err *err)
{
    struct ptrs parameters = {0}, presets = {0}, ids = {0}, optional = {0};
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < list->n; i++) {
            const struct tf_resource *r = &list->v[i];
            if (r->managed || (r->module.len == 0) != (pass == 1))
                continue;
            if (cm_str_eq_c(r->type, "coder_parameter"))
                ptrs_add(a, &parameters, read_parameter(a, r));
            else if (cm_str_eq_c(r->type, "coder_workspace_preset"))
                ptrs_add(a, &presets, read_preset(a, r));
            else if (cm_str_eq_c(r->type, "coder_external_auth") ||
                     cm_str_eq_c(r->type, "coder_git_auth"))
                add_auth(a, r, &ids, &optional);
        }
    }
    sort_texts(&ids);
    sort_texts(&optional);
    *out = (struct tf_inputs){
        .parameters = (PB(Parameter) **)parameters.v,
        .n_parameters = parameters.n,
        .presets = (PB(Preset) **)presets.v,
        .n_presets = presets.n,
        .external_auth_ids = (char **)ids.v,
        .n_external_auth_ids = ids.n,
        .optional_auth_ids = (char **)optional.v,
        .n_optional_auth_ids = optional.n,
    };
    return check_inputs(out, err);
}

enum cm_code tf_extract_inputs(struct cm_arena *a, const struct tf_resources *list,
                               struct tf_inputs *ret, struct cm_err *err)
{
    struct tf_inputs out = {0};
    enum cm_code code = collect(a, list, &out, err);
    if (code == CM_OK)
        *ret = out;
    return code;
}
