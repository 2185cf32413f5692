/* Conversions, numbers, and functions that look at what is not known. */
#include <math.h>

#include "form/functions.h"

static struct form_value fn_tostring(const struct args *x)
{
    return text_arg(x, 0);
}

static struct form_value fn_tonumber(const struct args *x)
{
    return number_arg(x, 0);
}

static struct form_value fn_tobool(const struct args *x)
{
    return form_to_bool(x->v[0]);
}

static struct form_value fn_tolist(const struct args *x)
{
    return x->v[0].kind == FORM_LIST ? x->v[0] : FORM_ERROR_VALUE;
}

static struct form_value fn_toset(const struct args *x)
{
    return form_sorted_set(x->a, x->v[0]);
}

static struct form_value fn_tomap(const struct args *x)
{
    return x->v[0].kind == FORM_OBJECT ? x->v[0] : FORM_ERROR_VALUE;
}

static struct form_value fn_same(const struct args *x)
{
    return x->v[0];
}

static struct form_value extreme(const struct args *x, double sign)
{
    struct form_value best = FORM_ERROR_VALUE;
    for (size_t i = 0; i < x->n; i++) {
        struct form_value v = number_arg(x, i);
        if (v.kind != FORM_NUMBER)
            return FORM_ERROR_VALUE;
        if (best.kind != FORM_NUMBER || v.n * sign > best.n * sign)
            best = v;
    }
    return best;
}

static struct form_value fn_max(const struct args *x)
{
    return extreme(x, 1);
}

static struct form_value fn_min(const struct args *x)
{
    return extreme(x, -1);
}

static struct form_value fn_sum(const struct args *x)
{
    double sum = 0;
    for (size_t i = 0; i < x->v[0].count; i++) {
        struct form_value v = form_to_number(x->a, x->v[0].items[i]);
        if (v.kind != FORM_NUMBER)
            return FORM_ERROR_VALUE;
        sum += v.n;
    }
    return x->v[0].kind == FORM_LIST && x->v[0].count ? form_number(sum) : FORM_ERROR_VALUE;
}

static struct form_value rounded(const struct args *x, double (*f)(double))
{
    struct form_value v = number_arg(x, 0);
    v.n = f(v.n);
    return v;
}

static struct form_value fn_floor(const struct args *x)
{
    return rounded(x, floor);
}

static struct form_value fn_ceil(const struct args *x)
{
    return rounded(x, ceil);
}

static struct form_value fn_abs(const struct args *x)
{
    return rounded(x, fabs);
}

static struct form_value all_or_any(const struct args *x, bool stops)
{
    for (size_t i = 0; i < x->v[0].count; i++) {
        struct form_value v = form_to_bool(x->v[0].items[i]);
        if (v.kind == FORM_BOOL && v.b == stops)
            return form_bool(stops);
    }
    return x->v[0].kind == FORM_LIST ? form_bool(!stops) : FORM_ERROR_VALUE;
}

static struct form_value fn_alltrue(const struct args *x)
{
    return all_or_any(x, false);
}

static struct form_value fn_anytrue(const struct args *x)
{
    return all_or_any(x, true);
}

/* ---- those that look at what is not known, or not right ---- */

static struct form_value fn_try(const struct args *x)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->v[i].kind != FORM_ERROR)
            return x->v[i];
    return FORM_ERROR_VALUE;
}

static struct form_value fn_can(const struct args *x)
{
    if (x->v[0].kind == FORM_UNKNOWN)
        return x->v[0];
    return form_bool(x->v[0].kind != FORM_ERROR);
}

static struct form_value fn_coalesce(const struct args *x)
{
    for (size_t i = 0; i < x->n; i++) {
        if (!form_known(x->v[i]))
            return x->v[i];
        if (x->v[i].kind != FORM_NULL && !(x->v[i].kind == FORM_STRING && !x->v[i].s.len))
            return x->v[i];
    }
    return FORM_ERROR_VALUE;
}

static struct form_value fn_coalescelist(const struct args *x)
{
    for (size_t i = 0; i < x->n; i++)
        if (!form_known(x->v[i]) || x->v[i].count)
            return x->v[i];
    return FORM_ERROR_VALUE;
}

const struct form_function form_value_functions[] = {
    {"abs", fn_abs, 1, 1, 0},
    {"alltrue", fn_alltrue, 1, 1, 0},
    {"anytrue", fn_anytrue, 1, 1, 0},
    {"can", fn_can, 1, 1, FN_RAW},
    {"ceil", fn_ceil, 1, 1, 0},
    {"coalesce", fn_coalesce, 1, SIZE_MAX, FN_RAW},
    {"coalescelist", fn_coalescelist, 1, SIZE_MAX, FN_RAW},
    {"floor", fn_floor, 1, 1, 0},
    {"max", fn_max, 1, SIZE_MAX, 0},
    {"min", fn_min, 1, SIZE_MAX, 0},
    {"nonsensitive", fn_same, 1, 1, 0},
    {"sensitive", fn_same, 1, 1, 0},
    {"sum", fn_sum, 1, 1, 0},
    {"tobool", fn_tobool, 1, 1, 0},
    {"tolist", fn_tolist, 1, 1, FN_SHAPE},
    {"tomap", fn_tomap, 1, 1, FN_SHAPE},
    {"tonumber", fn_tonumber, 1, 1, 0},
    {"toset", fn_toset, 1, 1, FN_SQUARE},
    {"tostring", fn_tostring, 1, 1, 0},
    {"try", fn_try, 1, SIZE_MAX, FN_RAW},
    {0},
};
