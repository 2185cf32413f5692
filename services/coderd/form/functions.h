/* Inside form/: the functions of terraform's language, as rows of three tables. */
#pragma once

#include "form/expr.h"

struct args {
    const struct form_scope *scope;
    struct cm_arena *a;
    const struct form_value *v;
    size_t n;
};

enum {
    FN_RAW = 1,    /* looks at unknown arguments and errors itself */
    FN_SHAPE = 2,  /* does not look at the values inside a list or object */
    FN_SQUARE = 4, /* compares each element with each */
};

struct form_function {
    const char *name;
    struct form_value (*fn)(const struct args *);
    size_t min, max; /* arguments */
    unsigned flags;
};

/* Each ends with a row without a name. */
extern const struct form_function form_list_functions[], form_text_functions[],
    form_value_functions[];

/* Of one text that is made, in bytes. */
#define FORM_TEXT_MAX ((size_t)1 << 20)

static inline struct form_value text_arg(const struct args *x, size_t i)
{
    return form_to_string(x->a, x->v[i]);
}

static inline struct form_value number_arg(const struct args *x, size_t i)
{
    return form_to_number(x->a, x->v[i]);
}
