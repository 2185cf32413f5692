/* The composition root: makes every long-lived object in order, runs the loop until the daemon has
 * finished, frees in reverse. */
#pragma once

#include "base/err.h"
#include "options.h"

/* host_env: the process's environment; get: its lookup. Blocks until a signal ends the daemon:
 * SIGTERM takes no more jobs and lets the running one end, SIGINT cancels it, another signal after
 * either quits at once. */
CM_MUST_USE enum cm_code app_run(const struct options *o, const char *const *host_env,
                                 const char *(*get)(const char *name), struct cm_err *err);
