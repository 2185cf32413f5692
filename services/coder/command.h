/* Commands as data: what a command is called, takes and does. The tree of all commands is
 * cmd/all.c. */
#pragma once

#include "conf/conf.h"

struct cli;

/* Sets of options that several commands share; their values are in struct cli. */
enum command_uses {
    USES_ORG = 1,    /* -O, --org */
    USES_PARAMS = 2, /* --parameter and its like */
    USES_YES = 4,    /* -y, --yes */
    USES_OUTPUT = 8, /* -o, --output table|json and, with columns, -c, --column */
};

struct command {
    const char *name;
    const char *aliases;              /* "ls" or "ls,dir"; NULL: none */
    const char *args;                 /* for the usage line: "<workspace>"; NULL: none */
    const char *brief;                /* one line */
    const char *about;                /* more, for --help; NULL: none */
    const struct command *const *sub; /* ends with NULL; a group has no run */
    const struct cm_opt *opts;        /* its own, filling a struct of opts_size that is cli->opts */
    size_t n_opts, opts_size;
    unsigned uses;
    const char *outputs; /* with USES_OUTPUT: "table|json"; the first is the default */
    const char *columns, *default_columns; /* "id|name", "id,name"; NULL: no -c */
    int min_args, max_args;                /* max -1: any number */
    bool hidden;
    bool raw_args; /* all arguments go to run as they are: no flags are read */
    int (*run_main)(int argc, char **argv); /* a program of its own, instead of run */
    void (*reference)(struct cm_buf *out);  /* its options in Markdown; NULL: they are in opts */
    enum cm_code (*run)(struct cli *cli, struct cm_err *err);
};

/* The program without a command. */
struct root_opts {
    bool version;
};
extern const struct command command_root;

/* Which of the commands under c a mistyped word may mean, as a sentence; NULL: none. */
const char *command_hint(struct cm_arena *a, const struct command *c, const char *word);
/* Finds the command that argv names. *ret_path is "coder templates push"; the arguments left over,
 * with all flags in place, go to ret_args (room for argc). An unknown word under a group is
 * CM_NOT_FOUND, and the last of ret_args. */
CM_MUST_USE enum cm_code command_find(struct cm_arena *a, int argc, char **argv,
                                      const struct command **ret, const char **ret_path,
                                      char **ret_args, size_t *ret_n, struct cm_err *err);
bool command_is_called(const struct command *c, struct cm_str word);
void command_help(struct cm_buf *out, const struct command *c, const char *path);
/* One page for all commands that are not hidden, in Markdown. */
void command_reference_page(struct cm_buf *out);

/* Parses the arguments into cli and runs the command. The exit status. */
int command_run(struct cli *cli, const struct command *c, const char *path, const char *const *args,
                size_t n_args);
