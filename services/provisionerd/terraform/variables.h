/* The variables that a template declares, read from its root folder without running terraform.
 *
 * terraform itself lists variables only as part of a plan, which fails while required ones have no
 * value: just when people must be asked for them; and it never says their types. So this reads
 * `variable` blocks, and no more of the language than is needed to find them and to read constants.
 * What it does not understand it leaves to terraform to complain about. Pure but for reading files.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define TF_VARIABLES_MAX 1000

struct tf_variable {
    struct cm_str name, description;
    struct cm_str type;          /* as written: string, list(string); empty when not given */
    struct cm_str default_value; /* a string as it is, anything else as JSON; empty for null */
    bool has_default, sensitive;
};

struct tf_variables {
    struct tf_variable *v;
    size_t n, cap;
};

/* All of *.tf and *.tf.json in dir, override files last, as terraform reads them. */
CM_MUST_USE enum cm_code tf_variables_read(struct cm_arena *a, const char *dir,
                                           struct tf_variables *ret, struct cm_err *err);
/* The same for the text of one file. override: replace members of known variables. */
CM_MUST_USE enum cm_code tf_variables_scan(struct cm_arena *a, struct cm_str text, bool is_json,
                                           bool override, struct tf_variables *list,
                                           struct cm_err *err);
const struct tf_variable *tf_variables_find(const struct tf_variables *list, struct cm_str name);
