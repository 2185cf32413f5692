/* Type constraints of variables: what is given becomes what is declared, with what optional() fills
 * in. */
#include "codec/hcl.h"
#include "form/module.h"

#define DEPTH_MAX 32

struct typing {
    const struct place *p;
    struct cm_hcl h;
    size_t attributes_max; /* of any object in the constraint */
    bool broken;
};

static struct form_value convert(struct typing *t, struct form_value v, unsigned depth);

static struct form_value give_up(struct typing *t)
{
    t->broken = true;
    return FORM_UNKNOWN_VALUE;
}

static bool take(struct typing *t, char c)
{
    cm_hcl_skip_space(&t->h, false);
    return cm_hcl_take_char(&t->h, c);
}

static void expect(struct typing *t, char c)
{
    if (!take(t, c))
        t->broken = true;
}

/* Values share their parts, so that a small one can be long to walk. */
static bool afford(struct typing *t, size_t n)
{
    size_t *steps = &t->p->m->run->steps;
    if (*steps < n)
        t->broken = true;
    else
        *steps -= n;
    return !t->broken;
}

/* list(T), set(T), map(T), at the bracket: the same constraint for each item. */
static struct form_value collection(struct typing *t, struct cm_str kind, struct form_value v,
                                    unsigned depth)
{
    struct cm_arena *a = t->p->m->run->a;
    bool is_map = cm_str_eq_c(kind, "map");
    expect(t, '(');
    const char *start = t->h.p;
    /* Once without a value, so as to come behind it. */
    (void)convert(t, FORM_NULL_VALUE, depth + 1);
    if (t->broken || !form_known(v) || v.kind == FORM_NULL) {
        expect(t, ')');
        return v;
    }
    if (v.kind != (is_map ? FORM_OBJECT : FORM_LIST)) {
        expect(t, ')');
        return FORM_ERROR_VALUE;
    }
    const char *end = t->h.p;
    struct form_value ret = is_map ? form_object(a, v.count) : form_list(a, v.count);
    for (size_t i = 0; i < v.count && !t->broken; i++) {
        t->h.p = start;
        struct form_value item = convert(t, v.items[i], depth + 1);
        if (is_map)
            form_set(&ret, v.keys[i], item);
        else
            form_push(&ret, item);
    }
    t->h.p = end;
    expect(t, ')');
    return cm_str_eq_c(kind, "set") ? form_sorted_set(a, ret) : ret;
}

/* optional(T) or optional(T, default), behind its bracket. */
static struct form_value optional(struct typing *t, struct form_value v, unsigned depth)
{
    const char *start = t->h.p;
    struct cm_str expr;
    struct form_value ret = convert(t, v, depth + 1);
    if (take(t, ',')) {
        cm_hcl_skip_space(&t->h, false);
        if (!cm_hcl_skip_expr(&t->h, &expr))
            return give_up(t);
        if (v.kind == FORM_NULL) {
            const char *end = t->h.p;
            t->h.p = start;
            ret = convert(t, form_eval_at(t->p, expr), depth + 1);
            t->h.p = end;
        }
    }
    expect(t, ')');
    return ret;
}

/* One attribute of object({...}), behind its equal sign. */
static struct form_value member(struct typing *t, const struct form_value *given, unsigned depth)
{
    struct cm_hcl before = t->h;
    struct cm_str word;
    cm_hcl_skip_space(&t->h, false);
    if (cm_hcl_take_name(&t->h, &word) && cm_str_eq_c(word, "optional") && take(t, '('))
        return optional(t, given ? *given : FORM_NULL_VALUE, depth);
    t->h = before;
    struct form_value ret = convert(t, given ? *given : FORM_NULL_VALUE, depth + 1);
    return given ? ret : FORM_ERROR_VALUE;
}

static struct form_value object(struct typing *t, struct form_value v, unsigned depth)
{
    bool fits = v.kind == FORM_OBJECT, lacks = false;
    if (!afford(t, t->attributes_max))
        return FORM_UNKNOWN_VALUE;
    struct form_value ret = form_object(t->p->m->run->a, fits ? t->attributes_max : 0);
    expect(t, '(');
    expect(t, '{');
    while (!t->broken && !take(t, '}')) {
        struct cm_str name;
        if (!cm_hcl_take_label(&t->h, &name) || (!take(t, '=') && !take(t, ':')))
            return give_up(t);
        struct form_value m = member(t, fits ? form_get(&v, name) : NULL, depth);
        lacks = lacks || m.kind == FORM_ERROR;
        if (fits)
            form_set(&ret, name, m);
        (void)take(t, ',');
    }
    expect(t, ')');
    if (!form_known(v) || v.kind == FORM_NULL)
        return v;
    return fits && !lacks ? ret : FORM_ERROR_VALUE;
}

static struct form_value tuple(struct typing *t, struct form_value v, unsigned depth)
{
    bool fits = v.kind == FORM_LIST;
    struct form_value ret = form_list(t->p->m->run->a, fits ? v.count : 0);
    size_t n = 0;
    expect(t, '(');
    expect(t, '[');
    while (!t->broken && !take(t, ']')) {
        bool there = fits && n < v.count;
        struct form_value item = convert(t, there ? v.items[n] : FORM_NULL_VALUE, depth + 1);
        if (there)
            form_push(&ret, item);
        n++;
        (void)take(t, ',');
    }
    expect(t, ')');
    if (!form_known(v) || v.kind == FORM_NULL)
        return v;
    return fits && n == v.count ? ret : FORM_ERROR_VALUE;
}

static struct form_value convert(struct typing *t, struct form_value v, unsigned depth)
{
    struct cm_arena *a = t->p->m->run->a;
    struct cm_str type;
    cm_hcl_skip_space(&t->h, false);
    if (t->broken || depth > DEPTH_MAX || !afford(t, 1) || !cm_hcl_take_label(&t->h, &type))
        return give_up(t);
    if (cm_str_eq_c(type, "string"))
        return form_to_string(a, v);
    if (cm_str_eq_c(type, "number"))
        return form_to_number(a, v);
    if (cm_str_eq_c(type, "bool"))
        return form_to_bool(v);
    if (cm_str_eq_c(type, "any"))
        return v;
    if (cm_str_eq_c(type, "object"))
        return object(t, v, depth);
    if (cm_str_eq_c(type, "tuple"))
        return tuple(t, v, depth);
    if (!cm_str_eq_c(type, "list") && !cm_str_eq_c(type, "set") && !cm_str_eq_c(type, "map"))
        return give_up(t);
    /* Without a constraint for the items: templates of old. */
    cm_hcl_skip_space(&t->h, true);
    if (t->h.p == t->h.end || *t->h.p != '(')
        return v;
    return collection(t, type, v, depth);
}

struct form_value form_of_type(const struct place *p, struct cm_str type, struct form_value v)
{
    struct typing t = {.p = p, .h = cm_hcl_open(p->m->run->a, type)};
    for (size_t i = 0; i < type.len; i++)
        t.attributes_max += type.ptr[i] == '=' || type.ptr[i] == ':';
    if (type.len == 0)
        return v;
    v = convert(&t, v, 0);
    return t.broken ? FORM_UNKNOWN_VALUE : v;
}
