/* The commands below `coder provisioner` that ask the deployment. */
#pragma once

#include "cmd/cmd.h"

extern const struct command provisioner_list, provisioner_jobs, provisioner_keys;
