/* The composition root of the agent: makes every long-lived object in order, joins them, and takes
 * them down in reverse. The file to read second. */
#pragma once

#include "options.h"

/* app_run runs until SIGINT or SIGTERM, and then the shutdown. base_env: our environment without
 * secrets. */
/* The one place that reads the environment by name. */
const char *agent_getenv(const char *name);

int app_run(const struct agent_options *opt, const char *token, const char *const *base_env);
