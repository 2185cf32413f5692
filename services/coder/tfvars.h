/* A template folder's files of variable values, as terraform reads them by itself where it runs.
 * They stay with whoever pushes the template: their values travel, the files do not. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct tfvar {
    struct cm_str name, value; /* the value as --variable would have it: JSON where it is no text */
};

struct tfvars {
    struct tfvar *v; /* each name once */
    size_t n;
};

/* terraform.tfvars, *.auto.tfvars, and both with .json. */
bool tfvars_is_file(struct cm_str name);
/* Adds the assignments in text; what is there already is replaced. A null is as good as none.
 * CM_INVALID names what is not a constant. */
CM_MUST_USE enum cm_code tfvars_parse(struct cm_arena *a, struct cm_str text, bool is_json,
                                      struct tfvars *vars, struct cm_err *err);
/* All such files of the folder dir, in terraform's order: the last one wins. */
CM_MUST_USE enum cm_code tfvars_read(struct cm_arena *a, const char *dir, struct tfvars *ret,
                                     struct cm_err *err);
