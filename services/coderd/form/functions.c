#include "form/functions.h"

static const struct form_function *find_function(struct cm_str name)
{
    const struct form_function *const tables[] = {form_list_functions, form_text_functions,
                                                  form_value_functions};
    for (size_t i = 0; i < CM_COUNT_OF(tables); i++) {
        for (const struct form_function *f = tables[i]; f->name; f++) {
            if (cm_str_eq_c(name, f->name))
                return f;
        }
    }
    return NULL;
}

/* Arguments that a function may see: ERROR where one is, UNKNOWN where it would have to know more.
 */
static struct form_value check_args(const struct form_function *f, const struct form_value *v,
                                    size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (v[i].kind == FORM_ERROR)
            return FORM_ERROR_VALUE;
    }
    for (size_t i = 0; i < n; i++) {
        if (f->flags & FN_SHAPE ? !form_known(v[i]) : !form_whole(v[i]))
            return FORM_UNKNOWN_VALUE;
    }
    return FORM_NULL_VALUE;
}

struct form_value form_call(const struct form_scope *scope, struct cm_str name,
                            const struct form_value *v, size_t n)
{
    const struct args x = {scope, scope->arena, v, n};
    const struct form_function *f = find_function(name);
    size_t elements = 0;
    if (!f)
        return FORM_UNKNOWN_VALUE;
    if (n < f->min || n > f->max)
        return FORM_ERROR_VALUE;
    for (size_t i = 0; i < n; i++)
        elements += v[i].count;
    if (f->flags & FN_SQUARE)
        form_charge(scope, elements * elements / 16);
    if (*scope->steps == 0)
        return FORM_UNKNOWN_VALUE;
    struct form_value bad = f->flags & FN_RAW ? FORM_NULL_VALUE : check_args(f, v, n);
    return bad.kind == FORM_NULL ? f->fn(&x) : bad;
}
