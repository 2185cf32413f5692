/* config-ssh: keeps a block of the user's SSH configuration, between two marker lines, and touches
 * nothing else. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "sshconfig.h"
#include "sys/fs.h"

struct config_opts {
    const char *file, *binary, *prefix, *suffix, *wait;
    struct cm_conf_list options;
    bool dry_run, use_previous, disable_autostart, unix_paths;
};

#define O(member) offsetof(struct config_opts, member)

static const struct cm_opt opts[] = {
    {CM_OPT_STR, O(file), "ssh-config-file", .env = "=", .def = "~/.ssh/config",
     .help = "Specifies the path to an SSH config."},
    {CM_OPT_STR, O(binary), "coder-binary-path", .env = "CODER_SSH_CONFIG_BINARY_PATH",
     .help = "Optionally specify the absolute path to the coder binary used in ProxyCommand."},
    {CM_OPT_LIST, O(options), "ssh-option", 'o', "CODER_SSH_CONFIG_OPTS",
     .help = "Specifies additional SSH options to embed in each host stanza."},
    {CM_OPT_BOOL, O(dry_run), "dry-run", 'n', "CODER_SSH_DRY_RUN",
     .help = "Perform a trial run with no changes made, showing a diff at the end."},
    {CM_OPT_BOOL, O(use_previous), "use-previous-options", .env = "CODER_SSH_USE_PREVIOUS_OPTIONS",
     .help = "Specifies whether or not to keep options from previous run of config-ssh."},
    {CM_OPT_STR, O(prefix), "ssh-host-prefix", .env = "CODER_CONFIGSSH_SSH_HOST_PREFIX",
     .help = "Override the default host prefix."},
    {CM_OPT_STR, O(suffix), "hostname-suffix", .env = "CODER_CONFIGSSH_HOSTNAME_SUFFIX",
     .help = "Override the default hostname suffix."},
    {CM_OPT_CHOICE, O(wait), "wait", .env = "CODER_CONFIGSSH_WAIT", .def = "auto",
     .choices = "yes|no|auto",
     .help = "Specifies whether or not to wait for the startup script to finish executing."},
    {CM_OPT_BOOL, O(disable_autostart), "disable-autostart",
     .env = "CODER_CONFIGSSH_DISABLE_AUTOSTART",
     .help = "Disable starting the workspace automatically when connecting via SSH."},
    {CM_OPT_BOOL, O(unix_paths), "force-unix-filepaths", .env = "=",
     .help = "By default, 'config-ssh' uses the os path separator when writing the ssh config. On "
             "this system it is "
             "Unix's anyway."},
};

static enum cm_code deployment_options(struct cli *cli, struct ssh_block *b,
                                       const struct config_opts *o, struct cm_err *err)
{
    struct cm_str body;
    const struct cm_json *root = NULL;

    if (cm_sdk_raw(cli->sdk, cli->arena, "GET", NULL, NULL, &body, err, "/api/v2/deployment/ssh") ==
        CM_OK) {
        if (cm_json_parse(cli->arena, body, NULL, &root, err) != CM_OK)
            return err->code;
    } else if (err->code != CM_NOT_FOUND) {
        return cm_err_wrap(err, "fetch coderd config failed");
    }
    struct cm_str prefix = cm_json_str(cm_json_get(root, "hostname_prefix"));
    struct cm_str suffix = cm_json_str(cm_json_get(root, "hostname_suffix"));
    const struct cm_json *more = cm_json_get(root, "ssh_config_options");
    b->prefix =
        *o->prefix ? o->prefix : cm_arena_cstr(cli->arena, prefix.len ? prefix : CM_STR("coder."));
    b->suffix = *o->suffix ? o->suffix : cm_arena_cstr(cli->arena, root ? suffix : CM_STR("coder"));
    while (*b->suffix == '.')
        b->suffix++;
    b->deployment = CM_NEW_ARRAY(cli->arena, const char *, cm_json_count(more) + 1);
    for (size_t i = 0; i < cm_json_count(more); i++) {
        struct cm_str value = CM_STR("");
        cm_ignore(!cm_json_scalar_text(cm_json_at(more, i), &value), "anything else has no text");
        b->deployment[b->n_deployment++] =
            cm_arena_printf(cli->arena, "%.*s=%.*s", CM_STR_ARG(cm_json_key(cm_json_at(more, i))),
                            CM_STR_ARG(value));
    }
    return CM_OK;
}

static const char *expand_home(struct cli *cli, const char *path)
{
    const char *home = cm_conf_getenv("HOME");
    if (path[0] != '~' || path[1] != '/')
        return path;
    return cm_fs_join(cli->arena, home && *home ? home : "/", path + 2);
}

/* What the options block of an earlier run said against what is asked for now. */
static enum cm_code settle_options(struct cli *cli, struct ssh_block *b, struct cm_str section,
                                   struct cm_err *err)
{
    const struct config_opts *o = cli->opts;
    struct ssh_options old;

    if (!section.len)
        return CM_OK;
    ssh_options_read(cli->arena, section, &old);
    if (ssh_options_equal(&old, &b->options))
        return CM_OK;
    if (o->use_previous) {
        b->options = old;
        return CM_OK;
    }
    if (cli->yes)
        return CM_OK;
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(65536);
    cm_buf_cstr(&text, "New options differ from previous options:\n\n  New options:\n");
    ssh_options_list(&b->options, &text);
    cm_buf_cstr(&text, "\n  Previous options:\n");
    ssh_options_list(&old, &text);
    fprintf(stderr, "%.*s\n", CM_STR_ARG(cm_buf_view(&text)));
    if (ui_confirm(cli, "Use new options?", true, err) == CM_OK)
        return CM_OK;
    if (err->code != CM_CANCELED)
        return err->code;
    b->options = old; /* "no" keeps what was */
    return CM_OK;
}

static void apply_options(struct ssh_block *b)
{
    if (*b->options.prefix)
        b->prefix = b->options.prefix;
    if (*b->options.suffix)
        b->suffix = b->options.suffix;
}

static enum cm_code save(const char *path, struct cm_str text, struct cm_err *err)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct stat st;
    mode_t mode = stat(path, &st) == 0 ? st.st_mode & 07777 : 0600;
    const char *target = path;
    char real[4096];

    /* A link stays a link: what it points to is replaced. */
    ssize_t n = readlink(path, real, sizeof(real) - 1);
    if (n > 0) {
        real[n] = '\0';
        target = real[0] == '/' ? real : cm_fs_join(a, cm_fs_dirname(a, path), real);
    }
    if (cm_fs_mkdirs(cm_fs_dirname(a, target), 0700, err) != CM_OK)
        return err->code;
    return cm_fs_write(target, text, mode, true, err);
}

/* The file as it will be: old with its section replaced, or with one more at its end. */
static enum cm_code compose(struct cli *cli, struct ssh_block *b, struct cm_str old,
                            struct cm_buf *out, struct cm_err *err)
{
    struct cm_str section = CM_STR(""), before, after;
    if (ssh_section_find(old, &before, &section, &after, err) != CM_OK ||
        settle_options(cli, b, section, err) != CM_OK)
        return err->code;
    apply_options(b);
    if (ssh_block_check(b, err) != CM_OK)
        return err->code;
    cm_buf_str(out, before);
    if (!section.len && before.len) {
        if (before.ptr[before.len - 1] != '\n')
            cm_buf_char(out, '\n');
        cm_buf_char(out, '\n');
    }
    ssh_block_write(cli->arena, b, out);
    cm_buf_str(out, after);
    return cm_buf_check(out, "the ssh config", err);
}

/* Asks first. */
static enum cm_code replace(struct cli *cli, const char *path, struct cm_str text,
                            struct cm_err *err)
{
    const char *question =
        cm_arena_printf(cli->arena,
                        "The following changes will be made to your SSH configuration:\n\n    "
                        "* Update the coder section in %s\n\n  Continue?",
                        path);
    if (ui_confirm(cli, question, true, err) != CM_OK)
        return err->code;
    if (save(path, text, err) != CM_OK)
        return cm_err_wrap(err, "write ssh config");
    return CM_OK;
}

static enum cm_code run(struct cli *cli, struct cm_err *err)
{
    const struct config_opts *o = cli->opts;
    CM_AUTOBUF struct cm_buf old = CM_BUF_INIT(SSH_CONFIG_MAX),
                             text = CM_BUF_INIT(2 * SSH_CONFIG_MAX);
    CM_AUTOFREE char *self = NULL;
    struct ssh_block b = {.wait_default = "auto"};
    const char *path = expand_home(cli, o->file);

    if (cli_session(cli, err) != CM_OK || deployment_options(cli, &b, o, err) != CM_OK ||
        (!*o->binary && cm_fs_self_exe(&self, err) != CM_OK))
        return err->code;
    b.binary = *o->binary ? o->binary : self;
    b.config_dir = cli_config_path(cli, NULL);
    b.options = (struct ssh_options){.wait = o->wait,
                                     .prefix = o->prefix,
                                     .suffix = o->suffix,
                                     .disable_autostart = o->disable_autostart,
                                     .ssh = o->options,
                                     .headers = cli->g.headers,
                                     .header_command = cli->g.header_command};
    if (cm_fs_read(path, &old, err) != CM_OK && err->code != CM_NOT_FOUND)
        return cm_err_wrap(err, "read ssh config");
    if (compose(cli, &b, cm_buf_view(&old), &text, err) != CM_OK)
        return err->code;
    if (o->dry_run) {
        printf("Dry run, the following changes would be made to your SSH configuration:\n\n  * "
               "Write %s\n",
               path);
        ssh_print_diff(cm_buf_view(&old), cm_buf_view(&text), path);
        return CM_OK;
    }
    if (cm_str_eq(cm_buf_view(&old), cm_buf_view(&text))) {
        printf("No changes to make.\n");
        return CM_OK;
    }
    if (replace(cli, path, cm_buf_view(&text), err) != CM_OK)
        return err->code;
    printf("Updated \"%s\"\n", path);
    printf("You should now be able to ssh into your workspace.\nFor example, try running:\n\n\t$ "
           "ssh %s<workspace>\n\n",
           b.prefix);
    return CM_OK;
}

const struct command command_config_ssh = {
    .name = "config-ssh",
    .brief = "Add an SSH Host entry for your workspaces \"ssh workspace.coder\"",
    .opts = opts,
    .n_opts = CM_COUNT_OF(opts),
    .opts_size = sizeof(struct config_opts),
    .uses = USES_YES,
    .run = run,
};

/* Coder Connect is a VPN that this program has no part in: no name resolves through it. */
static enum cm_code run_exists(struct cli *cli, struct cm_err *err)
{
    cli->exit_status = 1;
    return cm_err_set(err, CM_CANCELED, "%s", "");
}

static const struct command connect_exists = {
    .name = "exists",
    .args = "<hostname>",
    .brief = "Checks if the given hostname exists via Coder Connect.",
    .hidden = true,
    .min_args = 1,
    .max_args = 1,
    .run = run_exists,
};
static const struct command *const connect_subs[] = {&connect_exists, NULL};

const struct command command_connect = {
    .name = "connect",
    .brief = "Commands related to Coder Connect (OS-level tunneled connection to workspaces).",
    .hidden = true,
    .sub = connect_subs,
};
