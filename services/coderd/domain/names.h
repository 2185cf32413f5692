/* Names that the server makes up. */
#pragma once

#include "base/arena.h"

/* "quiet_otter42": for template versions and the like; follows the rules of all names with
 * separator '_' or '-'. */
struct cm_str name_make(struct cm_arena *a, char separator);
