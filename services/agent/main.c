#include <string.h>

#include "agent.h"

/* `coder agent` is what init scripts start, so that word may come first here too. */
int main(int argc, char **argv)
{
    int skip = argc > 1 && strcmp(argv[1], "agent") == 0;
    return agent_main(argc - skip, argv + skip);
}
