/* provisionerd: takes jobs from coderd, runs terraform, reports. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/version.h"
#include "local.h"
#include "obs/log.h"

int main(int argc, char **argv)
{
    cm_log_setup("provisionerd", CM_LOG_INFO, CM_LOG_TEXT);
    if (argc > 1 && strcmp(argv[1], "run-local") == 0)
        return local_run(argc - 1, argv + 1, (const char *const *)environ);
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts(CM_VERSION);
        return 0;
    }
    return 2;
}
