#include "agent.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/version.h"
#include "loop/loop.h"
#include "obs/log.h"
#include "ssh/child.h"

extern char **environ;

int agent_main(int argc, char **argv)
{
    cm_loop_global_init();
    cm_log_setup("agent", CM_LOG_INFO, CM_LOG_TEXT);
    if (argc == 2 && strcmp(argv[1], SSH_CHILD_COMMAND) == 0)
        return ssh_child_main((const char *const *)environ);
    printf("Coder agent %s\n", CM_VERSION);
    return 0;
}
