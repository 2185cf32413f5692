/* Evaluates one expression of terraform's language, from its text.
 *
 * There is no tree in between: what is not chosen is evaluated too, which costs little and changes
 * nothing, since errors are values. Bodies of `for` and of splats are read once for each element.
 * Bounded in steps and depth; past them, and for what this does not understand, the result is
 * UNKNOWN. */
#pragma once

#include "form/value.h"

struct form_scope {
    struct cm_arena *arena;
    /* What a name stands for: path holds the first names of a reference, as in var.region.
     * *ret_used says how many of them were taken. False: there is no such thing. */
    bool (*resolve)(void *ctx, const struct cm_str *path, size_t n, struct form_value *ret,
                    size_t *ret_used);
    /* A file of the module that is being evaluated, for file(). */
    bool (*read_file)(void *ctx, struct cm_str name, struct cm_str *ret);
    void *ctx;
    size_t *steps; /* left; shared by all expressions of one form */
    unsigned depth;
};

#define FORM_STEPS_MAX ((size_t)200000)
#define FORM_DEPTH_MAX 60

struct form_value form_eval(const struct form_scope *scope, struct cm_str text);

/* Takes n steps. */
static inline void form_charge(const struct form_scope *scope, size_t n)
{
    *scope->steps -= CM_MIN(n, *scope->steps);
}

/* UNKNOWN for a function that is not known here; args are evaluated, the last one spread. */
struct form_value form_call(const struct form_scope *scope, struct cm_str name,
                            const struct form_value *args, size_t n);
