#include "form/value.h"

#include <math.h>
#include <stdlib.h>

struct form_value form_list(struct cm_arena *a, size_t n)
{
    return (struct form_value){.kind = FORM_LIST, .items = CM_NEW_ARRAY(a, struct form_value, n)};
}

struct form_value form_object(struct cm_arena *a, size_t n)
{
    return (struct form_value){.kind = FORM_OBJECT,
                               .items = CM_NEW_ARRAY(a, struct form_value, n),
                               .keys = CM_NEW_ARRAY(a, struct cm_str, n)};
}

size_t form_weight(struct form_value v)
{
    return 1 + v.weight + v.s.len / 16;
}

static bool carry(struct form_value *whole, enum form_kind kind, size_t weight)
{
    if (whole->kind != kind)
        return false;
    whole->weight += weight;
    if (whole->weight > FORM_WEIGHT_MAX)
        *whole = FORM_UNKNOWN_VALUE;
    return whole->kind == kind;
}

void form_push(struct form_value *list, struct form_value v)
{
    if (carry(list, FORM_LIST, form_weight(v)))
        list->items[list->count++] = v;
}

void form_set(struct form_value *object, struct cm_str key, struct form_value v)
{
    size_t i = 0;
    if (!carry(object, FORM_OBJECT, form_weight(v) + key.len / 16))
        return;
    while (i < object->count && cm_str_cmp(object->keys[i], key) < 0)
        i++;
    if (i < object->count && cm_str_eq(object->keys[i], key)) {
        object->items[i] = v;
        return;
    }
    for (size_t k = object->count++; k > i; k--) {
        object->keys[k] = object->keys[k - 1];
        object->items[k] = object->items[k - 1];
    }
    object->keys[i] = key;
    object->items[i] = v;
}

void form_group(struct cm_arena *a, struct form_value *object, struct cm_str key,
                struct form_value v)
{
    size_t i = 0;
    while (i < object->count && !cm_str_eq(object->keys[i], key))
        i++;
    if (i == object->count) {
        struct form_value list = form_list(a, 1);
        form_push(&list, v);
        form_set(object, key, list);
        return;
    }
    if (!carry(object, FORM_OBJECT, form_weight(v)))
        return;
    struct form_value *list = &object->items[i];
    /* Its room is the next power of two. */
    if ((list->count & (list->count - 1)) == 0) {
        struct form_value *items = CM_NEW_ARRAY(a, struct form_value, list->count * 2);
        memcpy(items, list->items, list->count * sizeof(*items));
        list->items = items;
    }
    form_push(list, v);
}

void form_set_c(struct form_value *object, const char *key, struct form_value v)
{
    form_set(object, cm_str(key), v);
}

const struct form_value *form_get(const struct form_value *object, struct cm_str key)
{
    for (size_t i = 0; object->kind == FORM_OBJECT && i < object->count; i++)
        if (cm_str_eq(object->keys[i], key))
            return &object->items[i];
    return NULL;
}

struct form_value form_index(struct cm_arena *a, struct form_value from, struct form_value key)
{
    if (from.kind == FORM_ERROR || key.kind == FORM_ERROR)
        return FORM_ERROR_VALUE;
    if (from.kind == FORM_UNKNOWN || key.kind == FORM_UNKNOWN)
        return FORM_UNKNOWN_VALUE;
    if (from.kind == FORM_OBJECT) {
        struct form_value k = form_to_string(a, key);
        const struct form_value *v = k.kind == FORM_STRING ? form_get(&from, k.s) : NULL;
        return v ? *v : FORM_ERROR_VALUE;
    }
    struct form_value i = form_to_number(a, key);
    if (from.kind != FORM_LIST || i.kind != FORM_NUMBER || !(i.n >= 0) ||
        !(i.n < (double)from.count))
        return FORM_ERROR_VALUE;
    return from.items[(size_t)i.n];
}

static int compare(const void *a, const void *b)
{
    const struct form_value *x = a, *y = b;
    if (x->kind == FORM_NUMBER && y->kind == FORM_NUMBER)
        return x->n < y->n ? -1 : x->n > y->n;
    return cm_str_cmp(x->s, y->s);
}

struct form_value form_sorted_set(struct cm_arena *a, struct form_value list)
{
    if (list.kind != FORM_LIST)
        return form_known(list) ? FORM_ERROR_VALUE : list;
    struct form_value ret = form_list(a, list.count);
    for (size_t i = 0; i < list.count; i++) {
        bool seen = false;
        for (size_t k = 0; k < ret.count && !seen; k++)
            seen = form_same(ret.items[k], list.items[i]);
        if (!seen)
            form_push(&ret, list.items[i]);
    }
    if (ret.count)
        qsort(ret.items, ret.count, sizeof(*ret.items), compare);
    return ret;
}

struct form_value form_to_string(struct cm_arena *a, struct form_value v)
{
    switch (v.kind) {
    case FORM_UNKNOWN:
    case FORM_ERROR:
    case FORM_NULL:
    case FORM_STRING:
        return v;
    case FORM_BOOL:
        return form_string(v.b ? CM_STR("true") : CM_STR("false"));
    case FORM_NUMBER:
        if (v.n == floor(v.n) && fabs(v.n) < 1e18)
            return form_string(cm_arena_fmt(a, "%lld", (long long)v.n));
        for (int digits = 6; digits < 17; digits++) {
            struct cm_str s = cm_arena_fmt(a, "%.*g", digits, v.n);
            if (strtod(s.ptr, NULL) == v.n)
                return form_string(s);
        }
        return form_string(cm_arena_fmt(a, "%.17g", v.n));
    case FORM_LIST:
    case FORM_OBJECT:
        break;
    }
    return FORM_ERROR_VALUE;
}

struct form_value form_to_number(struct cm_arena *a, struct form_value v)
{
    if (v.kind == FORM_NUMBER || v.kind <= FORM_NULL)
        return v;
    if (v.kind != FORM_STRING || !v.s.len || v.s.ptr[0] == ' ')
        return FORM_ERROR_VALUE;
    char *s = cm_arena_cstr(a, v.s), *end = NULL;
    double n = strtod(s, &end);
    return *end || !isfinite(n) ? FORM_ERROR_VALUE : form_number(n);
}

struct form_value form_to_bool(struct form_value v)
{
    if (v.kind == FORM_BOOL || v.kind <= FORM_NULL)
        return v;
    if (v.kind == FORM_STRING && cm_str_eq_c(v.s, "true"))
        return form_bool(true);
    if (v.kind == FORM_STRING && cm_str_eq_c(v.s, "false"))
        return form_bool(false);
    return FORM_ERROR_VALUE;
}

bool form_same(struct form_value a, struct form_value b)
{
    if (a.kind != b.kind || a.count != b.count)
        return false;
    for (size_t i = 0; i < a.count; i++)
        if ((a.keys && !cm_str_eq(a.keys[i], b.keys[i])) || !form_same(a.items[i], b.items[i]))
            return false;
    return a.b == b.b && a.n == b.n && cm_str_eq(a.s, b.s);
}

bool form_whole(struct form_value v)
{
    for (size_t i = 0; i < v.count; i++)
        if (!form_whole(v.items[i]))
            return false;
    return form_known(v);
}

struct form_value form_from_json(struct cm_arena *a, const struct cm_json *j)
{
    struct form_value v = FORM_NULL_VALUE;
    size_t n = cm_json_count(j);
    switch (cm_json_type(j)) {
    case CM_JSON_ABSENT:
    case CM_JSON_NULL:
        break;
    case CM_JSON_BOOL:
        return form_bool(cm_json_bool(j));
    case CM_JSON_NUMBER:
        v.kind = FORM_NUMBER;
        cm_ignore(cm_json_to_f64(j, &v.n), "it is a number");
        break;
    case CM_JSON_STRING:
        return form_string(cm_json_str(j));
    case CM_JSON_ARRAY:
        v = form_list(a, n);
        for (size_t i = 0; i < n; i++)
            form_push(&v, form_from_json(a, cm_json_at(j, i)));
        break;
    case CM_JSON_OBJECT:
        v = form_object(a, n);
        for (size_t i = 0; i < n; i++)
            form_set(&v, cm_json_key(cm_json_at(j, i)), form_from_json(a, cm_json_at(j, i)));
        break;
    }
    return v;
}

/* As terraform's jsonencode, which writes <, > and & as \u003c and so on. */
static void string_to_json(struct cm_buf *out, struct cm_str s)
{
    cm_buf_char(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '"' || c == '\\')
            cm_buf_printf(out, "\\%c", c);
        else if (c == '\n')
            cm_buf_cstr(out, "\\n");
        else if (c == '\r')
            cm_buf_cstr(out, "\\r");
        else if (c == '\t')
            cm_buf_cstr(out, "\\t");
        else if (c < 0x20 || c == '<' || c == '>' || c == '&')
            cm_buf_printf(out, "\\u%04x", c);
        else
            cm_buf_char(out, (char)c);
    }
    cm_buf_char(out, '"');
}

void form_to_json(struct cm_buf *out, struct form_value v)
{
    switch (v.kind) {
    case FORM_UNKNOWN:
    case FORM_ERROR:
    case FORM_NULL:
        cm_buf_cstr(out, "null");
        return;
    case FORM_STRING:
        string_to_json(out, v.s);
        return;
    case FORM_BOOL:
        cm_buf_cstr(out, v.b ? "true" : "false");
        return;
    case FORM_NUMBER:
        if (v.n == floor(v.n) && fabs(v.n) < 1e18)
            cm_buf_printf(out, "%lld", (long long)v.n);
        else
            cm_buf_printf(out, "%.15g", v.n);
        return;
    case FORM_LIST:
    case FORM_OBJECT:
        break;
    }
    cm_buf_char(out, v.kind == FORM_LIST ? '[' : '{');
    for (size_t i = 0; i < v.count; i++) {
        if (i)
            cm_buf_char(out, ',');
        if (v.kind == FORM_OBJECT) {
            string_to_json(out, v.keys[i]);
            cm_buf_char(out, ':');
        }
        form_to_json(out, v.items[i]);
    }
    cm_buf_char(out, v.kind == FORM_LIST ? ']' : '}');
}
