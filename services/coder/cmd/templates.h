/* The commands below `coder templates` that have a file of their own. */
#pragma once

#include "cmd/cmd.h"

extern const struct command templates_push, templates_init, templates_pull;
