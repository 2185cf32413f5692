/* Functions of lists and objects. */
#include <math.h>

#include "form/functions.h"

#define RANGE_MAX 1024

static struct form_value fn_length(const struct args *x)
{
    if (x->v[0].kind == FORM_LIST || x->v[0].kind == FORM_OBJECT)
        return form_number((double)x->v[0].count);
    if (x->v[0].kind != FORM_STRING)
        return FORM_ERROR_VALUE;
    size_t n = 0;
    for (size_t i = 0; i < x->v[0].s.len; i++)
        n += ((unsigned char)x->v[0].s.ptr[i] & 0xc0) != 0x80;
    return form_number((double)n);
}

static bool has(struct cm_arena *a, struct form_value list, struct form_value v)
{
    struct form_value s = form_to_string(a, v);
    for (size_t i = 0; i < list.count; i++) {
        struct form_value t = form_to_string(a, list.items[i]);
        if (form_same(list.items[i], v) ||
            (s.kind == FORM_STRING && t.kind == FORM_STRING && cm_str_eq(s.s, t.s)))
            return true;
    }
    return false;
}

static struct form_value fn_contains(const struct args *x)
{
    return x->v[0].kind == FORM_LIST ? form_bool(has(x->a, x->v[0], x->v[1])) : FORM_ERROR_VALUE;
}

static struct form_value fn_lookup(const struct args *x)
{
    struct form_value key = text_arg(x, 1);
    if (x->v[0].kind != FORM_OBJECT || key.kind != FORM_STRING)
        return FORM_ERROR_VALUE;
    const struct form_value *v = form_get(&x->v[0], key.s);
    return v ? *v : x->n > 2 ? x->v[2] : FORM_ERROR_VALUE;
}

static struct form_value fn_merge(const struct args *x)
{
    size_t room = 0;
    for (size_t i = 0; i < x->n; i++)
        room += x->v[i].count;
    struct form_value ret = form_object(x->a, room);
    for (size_t i = 0; i < x->n; i++) {
        if (x->v[i].kind != FORM_OBJECT && x->v[i].kind != FORM_NULL)
            return FORM_ERROR_VALUE;
        for (size_t k = 0; k < x->v[i].count; k++)
            form_set(&ret, x->v[i].keys[k], x->v[i].items[k]);
    }
    return ret;
}

static size_t flat_count(struct form_value v)
{
    size_t n = 0;
    for (size_t i = 0; v.kind == FORM_LIST && i < v.count; i++)
        n += v.items[i].kind == FORM_LIST ? flat_count(v.items[i]) : 1;
    return n;
}

static void flatten_into(struct form_value *ret, struct form_value v)
{
    for (size_t i = 0; i < v.count; i++) {
        if (v.items[i].kind == FORM_LIST)
            flatten_into(ret, v.items[i]);
        else
            form_push(ret, v.items[i]);
    }
}

static struct form_value fn_flatten(const struct args *x)
{
    struct form_value ret = form_list(x->a, flat_count(x->v[0]));
    if (x->v[0].kind != FORM_LIST)
        return FORM_ERROR_VALUE;
    flatten_into(&ret, x->v[0]);
    return ret;
}

static struct form_value fn_concat(const struct args *x)
{
    size_t room = 0;
    for (size_t i = 0; i < x->n; i++)
        room += x->v[i].count;
    struct form_value ret = form_list(x->a, room);
    for (size_t i = 0; i < x->n; i++) {
        if (x->v[i].kind != FORM_LIST)
            return FORM_ERROR_VALUE;
        for (size_t k = 0; k < x->v[i].count; k++)
            form_push(&ret, x->v[i].items[k]);
    }
    return ret;
}

static struct form_value fn_setunion(const struct args *x)
{
    return form_sorted_set(x->a, fn_concat(x));
}

static struct form_value filter(const struct args *x, bool wanted)
{
    struct form_value ret = form_list(x->a, x->v[0].count);
    for (size_t i = 0; i < x->v[0].count; i++) {
        bool keep = true;
        for (size_t k = 1; k < x->n; k++)
            keep = keep && has(x->a, x->v[k], x->v[0].items[i]) == wanted;
        if (keep)
            form_push(&ret, x->v[0].items[i]);
    }
    return x->v[0].kind == FORM_LIST ? form_sorted_set(x->a, ret) : FORM_ERROR_VALUE;
}

static struct form_value fn_setintersection(const struct args *x)
{
    return filter(x, true);
}

static struct form_value fn_setsubtract(const struct args *x)
{
    return filter(x, false);
}

static struct form_value fn_keys(const struct args *x)
{
    struct form_value ret = form_list(x->a, x->v[0].count);
    if (x->v[0].kind != FORM_OBJECT)
        return FORM_ERROR_VALUE;
    for (size_t i = 0; i < x->v[0].count; i++)
        form_push(&ret, form_string(x->v[0].keys[i]));
    return ret;
}

static struct form_value fn_values(const struct args *x)
{
    struct form_value ret = x->v[0];
    if (ret.kind != FORM_OBJECT)
        return FORM_ERROR_VALUE;
    ret.kind = FORM_LIST;
    ret.keys = NULL;
    return ret;
}

static struct form_value fn_zipmap(const struct args *x)
{
    struct form_value ret = form_object(x->a, x->v[0].count);
    if (x->v[0].kind != FORM_LIST || x->v[1].kind != FORM_LIST || x->v[0].count != x->v[1].count)
        return FORM_ERROR_VALUE;
    for (size_t i = 0; i < x->v[0].count; i++) {
        struct form_value key = form_to_string(x->a, x->v[0].items[i]);
        if (key.kind != FORM_STRING)
            return FORM_ERROR_VALUE;
        form_set(&ret, key.s, x->v[1].items[i]);
    }
    return ret;
}

static struct form_value fn_element(const struct args *x)
{
    struct form_value i = number_arg(x, 1);
    if (x->v[0].kind != FORM_LIST || !x->v[0].count || i.kind != FORM_NUMBER || !(fabs(i.n) < 1e9))
        return FORM_ERROR_VALUE;
    int64_t n = (int64_t)x->v[0].count, at = (int64_t)i.n % n;
    return x->v[0].items[at < 0 ? at + n : at];
}

static struct form_value fn_index(const struct args *x)
{
    for (size_t i = 0; x->v[0].kind == FORM_LIST && i < x->v[0].count; i++)
        if (form_same(x->v[0].items[i], x->v[1]))
            return form_number((double)i);
    return FORM_ERROR_VALUE;
}

static struct form_value fn_one(const struct args *x)
{
    if (x->v[0].kind != FORM_LIST || x->v[0].count > 1)
        return FORM_ERROR_VALUE;
    return x->v[0].count ? x->v[0].items[0] : FORM_NULL_VALUE;
}

static struct form_value fn_compact(const struct args *x)
{
    struct form_value ret = form_list(x->a, x->v[0].count);
    for (size_t i = 0; i < x->v[0].count; i++) {
        struct form_value s = form_to_string(x->a, x->v[0].items[i]);
        if (s.kind == FORM_STRING && s.s.len)
            form_push(&ret, s);
    }
    return x->v[0].kind == FORM_LIST ? ret : FORM_ERROR_VALUE;
}

static struct form_value fn_distinct(const struct args *x)
{
    struct form_value ret = form_list(x->a, x->v[0].count);
    for (size_t i = 0; i < x->v[0].count; i++)
        if (!has(x->a, ret, x->v[0].items[i]))
            form_push(&ret, x->v[0].items[i]);
    return x->v[0].kind == FORM_LIST ? ret : FORM_ERROR_VALUE;
}

static struct form_value fn_reverse(const struct args *x)
{
    struct form_value ret = form_list(x->a, x->v[0].count);
    for (size_t i = x->v[0].count; i > 0; i--)
        form_push(&ret, x->v[0].items[i - 1]);
    return x->v[0].kind == FORM_LIST ? ret : FORM_ERROR_VALUE;
}

static struct form_value fn_sort(const struct args *x)
{
    struct form_value ret = form_list(x->a, x->v[0].count);
    for (size_t i = 0; i < x->v[0].count; i++) {
        struct form_value s = form_to_string(x->a, x->v[0].items[i]);
        size_t at = ret.count;
        if (s.kind != FORM_STRING)
            return FORM_ERROR_VALUE;
        form_push(&ret, s);
        if (ret.kind != FORM_LIST)
            return ret;
        for (; at > 0 && cm_str_cmp(ret.items[at - 1].s, s.s) > 0; at--)
            ret.items[at] = ret.items[at - 1];
        ret.items[at] = s;
    }
    return x->v[0].kind == FORM_LIST ? ret : FORM_ERROR_VALUE;
}

static struct form_value fn_slice(const struct args *x)
{
    struct form_value from = number_arg(x, 1), to = number_arg(x, 2), ret = x->v[0];
    if (ret.kind != FORM_LIST || from.kind != FORM_NUMBER || to.kind != FORM_NUMBER ||
        !(from.n >= 0 && from.n <= to.n && to.n <= (double)ret.count))
        return FORM_ERROR_VALUE;
    ret.items += (size_t)from.n;
    ret.count = (size_t)to.n - (size_t)from.n;
    return ret;
}

static struct form_value fn_range(const struct args *x)
{
    double v[3] = {0, 0, 1};
    for (size_t i = 0; i < x->n; i++) {
        struct form_value n = number_arg(x, i);
        if (n.kind != FORM_NUMBER)
            return FORM_ERROR_VALUE;
        v[x->n == 1 ? 1 : i] = n.n;
    }
    if (x->n < 3 && v[1] < v[0])
        v[2] = -1;
    double count = v[2] == 0 ? -1 : ceil((v[1] - v[0]) / v[2]);
    if (!(count <= RANGE_MAX) || v[2] == 0)
        return FORM_ERROR_VALUE;
    struct form_value ret = form_list(x->a, count > 0 ? (size_t)count : 0);
    for (size_t i = 0; (double)i < count; i++)
        form_push(&ret, form_number(v[0] + (double)i * v[2]));
    return ret;
}

const struct form_function form_list_functions[] = {
    {"compact", fn_compact, 1, 1, 0},
    {"concat", fn_concat, 1, SIZE_MAX, FN_SHAPE},
    {"contains", fn_contains, 2, 2, 0},
    {"distinct", fn_distinct, 1, 1, FN_SQUARE},
    {"element", fn_element, 2, 2, FN_SHAPE},
    {"flatten", fn_flatten, 1, 1, 0},
    {"index", fn_index, 2, 2, 0},
    {"keys", fn_keys, 1, 1, FN_SHAPE},
    {"length", fn_length, 1, 1, FN_SHAPE},
    {"lookup", fn_lookup, 2, 3, FN_SHAPE},
    {"merge", fn_merge, 0, SIZE_MAX, FN_SHAPE},
    {"one", fn_one, 1, 1, FN_SHAPE},
    {"range", fn_range, 1, 3, 0},
    {"reverse", fn_reverse, 1, 1, 0},
    {"setintersection", fn_setintersection, 1, SIZE_MAX, FN_SQUARE},
    {"setsubtract", fn_setsubtract, 2, 2, FN_SQUARE},
    {"setunion", fn_setunion, 1, SIZE_MAX, FN_SQUARE},
    {"slice", fn_slice, 3, 3, FN_SHAPE},
    {"sort", fn_sort, 1, 1, FN_SQUARE},
    {"values", fn_values, 1, 1, FN_SHAPE},
    {"zipmap", fn_zipmap, 2, 2, FN_SHAPE},
    {0},
};
