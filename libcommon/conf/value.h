/* Texts into values of a row's type, and back. Internal to conf. */
#pragma once

#include "conf/conf.h"

/* append: adds to a list instead of replacing it. */
CM_MUST_USE enum cm_code cm_opt_set(struct cm_arena *a, const struct cm_opt *o, void *target,
                                    struct cm_str text, bool append, struct cm_err *err);
