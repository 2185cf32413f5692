#include "form/form.h"

#include <stdlib.h>

#include "form/module.h"

static void remember(struct run *r, struct cm_str name)
{
    if (r->n_named < FORM_PARAMETERS_MAX)
        r->named[r->n_named++] = name;
}

static void walk(struct module *m)
{
    struct run *r = m->run;
    for (struct block *b = m->blocks; b; b = b->next) {
        bool parameter =
            cm_str_eq_c(b->type, "data") && cm_str_eq_c(b->labels[0], "coder_parameter");
        struct instances all;
        if (!parameter && !cm_str_eq_c(b->type, "module"))
            continue;
        form_instances_of(m, b, &all);
        if (!parameter) {
            r->out->opaque |= all.why.kind != FORM_NULL;
            for (size_t i = 0; i < all.n; i++) {
                struct module *child = form_enter_module(&all.v[i], b);
                if (child)
                    walk(child);
                else
                    r->out->opaque = true;
            }
            continue;
        }
        struct place nowhere = {.m = m, .depth = m->depth + 1};
        struct form_value name = form_to_string(r->a, form_eval_name(&nowhere, b, "name"));
        if (all.why.kind != FORM_NULL)
            r->out->opaque = true;
        else if (name.kind == FORM_STRING)
            remember(r, name.s);
        for (size_t i = 0; i < all.n; i++)
            form_show(&all.v[i], b);
    }
}

static void read_tags(struct module *m)
{
    struct run *r = m->run;
    struct place here = {.m = m, .depth = m->depth + 1};
    for (const struct block *b = m->blocks; b; b = b->next) {
        if (!cm_str_eq_c(b->type, "data") || !cm_str_eq_c(b->labels[0], "coder_workspace_tags"))
            continue;
        struct form_value all = form_eval_name(&here, b, "tags");
        struct cm_pair *tags = CM_NEW_ARRAY(r->a, struct cm_pair, r->out->n_tags + all.count);
        for (size_t i = 0; i < r->out->n_tags; i++)
            tags[i] = r->out->tags[i];
        for (size_t i = 0; all.keys && i < all.count; i++) {
            struct form_value v = form_to_string(r->a, all.items[i]);
            if (v.kind == FORM_STRING)
                tags[r->out->n_tags++] = (struct cm_pair){all.keys[i], v.s};
        }
        r->out->tags = tags;
    }
}

static int by_order(const void *a, const void *b)
{
    const struct form_parameter *x = a, *y = b;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    return cm_str_cmp(x->p.name, y->p.name);
}

void form_compute(struct cm_arena *a, const struct form_input *in, struct form_result *ret)
{
    struct run r = {.a = a, .in = in, .out = ret, .steps = FORM_STEPS_MAX};
    struct module root = {.run = &r, .dir = CM_STR("")};
    r.named = CM_NEW_ARRAY(a, struct cm_str, FORM_PARAMETERS_MAX);
    *ret = (struct form_result){.cap = FORM_PARAMETERS_MAX,
                                .v = CM_NEW_ARRAY(a, struct form_parameter, FORM_PARAMETERS_MAX)};
    if (form_read_module(&r, &root)) {
        walk(&root);
        read_tags(&root);
    } else {
        ret->opaque = true;
    }
    /* What no block here declares comes from where the import could look and we cannot. */
    for (size_t i = 0; ret->opaque && i < in->n_imported; i++) {
        bool named = false;
        for (size_t k = 0; k < r.n_named; k++)
            named = named || cm_str_eq(r.named[k], in->imported[i].name);
        struct form_parameter *f = named ? NULL : form_add(&r, &in->imported[i]);
        if (f) /* in the order of the import */
            f->order = (int64_t)i;
    }
    if (ret->n)
        qsort(ret->v, ret->n, sizeof(*ret->v), by_order);
}
