#include "schema/validate.h"

#include <stdarg.h>

struct scope {
    struct call *call;
    const struct value *root; /* conflicts name arguments from here */
    struct cm_str prefix;     /* dotted key of the block, with a dot behind, or empty */
    struct path path;
};

void check_fail(const struct check *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = cm_arena_vprintf(c->call->arena, fmt, ap);
    va_end(ap);
    call_error(c->call, c->path, "%s", text);
}

/* Whether an argument was given; an empty list of blocks was not. */
static bool is_given(const struct value *v)
{
    return v->kind == VALUE_LIST ? v->list.n > 0 : v->kind != VALUE_NULL;
}

static const struct value *find_by_key(const struct value *root, const char *key)
{
    const struct value *at = root;
    struct cm_str rest = cm_str(key), head;
    while (rest.len) {
        rest = cm_str_split(rest, '.', &head);
        int64_t index;
        if (at->kind == VALUE_LIST && cm_str_to_i64(head, &index) && index >= 0 &&
            (uint64_t)index < at->list.n)
            at = &at->list.items[index];
        else
            at = value_get_str(at, head);
    }
    return at;
}

/* Only the first clash in the row's order is reported. */
static bool check_conflicts(const struct check *c, const struct value *root)
{
    for (const char *const *other = c->field->conflicts; other && *other; other++) {
        const struct value *v = find_by_key(root, *other);
        if (v->kind == VALUE_UNKNOWN || !is_given(v))
            continue;
        struct diag *d = call_error(c->call, c->path, "Conflicting configuration arguments");
        d->detail =
            cm_arena_fmt(c->call->arena, "\"%.*s\": conflicts with %s", CM_STR_ARG(c->key), *other);
        return false;
    }
    return true;
}

static void check_given(const struct scope *s, const struct field *f, const struct check *c,
                        const struct value *v);

static void walk_block(const struct scope *s, const struct block *block, const struct value *config)
{
    for (size_t i = 0; i < block->n; i++) {
        const struct field *f = &block->fields[i];
        const struct value *v = value_get(config, f->name);
        struct check c = {
            .call = s->call,
            .field = f,
            .key = cm_arena_fmt(s->call->arena, "%.*s%s", CM_STR_ARG(s->prefix), f->name),
            .path = path_name(s->path, f->name),
        };
        if (is_given(v))
            check_given(s, f, &c, v);
    }
}

static void walk_nested(const struct scope *s, const struct check *c, const struct value *list)
{
    for (size_t i = 0; i < list->list.n; i++) {
        struct scope inner = {
            .call = s->call,
            .root = s->root,
            .prefix = cm_arena_fmt(s->call->arena, "%.*s.%zu.", CM_STR_ARG(c->key), i),
            .path = c->field->kind == FIELD_LIST ? path_index(c->path, i) : path_seal(c->path),
        };
        walk_block(&inner, c->field->block, &list->list.items[i]);
    }
}

static void check_given(const struct scope *s, const struct field *f, const struct check *c,
                        const struct value *v)
{
    if (f->flags & F_IMPLICIT) {
        call_error(s->call, c->path, "Invalid or unknown key");
        return;
    }
    if (!(f->flags & (F_REQUIRED | F_OPTIONAL))) {
        struct diag *d = call_error(s->call, c->path, "Value for unconfigurable attribute");
        d->detail =
            cm_arena_fmt(s->call->arena,
                         "Can't configure a value for \"%.*s\": its value will be decided "
                         "automatically based on the result of applying this configuration.",
                         CM_STR_ARG(c->key));
        return;
    }
    if (v->kind == VALUE_UNKNOWN || !check_conflicts(c, s->root))
        return;
    if (f->deprecated)
        call_warning(s->call, c->path, "Argument is deprecated")->detail = cm_str(f->deprecated);
    if (field_is_block(f)) {
        walk_nested(s, c, v);
        return;
    }
    if (f->kind == FIELD_INT && v->kind != VALUE_INT) {
        struct cm_str text = value_text(s->call->arena, v);
        check_fail(c, "Attribute must be a whole number, got %.*s", CM_STR_ARG(text));
        return;
    }
    if (f->check)
        f->check(c, v);
}

void validate_block(struct call *c, const struct block *block, const struct value *config)
{
    struct scope s = {.call = c, .root = config, .prefix = CM_STR(""), .path = PATH_ROOT};
    walk_block(&s, block, config);
}

void validate_config(struct call *c, const struct type *t, const struct value *config)
{
    validate_block(c, &t->block, config);
    if (t->validate && !c->failed)
        t->validate(c, config);
}
