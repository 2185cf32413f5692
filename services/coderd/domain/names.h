/* Names that the server makes up. */
#pragma once

#include "base/arena.h"

/* "quiet_otter42": for template versions and tokens, whose rules it follows. */
struct cm_str name_make(struct cm_arena *a);
/* There are 100,000 of them: how often to make another when one is taken. */
#define NAME_TRIES 8
