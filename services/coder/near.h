/* What a mistyped word was meant to be: the nearest of the words there are. */
#pragma once

#include "base/str.h"

struct near {
    struct cm_str typed;
    struct cm_str best; /* ptr NULL: nothing is near */
    size_t distance;
};

static inline struct near near_start(struct cm_str typed)
{
    return (struct near){.typed = typed};
}
void near_try(struct near *n, struct cm_str candidate);
