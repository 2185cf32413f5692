/* `provisionerd run-local`: one job from files, without coderd. For authors of templates and for
 * tests. */
#pragma once

#include "base/err.h"

/* argv after "run-local". host_env: the process's. Yields the exit status. Logs go to stderr, the
 * job's outcome as text to stdout. SIGINT cancels the job, a second one kills terraform. */
int local_run(int argc, char **argv, const char *const *host_env);
