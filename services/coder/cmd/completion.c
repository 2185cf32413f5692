/* Shell completion: the shell calls the program itself with COMPLETION_MODE=1 (see main.c). */
#include <unistd.h>

#include "cmd/cmd.h"
#include "completion.h"
#include "sys/fs.h"

#define RC_MAX ((size_t)1 << 20)

struct opts {
    const char *shell;
    bool print;
};

static const struct cm_opt opts[] = {
    {CM_OPT_CHOICE, offsetof(struct opts, shell), "shell", 's',
     .choices = "bash|fish|zsh|powershell", .help = "The shell to install completion for."},
    {CM_OPT_BOOL, offsetof(struct opts, print), "print", 'p',
     .help = "Print the completion script instead of "
             "installing it."},
};

static const struct {
    const char *shell, *rc, *script;
} shells[] = {
    {"bash", ".bashrc",
     "_generate_coder_completions() {\n"
     "    local IFS=$'\\n'\n"
     "    COMPREPLY=($(compgen -W \"$(COMPLETION_MODE=1 \"%1$s\" "
     "\"${COMP_WORDS[@]:1:$COMP_CWORD}\")\" -- "
     "\"${COMP_WORDS[COMP_CWORD]}\"))\n"
     "}\n"
     "complete -F _generate_coder_completions coder\n"},
    {"fish", ".config/fish/completions/coder.fish",
     "function _coder_completions\n"
     "    set -l words (commandline -opc) (commandline -ct)\n"
     "    COMPLETION_MODE=1 \"%1$s\" $words[2..-1]\n"
     "end\n"
     "complete -c coder -f -a '(_coder_completions)'\n"},
    {"zsh", ".zshrc",
     "_coder_completions() {\n"
     "    local -a candidates\n"
     "    candidates=(${(f)\"$(COMPLETION_MODE=1 \"%1$s\" \"${words[@]:1:$((CURRENT-1))}\")\"})\n"
     "    compadd -a candidates\n"
     "}\n"
     "compdef _coder_completions coder\n"},
    {"powershell", ".config/powershell/profile.ps1",
     "Register-ArgumentCompleter -Native -CommandName coder -ScriptBlock {\n"
     "    param($word, $ast, $at)\n"
     "    $env:COMPLETION_MODE = 1\n"
     "    $words = $ast.ToString().Split(' ') | Select-Object -Skip 1\n"
     "    & \"%1$s\" @words | Where-Object { $_ -like \"$word*\" }\n"
     "    Remove-Item Env:COMPLETION_MODE\n"
     "}\n"},
};

#define BEGIN_MARK "# ============ BEGIN coder COMPLETION =============="
#define END_MARK   "# ============ END coder COMPLETION ================"

static void fill_in(struct cm_buf *out, const char *script, const char *program)
{
    struct cm_str rest = cm_str(script);
    while (rest.len) {
        if (cm_str_starts(rest, CM_STR("%1$s"))) {
            cm_buf_cstr(out, program);
            rest = cm_str_sub(rest, 4, rest.len);
        } else {
            cm_buf_char(out, *rest.ptr);
            rest = cm_str_sub(rest, 1, rest.len);
        }
    }
}

/* Puts the block into the file in place of an older one, or at its end. */
static enum cm_code install(const char *path, struct cm_str block, struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf old = CM_BUF_INIT(RC_MAX), new_ = CM_BUF_INIT(2 * RC_MAX);
    CM_AUTO(cm_arena) a = cm_arena_new();

    if (cm_fs_read(path, &old, err) != CM_OK && err->code != CM_NOT_FOUND)
        return err->code;
    char *begin = old.ptr ? strstr(old.ptr, BEGIN_MARK) : NULL;
    char *end = begin ? strstr(begin, END_MARK) : NULL;
    if (begin && !end)
        return cm_err_set(err, CM_INVALID,
                          "%s has the beginning of a completion block, but not its end", path);
    size_t head = begin ? (size_t)(begin - old.ptr) : old.len;
    cm_buf_append(&new_, old.ptr, head);
    if (!begin && head && old.ptr[head - 1] != '\n')
        cm_buf_char(&new_, '\n');
    cm_buf_printf(&new_, BEGIN_MARK "\n%.*s" END_MARK, CM_STR_ARG(block));
    if (end)
        cm_buf_cstr(&new_, end + strlen(END_MARK));
    else
        cm_buf_char(&new_, '\n');
    if (cm_fs_mkdirs(cm_fs_dirname(a, path), 0755, err) != CM_OK)
        return err->code;
    return cm_fs_write(path, cm_buf_view(&new_), 0644, false, err);
}

static enum cm_code run(struct cli *cli, struct cm_err *err)
{
    const struct opts *o = cli->opts;
    const char *login_shell = cm_conf_getenv("SHELL"), *home = cm_conf_getenv("HOME");
    const char *shell =
        *o->shell ? o->shell : cm_fs_basename(login_shell && *login_shell ? login_shell : "bash");
    static const char *const ways[] = {"Confirm", "Print to terminal"};
    CM_AUTOBUF struct cm_buf script = CM_BUF_INIT(65536);
    CM_AUTOFREE char *program = NULL;
    size_t row = 0, way = 1;

    while (row < CM_COUNT_OF(shells) && strcmp(shells[row].shell, shell) != 0)
        row++;
    if (row == CM_COUNT_OF(shells))
        return cm_err_set(err, CM_INVALID, "no completion for shell \"%s\": name one with --shell",
                          shell);
    if (cm_fs_self_exe(&program, err) != CM_OK)
        return err->code;
    fill_in(&script, shells[row].script, program);
    const char *path = cm_fs_join(cli->arena, home && *home ? home : "/", shells[row].rc);
    if (!o->print && cli->stdout_tty && cli->stdin_tty &&
        ui_select(cli, cm_arena_printf(cli->arena, "Install completion for %s at %s?", shell, path),
                  ways, CM_COUNT_OF(ways), &way, err) != CM_OK)
        return err->code;
    if (way == 1) {
        fwrite(script.ptr, 1, script.len, stdout);
        return CM_OK;
    }
    if (install(path, cm_buf_view(&script), err) != CM_OK)
        return err->code;
    printf("Restart your terminal to enable completion.\n");
    return CM_OK;
}

const struct command command_completion = {
    .name = "completion",
    .brief = "Install or update shell completion scripts for the detected or chosen shell.",
    .opts = opts,
    .n_opts = CM_COUNT_OF(opts),
    .opts_size = sizeof(struct opts),
    .run = run,
};

/* Candidates for the last word: subcommands where one may stand, flags after a dash, a flag's
 * choices after the flag. */
static void print_choices(const struct cm_opt *o)
{
    struct cm_str rest = cm_str(o->choices), one;
    while (rest.len) {
        rest = cm_str_split(rest, '|', &one);
        printf("%.*s\n", CM_STR_ARG(one));
    }
}

static bool choices_of(const struct cm_opt *list, size_t n, struct cm_str flag)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].flag && list[i].choices && cm_str_eq_c(flag, list[i].flag)) {
            print_choices(&list[i]);
            return true;
        }
    }
    return false;
}

int completion_print(struct cm_arena *a, int argc, char **argv)
{
    const struct command *c = NULL;
    const char *path = NULL;
    char **args = CM_NEW_ARRAY(a, char *, (size_t)argc + 1);
    size_t n = 0;
    const char *word = argc > 1 ? argv[argc - 1] : "", *before = argc > 2 ? argv[argc - 2] : "";
    int known = argc > 1 ? argc - 1 : argc; /* the last word is still being typed */

    cm_ignore(command_find(a, known, argv, &c, &path, args, &n, NULL) != CM_OK,
              "what was found so far is what counts");
    if (strncmp(before, "--", 2) == 0 &&
        (choices_of(c->opts, c->n_opts, cm_str(before + 2)) ||
         choices_of(global_opts, global_opts_n, cm_str(before + 2))))
        return 0;
    if (word[0] == '-') {
        for (size_t i = 0; i < c->n_opts; i++)
            printf("--%s\n", c->opts[i].flag);
        for (size_t i = 0; i < global_opts_n; i++)
            printf("--%s\n", global_opts[i].flag);
        return 0;
    }
    for (size_t i = 0; c->sub && c->sub[i]; i++)
        printf("%s\n", c->sub[i]->name);
    return 0;
}
