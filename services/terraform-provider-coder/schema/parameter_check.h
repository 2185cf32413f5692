/* The rules of a parameter's value: its type, its validation block. */
#pragma once

#include "schema/call.h"

struct parameter_rules {
    struct cm_str type;
    bool has_min, has_max;
    int64_t min, max;
    struct cm_str monotonic, regex, error;
};

/* False: *ret_why says why, for the detail of a diagnostic. previous may be NULL. */
CM_MUST_USE bool parameter_validate(struct call *c, const struct parameter_rules *r,
                                    struct cm_str value, const struct cm_str *previous,
                                    struct cm_str *ret_why);
CM_MUST_USE bool parameter_is_of_type(struct call *c, struct cm_str type, struct cm_str value,
                                      struct cm_str *ret_why);
