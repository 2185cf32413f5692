/* The tree of all commands. A new one is a file and a word in the list of cmd.h. */
#include "cmd/cmd.h"

static const struct command *const subcommands[] = {
#define COMMAND_ROW(name) &command_##name,
    COMMANDS(COMMAND_ROW)
#undef COMMAND_ROW
        NULL,
};

static const struct cm_opt root_opts[] = {
    {CM_OPT_BOOL, offsetof(struct root_opts, version), "version",
     .help = "Print the version and exit."},
};

const struct command command_root = {
    .name = "coder",
    .brief = "Coder: a tool for provisioning self-hosted development environments with Terraform.",
    .about = "  - Log in to a deployment:\n\n     $ coder login https://coder.example.com\n\n"
             "  - Create a template, then a workspace from it:\n\n     $ coder templates init\n"
             "     $ coder templates push\n     $ coder create",
    .opts = root_opts,
    .n_opts = CM_COUNT_OF(root_opts),
    .opts_size = sizeof(struct root_opts),
    .sub = subcommands,
};
