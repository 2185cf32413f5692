#include "form/module.h"

#define MODULE_DEPTH 8

void form_instances_of(struct module *m, const struct block *b, struct instances *ret)
{
    struct place here = {.m = m, .depth = m->depth + 1};
    const struct attribute *count = form_attribute(b, "count"),
                           *each = form_attribute(b, "for_each");
    *ret = (struct instances){.why = FORM_NULL_VALUE};
    if (!count && !each) {
        ret->v = CM_NEW(m->run->a, struct place);
        *ret->v = here;
        ret->n = 1;
        return;
    }
    struct form_value v = form_eval_at(&here, count ? count->expr : each->expr);
    ret->repeated = true;
    ret->by_key = !count;
    if (count)
        v = form_to_number(m->run->a, v);
    bool fits =
        count ? v.kind == FORM_NUMBER && v.n >= 0 && v.n <= FORM_INSTANCES_MAX
              : (v.kind == FORM_OBJECT || v.kind == FORM_LIST) && v.count <= FORM_INSTANCES_MAX;
    if (!fits) {
        ret->why = v.kind == FORM_ERROR ? v : FORM_UNKNOWN_VALUE;
        return;
    }
    ret->n = count ? (size_t)v.n : v.count;
    ret->v = CM_NEW_ARRAY(m->run->a, struct place, ret->n);
    for (size_t i = 0; i < ret->n; i++) {
        ret->v[i] = here;
        if (count) {
            ret->v[i].count_index = form_number((double)i);
            continue;
        }
        ret->v[i].each_value = v.items[i];
        ret->v[i].each_key = v.keys ? form_string(v.keys[i]) : v.items[i];
    }
}

struct form_value form_gather(struct module *m, const struct block *b,
                              struct form_value (*f)(struct place *, const struct block *))
{
    struct instances all;
    form_instances_of(m, b, &all);
    if (all.why.kind != FORM_NULL)
        return all.why;
    if (!all.repeated)
        return f(&all.v[0], b);
    struct form_value ret =
        all.by_key ? form_object(m->run->a, all.n) : form_list(m->run->a, all.n);
    for (size_t i = 0; i < all.n; i++) {
        struct form_value v = f(&all.v[i], b), key = form_to_string(m->run->a, all.v[i].each_key);
        if (!all.by_key)
            form_push(&ret, v);
        else if (key.kind == FORM_STRING)
            form_set(&ret, key.s, v);
    }
    return ret;
}

/* "./a/../b" below dir; false for what is not in the template. */
static bool join(struct run *r, struct cm_str dir, struct cm_str source, struct cm_str *ret)
{
    struct cm_str parts[32],
        rest = cm_arena_fmt(r->a, "%.*s/%.*s", CM_STR_ARG(dir), CM_STR_ARG(source)), part;
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(4096);
    size_t n = 0;
    if (!cm_str_starts(source, CM_STR("./")) && !cm_str_starts(source, CM_STR("../")))
        return false;
    while (rest.len) {
        rest = cm_str_split(rest, '/', &part);
        if (!part.len || cm_str_eq_c(part, "."))
            continue;
        if (cm_str_eq_c(part, "..")) {
            if (n == 0)
                return false;
            n--;
        } else if (n == CM_COUNT_OF(parts)) {
            return false;
        } else {
            parts[n++] = part;
        }
    }
    for (size_t i = 0; i < n; i++) {
        cm_buf_cstr(&b, i ? "/" : "");
        cm_buf_str(&b, parts[i]);
    }
    *ret = cm_arena_str(r->a, cm_buf_view(&b));
    return !b.failed;
}

struct module *form_enter_module(const struct place *p, const struct block *b)
{
    struct module *m = p->m;
    struct run *r = m->run;
    struct form_value source = form_eval_name(p, b, "source"),
                      key = form_to_string(r->a, p->each_key.kind > FORM_NULL ? p->each_key
                                                                              : p->count_index);
    for (struct module *k = m->known; k; k = k->next)
        if (k->call == b && cm_str_eq(k->key, key.s))
            return k->blocks ? k : NULL;
    struct module *child = CM_NEW(r->a, struct module);
    *child = (struct module){.run = r,
                             .parent = m,
                             .call = b,
                             .each_key = p->each_key,
                             .each_value = p->each_value,
                             .count_index = p->count_index,
                             .key = key.s,
                             .next = m->known,
                             .depth = m->depth + 4};
    m->known = child;
    if (child->depth > MODULE_DEPTH * 4 || source.kind != FORM_STRING ||
        !join(r, m->dir, source.s, &child->dir) || !form_read_module(r, child)) {
        child->blocks = NULL;
        return NULL;
    }
    return child;
}

static struct form_value outputs(struct place *p, const struct block *b)
{
    struct module *m = form_enter_module(p, b);
    size_t n = 0;
    if (!m)
        return FORM_UNKNOWN_VALUE;
    for (const struct block *o = m->blocks; o; o = o->next)
        n += cm_str_eq_c(o->type, "output");
    struct form_value ret = form_object(m->run->a, n);
    struct place here = {.m = m, .depth = m->depth + 1};
    for (const struct block *o = m->blocks; o; o = o->next)
        if (cm_str_eq_c(o->type, "output"))
            form_set(&ret, o->labels[0], form_eval_name(&here, o, "value"));
    return ret;
}

struct form_value form_module_value(struct module *m, struct block *b)
{
    return form_gather(m, b, outputs);
}
