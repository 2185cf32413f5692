#include "form/module.h"

struct form_value form_eval_name(const struct place *p, const struct block *b, const char *name)
{
    const struct attribute *t = form_attribute(b, name);
    return t ? form_eval_at(p, t->expr) : FORM_NULL_VALUE;
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
    const struct attribute *t = form_attribute(b, "type");
    struct cm_str type = t ? cm_str_trim(t->expr) : CM_STR("");
    struct place here = {.m = m, .depth = m->depth + 1};
    if (m->call) {
        const struct attribute *given = form_attribute(m->call, cm_arena_cstr(a, b->labels[0]));
        struct place p = outside(m);
        p.depth++;
        if (given)
            return form_of_type(&here, type, form_eval_at(&p, given->expr));
    }
    for (size_t i = 0; !m->call && i < in->n_variables; i++) {
        const struct cm_json *j = NULL;
        struct cm_err err;
        if (!cm_str_eq(in->variables[i].key, b->labels[0]))
            continue;
        struct cm_str text = in->variables[i].value;
        if (!type.len || cm_str_eq_c(type, "string") || cm_str_eq_c(type, "number") ||
            cm_str_eq_c(type, "bool"))
            return form_of_type(&here, type, form_string(text));
        /* Written as an expression or as JSON, which is one too. */
        if (cm_json_parse_whole(a, text, NULL, &j, &err) == CM_OK)
            return form_of_type(&here, type, form_from_json(a, j));
        return FORM_UNKNOWN_VALUE;
    }
    t = form_attribute(b, "default");
    return t ? form_of_type(&here, type, form_eval_at(&here, t->expr)) : FORM_UNKNOWN_VALUE;
}

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
        const struct attribute *t = form_attribute(b, cm_arena_cstr(p->m->run->a, name));
        struct place here = {.m = p->m, .depth = p->depth + 1};
        if (t)
            return form_eval_at(&here, t->expr);
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
        return once(p->m, b, form_parameter_value);
    if (form_attribute(b, "count") || form_attribute(b, "for_each"))
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
        return b && two(once(p->m, b, form_module_value), ret, ret_used);
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

struct form_value form_eval_at(const struct place *p, struct cm_str expr)
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
