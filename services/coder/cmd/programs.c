/* Programs of their own behind a word: the agent and the server read their arguments themselves. */
#include "cmd/cmd.h"

#ifdef CODER_HAS_AGENT
#include "agent.h"
#endif
#ifdef CODER_HAS_SERVER
#include "server.h"
#endif

#if !defined(CODER_HAS_AGENT) || !defined(CODER_HAS_SERVER)
static int left_out(int argc, char **argv)
{
    (void)argc;
    fprintf(stderr, "%s was built without this part.\n", argv[0]);
    return 1;
}
#endif

const struct command command_agent = {
    .name = "agent",
    .brief = "Starts the Coder workspace agent.",
    .hidden = true,
    .raw_args = true,
#ifdef CODER_HAS_AGENT
    .run_main = agent_main,
#else
    .run_main = left_out,
#endif
};

const struct command command_server = {
    .name = "server",
    .brief = "Start a Coder server",
    .raw_args = true,
#ifdef CODER_HAS_SERVER
    .run_main = server_main,
#else
    .run_main = left_out,
#endif
};
