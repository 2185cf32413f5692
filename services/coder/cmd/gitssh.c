/* What git calls inside a workspace: `coder gitssh` as its ssh, with the owner's key of the
 * deployment after the user's own, and this program as its askpass. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/agents.h"
#include "cmd/cmd.h"
#include "cmd/gitssh.h"
#include "sys/child.h"
#include "sys/fs.h"

#define OUTPUT_MAX ((size_t)256 << 10)
#define SSH_FAILED 255

/* The session of the agent in whose workspace this runs. */
static enum cm_code agent_session(struct cli *cli, struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(4096);
    const char *token = cli->g.agent_token;

    text.wipe = true;
    if (!*token && *cli->g.agent_token_file) {
        if (cm_fs_read(cli->g.agent_token_file, &text, err) != CM_OK)
            return cm_err_wrap(err, "the agent's token");
        token = cm_arena_cstr(cli->arena, cm_str_trim(cm_buf_view(&text)));
    }
    if (!*token || !*cli->g.agent_url)
        return cm_err_set(err, CM_UNAUTHENTICATED,
                          "CODER_AGENT_URL and CODER_AGENT_TOKEN are not set: this command is for "
                          "use inside a workspace");
    return cli_session_new(cli, cli->g.agent_url, token, &cli->sdk, err);
}

/* Which of the user's own keys OpenSSH would offer to that host, and are there. */
static void own_keys(struct cli *cli, const char **argv, size_t *n, size_t max)
{
    const char **ask = CM_NEW_ARRAY(cli->arena, const char *, cli->n_args + 3);
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(OUTPUT_MAX), noise = CM_BUF_INIT(OUTPUT_MAX);
    const char *home = cm_conf_getenv("HOME");
    struct cm_str rest, line;

    ask[0] = "ssh";
    ask[1] = "-G";
    memcpy(ask + 2, cli->args, cli->n_args * sizeof(*ask));
    struct cm_child_spec spec = {.argv = ask};
    if (cm_child_run(&spec, CM_STR(""), &out, &noise, 10 * CM_SECOND, NULL, NULL, NULL) != CM_OK)
        return;
    for (rest = cm_buf_view(&out); rest.len && *n + 2 <= max;) {
        static const struct cm_str key = {"identityfile ", 13};
        rest = cm_str_split(rest, '\n', &line);
        if (!cm_str_starts(line, key))
            continue;
        const char *path =
            cm_arena_cstr(cli->arena, cm_str_trim(cm_str_sub(line, key.len, line.len)));
        if (path[0] == '~' && path[1] == '/')
            path = cm_fs_join(cli->arena, home && *home ? home : "/", path + 2);
        if (!cm_fs_exists(path))
            continue;
        argv[(*n)++] = "-i";
        argv[(*n)++] = path;
    }
}

static enum cm_code run_ssh(struct cli *cli, const char *key_file, struct cm_str public_key,
                            struct cm_err *err)
{
    static const size_t own_max = 32;
    const char **argv = CM_NEW_ARRAY(cli->arena, const char *, cli->n_args + own_max + 4);
    struct cm_child_status status;
    CM_AUTO(cm_child) child = NULL;
    size_t n = 0;

    argv[n++] = "ssh";
    own_keys(cli, argv, &n, own_max);
    argv[n++] = "-i";
    argv[n++] = key_file;
    memcpy(argv + n, cli->args, cli->n_args * sizeof(*argv));
    struct cm_child_spec spec = {
        .argv = argv,
        .std = {{CM_CHILD_INHERIT, 0}, {CM_CHILD_INHERIT, 0}, {CM_CHILD_INHERIT, 0}},
        .same_group = true};
    /* They are for ssh; the key's file is to be removed after it. */
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    if (cm_child_start(&spec, &child, err) != CM_OK ||
        cm_child_wait(child, -1, &status, err) != CM_OK)
        return cm_err_wrap(err, "run ssh");
    cli->exit_status = cm_child_status_shell(status);
    if (cli->exit_status == SSH_FAILED)
        fprintf(stderr,
                "\nCoder authenticates with the key below, if no key of yours is accepted. Add it "
                "to the account at your git host, or ask who may:\n\n%.*s\n\n",
                CM_STR_ARG(cm_str_trim(public_key)));
    return CM_OK;
}

static enum cm_code run(struct cli *cli, struct cm_err *err)
{
    struct api_agent_git_ssh_key *key = NULL;
    CM_AUTOFREE char *dir = NULL;

    if (agent_session(cli, err) != CM_OK)
        return err->code;
    if (cm_sdk_get(cli->sdk, cli->arena, &api_agent_git_ssh_key_msg, &key, err,
                   "/api/v2/workspaceagents/me/gitsshkey") != CM_OK)
        return cm_err_wrap(err, "get agent git ssh token");
    if (cm_fs_temp_dir(NULL, "coder-gitssh.", &dir, err) != CM_OK)
        return cm_err_wrap(err, "a folder for the key");
    const char *path = cm_fs_join(cli->arena, dir, "key");
    enum cm_code code = cm_fs_write(path, key->private_key, 0600, false, err);
    if (code == CM_OK)
        code = run_ssh(cli, path, key->public_key, err);
    cm_ignore(cm_fs_remove_tree(dir, NULL) != CM_OK, "it is in the temporary folder");
    return code;
}

const struct command command_gitssh = {
    .name = "gitssh",
    .args = "-- <arguments of ssh>",
    .brief = "Wraps the \"ssh\" command and uses the coder gitssh key for authentication",
    .hidden = true,
    .min_args = 1,
    .max_args = -1,
    .run = run,
};

bool gitaskpass_is_meant(int argc, char **argv)
{
    return argc == 2 && cm_conf_getenv("GIT_PREFIX") &&
           (strncmp(argv[1], "Username ", 9) == 0 || strncmp(argv[1], "Password ", 9) == 0);
}

/* "Username for 'https://user@host': " to "https://host". */
static enum cm_code asked_site(struct cli *cli, const char *prompt, const char **ret,
                               struct cm_err *err)
{
    struct cm_str rest = cm_str_split(cm_str(prompt), '\'', &(struct cm_str){NULL, 0}), url, scheme;
    cm_str_split(rest, '\'', &url);
    struct cm_str host = cm_str_split(url, ':', &scheme);

    bool web = cm_str_eq_c(scheme, "https") || cm_str_eq_c(scheme, "http");
    if (!web || !cm_str_starts(host, CM_STR("//")))
        return cm_err_set(err, CM_INVALID, "\"%s\" is not a question about a web site", prompt);
    host = cm_str_sub(host, 2, host.len);
    ptrdiff_t at = cm_str_find(host, '@');
    if (at >= 0)
        host = cm_str_sub(host, (size_t)at + 1, host.len);
    *ret = cm_arena_printf(cli->arena, "%.*s://%.*s", CM_STR_ARG(scheme), CM_STR_ARG(host));
    return CM_OK;
}

static enum cm_code run_askpass(struct cli *cli, struct cm_err *err)
{
    struct api_agent_external_auth_response *auth = NULL;
    const char *prompt = cli_arg(cli, 0), *site = NULL;

    if (asked_site(cli, prompt, &site, err) != CM_OK || agent_session(cli, err) != CM_OK)
        return err->code;
    const char *match = cm_sdk_part(cli->arena, cm_str(site));
    if (cm_sdk_get(cli->sdk, cli->arena, &api_agent_external_auth_response_msg, &auth, err,
                   "/api/v2/workspaceagents/me/external-auth?match=%s", match) != CM_OK) {
        cli->exit_status = 1;
        if (err->code != CM_NOT_FOUND)
            return cm_err_wrap(err, "get git token");
        /* git asks at the terminal then. */
        return cm_err_set(err, CM_CANCELED, "%s", "");
    }
    if (auth->url.len) {
        fprintf(stderr,
                "Open the following in your browser, to give this workspace access:\n\n\t%.*s\n\n",
                CM_STR_ARG(auth->url));
        if (cm_sdk_get(cli->sdk, cli->arena, &api_agent_external_auth_response_msg, &auth, err,
                       "/api/v2/workspaceagents/me/external-auth?match=%s&listen=true",
                       match) != CM_OK)
            return cm_err_wrap(err, "wait for access");
    }
    struct cm_str answer = *prompt == 'U' ? auth->username : auth->password;
    printf("%.*s\n", CM_STR_ARG(answer));
    return CM_OK;
}

const struct command command_gitaskpass = {
    .name = "gitaskpass",
    .args = "<prompt>",
    .brief = "Answers what git asks, by the deployment's external authentication",
    .hidden = true,
    .min_args = 1,
    .max_args = 1,
    .run = run_askpass,
};
