/* What is done in the deployment's database, past its API. */
#pragma once

#include "cmd/cmd.h"

extern const struct command server_create_admin;
