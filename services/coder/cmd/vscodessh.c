/* vscodessh: what older versions of the VS Code extension put into the SSH configuration as
 * ProxyCommand. */
#include "cmd/cmd.h"
#include "remote/stdio.h"
#include "remote/target.h"
#include "sys/fs.h"

#define FILE_MAX ((size_t)64 << 10)

struct vscode_opts {
    const char *network_dir, *log_dir, *token_file, *url_file, *wait;
    cm_usec interval;
};

#define V(member) offsetof(struct vscode_opts, member)

static const struct cm_opt opts[] = {
    {CM_OPT_STR, V(network_dir), "network-info-dir",
     .help = "Specifies a directory to write network information to."},
    {CM_OPT_STR, V(log_dir), "log-dir", .env = "CODER_LOG_DIR",
     .help = "Accepted for compatibility; nothing is logged there."},
    {CM_OPT_STR, V(token_file), "session-token-file",
     .help = "Specifies a file that contains a session token."},
    {CM_OPT_STR, V(url_file), "url-file", .help = "Specifies a file that contains the Coder URL."},
    {CM_OPT_DURATION, V(interval), "network-info-interval", .def = "3s",
     .help = "Specifies the interval to update network information."},
    {CM_OPT_CHOICE, V(wait), "wait", .def = "auto", .choices = "yes|no|auto",
     .help = "Specifies whether or not to wait for the startup script to finish executing."},
};

static enum cm_code read_line(struct cli *cli, const char *flag, const char *path, const char **ret,
                              struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(FILE_MAX);

    text.wipe = true;
    if (!*path)
        return cm_err_set(err, CM_INVALID, "--%s must be set", flag);
    if (cm_fs_read(path, &text, err) != CM_OK)
        return cm_err_wrap(err, "--%s", flag);
    *ret = cm_arena_cstr(cli->arena, cm_str_trim(cm_buf_view(&text)));
    return CM_OK;
}

/* "coder-vscode.host--owner--workspace[--agent]" without its first part. */
static enum cm_code host_text(const char *host, const char **ret, struct cm_err *err)
{
    const char *owner = strstr(host, "--"), *workspace = owner ? strstr(owner + 2, "--") : NULL;

    if (!workspace)
        return cm_err_set(err, CM_INVALID,
                          "invalid host \"%s\": it must have the form "
                          "coder-vscode--<owner>--<workspace>[--<agent>]",
                          host);
    *ret = owner + 2;
    return CM_OK;
}

static enum cm_code run(struct cli *cli, struct cm_err *err)
{
    const struct vscode_opts *o = cli->opts;
    struct remote_wish wish = {.autostart = false, .wait = o->wait, .reason = "vscode_connection"};
    struct report_spec spec = {.app = "vscode", .dir = o->network_dir, .interval = o->interval};
    struct api_workspace *ws = NULL;
    struct api_workspace_agent *agent = NULL;
    struct remote_link *link = NULL;
    const char *host = NULL;

    if (host_text(cli_arg(cli, 0), &host, err) != CM_OK ||
        read_line(cli, "url-file", o->url_file, &cli->g.url, err) != CM_OK ||
        read_line(cli, "session-token-file", o->token_file, &cli->g.token, err) != CM_OK ||
        remote_find(cli, host, &wish, &ws, &agent, err) != CM_OK ||
        remote_link_new(cli, agent->id, cm_kind_bit(CM_KIND_SSH) | cm_kind_bit(CM_KIND_ECHO), &link,
                        err) != CM_OK)
        return err->code;
    spec.workspace = ws->id;
    spec.agent = agent->id;
    remote_link_end_by_signals(link, NULL);
    enum cm_code code = remote_stdio(cli, link, &spec, err);
    remote_link_free(link);
    return code;
}

const struct command command_vscodessh = {
    .name = "vscodessh",
    .args = "<host>",
    .brief = "Connect a VS Code window to a workspace",
    .hidden = true,
    .opts = opts,
    .n_opts = CM_COUNT_OF(opts),
    .opts_size = sizeof(struct vscode_opts),
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
