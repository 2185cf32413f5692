/* ssh: a shell or command in a workspace, or raw SSH bytes for ProxyCommand. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/sock.h"
#include "remote/link.h"
#include "remote/report.h"
#include "remote/ssh_client.h"
#include "remote/stdio.h"
#include "remote/target.h"

struct ssh_opts {
    bool stdio, tty, forward_agent, forward_gpg, no_wait, disable_autostart, new_tunnel;
    const char *prefix, *suffix, *identity_agent, *wait, *log_dir, *network_dir, *container,
        *container_user;
    const char *usage_app;
    cm_usec poll_interval, network_interval;
    struct cm_conf_list remote_forward, env;
};

#define S(member) offsetof(struct ssh_opts, member)

static const struct cm_opt opts[] = {
    {CM_OPT_BOOL, S(stdio), "stdio", .env = "CODER_SSH_STDIO",
     .help = "Specifies whether to emit SSH output over stdin/stdout."},
    {CM_OPT_BOOL, S(tty), "tty", 't', "CODER_SSH_TTY",
     .help = "Request a terminal for the command as well."},
    {CM_OPT_STR, S(prefix), "ssh-host-prefix", .env = "CODER_SSH_SSH_HOST_PREFIX",
     .help = "Strip this prefix from the provided hostname to determine the workspace name. This "
             "is useful when used as "
             "part of an OpenSSH proxy command."},
    {CM_OPT_STR, S(suffix), "hostname-suffix", .env = "CODER_SSH_HOSTNAME_SUFFIX",
     .help = "Strip this suffix from the provided hostname to determine the workspace name. This "
             "is useful when used as "
             "part of an OpenSSH proxy command. The suffix must be specified without a leading . "
             "character."},
    {CM_OPT_BOOL, S(forward_agent), "forward-agent", 'A', "CODER_SSH_FORWARD_AGENT",
     .help = "Specifies whether to forward the SSH agent specified in $SSH_AUTH_SOCK."},
    {CM_OPT_BOOL, S(forward_gpg), "forward-gpg", 'G', "CODER_SSH_FORWARD_GPG",
     .help = "Forward the GPG agent. Use 'coder config-ssh' and OpenSSH's RemoteForward for this.",
     .flags = CM_OPT_HIDDEN},
    {CM_OPT_STR, S(identity_agent), "identity-agent", .env = "CODER_SSH_IDENTITY_AGENT",
     .help = "Specifies which identity agent to use (overrides $SSH_AUTH_SOCK), forward agent must "
             "also be enabled."},
    {CM_OPT_CHOICE, S(wait), "wait", .env = "CODER_SSH_WAIT", .def = "auto",
     .choices = "yes|no|auto",
     .help = "Specifies whether or not to wait for the startup script to finish executing. Auto "
             "means that the agent "
             "startup script behavior configured in the workspace template is used."},
    {CM_OPT_BOOL, S(no_wait), "no-wait", .env = "CODER_SSH_NO_WAIT",
     .help = "Enter workspace immediately after the agent has connected.",
     .deprecated = "--wait=no"},
    {CM_OPT_DURATION, S(poll_interval), "workspace-poll-interval",
     .env = "CODER_WORKSPACE_POLL_INTERVAL", .def = "1m",
     .help = "Specifies how often to poll for workspace automated shutdown."},
    {CM_OPT_LIST, S(remote_forward), "remote-forward", 'R', "CODER_SSH_REMOTE_FORWARD",
     .help = "Enable remote port forwarding (remote_port:local_address:local_port)."},
    {CM_OPT_LIST, S(env), "env", 'e', "CODER_SSH_ENV",
     .help = "Set environment variable(s) for session (key1=value1,key2=value2,...)."},
    {CM_OPT_STR, S(log_dir), "log-dir", 'l', "CODER_SSH_LOG_DIR",
     .help = "Specify the directory containing SSH diagnostic log files.", .flags = CM_OPT_HIDDEN},
    {CM_OPT_STR, S(network_dir), "network-info-dir",
     .help = "Specifies a directory to write network information to.", .flags = CM_OPT_HIDDEN},
    {CM_OPT_DURATION, S(network_interval), "network-info-interval", .def = "5s",
     .help = "Specifies the interval to update network information.", .flags = CM_OPT_HIDDEN},
    {CM_OPT_STR, S(usage_app), "usage-app", .env = "CODER_SSH_USAGE_APP", .def = "ssh",
     .help = "Specifies which app the session counts for: vscode, jetbrains, ssh, or disable.",
     .flags = CM_OPT_HIDDEN},
    {CM_OPT_BOOL, S(disable_autostart), "disable-autostart", .env = "CODER_SSH_DISABLE_AUTOSTART",
     .help = "Disable starting the workspace automatically when connecting via SSH."},
    {CM_OPT_STR, S(container), "container",
     .help = "Specifies a container inside the workspace to connect to.", .flags = CM_OPT_HIDDEN},
    {CM_OPT_STR, S(container_user), "container-user", .help = "The user inside the container.",
     .flags = CM_OPT_HIDDEN},
    {CM_OPT_BOOL, S(new_tunnel), "force-new-tunnel",
     .help = "There is a tunnel for each run anyway.", .flags = CM_OPT_HIDDEN},
};

/* What has not been made yet is refused rather than left out in silence. */
static enum cm_code check_opts(const struct ssh_opts *o, struct cm_err *err)
{
    if (o->forward_gpg)
        return cm_err_set(
            err, CM_UNIMPLEMENTED,
            "--forward-gpg is not available; use OpenSSH's RemoteForward with 'coder config-ssh'");
    if (o->remote_forward.n && o->stdio)
        return cm_err_set(err, CM_INVALID,
                          "remote-forward can't be enabled in the stdio mode; use 'ssh -R'");
    if (*o->container)
        return cm_err_set(err, CM_UNIMPLEMENTED, "--container is not available");
    return CM_OK;
}

static const char *host_text(struct cli *cli, const struct ssh_opts *o)
{
    struct cm_str host = cm_str(cli_arg(cli, 0));
    struct cm_str dotted = cm_arena_fmt(cli->arena, ".%s", o->suffix);

    if (*o->prefix && cm_str_starts(host, cm_str(o->prefix)))
        host = cm_str_sub(host, strlen(o->prefix), host.len);
    else if (*o->suffix && cm_str_ends(host, dotted))
        host = cm_str_sub(host, 0, host.len - dotted.len);
    return cm_arena_cstr(cli->arena, host);
}

/* Shell words into one line, as OpenSSH does it: the remote shell splits it again. */
static const char *command_line(struct cli *cli)
{
    CM_AUTOBUF struct cm_buf line = CM_BUF_INIT((size_t)1 << 20);
    if (cli->n_args < 2)
        return NULL;
    for (size_t i = 1; i < cli->n_args; i++)
        cm_buf_printf(&line, "%s%s", i > 1 ? " " : "", cli->args[i]);
    return cm_arena_cstr(cli->arena, cm_buf_view(&line));
}

static enum cm_code client_plan(struct cli *cli, const struct ssh_opts *o, struct ssh_run *run,
                                struct cm_err *err)
{
    const char *sock = *o->identity_agent ? o->identity_agent : cm_conf_getenv("SSH_AUTH_SOCK");
    struct forward_rule *v = CM_NEW_ARRAY(cli->arena, struct forward_rule, o->remote_forward.n + 1);

    *run = (struct ssh_run){.command = command_line(cli), .env = o->env};
    if (o->forward_agent && sock && *sock)
        run->agent_socket = sock;
    run->pty = run->command ? o->tty : cli->stdin_tty && cli->stdout_tty;
    for (size_t i = 0; i < o->remote_forward.n; i++)
        if (forward_rule_parse(cli->arena, o->remote_forward.v[i], &v[i], err) != CM_OK)
            return err->code;
    run->rules = v;
    run->n_rules = o->remote_forward.n;
    return CM_OK;
}

static enum cm_code run_client(struct cli *cli, struct remote_link *link,
                               const struct ssh_run *plan, const struct report_spec *spec,
                               struct cm_err *err)
{
    struct cm_loop *loop = cm_sdk_loop(cli->sdk);
    sigset_t winch;
    int fd[2];

    if (forward_rules_resolve(loop, plan->rules, plan->n_rules, err) != CM_OK)
        return err->code;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) != 0)
        return cm_err_errno(err, CM_IO, "socketpair");
    remote_link_set_chatty(link, plan->pty);
    struct cm_splice *splice = cm_splice_new(cm_sock_stream_new(loop, fd[0], NULL, false),
                                             remote_link_open(link, CM_KIND_SSH, ""), NULL, NULL);
    (void)splice; /* frees itself when either side ends */
    CM_AUTO(report) report = report_new(cli, link, spec);
    (void)report; /* it ends with this function */
    /* Before there are threads: the one that would not block it takes the signal and drops it. */
    sigemptyset(&winch);
    sigaddset(&winch, SIGWINCH);
    pthread_sigmask(SIG_BLOCK, &winch, NULL);
    remote_link_end_by_signals(link, ssh_client_restore);
    if (cm_loop_thread_start(loop, "session", err) != CM_OK) {
        close(fd[1]);
        return err->code;
    }
    enum cm_code code = ssh_client_run(fd[1], plan, &cli->exit_status, err);
    cm_loop_thread_join(loop);
    if (code != CM_OK && remote_link_state(link) == CM_SESSION_ENDED &&
        remote_link_err(link)->code != CM_OK)
        *err = *remote_link_err(link);
    return code;
}

/* Names of the API; anything unknown counts as ssh. */
static const char *usage_app(const char *given)
{
    int app;
    if (strcmp(given, "disable") == 0)
        return "";
    return cm_enum_parse(&api_usage_app_name_enum, cm_str(given), &app) ? given : "ssh";
}

static enum cm_code run(struct cli *cli, struct cm_err *err)
{
    const struct ssh_opts *o = cli->opts;
    struct remote_wish wish = {.autostart = !o->disable_autostart,
                               .wait = o->no_wait ? "no" : o->wait,
                               .reason = "ssh_connection"};
    struct api_workspace *ws = NULL;
    struct api_workspace_agent *agent = NULL;
    struct remote_link *link = NULL;
    struct ssh_run plan;

    if (check_opts(o, err) != CM_OK || client_plan(cli, o, &plan, err) != CM_OK ||
        remote_find(cli, host_text(cli, o), &wish, &ws, &agent, err) != CM_OK)
        return err->code;
    if (remote_link_new(cli, agent->id, cm_kind_bit(CM_KIND_SSH) | cm_kind_bit(CM_KIND_ECHO), &link,
                        err) != CM_OK)
        return err->code;
    struct report_spec spec = {.workspace = ws->id,
                               .agent = agent->id,
                               .app = usage_app(o->usage_app),
                               .dir = o->stdio ? o->network_dir : "",
                               .interval = o->network_interval};
    if (o->stdio)
        remote_link_end_by_signals(link, NULL);
    enum cm_code code =
        o->stdio ? remote_stdio(cli, link, &spec, err) : run_client(cli, link, &plan, &spec, err);
    remote_link_free(link);
    return code;
}

const struct command command_ssh = {
    .name = "ssh",
    .args = "<workspace> [command]",
    .brief = "Start a shell into a workspace or run a command",
    .about =
        "  Use `coder ssh <workspace> -- <command> [args]` for a command with flags of its own.",
    .opts = opts,
    .n_opts = CM_COUNT_OF(opts),
    .opts_size = sizeof(struct ssh_opts),
    .min_args = 1,
    .max_args = -1,
    .run = run,
};
