/* What "coder server" was asked to do: coderd's options, which it passes on, and its own. */
#pragma once

#include "options.h"

#define SETTINGS_PROVISIONERS_MAX 64

enum settings_command { COMMAND_SERVE, COMMAND_POSTGRES_SERVE, COMMAND_POSTGRES_URL };

struct settings {
    struct coderd_options coderd;
    enum settings_command command;
    const char *config_dir, *config_file, *user, *postgres_bin_dir;
    int64_t provisioners;
    bool verbose, raw_url, write_config, help;
    /* Of the command line only; nothing here opens a browser. */
    bool no_open;
    struct cm_conf *conf; /* owned; holds the texts */
};

extern const struct cm_opt settings_rows[];
extern const size_t settings_row_count;

/* Flags, environment and the file that --config names. CM_INVALID with a sentence for people. */
CM_MUST_USE enum cm_code settings_load(struct settings *s, int argc, char **argv,
                                       struct cm_err *err);
void settings_done(struct settings *s);
/* The options in force, as a file for --config. */
void settings_yaml(struct settings *s, struct cm_buf *out);
/* The whole --help. */
void settings_help(struct cm_buf *out);
