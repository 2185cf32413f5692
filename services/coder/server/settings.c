#include "server/settings.h"

#include "codec/yaml.h"
#include "sys/fs.h"

#define CONFIG_FILE_MAX ((size_t)1 << 20)

#define ROW(type_, member_, ...)                                                                   \
    {                                                                                              \
        .type = CM_OPT_##type_, .offset = offsetof(struct settings, member_), __VA_ARGS__          \
    }

const struct cm_opt settings_rows[] = {
    ROW(STR, config_dir, .flag = "global-config", .env = "CODER_CONFIG_DIR", .value = "dir",
        .help = "Folder of the server's data: the embedded database and its sockets. "
                "~/.config/coderv2 unless set; for root /var/lib/coder."),
    ROW(STR, config_file, .flag = "config", .shorthand = 'c', .env = "CODER_CONFIG_PATH",
        .value = "file", .help = "A YAML file with options. Flags and environment win over it."),
    ROW(INT, provisioners, .flag = "provisioner-daemons", .env = "=", .def = "3",
        .yaml = "provisioning.daemons",
        .help = "How many provisioners to run here; 0: external ones only."),
    ROW(STR, user, .flag = "server-user", .env = "=", .value = "user",
        .help = "The user that the database and coderd run as when root starts the server. The "
                "first of coder, postgres and nobody that exists unless set. Provisioners keep "
                "root's rights, which local workspaces then have as well."),
    ROW(STR, postgres_bin_dir, .flag = "postgres-bin-dir", .env = "=", .value = "dir",
        .help = "Where the programs of the embedded PostgreSQL are. /usr/lib/postgresql/*/bin "
                "unless set."),
    ROW(BOOL, verbose, .flag = "verbose", .shorthand = 'v', .env = "=", .help = "Log more."),
    ROW(BOOL, raw_url, .flag = "raw-url",
        .help = "With postgres-builtin-url and postgres-builtin-serve: print the URL alone."),
    ROW(BOOL, no_open, .flag = "no-open", .env = "=", .flags = CM_OPT_HIDDEN,
        .help = "Accepted for compatibility; no browser is opened."),
    ROW(BOOL, write_config, .flag = "write-config",
        .help = "Print the options in force as a file for --config, and exit."),
    ROW(BOOL, help, .flag = "help", .shorthand = 'h', .help = "Print this help."),
};
const size_t settings_row_count = CM_COUNT_OF(settings_rows);

#define SETS(s_)                                                                                   \
    const struct cm_conf_set sets[] = {                                                            \
        {settings_rows, settings_row_count, (s_)},                                                 \
        {coderd_option_rows, coderd_option_row_count, &(s_)->coderd}}

static enum cm_code read_file(struct settings *s, struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(CONFIG_FILE_MAX);
    const struct cm_json *root = NULL;
    if (!s->config_file[0])
        return CM_OK;
    if (cm_fs_read(s->config_file, &text, err) != CM_OK ||
        cm_yaml_parse(cm_conf_arena(s->conf), cm_buf_view(&text), NULL, &root, err) != CM_OK ||
        cm_conf_apply_file(s->conf, root, err) != CM_OK)
        return cm_err_wrap(err, "configuration file %s", s->config_file);
    return CM_OK;
}

static enum cm_code read_command(struct settings *s, struct cm_err *err)
{
    const char *const *args;
    size_t n = cm_conf_args(s->conf, &args);
    if (n == 0)
        s->command = COMMAND_SERVE;
    else if (n == 1 && strcmp(args[0], "postgres-builtin-serve") == 0)
        s->command = COMMAND_POSTGRES_SERVE;
    else if (n == 1 && strcmp(args[0], "postgres-builtin-url") == 0)
        s->command = COMMAND_POSTGRES_URL;
    else
        return cm_err_set(err, CM_INVALID, "unknown command \"%s\"; see \"coder server --help\"",
                          args[n - 1]);
    return CM_OK;
}

enum cm_code settings_load(struct settings *s, int argc, char **argv, struct cm_err *err)
{
    SETS(s);
    if (cm_conf_load(sets, CM_COUNT_OF(sets), (const char *const *)argv + 1,
                     (size_t)CM_MAX(argc - 1, 0), cm_conf_getenv, &s->conf, err) != CM_OK)
        return err->code;
    if (s->help)
        return CM_OK;
    if (read_file(s, err) != CM_OK || read_command(s, err) != CM_OK ||
        options_check(&s->coderd, err) != CM_OK)
        return err->code;
    if (s->provisioners < 0 || s->provisioners > SETTINGS_PROVISIONERS_MAX)
        return cm_err_set(err, CM_INVALID, "--provisioner-daemons must be a number from 0 to %d",
                          SETTINGS_PROVISIONERS_MAX);
    return CM_OK;
}

void settings_done(struct settings *s)
{
    cm_conf_free(s->conf);
    s->conf = NULL;
}

void settings_yaml(struct settings *s, struct cm_buf *out)
{
    SETS(s);
    cm_conf_yaml(out, sets, CM_COUNT_OF(sets));
}

void settings_help(struct cm_buf *out)
{
    cm_buf_cstr(
        out,
        "Start a Coder server: an embedded database (or the one that "
        "CODER_PG_CONNECTION_URL names), the API with its web pages, and provisioners.\n\n"
        "USAGE:\n"
        "  coder server [flags]\n"
        "  coder server postgres-builtin-serve   the embedded database alone\n"
        "  coder server postgres-builtin-url     how to connect to it\n"
        "  coder server create-admin-user        a user with all rights, made in the database\n\n"
        "OPTIONS:\n");
    cm_conf_help(out, settings_rows, settings_row_count, CM_OPT_HIDDEN);
    cm_conf_help(out, coderd_option_rows, coderd_option_row_count, CM_OPT_HIDDEN);
}
