/* JSON text to trees: stored objects, and the lists that come in parameters and variables. */
#pragma once

#include "value/value.h"

enum json_extent {
    JSON_UNSET,
    JSON_WHOLE, /* nothing but white space may follow the value */
    JSON_FIRST, /* what follows the value is ignored */
};

/* Strings point into the arena. Numbers without a fraction become VALUE_INT, others VALUE_FLOAT.
 * CM_INVALID, and CM_TOO_LARGE over the limits of trusted files (cm_json_file_limits). */
CM_MUST_USE enum cm_code json_decode(struct cm_arena *a, enum json_extent extent,
                                     struct cm_str text, struct value *ret, struct cm_err *err);

/* A JSON array of strings; null is an empty list, a null element an empty string, as Go decodes
 * them. */
CM_MUST_USE enum cm_code json_decode_strings(struct cm_arena *a, enum json_extent extent,
                                             struct cm_str text, struct value *ret,
                                             struct cm_err *err);
