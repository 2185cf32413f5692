/* Options declared once: a row in a table is a flag, an environment variable, a YAML path, a
 * default, a line of help and a row of the reference page. Commands of the CLI and the servers use
 * the same engine.
 *
 * Precedence: flag, environment, file, default; where each value came from is kept. An empty
 * environment variable counts as unset. Values are written into plain structs at the rows' offsets;
 * texts live as long as the struct cm_conf. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/time.h"
#include "codec/node.h"

/* A row's type is also the type of the member at its offset. */
enum cm_opt_type {
    CM_OPT_UNSET,
    CM_OPT_STR,      /* const char *, never NULL */
    CM_OPT_BOOL,     /* bool */
    CM_OPT_INT,      /* int64_t */
    CM_OPT_DURATION, /* cm_usec; Go's form: 1h30m */
    CM_OPT_CHOICE,   /* const char *: one of choices, or "" where the default is "" */
    CM_OPT_LIST, /* struct cm_conf_list: repeated flags, each of comma-separated values as in CSV */
    CM_OPT_CHOICES, /* struct cm_conf_list, of choices */
};

enum cm_opt_flag {
    CM_OPT_HIDDEN = 1, /* not in the help */
    CM_OPT_SECRET = 2, /* never shown, and not from files */
    CM_OPT_GLOBAL = 4, /* shown by the program's help only */
};

struct cm_conf_list {
    const char *const *v;
    size_t n;
};

struct cm_opt {
    enum cm_opt_type type;
    size_t offset;
    const char *flag;       /* without dashes; NULL: none */
    char shorthand;         /* or 0 */
    const char *env;        /* NULL: none; "=": CODER_ and the flag in capitals */
    const char *def;        /* in the form of a flag's value; NULL: "" */
    const char *help;       /* one sentence or more */
    const char *yaml;       /* "networking.accessURL", or NULL */
    const char *choices;    /* "yes|no|auto" */
    const char *value;      /* what to call a value in the help, instead of its type */
    const char *group;      /* heading in the help and the reference, or NULL */
    const char *deprecated; /* what to use instead, or NULL */
    unsigned flags;
};

/* A table and the struct that its rows fill. */
struct cm_conf_set {
    const struct cm_opt *opts;
    size_t n;
    void *target;
};

enum cm_conf_source {
    CM_CONF_DEFAULT,
    CM_CONF_FILE,
    CM_CONF_ENV,
    CM_CONF_FLAG,
};

struct cm_conf;

/* Reads flags and environment into the sets' targets and fills the rest with defaults. args is
 * without the program's name; flags and other arguments may be mixed, "--" ends the flags.
 * getenv_fn may be NULL. Errors are CM_INVALID with the texts that users of the reference know
 * ("unknown flag: --x"). */
CM_MUST_USE enum cm_code cm_conf_load(const struct cm_conf_set *sets, size_t n_sets,
                                      const char *const *args, size_t n_args,
                                      const char *(*getenv_fn)(const char *name),
                                      struct cm_conf **ret, struct cm_err *err);
void cm_conf_free(struct cm_conf *c);
CM_DEFINE_CLEANUP(cm_conf, cm_conf_free)

/* Values from a configuration file, for options that neither a flag nor the environment has set.
 * Unknown keys, and keys of secret options, are errors. */
CM_MUST_USE enum cm_code cm_conf_apply_file(struct cm_conf *c, const struct cm_json *root,
                                            struct cm_err *err);

/* What was no flag. After "--" everything is. */
size_t cm_conf_args(const struct cm_conf *c, const char *const **ret);
enum cm_conf_source cm_conf_source(const struct cm_conf *c, const char *flag);
bool cm_conf_given(const struct cm_conf *c, const char *flag); /* set by anything but its default */
/* The option's value as text, "***" for a secret; for diagnostics and the "effective config"
 * endpoint. */
void cm_conf_value_text(const struct cm_opt *o, const void *target, struct cm_buf *out);
/* Warnings about deprecated options in use, a line each. */
void cm_conf_warnings(const struct cm_conf *c, struct cm_buf *out);
struct cm_arena *cm_conf_arena(struct cm_conf *c);

/* The environment variable's name, "" when there is none. */
#define CM_OPT_ENV_MAX 96
const char *cm_opt_env(const struct cm_opt *o, char out[CM_OPT_ENV_MAX]);

/* The OPTIONS part of --help: rows without excluded flags, in order, under their groups' headings.
 */
void cm_conf_help(struct cm_buf *out, const struct cm_opt *opts, size_t n, unsigned exclude);
/* A section of the reference in Markdown: every row that is not hidden. */
void cm_conf_markdown(struct cm_buf *out, const struct cm_opt *opts, size_t n);

/* A configuration file with the values in force, each under a comment with its help: rows that have
 * a YAML path and are neither secret nor deprecated. */
void cm_conf_yaml(struct cm_buf *out, const struct cm_conf_set *sets, size_t n_sets);

/* One record of CSV as Go's encoding/csv reads it, appended to *list. */
CM_MUST_USE enum cm_code cm_conf_split_csv(struct cm_arena *a, struct cm_str text,
                                           struct cm_conf_list *list, struct cm_err *err);

/* For cm_conf_load and its like: the process's environment, from the one place that reads it.
 * Before any thread. */
const char *cm_conf_getenv(const char *name);
