/* JSON text to trees: stored objects, and the lists that come in parameters and variables. */
#pragma once

#include "value/value.h"

/* Decodes the first JSON value of text. ret_rest gets what follows it, white space dropped; NULL
 * when nothing may follow. Numbers without a fraction become VALUE_INT within 2^53. CM_INVALID says
 * at which byte it broke. */
CM_MUST_USE enum cm_code json_decode(struct cm_arena *a, struct cm_str text, struct value *ret,
                                     struct cm_str *ret_rest, struct cm_err *err);

/* A JSON array of strings; null is an empty list, a null element an empty string, as Go decodes
 * them. */
CM_MUST_USE enum cm_code json_decode_strings(struct cm_arena *a, struct cm_str text,
                                             struct value *ret, struct cm_str *ret_rest,
                                             struct cm_err *err);
