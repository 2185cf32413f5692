/* The agent's options: one row each in options.c. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/time.h"

#define AGENT_SUBSYSTEMS_MAX 8

struct agent_options {
    const char *url, *token, *token_file, *auth, *name;
    const char *log_dir, *script_data_dir;
    const char *prometheus_address, *debug_address, *pprof_address;
    const char *header,
        *header_command; /* extra headers of every HTTP request, "Name=value" by commas */
    const char *log_human, *log_json, *log_stackdriver;
    const char *subsystem;
    const char *extra_ca_file;
    const char *nice_score, *oom_score, *prio_mgmt; /* "" when unset */
    bool no_reap, verbose, block_file_transfer, block_remote_forward, block_local_forward, version,
        help;
    cm_usec ssh_max_timeout;
    const char *subsystems[AGENT_SUBSYSTEMS_MAX];
    size_t n_subsystems;
};

/* args: without the program's name. Texts live in the arena, or are the caller's. */
CM_MUST_USE enum cm_code agent_options_load(struct cm_arena *a, int argc, char **argv,
                                            const char *(*get)(const char *name),
                                            struct agent_options *ret, struct cm_err *err);
/* The help text. */
void agent_options_help(struct cm_buf *out);
