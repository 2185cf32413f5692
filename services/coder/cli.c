#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/version.h"
#include "sys/child.h"
#include "sys/fs.h"

#define CONFIG_FILE_MAX ((size_t)64 << 10)
#define HEADERS_MAX     32

const char *cli_config_path(struct cli *cli, const char *file)
{
    const char *dir = cli->g.config_dir;

    if (!dir || !*dir) {
        const char *xdg = cm_conf_getenv("XDG_CONFIG_HOME"), *home = cm_conf_getenv("HOME");
        dir = xdg && *xdg ? cm_fs_join(cli->arena, xdg, "coderv2")
                          : cm_fs_join(cli->arena, home && *home ? home : "/", ".config/coderv2");
        cli->g.config_dir = dir;
    }
    return file ? cm_fs_join(cli->arena, dir, file) : dir;
}

const char *cli_config_read(struct cli *cli, const char *file)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(CONFIG_FILE_MAX);
    text.wipe = true;
    if (cm_fs_read(cli_config_path(cli, file), &text, NULL) != CM_OK)
        return "";
    return cm_arena_cstr(cli->arena, cm_str_trim(cm_buf_view(&text)));
}

enum cm_code cli_config_write(struct cli *cli, const char *file, const char *text,
                              struct cm_err *err)
{
    if (cm_fs_mkdirs(cli_config_path(cli, NULL), 0750, err) != CM_OK ||
        cm_fs_write(cli_config_path(cli, file), cm_str(text), 0600, false, err) != CM_OK)
        return cm_err_wrap(err, "write config %s", file);
    return CM_OK;
}

/* Options of every outgoing connection of this run. */
static struct cm_dialer_config dialer_config(const struct cli *cli)
{
    struct cm_dialer_config cfg = {.tls = {.extra_ca_file = cli->g.ca_file,
                                           .cert_file = cli->g.cert_file,
                                           .key_file = cli->g.key_file}};
    cm_dialer_config_env(&cfg, cm_conf_getenv);
    return cfg;
}

struct header_list {
    struct cm_httpc_header v[HEADERS_MAX];
    size_t n;
};

static enum cm_code add_header(struct cli *cli, struct header_list *list, struct cm_str text,
                               struct cm_err *err)
{
    struct cm_str name, value = cm_str_split(text, '=', &name);

    if (!value.ptr || !name.len)
        return cm_err_set(err, CM_INVALID, "split header \"%.*s\" had less than two parts",
                          CM_STR_ARG(name));
    if (list->n == HEADERS_MAX)
        return cm_err_set(err, CM_INVALID, "more than %d headers", HEADERS_MAX);
    list->v[list->n++] =
        (struct cm_httpc_header){cm_arena_str(cli->arena, name), cm_arena_str(cli->arena, value)};
    return CM_OK;
}

static enum cm_code command_headers(struct cli *cli, const char *url, struct header_list *list,
                                    struct cm_err *err)
{
    const char *const argv[] = {"/bin/sh", "-c", cli->g.header_command, NULL};
    const char *vars[256];
    size_t n = 0;
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(CONFIG_FILE_MAX);
    struct cm_child_status status;
    struct cm_str rest, line;

    for (char **e = environ; *e && n < CM_COUNT_OF(vars) - 2; e++)
        if (strncmp(*e, "CODER_URL=", 10) != 0)
            vars[n++] = *e;
    vars[n++] = cm_arena_printf(cli->arena, "CODER_URL=%s", url);
    vars[n] = NULL;
    struct cm_child_spec spec = {.argv = argv, .env = vars};
    CM_AUTOBUF struct cm_buf noise = CM_BUF_INIT(CONFIG_FILE_MAX);
    if (cm_child_run(&spec, CM_STR(""), &out, &noise, CM_MINUTE, &status, NULL, err) != CM_OK)
        return cm_err_wrap(err, "failed to run header command");
    if (status.code != 0 || status.signo)
        return cm_err_set(err, CM_INVALID, "failed to run header command: exit status %d",
                          cm_child_status_shell(status));
    for (rest = cm_buf_view(&out); rest.len;) {
        rest = cm_str_split(rest, '\n', &line);
        line = cm_str_trim(line);
        if (line.len && add_header(cli, list, line, err) != CM_OK)
            return err->code;
    }
    return CM_OK;
}

/* "2.30" of "v2.30.0+x". */
static struct cm_str major_minor(struct cm_str version)
{
    struct cm_str major, minor, rest;
    if (version.len && version.ptr[0] == 'v')
        version = cm_str_sub(version, 1, version.len);
    rest = cm_str_split(version, '.', &major);
    cm_str_split(rest, '.', &minor);
    return cm_str_sub(version, 0, major.len + 1 + minor.len);
}

static void on_answer(void *ctx, const struct cm_httpc_answer *answer)
{
    struct cli *cli = ctx;
    struct cm_str server = cm_httpc_header(answer, "X-Coder-Build-Version");
    struct cm_str ours = major_minor(CM_STR(CM_VERSION)), theirs = major_minor(server);

    if (cli->warned_version || !server.len)
        return;
    cli->warned_version = true;
    cli->server_version = cm_arena_cstr(cli->arena, server);
    if (!cli->g.no_version_warning && !cm_str_eq(ours, theirs) && !cm_str_eq_c(theirs, "0.0"))
        fprintf(stderr, "version mismatch: client %s, server %.*s\n", CM_VERSION,
                CM_STR_ARG(server));
    struct cm_str warning = cm_httpc_header(answer, "X-Coder-Entitlements-Warning");
    if (warning.len && !cli->g.no_feature_warning)
        fprintf(stderr, "%.*s\n", CM_STR_ARG(warning));
}

enum cm_code cli_session_new(struct cli *cli, const char *url, const char *token,
                             struct cm_sdk **ret, struct cm_err *err)
{
    struct header_list headers = {.n = 0};
    struct cm_sdk_config cfg = {
        .url = url,
        .token = token,
        .user_agent =
            cm_arena_printf(cli->arena, "coder-cli/%s (linux/amd64; %s)", CM_VERSION, cli->path),
        .dialer = dialer_config(cli),
        .on_answer = on_answer,
        .ctx = cli,
    };
    for (size_t i = 0; i < cli->g.headers.n; i++)
        if (add_header(cli, &headers, cm_str(cli->g.headers.v[i]), err) != CM_OK)
            return err->code;
    if (*cli->g.header_command && command_headers(cli, url, &headers, err) != CM_OK)
        return err->code;
    cfg.headers = headers.v;
    cfg.n_headers = headers.n;
    return cm_sdk_new(&cfg, ret, err);
}

enum cm_code cli_session(struct cli *cli, struct cm_err *err)
{
    const char *url = *cli->g.url ? cli->g.url : cli_config_read(cli, "url");
    const char *token = *cli->g.token ? cli->g.token : cli_config_read(cli, "session");

    if (cli->sdk)
        return CM_OK;
    if (!*url)
        return cm_err_set(err, CM_UNAUTHENTICATED,
                          "You are not logged in. Try logging in using '%s login <url>'.",
                          cli->argv0);
    return cli_session_new(cli, url, token, &cli->sdk, err);
}

static void print_refusal(const struct cli *cli, const struct cm_sdk_refusal *r,
                          const struct cm_err *err)
{
    const char *at = strstr(err->text, r->line);
    int clauses = at ? (int)(at - err->text) : 0;

    fputs("error: ", stderr);
    if (cli->g.verbose)
        fprintf(stderr, "API request error to \"%s:%s\". Status code %d\n", r->method, r->url,
                r->status);
    if (clauses)
        fprintf(stderr, "Trace=[%.*s]\n", clauses, err->text);
    fprintf(stderr, "%s\n", r->message);
    if (r->n_validations)
        fprintf(stderr, "%zu validation error(s) found\n", r->n_validations);
    for (size_t i = 0; i < r->n_validations; i++)
        fprintf(stderr, "\t%.*s: %.*s\n", CM_STR_ARG(r->validations[i].field),
                CM_STR_ARG(r->validations[i].detail));
    if (*r->detail && (cli->g.verbose || !*r->helper))
        fprintf(stderr, "%s\n", r->detail);
    if (*r->helper)
        fprintf(stderr, "Suggestion: %s\n", r->helper);
}

void cli_print_error(struct cli *cli, const struct cm_err *err)
{
    const struct cm_sdk_refusal *r = cli->sdk ? cm_sdk_refusal(cli->sdk) : NULL;

    if (err->code == CM_CANCELED && !*err->text)
        return; /* a prompt was declined, or a child has said it all */
    fprintf(stderr, "Encountered an error running \"%s\", see \"%s --help\" for more information\n",
            cli->path, cli->path);
    if (r && strstr(err->text, r->line))
        print_refusal(cli, r, err);
    else
        fprintf(stderr, "error: %s\n", err->text);
    if (cli->hint && !(r && *r->helper))
        fprintf(stderr, "Suggestion: %s\n", cli->hint);
    else if (!r && cli->sdk && strstr(err->text, cm_sdk_url(cli->sdk)))
        fprintf(stderr,
                "Suggestion: Check that %s is the address of your deployment and that it runs; "
                "'coder login <url>' takes another address.\n",
                cm_sdk_url(cli->sdk));
}
