/* Copies of structs that field tables describe, with all that they point to. */
#pragma once

#include "base/arena.h"
#include "codec/fields.h"

/* n structs that lie side by side, e.g. the elements of a repeated field, into the arena; NULL when
 * n is 0. Nothing of the copy points outside the arena, but for constant texts of enums. */
void *cm_message_copy(const struct cm_message *m, const void *src, size_t n, struct cm_arena *a);
