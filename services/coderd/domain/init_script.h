/* The script that starts an agent in a workspace: downloads the program, checks it, runs it. */
#pragma once

#include "base/arena.h"

/* NULL for a pair that is not supported. ${ACCESS_URL} (with a slash at its end) and ${AUTH_TYPE}
 * are left for the Terraform provider to fill. */
const char *init_script(struct cm_str os, struct cm_str arch);

extern const char *const init_script_pairs[][2]; /* os, arch; ends with NULL */
