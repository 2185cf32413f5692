/* templates init: a starter becomes a folder. */
#include "cmd/templates.h"
#include "starters.h"
#include "sys/fs.h"

struct init_opts {
    const char *id;
};

static const struct cm_opt init_opts[] = {
    {CM_OPT_STR, offsetof(struct init_opts, id), "id",
     .help = "Specify a given example template by ID."},
};

/* The starters' names: the first parts of the files' names. */
static size_t starter_names(struct cm_arena *a, const char **ret, size_t max)
{
    size_t n = 0;
    for (const struct cm_embedded_file *f = starter_files; f->name; f++) {
        struct cm_str id;
        bool known = false;
        cm_str_split(cm_str(f->name), '/', &id);
        for (size_t i = 0; i < n; i++)
            known = known || cm_str_eq_c(id, ret[i]);
        if (!known && n < max)
            ret[n++] = cm_arena_cstr(a, id);
    }
    return n;
}

static enum cm_code run_init(struct cli *cli, struct cm_err *err)
{
    const struct init_opts *o = cli->opts;
    const char *names[16], *id = o->id, *dir = cli_arg(cli, 0);
    size_t n = starter_names(cli->arena, names, CM_COUNT_OF(names)), chosen = n;

    for (size_t i = 0; i < n && *id; i++)
        if (strcmp(names[i], id) == 0)
            chosen = i;
    if (*id && chosen == n)
        return cm_err_set(err, CM_NOT_FOUND, "Template \"%s\" does not exist! The starters are: %s",
                          id, names[0]);
    if (!*id && ui_select(cli, "Choose a starter template:", names, n, &chosen, err) != CM_OK)
        return err->code;
    id = names[chosen];
    if (!dir)
        dir = cm_arena_printf(cli->arena, "./%s", id);
    if (cm_fs_mkdirs(dir, 0755, err) != CM_OK)
        return err->code;
    for (const struct cm_embedded_file *f = starter_files; f->name; f++) {
        struct cm_str first, rest = cm_str_split(cm_str(f->name), '/', &first);
        if (!cm_str_eq_c(first, id))
            continue;
        const char *path = cm_fs_join(cli->arena, dir, cm_arena_cstr(cli->arena, rest));
        if (cm_fs_exists(path))
            return cm_err_set(err, CM_CONFLICT, "%s exists already: choose another folder", path);
        if (cm_fs_write(path, cm_str_n(f->data, f->len), 0644, false, err) != CM_OK)
            return err->code;
    }
    printf("Extracting %s to %s...\n"
           "Create your template by running:\n\n  cd %s && coder templates push\n\n"
           "Examples provide a starting point and are expected to be edited!\n",
           id, dir, dir);
    return CM_OK;
}

const struct command templates_init = {
    .name = "init",
    .args = "[directory]",
    .brief = "Get started with a templated template.",
    .opts = init_opts,
    .n_opts = CM_COUNT_OF(init_opts),
    .opts_size = sizeof(struct init_opts),
    .max_args = 1,
    .run = run_init,
};
