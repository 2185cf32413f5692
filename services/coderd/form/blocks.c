#include "codec/hcl.h"
#include "form/module.h"

#define ATTRIBUTES_MAX 4096

static struct block *read_body(struct run *r, struct cm_hcl *h, unsigned depth, bool *ret_broken);

static struct block *append(struct block **list, struct block *b)
{
    while (*list)
        list = &(*list)->next;
    *list = b;
    return b;
}

/* Of one body, up to its end or closing brace. The result is a block without a type. */
static struct block *read_body(struct run *r, struct cm_hcl *h, unsigned depth, bool *ret_broken)
{
    struct block *ret = CM_NEW(r->a, struct block);
    if (depth > 16) {
        *ret_broken = true;
        return ret;
    }
    for (;;) {
        struct cm_str name;
        cm_hcl_skip_space(h, false);
        if (h->p == h->end || cm_hcl_take_char(h, '}'))
            return ret;
        if (++r->n_attributes > ATTRIBUTES_MAX || !cm_hcl_take_name(h, &name)) {
            *ret_broken = true;
            return ret;
        }
        cm_hcl_skip_space(h, true);
        if (h->end - h->p > 1 && h->p[0] == '=' && h->p[1] != '=') {
            struct attribute *t = CM_NEW(r->a, struct attribute);
            h->p++;
            t->name = name;
            if (!cm_hcl_skip_expr(h, &t->expr)) {
                *ret_broken = true;
                return ret;
            }
            t->next = ret->attributes;
            ret->attributes = t;
            continue;
        }
        struct cm_str labels[2] = {CM_STR(""), CM_STR("")}, label;
        size_t n = 0;
        while (h->p < h->end && *h->p != '{' && cm_hcl_take_label(h, &label)) {
            if (n < 2)
                labels[n++] = label;
            cm_hcl_skip_space(h, true);
        }
        if (!cm_hcl_take_char(h, '{')) {
            *ret_broken = true;
            return ret;
        }
        struct block *b = read_body(r, h, depth + 1, ret_broken);
        if (*ret_broken)
            return ret;
        b->type = name;
        b->labels[0] = labels[0];
        b->labels[1] = labels[1];
        append(&ret->blocks, b);
    }
}

const struct attribute *form_attribute(const struct block *b, const char *name)
{
    for (const struct attribute *t = b->attributes; t; t = t->next)
        if (cm_str_eq_c(t->name, name))
            return t;
    return NULL;
}

/* The file's folder is the module's: "main.tf" in "", "mod/main.tf" in "mod". */
static bool is_in(struct cm_str name, struct cm_str dir)
{
    ptrdiff_t slash = cm_str_find_last(name, '/');
    struct cm_str folder = slash < 0 ? CM_STR("") : cm_str_sub(name, 0, (size_t)slash);
    return cm_str_eq(folder, dir);
}

static bool ends(struct cm_str s, const char *suffix)
{
    return cm_str_ends(s, cm_str(suffix));
}

/* Files of JSON and overrides are not read: then what the import found has to do. */
bool form_read_module(struct run *r, struct module *m)
{
    bool broken = false, any = false;
    for (size_t i = 0; i < r->in->n_files; i++) {
        const struct cm_pair *f = &r->in->files[i];
        if (!is_in(f->key, m->dir))
            continue;
        if (ends(f->key, ".tf.json") || ends(f->key, "override.tf"))
            return false;
        if (!ends(f->key, ".tf"))
            continue;
        struct cm_hcl h = cm_hcl_open(r->a, f->value.ptr ? f->value : CM_STR(""));
        struct block *body = read_body(r, &h, 0, &broken);
        if (broken)
            return false;
        any = true;
        if (body->blocks)
            append(&m->blocks, body->blocks);
    }
    return any;
}
