/* Values brought into the shape that a table asks for. */
#pragma once

#include "schema/field.h"

enum conform_mode {
    CONFORM_UNSET,
    CONFORM_EXACT,   /* what terraform sends: every field, no others */
    CONFORM_LENIENT, /* a stored object: fields that are gone are dropped, new ones are null */
};

/* Turns a decoded tree into an object with a member per row, in the table's order. A null stays a
 * null. CM_PROTOCOL names the argument that does not fit. */
CM_MUST_USE enum cm_code conform_object(struct cm_arena *a, const struct block *block,
                                        enum conform_mode mode, const struct value *in,
                                        struct value *ret, struct cm_err *err);

/* Go's zero value for null members of a nested block: "", 0, false, no blocks. Changes the object
 * in place. */
void conform_zero_fill(const struct block *block, struct value *object);

/* A copy of a map without null members; a null when nothing is left. Lists and scalars come back as
 * they are. */
struct value conform_drop_nulls(struct cm_arena *a, const struct value *v);
