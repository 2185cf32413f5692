/* The commands below `coder templates` that have a file of their own. */
#pragma once

#include "cmd/cmd.h"

extern const struct command templates_push, templates_create, templates_init, templates_pull,
    templates_archive, templates_presets, templates_versions_promote, templates_versions_archive,
    templates_versions_unarchive;
