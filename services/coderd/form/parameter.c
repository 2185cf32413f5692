#include "form/module.h"

static const struct cm_str *given(const struct run *r, struct cm_str name)
{
    for (size_t i = r->in->n_values; i > 0; i--)
        if (cm_str_eq(r->in->values[i - 1].key, name))
            return &r->in->values[i - 1].value;
    return NULL;
}

static const struct api_template_version_parameter *imported(const struct run *r,
                                                             struct cm_str name)
{
    for (size_t i = 0; i < r->in->n_imported; i++)
        if (cm_str_eq(r->in->imported[i].name, name))
            return &r->in->imported[i];
    return NULL;
}

static struct form_value read_value(struct place *p, const struct block *b)
{
    struct run *r = p->m->run;
    struct form_value name = form_to_string(r->a, form_eval_name(p, b, "name")),
                      dflt = form_to_string(r->a, form_eval_name(p, b, "default")),
                      ret = form_object(r->a, 4);
    const struct cm_str *value = name.kind == FORM_STRING ? given(r, name.s) : NULL;
    const struct api_template_version_parameter *known =
        name.kind == FORM_STRING ? imported(r, name.s) : NULL;
    if (name.kind != FORM_STRING)
        return form_known(name) ? FORM_ERROR_VALUE : name;
    form_set_c(&ret, "name", name);
    form_set_c(&ret, "default", dflt);
    form_set_c(&ret, "id", FORM_UNKNOWN_VALUE);
    if (value)
        dflt = form_string(*value);
    else if (dflt.kind == FORM_UNKNOWN && known && !known->required)
        dflt = form_string(known->default_value);
    else if (dflt.kind == FORM_NULL)
        dflt = form_string(CM_STR("")); /* as at import, before anybody has answered */
    form_set_c(&ret, "value", dflt);
    return ret;
}

struct form_value form_parameter_value(struct module *m, struct block *b)
{
    return form_gather(m, b, read_value);
}

/* One parameter while it is read. */
struct draft {
    struct place *p;
    struct form_parameter *f;
};

static void doubt(struct draft *d, const char *what, struct form_value v)
{
    if (!form_known(v) && !d->f->uncertain)
        d->f->uncertain = what;
}

static struct cm_str text(struct draft *d, const struct block *b, const char *name)
{
    struct form_value v = form_to_string(d->p->m->run->a, form_eval_name(d->p, b, name));
    doubt(d, name, v);
    return v.kind == FORM_STRING ? v.s : CM_STR("");
}

static bool flag(struct draft *d, const struct block *b, const char *name)
{
    struct form_value v = form_to_bool(form_eval_name(d->p, b, name));
    doubt(d, name, v);
    return v.kind == FORM_BOOL && v.b;
}

static bool whole_number(struct draft *d, const struct block *b, const char *name, int64_t *ret)
{
    struct form_value v = form_to_number(d->p->m->run->a, form_eval_name(d->p, b, name));
    doubt(d, name, v);
    *ret = 0;
    if (v.kind != FORM_NUMBER || !(v.n > -9e18 && v.n < 9e18))
        return false;
    *ret = (int64_t)v.n;
    return true;
}

static void add_option(struct draft *d, const struct block *b)
{
    struct api_template_version_parameter *p = &d->f->p;
    if (p->n_options == FORM_INSTANCES_MAX)
        return;
    p->options[p->n_options++] =
        (struct api_template_version_parameter_option){.name = text(d, b, "name"),
                                                       .description = text(d, b, "description"),
                                                       .value = text(d, b, "value"),
                                                       .icon = text(d, b, "icon")};
}

static void set_validation(struct draft *d, const struct block *b)
{
    struct api_template_version_parameter *p = &d->f->p;
    p->validation_error = text(d, b, "error");
    p->validation_regex = text(d, b, "regex");
    if (whole_number(d, b, "min", &p->validation_min))
        cm_set_has(p->has, API_TEMPLATE_VERSION_PARAMETER_HAS_VALIDATION_MIN);
    if (whole_number(d, b, "max", &p->validation_max))
        cm_set_has(p->has, API_TEMPLATE_VERSION_PARAMETER_HAS_VALIDATION_MAX);
    struct cm_str order = text(d, b, "monotonic");
    if (cm_str_eq_c(order, "increasing"))
        p->validation_monotonic = API_VALIDATION_MONOTONIC_ORDER_INCREASING;
    if (cm_str_eq_c(order, "decreasing"))
        p->validation_monotonic = API_VALIDATION_MONOTONIC_ORDER_DECREASING;
}

static void nested_block(struct draft *d, struct cm_str type, const struct block *b)
{
    if (cm_str_eq_c(type, "option"))
        add_option(d, b);
    else if (cm_str_eq_c(type, "validation"))
        set_validation(d, b);
}

static void dynamic_block(struct draft *d, const struct block *b)
{
    struct form_value all = form_eval_name(d->p, b, "for_each");
    const struct attribute *iterator = form_attribute(b, "iterator");
    const struct block *content = b->blocks;
    struct place *outer = d->p;
    doubt(d, "option", all);
    if (!content || !cm_str_eq_c(content->type, "content") || all.count > FORM_INSTANCES_MAX)
        return;
    for (size_t i = 0; i < all.count; i++) {
        struct place inner = *outer;
        inner.iterator = iterator ? cm_str_trim(iterator->expr) : b->labels[0];
        inner.it_value = all.items[i];
        inner.it_key = all.keys ? form_string(all.keys[i]) : form_number((double)i);
        d->p = &inner;
        nested_block(d, b->labels[0], content);
    }
    d->p = outer;
}

static enum api_option_type type_of(struct cm_str s)
{
    return cm_str_eq_c(s, "number")         ? API_OPTION_TYPE_NUMBER
           : cm_str_eq_c(s, "bool")         ? API_OPTION_TYPE_BOOL
           : cm_str_eq_c(s, "list(string)") ? API_OPTION_TYPE_LIST_STRING
                                            : API_OPTION_TYPE_STRING;
}

static enum api_parameter_form_type form_type_of(struct cm_str s)
{
    static const struct {
        const char *name;
        enum api_parameter_form_type type;
    } rows[] = {
        {"radio", API_PARAMETER_FORM_TYPE_RADIO},
        {"slider", API_PARAMETER_FORM_TYPE_SLIDER},
        {"input", API_PARAMETER_FORM_TYPE_INPUT},
        {"dropdown", API_PARAMETER_FORM_TYPE_DROPDOWN},
        {"checkbox", API_PARAMETER_FORM_TYPE_CHECKBOX},
        {"switch", API_PARAMETER_FORM_TYPE_SWITCH},
        {"multi-select", API_PARAMETER_FORM_TYPE_MULTI_SELECT},
        {"tag-select", API_PARAMETER_FORM_TYPE_TAG_SELECT},
        {"textarea", API_PARAMETER_FORM_TYPE_TEXTAREA},
        {"error", API_PARAMETER_FORM_TYPE_ERROR},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++)
        if (cm_str_eq_c(s, rows[i].name))
            return rows[i].type;
    return API_PARAMETER_FORM_TYPE_UNSET;
}

struct form_parameter *form_add(struct run *r, const struct api_template_version_parameter *p)
{
    struct form_result *out = r->out;
    for (size_t i = 0; i < out->n; i++)
        if (cm_str_eq(out->v[i].p.name, p->name))
            return NULL;
    if (out->n == out->cap)
        return NULL;
    out->v[out->n] = (struct form_parameter){.p = *p, .styling = FORM_NULL_VALUE};
    return &out->v[out->n++];
}

void form_show(struct place *p, const struct block *b)
{
    struct run *r = p->m->run;
    struct form_value name = form_to_string(r->a, form_eval_name(p, b, "name")), dflt;
    struct draft d = {p, NULL};
    if (name.kind != FORM_STRING) {
        r->out->opaque = true;
        return;
    }
    d.f = form_add(r, &(struct api_template_version_parameter){.name = name.s});
    if (!d.f)
        return;
    struct api_template_version_parameter *v = &d.f->p;
    dflt = form_to_string(r->a, form_eval_name(p, b, "default"));
    doubt(&d, "default", dflt);
    v->display_name = text(&d, b, "display_name");
    v->description = text(&d, b, "description");
    v->type = type_of(text(&d, b, "type"));
    v->form_type = form_type_of(text(&d, b, "form_type"));
    v->icon = text(&d, b, "icon");
    v->mutable = flag(&d, b, "mutable");
    v->ephemeral = flag(&d, b, "ephemeral");
    v->required = dflt.kind == FORM_NULL;
    v->default_value = dflt.kind == FORM_STRING ? dflt.s : CM_STR("");
    v->options =
        CM_NEW_ARRAY(r->a, struct api_template_version_parameter_option, FORM_INSTANCES_MAX);
    cm_ignore(whole_number(&d, b, "order", &d.f->order), "0 when there is none");
    for (const struct block *k = b->blocks; k; k = k->next) {
        if (cm_str_eq_c(k->type, "dynamic"))
            dynamic_block(&d, k);
        else
            nested_block(&d, k->type, k);
    }
    struct cm_str styling = text(&d, b, "styling");
    const struct cm_json *j = NULL;
    struct cm_err err;
    if (styling.len && cm_json_parse_whole(r->a, styling, NULL, &j, &err) == CM_OK)
        d.f->styling = form_from_json(r->a, j);
    const struct api_template_version_parameter *found = imported(r, name.s);
    if (d.f->uncertain && found)
        *v = *found; /* with the version's own default, options and rules */
}
