/* The workspace agent as one function, for the program coder-agent and for `coder agent`. */
#pragma once

/* argv[0] is the program's name for messages; what follows are flags, or a hidden word for a
 * process that the agent starts from its own file. Returns the exit status. */
int agent_main(int argc, char **argv);
