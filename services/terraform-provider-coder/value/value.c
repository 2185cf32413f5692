#include "value/value.h"

#include <stdio.h>

struct value value_list_new(struct cm_arena *a, size_t n)
{
    struct value v = {.kind = VALUE_LIST};
    v.list.n = n;
    v.list.items = n ? CM_NEW_ARRAY(a, struct value, n) : NULL;
    return v;
}

struct value value_map_new(struct cm_arena *a, size_t n)
{
    struct value v = {.kind = VALUE_MAP};
    v.map.n = n;
    v.map.entries = n ? CM_NEW_ARRAY(a, struct value_entry, n) : NULL;
    return v;
}

const struct value *value_get_str(const struct value *v, struct cm_str key)
{
    static const struct value none;
    if (v->kind == VALUE_MAP) {
        for (size_t i = 0; i < v->map.n; i++)
            if (cm_str_eq(v->map.entries[i].key, key))
                return &v->map.entries[i].value;
    }
    return &none;
}

const struct value *value_get(const struct value *v, const char *key)
{
    return value_get_str(v, cm_str(key));
}

void value_set(struct value *v, const char *key, struct value member)
{
    cm_assert(v->kind == VALUE_MAP);
    for (size_t i = 0; i < v->map.n; i++) {
        if (cm_str_eq_c(v->map.entries[i].key, key)) {
            v->map.entries[i].value = member;
            return;
        }
    }
    cm_assert(!"the object has a member of that name");
}

struct cm_str value_str(const struct value *v, const char *key)
{
    const struct value *m = value_get(v, key);
    return m->kind == VALUE_STRING ? m->str : CM_STR("");
}

bool value_bool(const struct value *v, const char *key)
{
    const struct value *m = value_get(v, key);
    return m->kind == VALUE_BOOL && m->boolean;
}

int64_t value_int(const struct value *v, const char *key)
{
    const struct value *m = value_get(v, key);
    return m->kind == VALUE_INT ? m->integer : 0;
}

size_t value_count(const struct value *v)
{
    if (v->kind == VALUE_LIST)
        return v->list.n;
    return v->kind == VALUE_MAP ? v->map.n : 0;
}

bool value_wholly_known(const struct value *v)
{
    if (v->kind == VALUE_UNKNOWN)
        return false;
    if (v->kind == VALUE_LIST) {
        for (size_t i = 0; i < v->list.n; i++)
            if (!value_wholly_known(&v->list.items[i]))
                return false;
    }
    if (v->kind == VALUE_MAP) {
        for (size_t i = 0; i < v->map.n; i++)
            if (!value_wholly_known(&v->map.entries[i].value))
                return false;
    }
    return true;
}

static bool lists_equal(const struct value *a, const struct value *b)
{
    if (a->list.n != b->list.n)
        return false;
    for (size_t i = 0; i < a->list.n; i++)
        if (!value_equal(&a->list.items[i], &b->list.items[i]))
            return false;
    return true;
}

static bool maps_equal(const struct value *a, const struct value *b)
{
    if (a->map.n != b->map.n)
        return false;
    for (size_t i = 0; i < a->map.n; i++) {
        const struct value *other = value_get_str(b, a->map.entries[i].key);
        if (!value_equal(&a->map.entries[i].value, other))
            return false;
        /* Two nulls are equal above even when b lacks the key; the counts then cannot all match,
         * unless a key of b is missing in a: look it up the other way round. */
        if (value_get_str(a, b->map.entries[i].key)->kind != b->map.entries[i].value.kind)
            return false;
    }
    return true;
}

bool value_equal(const struct value *a, const struct value *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case VALUE_NULL:
        return true;
    case VALUE_UNKNOWN:
        return false;
    case VALUE_BOOL:
        return a->boolean == b->boolean;
    case VALUE_INT:
        return a->integer == b->integer;
    case VALUE_FLOAT:
        return a->real == b->real;
    case VALUE_DECIMAL:
    case VALUE_STRING:
        return cm_str_eq(a->str, b->str);
    case VALUE_LIST:
        return lists_equal(a, b);
    case VALUE_MAP:
        return maps_equal(a, b);
    }
    return false;
}

struct cm_str value_text(struct cm_arena *a, const struct value *v)
{
    switch (v->kind) {
    case VALUE_BOOL:
        return v->boolean ? CM_STR("true") : CM_STR("false");
    case VALUE_INT:
        return cm_arena_fmt(a, "%lld", (long long)v->integer);
    case VALUE_FLOAT:
        return cm_arena_fmt(a, "%.17g", v->real);
    case VALUE_DECIMAL:
    case VALUE_STRING:
        return v->str;
    case VALUE_NULL:
    case VALUE_UNKNOWN:
    case VALUE_LIST:
    case VALUE_MAP:
        return CM_STR("");
    }
    return CM_STR("");
}
