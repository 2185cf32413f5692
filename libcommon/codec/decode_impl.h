/* Inside of the decoder: where a value stands, what is said about it, and the scalars. */
#pragma once

#include "codec/json.h"

/* Where a value stands, from the inside out. */
struct place {
    const struct place *up;
    const struct cm_field *field; /* NULL at the top */
    ptrdiff_t index;              /* in a list, or -1 */
    const struct cm_field *map;   /* field is the value of an entry of this map, or NULL */
    struct cm_str key;            /* of that entry */
};

struct decoder {
    struct cm_arena *a;
    struct cm_violations *violations;
    bool answer; /* from a server: check types only */
};

/* Adds "<place>: <text>, not <given>" to the violations. given may be NULL; it is cut, and left out
 * when the field is secret. The place stands there only where the field's own name does not say it.
 */
void decode_complain(struct decoder *d, const struct place *at, const struct cm_json *given,
                     const char *fmt, ...) CM_PRINTF(4, 5);
/* "must be <want>, not <type of n>". Always false. */
bool decode_wrong_type(struct decoder *d, const struct place *at, const struct cm_json *n,
                       const char *want);

/* One value that is neither message nor list nor map, into a member or an element of its type.
 * False when there was a complaint. */
CM_MUST_USE bool decode_scalar(struct decoder *d, const struct place *at, const struct cm_json *n,
                               void *into);
/* A string, also the value of a map of strings. */
CM_MUST_USE bool decode_str(struct decoder *d, const struct place *at, const struct cm_json *n,
                            struct cm_str *ret);
