/* The tree of all commands. A new one is a file and a word in the list of cmd.h. */
#include "cmd/cmd.h"

static const struct command *const subcommands[] = {
#define COMMAND_ROW(name) &command_##name,
    COMMANDS(COMMAND_ROW)
#undef COMMAND_ROW
        NULL,
};

const struct command command_root = {
    .name = "coder",
    .brief = "Coder: a tool for provisioning self-hosted development environments with Terraform.",
    .about = "  - Log in to a deployment:\n\n     $ coder login https://coder.example.com\n\n"
             "  - Create a template, then a workspace from it:\n\n     $ coder templates init\n"
             "     $ coder templates push\n     $ coder create",
    .sub = subcommands,
};
