#include "schema/plan.h"

#include "schema/conform.h"

static struct value copy_object(struct cm_arena *a, const struct value *v)
{
    struct value out = value_map_new(a, v->map.n);
    for (size_t i = 0; i < v->map.n; i++)
        out.map.entries[i] = v->map.entries[i];
    return out;
}

static struct value want_object(struct cm_arena *a, const struct block *block,
                                const struct value *config, const struct value *prior);

static struct value want_blocks(struct cm_arena *a, const struct field *f,
                                const struct value *config, const struct value *prior)
{
    if (config->kind == VALUE_UNKNOWN)
        return *config;
    if (value_count(config) == 0 && (f->flags & F_COMPUTED))
        return prior ? *prior : VALUE_NOT_KNOWN;
    struct value out = value_list_new(a, value_count(config));
    for (size_t i = 0; i < out.list.n; i++) {
        bool same_place = prior && f->kind == FIELD_LIST && i < value_count(prior);
        out.list.items[i] = want_object(a, f->block, &config->list.items[i],
                                        same_place ? &prior->list.items[i] : NULL);
    }
    return out;
}

/* What an argument should become: as configured, else its default, else what it was or will be. */
static struct value want_member(struct cm_arena *a, const struct field *f,
                                const struct value *config, const struct value *prior)
{
    if (field_is_block(f))
        return want_blocks(a, f, config, prior);
    if (config->kind != VALUE_NULL)
        return conform_drop_nulls(a, config);
    if (f->dflt.kind != VALUE_NULL)
        return f->dflt;
    if (f->flags & F_COMPUTED)
        return prior ? *prior : VALUE_NOT_KNOWN;
    return VALUE_NONE;
}

static struct value want_object(struct cm_arena *a, const struct block *block,
                                const struct value *config, const struct value *prior)
{
    struct value out = value_map_new(a, block->n);
    for (size_t i = 0; i < block->n; i++) {
        const struct field *f = &block->fields[i];
        const struct value *was = prior ? value_get(prior, f->name) : NULL;
        out.map.entries[i].key = cm_str(f->name);
        out.map.entries[i].value = want_member(a, f, value_get(config, f->name), was);
    }
    return out;
}

static bool is_zero(const struct value *v)
{
    switch (v->kind) {
    case VALUE_NULL:
        return true;
    case VALUE_BOOL:
        return !v->boolean;
    case VALUE_INT:
        return v->integer == 0;
    case VALUE_FLOAT:
        return v->real == 0;
    case VALUE_STRING:
        return v->str.len == 0;
    case VALUE_LIST:
    case VALUE_MAP:
        return value_count(v) == 0;
    case VALUE_DECIMAL:
    case VALUE_UNKNOWN:
        return false;
    }
    return false;
}

static bool objects_same(const struct block *block, const struct value *want,
                         const struct value *prior);

/* Each wanted block meets one block of the prior set that nobody else met. */
static bool sets_same(const struct block *block, const struct value *want,
                      const struct value *prior)
{
    size_t n = value_count(want);
    CM_AUTOFREE bool *taken = cm_xcalloc(n + 1, sizeof(*taken));
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < n &&
               (taken[k] || !objects_same(block, &want->list.items[i], &prior->list.items[k])))
            k++;
        if (k == n)
            return false;
        taken[k] = true;
    }
    return true;
}

static bool blocks_same(const struct field *f, const struct value *want, const struct value *prior)
{
    if (value_count(want) != value_count(prior))
        return false;
    if (f->kind == FIELD_SET)
        return sets_same(f->block, want, prior);
    for (size_t i = 0; i < value_count(want); i++)
        if (!objects_same(f->block, &want->list.items[i], &prior->list.items[i]))
            return false;
    return true;
}

static bool members_same(const struct field *f, const struct value *want, const struct value *prior)
{
    if (want->kind == VALUE_UNKNOWN || prior->kind == VALUE_UNKNOWN)
        return false;
    if (is_zero(want) && is_zero(prior))
        return true;
    return field_is_block(f) ? blocks_same(f, want, prior) : value_equal(want, prior);
}

static bool objects_same(const struct block *block, const struct value *want,
                         const struct value *prior)
{
    for (size_t i = 0; i < block->n; i++) {
        const char *name = block->fields[i].name;
        if (!members_same(&block->fields[i], value_get(want, name), value_get(prior, name)))
            return false;
    }
    return true;
}

static void add_path(struct plan *p, struct path at)
{
    if (p->n_replace < PLAN_PATHS_MAX)
        p->replace[p->n_replace++] = at;
}

/* Notes what differs, and puts back the prior value of what does not, so that an equal argument is
 * not shown as a change from null to an empty string. */
static void settle(struct plan *p, const struct block *block, struct value *want,
                   const struct value *prior, struct path at)
{
    for (size_t i = 0; i < block->n; i++) {
        const struct field *f = &block->fields[i];
        struct value *w = &want->map.entries[i].value;
        const struct value *was = value_get(prior, f->name);
        struct path here = path_name(at, f->name);
        if (members_same(f, w, was)) {
            *w = *was;
        } else if (f->kind == FIELD_LIST && w->kind == VALUE_LIST &&
                   value_count(w) == value_count(was)) {
            for (size_t k = 0; k < w->list.n; k++)
                settle(p, f->block, &w->list.items[k], &was->list.items[k], path_index(here, k));
        } else {
            add_path(p, here);
        }
    }
}

void plan_change(struct call *c, const struct type *t, const struct value *prior,
                 const struct value *config, struct plan *ret)
{
    *ret = (struct plan){.n_replace = 0};
    bool is_new = prior->kind == VALUE_NULL;
    ret->planned = want_object(c->arena, &t->block, config, is_new ? NULL : prior);
    if (!is_new)
        settle(ret, &t->block, &ret->planned, prior, PATH_ROOT);
    if (t->check_plan && (is_new || ret->n_replace > 0))
        t->check_plan(c, &ret->planned);
}

static void drop_unknowns(struct value *v)
{
    if (v->kind == VALUE_UNKNOWN)
        *v = VALUE_NONE;
    for (size_t i = 0; i < value_count(v); i++)
        drop_unknowns(v->kind == VALUE_MAP ? &v->map.entries[i].value : &v->list.items[i]);
}

/* Lists of blocks are stored with zero values in place of nulls; sets are stored as planned. */
static void fill_lists(const struct block *block, struct value *state)
{
    for (size_t i = 0; i < block->n; i++) {
        const struct field *f = &block->fields[i];
        struct value *v = &state->map.entries[i].value;
        if (field_is_block(f) && v->kind == VALUE_NULL)
            *v = VALUE_EMPTY_LIST;
        for (size_t k = 0; f->kind == FIELD_LIST && k < value_count(v); k++)
            conform_zero_fill(f->block, &v->list.items[k]);
    }
}

struct value plan_apply(struct call *c, const struct type *t, const struct value *prior,
                        const struct value *planned)
{
    if (planned->kind == VALUE_NULL)
        return VALUE_NONE;
    struct value state = copy_object(c->arena, planned);
    if (prior->kind == VALUE_NULL)
        t->create(c, &state);
    drop_unknowns(&state);
    fill_lists(&t->block, &state);
    return state;
}

struct value plan_refresh(struct call *c, const struct type *t, const struct value *state)
{
    if (state->kind == VALUE_NULL)
        return VALUE_NONE;
    struct value out = copy_object(c->arena, state);
    if (t->refresh)
        t->refresh(c, &out);
    fill_lists(&t->block, &out);
    return out;
}

/* Inside a block of a data source: as configured, else the default, else the zero value. */
static void fill_block(struct cm_arena *a, const struct block *block, struct value *object)
{
    for (size_t i = 0; i < block->n; i++) {
        const struct field *f = &block->fields[i];
        struct value *v = &object->map.entries[i].value;
        if (v->kind == VALUE_NULL && f->dflt.kind != VALUE_NULL)
            *v = f->dflt;
        for (size_t k = 0; field_is_block(f) && k < value_count(v); k++)
            fill_block(a, f->block, &v->list.items[k]);
    }
    conform_zero_fill(block, object);
}

static struct value read_member(struct cm_arena *a, const struct field *f,
                                const struct value *config)
{
    if (field_is_block(f)) {
        if (value_count(config) == 0)
            return VALUE_NONE;
        struct value out = value_list_new(a, value_count(config));
        for (size_t i = 0; i < out.list.n; i++) {
            out.list.items[i] = copy_object(a, &config->list.items[i]);
            fill_block(a, f->block, &out.list.items[i]);
        }
        return out;
    }
    if (config->kind == VALUE_NULL)
        return f->dflt;
    if (config->kind == VALUE_STRING && config->str.len == 0)
        return VALUE_NONE;
    return conform_drop_nulls(a, config);
}

struct value plan_read(struct call *c, const struct type *t, const struct value *config)
{
    struct value state = value_map_new(c->arena, t->block.n);
    for (size_t i = 0; i < t->block.n; i++) {
        const struct field *f = &t->block.fields[i];
        state.map.entries[i].key = cm_str(f->name);
        state.map.entries[i].value = read_member(c->arena, f, value_get(config, f->name));
    }
    t->read(c, config, &state);
    return state;
}
