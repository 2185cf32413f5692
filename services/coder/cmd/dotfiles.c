/* dotfiles: a repository of personal settings, cloned and put to use by its script or by links. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "sys/child.h"
#include "sys/fs.h"

struct dot_opts {
    const char *symlink_dir, *branch, *repo_dir;
};

#define O(member) offsetof(struct dot_opts, member)

static const struct cm_opt opts[] = {
    {CM_OPT_STR, O(symlink_dir), "symlink-dir", .env = "CODER_SYMLINK_DIR",
     .help = "Specifies the directory for the dotfiles symlink destinations. If empty, will use "
             "$HOME."},
    {CM_OPT_STR, O(branch), "branch", 'b',
     .help = "Specifies which branch to clone. If empty, will default to cloning the default "
             "branch or using the existing branch in the cloned repo on disk."},
    {CM_OPT_STR, O(repo_dir), "repo-dir", .env = "CODER_DOTFILES_REPO_DIR", .def = "dotfiles",
     .help = "Specifies the directory for the dotfiles repository, relative to global config "
             "directory."},
};

/* Shows what it says; a status other than 0 is an error. */
static enum cm_code run_program(const char *const *argv, const char *cwd, struct cm_err *err)
{
    struct cm_child_spec spec = {
        .argv = argv,
        .cwd = cwd,
        .std = {{CM_CHILD_INHERIT, 0}, {CM_CHILD_INHERIT, 0}, {CM_CHILD_INHERIT, 0}},
        .same_group = true};
    struct cm_child_status status;
    CM_AUTO(cm_child) child = NULL;

    fflush(stdout);
    if (cm_child_start(&spec, &child, err) != CM_OK ||
        cm_child_wait(child, -1, &status, err) != CM_OK)
        return cm_err_wrap(err, "run %s", argv[0]);
    if (status.code == 0 && !status.signo)
        return CM_OK;
    return cm_err_set(err, CM_PRECONDITION, "%s ended with status %d", argv[0],
                      cm_child_status_shell(status));
}

/* A clone of another repository makes way. */
static enum cm_code move_other(struct cli *cli, const char *url, const char *dir,
                               struct cm_err *err)
{
    const char *before = cli_config_read(cli, "dotfilesurl");

    if (!cm_fs_exists(dir) || strcmp(before, url) == 0 || !*before)
        return CM_OK;
    char now[CM_TIME_TEXT];
    const char *backup =
        cm_arena_printf(cli->arena, "%s_backup_%s", dir, cm_time_format(cm_time_now(), now));
    printf("The dotfiles URL has changed from %s to %s.\n", before, url);
    if (ui_confirm(cli, cm_arena_printf(cli->arena, "Move the repository of before to %s?", backup),
                   true, err) != CM_OK)
        return err->code;
    if (rename(dir, backup) != 0)
        return cm_err_errno(err, CM_IO, "move %s to %s", dir, backup);
    return CM_OK;
}

static enum cm_code fetch(struct cli *cli, const char *url, const char *dir, struct cm_err *err)
{
    const struct dot_opts *o = cli->opts;
    const char *const pull[] = {"git", "pull", "--ff-only", NULL};
    const char *clone[8] = {"git", "clone"};
    size_t n = 2;

    if (cm_fs_exists(dir)) {
        printf("Pulling latest from dotfiles repository...\n");
        if (run_program(pull, dir, err) != CM_OK)
            printf("The dotfiles are used as they are: %s\n", err->text);
        return CM_OK;
    }
    if (ui_confirm(cli,
                   cm_arena_printf(cli->arena,
                                   "Cloning %s into directory %s.\n\n  This may run the "
                                   "repository's install script. Continue?",
                                   url, dir),
                   true, err) != CM_OK ||
        cm_fs_mkdirs(cli_config_path(cli, NULL), 0750, err) != CM_OK)
        return err->code;
    if (*o->branch) {
        clone[n++] = "--branch";
        clone[n++] = o->branch;
    }
    clone[n++] = "--";
    clone[n++] = url;
    clone[n++] = dir;
    return run_program(clone, NULL, err);
}

/* The first of the usual names that is there; NULL: none. */
static const char *find_script(struct cli *cli, const char *dir)
{
    static const char *const folders[] = {"", "script/"};
    static const char *const names[] = {"install.sh", "install",  "bootstrap.sh",
                                        "bootstrap",  "setup.sh", "setup"};
    for (size_t f = 0; f < CM_COUNT_OF(folders); f++) {
        for (size_t i = 0; i < CM_COUNT_OF(names); i++) {
            const char *path = cm_fs_join(
                cli->arena, dir, cm_arena_printf(cli->arena, "%s%s", folders[f], names[i]));
            struct stat st;
            if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
                return path;
        }
    }
    return NULL;
}

static enum cm_code run_script(struct cli *cli, const char *dir, const char *script,
                               struct cm_err *err)
{
    const char *const argv[] = {script, NULL};

    if (!cm_fs_is_executable(script))
        return cm_err_set(err, CM_DENIED,
                          "script %s is not executable: git update-index --chmod=+x marks it so",
                          script);
    if (ui_confirm(cli, cm_arena_printf(cli->arena, "Running %s. Continue?", script), true, err) !=
        CM_OK)
        return err->code;
    printf("Running %s...\n", script);
    if (run_program(argv, dir, err) != CM_OK)
        return err->code;
    printf("Dotfiles installation complete.\n");
    return CM_OK;
}

static bool is_linked(const char *name)
{
    if (name[0] != '.' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return false;
    return strncmp(name, ".git", 4) != 0 || strcmp(name, ".gitconfig") == 0;
}

/* A file in the way is kept beside; an older link is replaced. */
static enum cm_code link_one(struct cli *cli, const char *from, const char *to, struct cm_err *err)
{
    struct stat st;

    if (lstat(to, &st) == 0) {
        const char *backup = cm_arena_printf(cli->arena, "%s.bak", to);
        if (S_ISLNK(st.st_mode) ? unlink(to) != 0 : rename(to, backup) != 0)
            return cm_err_errno(err, CM_IO, "make way for %s", to);
        if (!S_ISLNK(st.st_mode))
            printf("Moved %s to %s\n", to, backup);
    }
    printf("Symlinking %s to %s...\n", from, to);
    if (symlink(from, to) != 0)
        return cm_err_errno(err, CM_IO, "link %s", to);
    return CM_OK;
}

static enum cm_code link_all(struct cli *cli, const char *dir, const char *target,
                             struct cm_err *err)
{
    DIR *d = opendir(dir);
    enum cm_code code = CM_OK;

    if (!d)
        return cm_err_errno(err, CM_IO, "open %s", dir);
    for (struct dirent *e; code == CM_OK && (e = readdir(d));)
        if (is_linked(e->d_name))
            code = link_one(cli, cm_fs_join(cli->arena, dir, e->d_name),
                            cm_fs_join(cli->arena, target, e->d_name), err);
    closedir(d);
    if (code == CM_OK)
        printf("Dotfiles installation complete.\n");
    return code;
}

static enum cm_code run(struct cli *cli, struct cm_err *err)
{
    const struct dot_opts *o = cli->opts;
    const char *url = cli_arg(cli, 0), *home = cm_conf_getenv("HOME");
    const char *dir = o->repo_dir[0] == '/' ? o->repo_dir : cli_config_path(cli, o->repo_dir);
    const char *target = *o->symlink_dir ? o->symlink_dir : home && *home ? home : "/";

    if (!cm_fs_is_dir(target))
        return cm_err_set(err, CM_NOT_FOUND, "the folder for links, %s, does not exist", target);
    if (move_other(cli, url, dir, err) != CM_OK || fetch(cli, url, dir, err) != CM_OK ||
        cli_config_write(cli, "dotfilesurl", url, err) != CM_OK)
        return err->code;
    const char *script = find_script(cli, dir);
    if (script)
        return run_script(cli, dir, script, err);
    if (ui_confirm(cli,
                   "No install scripts found, symlinking dotfiles to home directory.\n\n  "
                   "Continue?",
                   true, err) != CM_OK)
        return err->code;
    return link_all(cli, dir, target, err);
}

const struct command command_dotfiles = {
    .name = "dotfiles",
    .args = "<git_repo_url>",
    .brief = "Personalize your workspace by applying a canonical dotfiles repository",
    .about = "  Clones the repository, runs its install script where it has one, and else links "
             "its dotfiles into your home.",
    .opts = opts,
    .n_opts = CM_COUNT_OF(opts),
    .opts_size = sizeof(struct dot_opts),
    .uses = USES_YES,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
