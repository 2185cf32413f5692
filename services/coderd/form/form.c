#include "form/form.h"

#include <stdlib.h>

#include "codec/hcl.h"
#include "form/expr.h"

#define PARAMETERS_MAX 1000
#define INSTANCES_MAX  256
#define MODULE_DEPTH   8
#define ATTRIBUTES_MAX 4096

struct attribute {
    struct cm_str name, expr;
    struct attribute *next;
};

struct block {
    struct cm_str type, labels[2];
    struct attribute *attributes;
    struct block *blocks, *next;
    /* Once for all places that refer to it. */
    struct form_value value;
    enum { NEW, RUNNING, DONE } state;
};

struct module {
    struct run *run;
    struct module *parent;
    const struct block *call; /* in the parent; NULL for the root */
    struct form_value each_key, each_value, count_index;
    struct cm_str dir;
    struct block *blocks;
    struct module *known; /* instances already made, of all modules called from here */
    struct module *next;
    struct cm_str key; /* of the instance */
    unsigned depth;
};

struct run {
    struct cm_arena *a;
    const struct form_input *in;
    struct form_result *out;
    size_t steps, n_attributes;
    struct cm_str *named; /* parameters that some block declares, shown or not */
    size_t n_named;
};

/* Of one evaluation: the module, and what count and each are. */
struct place {
    struct module *m;
    struct form_value each_key, each_value, count_index;
    struct cm_str iterator; /* of a dynamic block */
    struct form_value it_key, it_value;
    unsigned depth;
};

/* ---- blocks ---- */

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

static const struct attribute *find(const struct block *b, const char *name)
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
static bool read_module(struct run *r, struct module *m)
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
        const char *text = f->value.ptr ? f->value.ptr : "";
        struct cm_hcl h = {text, text + f->value.len, r->a};
        struct block *body = read_body(r, &h, 0, &broken);
        if (broken)
            return false;
        any = true;
        if (body->blocks)
            append(&m->blocks, body->blocks);
    }
    return any;
}

/* ---- names ---- */

static struct form_value eval_at(const struct place *p, struct cm_str expr);

static struct form_value eval_name(const struct place *p, const struct block *b, const char *name)
{
    const struct attribute *t = find(b, name);
    return t ? eval_at(p, t->expr) : FORM_NULL_VALUE;
}

static struct form_value of_type(struct cm_arena *a, struct cm_str type, struct form_value v)
{
    if (cm_str_eq_c(type, "string"))
        return form_to_string(a, v);
    if (cm_str_eq_c(type, "number"))
        return form_to_number(a, v);
    if (cm_str_eq_c(type, "bool"))
        return form_to_bool(v);
    if (cm_str_starts(type, CM_STR("set(")))
        return form_sorted_set(a, v);
    return v;
}

static struct place outside(const struct module *m)
{
    return (struct place){.m = m->parent,
                          .each_key = m->each_key,
                          .each_value = m->each_value,
                          .count_index = m->count_index,
                          .depth = m->depth};
}

static struct form_value variable(struct module *m, struct block *b)
{
    struct cm_arena *a = m->run->a;
    const struct form_input *in = m->run->in;
    const struct attribute *t = find(b, "type");
    struct cm_str type = t ? cm_str_trim(t->expr) : CM_STR("");
    struct place here = {.m = m, .depth = m->depth + 1};
    if (m->call) {
        const struct attribute *given = find(m->call, cm_arena_cstr(a, b->labels[0]));
        struct place p = outside(m);
        p.depth++;
        if (given)
            return of_type(a, type, eval_at(&p, given->expr));
    }
    for (size_t i = 0; !m->call && i < in->n_variables; i++) {
        const struct cm_json *j = NULL;
        struct cm_err err;
        if (!cm_str_eq(in->variables[i].key, b->labels[0]))
            continue;
        struct cm_str text = in->variables[i].value;
        if (!type.len || cm_str_eq_c(type, "string") || cm_str_eq_c(type, "number") ||
            cm_str_eq_c(type, "bool"))
            return of_type(a, type, form_string(text));
        /* Written as an expression or as JSON, which is one too. */
        if (cm_json_parse_whole(a, text, NULL, &j, &err) == CM_OK)
            return of_type(a, type, form_from_json(a, j));
        return FORM_UNKNOWN_VALUE;
    }
    t = find(b, "default");
    return t ? of_type(a, type, eval_at(&here, t->expr)) : FORM_UNKNOWN_VALUE;
}

static struct form_value parameter_value(struct module *m, struct block *b);
static struct form_value module_value(struct module *m, struct block *b);

static struct form_value once(struct module *m, struct block *b,
                              struct form_value (*f)(struct module *, struct block *))
{
    if (b->state == RUNNING)
        return FORM_ERROR_VALUE;
    if (b->state == NEW) {
        b->state = RUNNING;
        b->value = f(m, b);
        b->state = DONE;
    }
    return b->value;
}

static struct block *find_block(const struct module *m, const char *type, struct cm_str first,
                                struct cm_str second)
{
    for (struct block *b = m->blocks; b; b = b->next)
        if (cm_str_eq_c(b->type, type) && cm_str_eq(b->labels[0], first) &&
            cm_str_eq(b->labels[1], second))
            return b;
    return NULL;
}

static struct form_value local(struct place *p, struct cm_str name)
{
    for (struct block *b = p->m->blocks; b; b = b->next) {
        if (!cm_str_eq_c(b->type, "locals"))
            continue;
        const struct attribute *t = find(b, cm_arena_cstr(p->m->run->a, name));
        struct place here = {.m = p->m, .depth = p->depth + 1};
        if (t)
            return eval_at(&here, t->expr);
    }
    return FORM_ERROR_VALUE;
}

static struct form_value owner(const struct run *r)
{
    const struct form_owner *o = r->in->owner;
    struct form_value v = form_object(r->a, 16), groups = form_list(r->a, o ? o->n_groups : 0);
    if (!o)
        return FORM_UNKNOWN_VALUE;
    for (size_t i = 0; i < o->n_groups; i++)
        form_push(&groups, form_string(o->groups[i]));
    form_set_c(&v, "id", form_string(o->id));
    form_set_c(&v, "name", form_string(o->name));
    form_set_c(&v, "full_name", form_string(o->full_name));
    form_set_c(&v, "email", form_string(o->email));
    form_set_c(&v, "login_type", form_string(o->login_type));
    form_set_c(&v, "groups", groups);
    static const char *const unknown[] = {"ssh_public_key", "ssh_private_key", "session_token",
                                          "oidc_access_token", "rbac_roles"};
    for (size_t i = 0; i < CM_COUNT_OF(unknown); i++)
        form_set_c(&v, unknown[i], FORM_UNKNOWN_VALUE);
    return v;
}

/* The forms that are filled in are those of workspaces to be started. */
static struct form_value workspace(const struct run *r)
{
    struct form_value v = form_object(r->a, 16);
    static const char *const unknown[] = {
        "id",          "name",          "access_url",       "access_port",       "is_prebuild",
        "template_id", "template_name", "template_version", "is_prebuild_claim", "prebuild_count"};
    for (size_t i = 0; i < CM_COUNT_OF(unknown); i++)
        form_set_c(&v, unknown[i], FORM_UNKNOWN_VALUE);
    form_set_c(&v, "start_count", form_number(1));
    form_set_c(&v, "transition", form_string(CM_STR("start")));
    return v;
}

static struct form_value data(struct place *p, struct cm_str type, struct cm_str name)
{
    struct block *b = find_block(p->m, "data", type, name);
    if (!b)
        return FORM_ERROR_VALUE;
    if (cm_str_eq_c(type, "coder_parameter"))
        return once(p->m, b, parameter_value);
    if (find(b, "count") || find(b, "for_each"))
        return FORM_UNKNOWN_VALUE;
    if (cm_str_eq_c(type, "coder_workspace_owner"))
        return owner(p->m->run);
    if (cm_str_eq_c(type, "coder_workspace"))
        return workspace(p->m->run);
    return FORM_UNKNOWN_VALUE;
}

static bool two(struct form_value v, struct form_value *ret, size_t *ret_used)
{
    *ret = v;
    *ret_used = 2;
    return true;
}

static bool resolve(void *ctx, const struct cm_str *path, size_t n, struct form_value *ret,
                    size_t *ret_used)
{
    struct place *p = ctx;
    struct cm_str root = path[0], second = n > 1 ? path[1] : CM_STR("");
    struct block *b;
    if (p->iterator.len && cm_str_eq(root, p->iterator) && n > 1)
        return two(cm_str_eq_c(second, "key") ? p->it_key : p->it_value, ret, ret_used);
    if (n < 2)
        return false;
    if (cm_str_eq_c(root, "var")) {
        b = find_block(p->m, "variable", second, CM_STR(""));
        return b && two(once(p->m, b, variable), ret, ret_used);
    }
    if (cm_str_eq_c(root, "local"))
        return two(local(p, second), ret, ret_used);
    if (cm_str_eq_c(root, "module")) {
        b = find_block(p->m, "module", second, CM_STR(""));
        return b && two(once(p->m, b, module_value), ret, ret_used);
    }
    if (cm_str_eq_c(root, "each"))
        return two(cm_str_eq_c(second, "key") ? p->each_key : p->each_value, ret, ret_used);
    if (cm_str_eq_c(root, "count"))
        return two(p->count_index, ret, ret_used);
    if (cm_str_eq_c(root, "path"))
        return two(
            form_string(p->m->dir.len && cm_str_eq_c(second, "module") ? p->m->dir : CM_STR(".")),
            ret, ret_used);
    if (cm_str_eq_c(root, "terraform"))
        return two(form_string(CM_STR("default")), ret, ret_used);
    if (cm_str_eq_c(root, "data") && n > 2) {
        *ret = data(p, second, path[2]);
        *ret_used = 3;
        return true;
    }
    return two(FORM_UNKNOWN_VALUE, ret, ret_used); /* a resource */
}

static bool read_file(void *ctx, struct cm_str name, struct cm_str *ret)
{
    const struct place *p = ctx;
    while (cm_str_starts(name, CM_STR("./")))
        name = cm_str_sub(name, 2, name.len);
    for (size_t i = 0; i < p->m->run->in->n_files; i++) {
        if (cm_str_eq(p->m->run->in->files[i].key, name)) {
            *ret = p->m->run->in->files[i].value;
            return true;
        }
    }
    return false;
}

static struct form_value eval_at(const struct place *p, struct cm_str expr)
{
    struct place here = *p;
    const struct form_scope scope = {.arena = p->m->run->a,
                                     .resolve = resolve,
                                     .read_file = read_file,
                                     .ctx = &here,
                                     .steps = &p->m->run->steps,
                                     .depth = p->depth};
    here.depth = p->depth + 1;
    if (here.depth > FORM_DEPTH_MAX)
        return FORM_UNKNOWN_VALUE;
    return form_eval(&scope, expr);
}

/* ---- count and for_each ---- */

struct instances {
    struct place *v;
    size_t n;
    bool repeated, by_key;
    struct form_value why; /* UNKNOWN or ERROR: which there are is not known */
};

static void instances_of(struct module *m, const struct block *b, struct instances *ret)
{
    struct place here = {.m = m, .depth = m->depth + 1};
    const struct attribute *count = find(b, "count"), *each = find(b, "for_each");
    *ret = (struct instances){.why = FORM_NULL_VALUE};
    if (!count && !each) {
        ret->v = CM_NEW(m->run->a, struct place);
        *ret->v = here;
        ret->n = 1;
        return;
    }
    struct form_value v = eval_at(&here, count ? count->expr : each->expr);
    ret->repeated = true;
    ret->by_key = !count;
    if (count)
        v = form_to_number(m->run->a, v);
    bool fits = count ? v.kind == FORM_NUMBER && v.n >= 0 && v.n <= INSTANCES_MAX
                      : (v.kind == FORM_OBJECT || v.kind == FORM_LIST) && v.count <= INSTANCES_MAX;
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

/* The values of instances as others refer to them: one, a list, or an object. */
static struct form_value gather(struct module *m, const struct block *b,
                                struct form_value (*f)(struct place *, const struct block *))
{
    struct instances all;
    instances_of(m, b, &all);
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

/* ---- modules ---- */

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

/* NULL for a module whose files are not here. */
static struct module *enter(const struct place *p, const struct block *b)
{
    struct module *m = p->m;
    struct run *r = m->run;
    struct form_value source = eval_name(p, b, "source"),
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
        !join(r, m->dir, source.s, &child->dir) || !read_module(r, child)) {
        child->blocks = NULL;
        return NULL;
    }
    return child;
}

static struct form_value outputs(struct place *p, const struct block *b)
{
    struct module *m = enter(p, b);
    size_t n = 0;
    if (!m)
        return FORM_UNKNOWN_VALUE;
    for (const struct block *o = m->blocks; o; o = o->next)
        n += cm_str_eq_c(o->type, "output");
    struct form_value ret = form_object(m->run->a, n);
    struct place here = {.m = m, .depth = m->depth + 1};
    for (const struct block *o = m->blocks; o; o = o->next)
        if (cm_str_eq_c(o->type, "output"))
            form_set(&ret, o->labels[0], eval_name(&here, o, "value"));
    return ret;
}

static struct form_value module_value(struct module *m, struct block *b)
{
    return gather(m, b, outputs);
}

/* ---- parameters ---- */

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
    struct form_value name = form_to_string(r->a, eval_name(p, b, "name")),
                      dflt = form_to_string(r->a, eval_name(p, b, "default")),
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

static struct form_value parameter_value(struct module *m, struct block *b)
{
    return gather(m, b, read_value);
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
    struct form_value v = form_to_string(d->p->m->run->a, eval_name(d->p, b, name));
    doubt(d, name, v);
    return v.kind == FORM_STRING ? v.s : CM_STR("");
}

static bool flag(struct draft *d, const struct block *b, const char *name)
{
    struct form_value v = form_to_bool(eval_name(d->p, b, name));
    doubt(d, name, v);
    return v.kind == FORM_BOOL && v.b;
}

static bool whole_number(struct draft *d, const struct block *b, const char *name, int64_t *ret)
{
    struct form_value v = form_to_number(d->p->m->run->a, eval_name(d->p, b, name));
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
    if (p->n_options == INSTANCES_MAX)
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
    struct form_value all = eval_name(d->p, b, "for_each");
    const struct attribute *iterator = find(b, "iterator");
    const struct block *content = b->blocks;
    struct place *outer = d->p;
    doubt(d, "option", all);
    if (!content || !cm_str_eq_c(content->type, "content") || all.count > INSTANCES_MAX)
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

static struct form_parameter *add(struct run *r, const struct api_template_version_parameter *p)
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

static void show(struct place *p, const struct block *b)
{
    struct run *r = p->m->run;
    struct form_value name = form_to_string(r->a, eval_name(p, b, "name")), dflt;
    struct draft d = {p, NULL};
    if (name.kind != FORM_STRING) {
        r->out->opaque = true;
        return;
    }
    d.f = add(r, &(struct api_template_version_parameter){.name = name.s});
    if (!d.f)
        return;
    struct api_template_version_parameter *v = &d.f->p;
    dflt = form_to_string(r->a, eval_name(p, b, "default"));
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
    v->options = CM_NEW_ARRAY(r->a, struct api_template_version_parameter_option, INSTANCES_MAX);
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

static void remember(struct run *r, struct cm_str name)
{
    if (r->n_named < PARAMETERS_MAX)
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
        instances_of(m, b, &all);
        if (!parameter) {
            r->out->opaque |= all.why.kind != FORM_NULL;
            for (size_t i = 0; i < all.n; i++) {
                struct module *child = enter(&all.v[i], b);
                if (child)
                    walk(child);
                else
                    r->out->opaque = true;
            }
            continue;
        }
        struct place nowhere = {.m = m, .depth = m->depth + 1};
        struct form_value name = form_to_string(r->a, eval_name(&nowhere, b, "name"));
        if (all.why.kind != FORM_NULL)
            r->out->opaque = true;
        else if (name.kind == FORM_STRING)
            remember(r, name.s);
        for (size_t i = 0; i < all.n; i++)
            show(&all.v[i], b);
    }
}

static void read_tags(struct module *m)
{
    struct run *r = m->run;
    struct place here = {.m = m, .depth = m->depth + 1};
    for (const struct block *b = m->blocks; b; b = b->next) {
        if (!cm_str_eq_c(b->type, "data") || !cm_str_eq_c(b->labels[0], "coder_workspace_tags"))
            continue;
        struct form_value all = eval_name(&here, b, "tags");
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
    r.named = CM_NEW_ARRAY(a, struct cm_str, PARAMETERS_MAX);
    *ret = (struct form_result){.cap = PARAMETERS_MAX,
                                .v = CM_NEW_ARRAY(a, struct form_parameter, PARAMETERS_MAX)};
    if (read_module(&r, &root)) {
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
        struct form_parameter *f = named ? NULL : add(&r, &in->imported[i]);
        if (f) /* in the order of the import */
            f->order = (int64_t)i;
    }
    if (ret->n)
        qsort(ret->v, ret->n, sizeof(*ret->v), by_order);
}
