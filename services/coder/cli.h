/* One run of the program: its options, the session with the deployment, and the ways out. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "command.h"
#include "sdk/sdk.h"

struct global_opts {
    const char *url, *token, *config_dir, *header_command;
    struct cm_conf_list headers;
    const char *ca_file, *cert_file, *key_file;
    bool no_version_warning, no_feature_warning, no_open, force_tty, verbose, use_keyring;
    bool disable_direct, disable_network_telemetry, help;
    /* of an agent */
    const char *agent_token, *agent_token_file, *agent_url, *agent_auth, *agent_name;
};
extern const struct cm_opt global_opts[];
extern const size_t global_opts_n;

struct param_opts {
    struct cm_conf_list values, defaults, ephemeral, build_options;
    const char *file;
    bool use_defaults, prompt_ephemeral, always_prompt;
};

struct output_opts {
    const char *format;
    struct cm_conf_list columns;
};

struct cli {
    struct cm_arena *arena; /* of the whole run */
    const char *argv0;      /* as it was called */
    const struct command *command;
    const char *path; /* "coder templates push" */
    struct global_opts g;
    struct param_opts params;
    struct output_opts output;
    const char *org;
    bool yes;
    void *opts; /* the command's own struct */
    struct cm_conf *conf;
    const char *const *args;
    size_t n_args;
    struct cm_sdk *sdk; /* after cli_session */
    bool stdin_tty, stdout_tty, stderr_tty;
    bool colour; /* on stderr and stdout */
    bool warned_version;
    const char *server_version; /* as its answers say; NULL before the first, or when it is no such
                                   server */
    const char *hint;           /* what to do about the error, for the line after it; may be NULL */
    int exit_status;            /* for commands that end with somebody else's status */
};

/* The session of the logged-in user, in cli->sdk. CM_UNAUTHENTICATED without URL. */
CM_MUST_USE enum cm_code cli_session(struct cli *cli, struct cm_err *err);
/* A session with this URL and token, e.g. before logging in. */
CM_MUST_USE enum cm_code cli_session_new(struct cli *cli, const char *url, const char *token,
                                         struct cm_sdk **ret, struct cm_err *err);

/* Prints what went wrong as users of the reference know it, to stderr. */
void cli_print_error(struct cli *cli, const struct cm_err *err);

/* Files of the configuration folder; texts in the arena, "" when there is none. */
const char *cli_config_path(struct cli *cli, const char *file);
const char *cli_config_read(struct cli *cli, const char *file);
CM_MUST_USE enum cm_code cli_config_write(struct cli *cli, const char *file, const char *text,
                                          struct cm_err *err);

static inline const char *cli_arg(const struct cli *cli, size_t i)
{
    return i < cli->n_args ? cli->args[i] : NULL;
}
