/* Inside form/: a template's files as blocks, and what names in them stand for.
 *
 *   blocks.c      files to blocks
 *   names.c       names to values: variables, locals, data sources
 *   types.c       what variables are declared to be
 *   modules.c     count, for_each, and modules in the template's own folders
 *   parameter.c   one coder_parameter
 *   form.c        the walk through all of them */
#pragma once

#include "form/expr.h"
#include "form/form.h"

#define FORM_PARAMETERS_MAX 1000
#define FORM_INSTANCES_MAX  256

struct attribute {
    struct cm_str name, expr;
    struct attribute *next;
};

struct block {
    struct cm_str type, labels[2];
    struct attribute *attributes;
    struct block *blocks, *next;
    /* Once for all places that refer to it. */
    struct form_value value;
    enum { NEW, RUNNING, DONE } state;
};

struct module {
    struct run *run;
    struct module *parent;
    const struct block *call; /* in the parent; NULL for the root */
    struct form_value each_key, each_value, count_index;
    struct cm_str dir;
    struct block *blocks;
    struct module *known; /* instances already made, of all modules called from here */
    struct module *next;
    struct cm_str key; /* of the instance */
    unsigned depth;
};

struct run {
    struct cm_arena *a;
    const struct form_input *in;
    struct form_result *out;
    size_t steps, n_attributes;
    struct cm_str *named; /* parameters that some block declares, shown or not */
    size_t n_named;
};

/* Of one evaluation: the module, and what count and each are. */
struct place {
    struct module *m;
    struct form_value each_key, each_value, count_index;
    struct cm_str iterator; /* of a dynamic block */
    struct form_value it_key, it_value;
    unsigned depth;
};

struct instances {
    struct place *v;
    size_t n;
    bool repeated, by_key;
    struct form_value why; /* UNKNOWN or ERROR: which there are is not known */
};

/* ---- blocks.c ---- */

/* Fills blocks of m from the files in its folder; false when there are none that can be read. */
bool form_read_module(struct run *r, struct module *m);
const struct attribute *form_attribute(const struct block *b, const char *name); /* or NULL */

/* ---- names.c ---- */

struct form_value form_eval_at(const struct place *p, struct cm_str expr);
/* NULL where the block has no such argument. */
struct form_value form_eval_name(const struct place *p, const struct block *b, const char *name);

/* ---- types.c ---- */

/* As terraform converts v for a variable of that type, "" being none. UNKNOWN for a type that
 * cannot be read here. */
struct form_value form_of_type(const struct place *p, struct cm_str type, struct form_value v);

/* ---- modules.c ---- */

void form_instances_of(struct module *m, const struct block *b, struct instances *ret);
/* The values of instances as others refer to them: one, a list, or an object. */
struct form_value form_gather(struct module *m, const struct block *b,
                              struct form_value (*f)(struct place *, const struct block *));
/* The module that block b calls at p; NULL where its files are not here. */
struct module *form_enter_module(const struct place *p, const struct block *b);
struct form_value form_module_value(struct module *m, struct block *b);

/* ---- parameter.c ---- */

/* What a reference to the block sees: an object, or one for each instance. */
struct form_value form_parameter_value(struct module *m, struct block *b);
/* Adds the parameter of one instance to the result. */
void form_show(struct place *p, const struct block *b);
/* NULL: there are too many. */
struct form_parameter *form_add(struct run *r, const struct api_template_version_parameter *p);
