/* Finding a command, its help, and running it. */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/version.h"
#include "cli.h"
#include "near.h"

#define HELP_MAX ((size_t)4 << 20)

bool command_is_called(const struct command *c, struct cm_str word)
{
    struct cm_str rest = cm_str(c->aliases), one;

    if (cm_str_eq_c(word, c->name))
        return true;
    while (rest.len) {
        rest = cm_str_split(rest, ',', &one);
        if (cm_str_eq(one, word))
            return true;
    }
    return false;
}

/* Does this flag take the next word as its value? Only global flags can stand before the command's
 * name. */
static bool takes_next(const char *flag)
{
    struct cm_str name;
    bool is_long = flag[1] == '-';

    if (cm_str_split(cm_str(flag + (is_long ? 2 : 1)), '=', &name).ptr)
        return false;
    for (size_t i = 0; i < global_opts_n; i++) {
        const struct cm_opt *o = &global_opts[i];
        if (is_long ? cm_str_eq_c(name, o->flag) : name.len == 1 && name.ptr[0] == o->shorthand)
            return o->type != CM_OPT_BOOL;
    }
    return false;
}

enum cm_code command_find(struct cm_arena *a, int argc, char **argv, const struct command **ret,
                          const char **ret_path, char **ret_args, size_t *ret_n, struct cm_err *err)
{
    const struct command *c = &command_root;
    const char *path = c->name;
    size_t n = 0;
    bool searching = true;

    for (int i = 1; i < argc; i++) {
        char *word = argv[i];
        const struct command *found = NULL;
        /* A program of its own has commands only as the first of its words. */
        searching = searching && !(c->raw_args && (!c->sub || n)) && strcmp(word, "--") != 0;
        if (searching && word[0] == '-' && word[1]) {
            ret_args[n++] = word;
            if (c->sub && takes_next(word) && i + 1 < argc)
                ret_args[n++] = argv[++i];
            continue;
        }
        for (size_t k = 0; searching && c->sub && c->sub[k]; k++)
            if (command_is_called(c->sub[k], cm_str(word)))
                found = c->sub[k];
        if (found) {
            c = found;
            path = cm_arena_printf(a, "%s %s", path, c->name);
            continue;
        }
        *ret = c;
        *ret_path = path;
        ret_args[n++] = word;
        *ret_n = n;
        if (searching && c->sub && !c->run && !c->run_main)
            return cm_err_set(err, CM_NOT_FOUND, "unrecognized subcommand \"%s\"", word);
        searching = false;
    }
    *ret = c;
    *ret_path = path;
    *ret_n = n;
    return CM_OK;
}

const char *command_hint(struct cm_arena *a, const struct command *c, const char *word)
{
    struct near near = near_start(cm_str(word));

    for (size_t i = 0; c->sub && c->sub[i]; i++) {
        struct cm_str rest = cm_str(c->sub[i]->aliases), one;
        if (c->sub[i]->hidden)
            continue;
        near_try(&near, cm_str(c->sub[i]->name));
        while (rest.len) {
            rest = cm_str_split(rest, ',', &one);
            near_try(&near, one);
        }
    }
    return near.best.ptr ? cm_arena_printf(a, "Did you mean \"%.*s\"?", CM_STR_ARG(near.best))
                         : NULL;
}

static void help_subcommands(struct cm_buf *out, const struct command *c)
{
    cm_buf_cstr(out, "SUBCOMMANDS:\n");
    for (size_t i = 0; c->sub[i]; i++)
        if (!c->sub[i]->hidden)
            cm_buf_printf(out, "    %-16s %s\n", c->sub[i]->name, c->sub[i]->brief);
    cm_buf_char(out, '\n');
}

/* Rows of the sets that the command shares with others. The output's are made for it, since choices
 * differ. */
struct shared_rows {
    struct cm_opt rows[16];
    size_t n;
};

#define C(member) offsetof(struct cli, member)

static const struct cm_opt params_rows[] = {
    {CM_OPT_LIST, C(params.values), "parameter", .env = "CODER_RICH_PARAMETER",
     .help = "Rich parameter value in the format \"name=value\"."},
    {CM_OPT_STR, C(params.file), "rich-parameter-file", .env = "=",
     .help = "Specify a file path with values for rich parameters defined in the template. The "
             "file should be in "
             "YAML format, containing key-value pairs for the parameters."},
    {CM_OPT_LIST, C(params.defaults), "parameter-default", .env = "CODER_RICH_PARAMETER_DEFAULT",
     .help = "Rich parameter default values in the format \"name=value\"."},
    {CM_OPT_BOOL, C(params.use_defaults), "use-parameter-defaults", .env = "=",
     .help = "Automatically accept parameter defaults when no value is provided."},
    {CM_OPT_LIST, C(params.ephemeral), "ephemeral-parameter", .env = "=",
     .help = "Set the value of ephemeral parameters defined in the template. The format is "
             "\"name=value\"."},
    {CM_OPT_BOOL, C(params.prompt_ephemeral), "prompt-ephemeral-parameters", .env = "=",
     .help = "Prompt to set values of ephemeral parameters defined in the template."},
    {CM_OPT_BOOL, C(params.always_prompt), "always-prompt",
     .help = "Always prompt all parameters. Does not pull parameter values from existing "
             "workspace."},
    {CM_OPT_LIST, C(params.build_options), "build-option", .env = "=",
     .help = "Build option value.", .deprecated = "--ephemeral-parameter", .flags = CM_OPT_HIDDEN},
};
static const struct cm_opt org_row = {CM_OPT_STR,
                                      C(org),
                                      "org",
                                      'O',
                                      "CODER_ORGANIZATION",
                                      .help = "Select which organization (uuid or name) to use."};
static const struct cm_opt yes_row = {CM_OPT_BOOL, C(yes), "yes", 'y',
                                      .help = "Bypass confirmation prompts."};

static void shared(const struct command *c, struct shared_rows *ret)
{
    ret->n = 0;
    if (c->uses & USES_PARAMS)
        for (size_t i = 0; i < CM_COUNT_OF(params_rows); i++)
            ret->rows[ret->n++] = params_rows[i];
    if (c->uses & USES_ORG)
        ret->rows[ret->n++] = org_row;
    if (c->uses & USES_OUTPUT && c->columns)
        ret->rows[ret->n++] = (struct cm_opt){CM_OPT_CHOICES,
                                              C(output.columns),
                                              "column",
                                              'c',
                                              .def = c->default_columns,
                                              .choices = c->columns,
                                              .help = "Columns to display in table output."};
    if (c->uses & USES_OUTPUT)
        ret->rows[ret->n++] = (struct cm_opt){
            CM_OPT_CHOICE,
            C(output.format),
            "output",
            'o',
            .def = cm_str_starts(cm_str(c->outputs), CM_STR("text")) ? "text" : "table",
            .choices = c->outputs,
            .help = "Output format."};
    if (c->uses & USES_YES)
        ret->rows[ret->n++] = yes_row;
}

void command_help(struct cm_buf *out, const struct command *c, const char *path)
{
    struct shared_rows rows;

    shared(c, &rows);
    cm_buf_printf(out, "coder %s\n\nUSAGE:\n  %s%s%s%s\n\n", CM_VERSION, path,
                  c->n_opts || rows.n ? " [flags]" : "",
                  c->args  ? " "
                  : c->sub ? " [subcommand]"
                           : "",
                  c->args ? c->args : "");
    cm_buf_printf(out, "  %s\n\n", c->brief);
    if (c->aliases)
        cm_buf_printf(out, "  Aliases: %s\n\n", c->aliases);
    if (c->about)
        cm_buf_printf(out, "%s\n\n", c->about);
    if (c->sub)
        help_subcommands(out, c);
    if (c->n_opts || rows.n) {
        cm_buf_cstr(out, "OPTIONS:\n");
        cm_conf_help(out, c->opts, c->n_opts, CM_OPT_HIDDEN);
        cm_conf_help(out, rows.rows, rows.n, CM_OPT_HIDDEN);
    }
    if (c == &command_root) {
        cm_buf_cstr(out, "GLOBAL OPTIONS:\n");
        cm_conf_help(out, global_opts, global_opts_n, CM_OPT_HIDDEN);
    } else {
        cm_buf_cstr(out, "---\nRun `coder --help` for a list of global options.\n");
    }
}

static void reference_of(struct cm_buf *out, const struct command *c, const char *path)
{
    struct shared_rows rows;

    if (c->hidden)
        return;
    shared(c, &rows);
    cm_buf_printf(out, "## %s\n\n%s\n\n", path, c->brief);
    if (c->aliases)
        cm_buf_printf(out, "Aliases: %s\n\n", c->aliases);
    cm_buf_printf(out, "```console\n%s%s%s%s\n```\n\n", path,
                  c->n_opts || rows.n || c->reference ? " [flags]" : "", c->args ? " " : "",
                  c->args ? c->args : "");
    if (c == &command_root)
        cm_conf_markdown(out, global_opts, global_opts_n);
    cm_conf_markdown(out, c->opts, c->n_opts);
    cm_conf_markdown(out, rows.rows, rows.n);
    if (c->reference)
        c->reference(out);
    for (size_t i = 0; c->sub && c->sub[i]; i++) {
        CM_AUTOFREE char *below = cm_xasprintf("%s %s", path, c->sub[i]->name);
        reference_of(out, c->sub[i], below);
    }
}

void command_reference_page(struct cm_buf *out)
{
    cm_buf_cstr(out, "# Commands and options\n\nWhat `--help` says, on one page. Generated by "
                     "`scripts/build docs` from the tables of the commands.\n\n");
    reference_of(out, &command_root, "coder");
}

/* The flag that a mistyped one may mean. */
static void flag_hint(const struct cm_conf_set *sets, size_t n_sets, const struct cm_err *err)
{
    static const char unknown[] = "unknown flag: --";

    if (strncmp(err->text, unknown, sizeof(unknown) - 1) != 0)
        return;
    struct near near = near_start(cm_str(err->text + sizeof(unknown) - 1));
    for (size_t s = 0; s < n_sets; s++)
        for (size_t i = 0; i < sets[s].n; i++)
            if (!(sets[s].opts[i].flags & CM_OPT_HIDDEN))
                near_try(&near, cm_str(sets[s].opts[i].flag));
    if (near.best.ptr)
        fprintf(stderr, "Did you mean --%.*s?\n", CM_STR_ARG(near.best));
}

static void flag_error(const char *path, const char *const *args, size_t n,
                       const struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf list = CM_BUF_INIT(65536);
    for (size_t i = 0; i < n; i++)
        cm_buf_printf(&list, "%s%s", i ? " " : "", args[i]);
    fprintf(stderr, "parsing flags ([%.*s]) for \"%s\": %s\n", CM_STR_ARG(cm_buf_view(&list)), path,
            err->text);
}

static enum cm_code check_count(const struct cli *cli, struct cm_err *err)
{
    const struct command *c = cli->command;
    int n = (int)cli->n_args;

    if (n >= c->min_args && (c->max_args < 0 || n <= c->max_args))
        return CM_OK;
    CM_AUTOBUF struct cm_buf list = CM_BUF_INIT(4096);
    for (size_t i = 0; i < cli->n_args; i++)
        cm_buf_printf(&list, "%s%s", i ? " " : "", cli->args[i]);
    if (c->max_args < 0)
        return cm_err_set(err, CM_INVALID, "wanted at least %d args but got %d", c->min_args, n);
    if (c->min_args != c->max_args)
        return cm_err_set(err, CM_INVALID, "wanted between %d and %d args but got %d", c->min_args,
                          c->max_args, n);
    return cm_err_set(err, CM_INVALID, "wanted %d args but got %d [%.*s]", c->min_args, n,
                      CM_STR_ARG(cm_buf_view(&list)));
}

static int print_help(const struct command *c, const char *path)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(HELP_MAX);
    command_help(&text, c, path);
    fwrite(text.ptr, 1, text.len, stdout);
    return 0;
}

int command_run(struct cli *cli, const struct command *c, const char *path, const char *const *args,
                size_t n_args)
{
    struct shared_rows rows;
    struct cm_err err = {.code = CM_OK};

    cli->command = c;
    cli->path = path;
    shared(c, &rows);
    if (c->opts_size)
        cli->opts = cm_arena_alloc(cli->arena, c->opts_size);
    const struct cm_conf_set sets[] = {
        {global_opts, global_opts_n, &cli->g},
        {c->opts, c->n_opts, cli->opts},
        {rows.rows, rows.n, cli},
    };
    struct cm_opt *kept =
        cm_arena_alloc(cli->arena, sizeof(rows.rows)); /* the conf borrows rows for the run */
    memcpy(kept, rows.rows, sizeof(rows.rows));
    struct cm_conf_set mine[3];
    memcpy(mine, sets, sizeof(sets));
    mine[2].opts = kept;
    if (cm_conf_load(mine, CM_COUNT_OF(mine), args, n_args, cm_conf_getenv, &cli->conf, &err) !=
        CM_OK) {
        flag_error(path, args, n_args, &err);
        flag_hint(mine, CM_COUNT_OF(mine), &err);
        return 1;
    }
    cli->n_args = cm_conf_args(cli->conf, &cli->args);
    if (c == &command_root && ((const struct root_opts *)cli->opts)->version) {
        /* The first word is what start scripts look for. */
        printf("Coder %s\n", CM_VERSION);
        return 0;
    }
    if (cli->g.help || (!c->run && !c->run_main))
        return print_help(c, path);
    CM_AUTOBUF struct cm_buf warnings = CM_BUF_INIT(4096);
    cm_conf_warnings(cli->conf, &warnings);
    if (warnings.len)
        fwrite(warnings.ptr, 1, warnings.len, stderr);
    if (check_count(cli, &err) != CM_OK || c->run(cli, &err) != CM_OK) {
        fflush(stdout);
        cli_print_error(cli, &err);
        return cli->exit_status ? cli->exit_status : 1;
    }
    return cli->exit_status;
}
