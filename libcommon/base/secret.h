/* Comparing and wiping what must not leak. */
#pragma once

#include "base/str.h"

/* Constant time in the length of a; differing lengths are unequal at once (lengths are not secret).
 */
bool cm_secret_eq(const void *a, const void *b, size_t len);
bool cm_secret_str_eq(struct cm_str a, struct cm_str b);
void cm_secret_wipe(void *p, size_t len);
