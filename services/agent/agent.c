#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/secret.h"
#include "base/version.h"
#include "loop/loop.h"
#include "obs/log.h"
#include "options.h"
#include "reaper.h"
#include "ssh/child.h"
#include "sys/fs.h"
#include "sys/signals.h"

#define TOKEN_MAX ((size_t)4096)

extern char **environ;

const char *agent_getenv(const char *name)
{
    return getenv(name);
}

/* Commands get the token in variables of their own making; ours must not be read out of /proc by
 * everybody, nor be inherited by what we start. */
static void forget_variable(const char *name)
{
    char *value = getenv(name);
    if (value)
        cm_secret_wipe(value, strlen(value));
    unsetenv(name);
}

static enum cm_code find_token(struct cm_arena *a, const struct agent_options *o, const char **ret,
                               struct cm_err *err)
{
    if (*o->token) {
        *ret = o->token;
        return CM_OK;
    }
    if (!*o->token_file)
        return cm_err_set(err, CM_INVALID,
                          "no token: set CODER_AGENT_TOKEN, or --agent-token-file");
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(TOKEN_MAX);
    text.wipe = true;
    enum cm_code code = cm_fs_read(o->token_file, &text, err);
    if (code != CM_OK)
        return cm_err_wrap(err, "read the agent's token");
    *ret = cm_arena_cstr(a, cm_str_trim(cm_buf_view(&text)));
    return CM_OK;
}

static enum cm_code check(const struct agent_options *o, struct cm_err *err)
{
    if (!*o->url)
        return cm_err_set(err, CM_INVALID, "no deployment: set CODER_AGENT_URL, or --agent-url");
    if (strcmp(o->auth, "token") != 0)
        return cm_err_set(err, CM_UNIMPLEMENTED, "--auth %s is not supported; only token is",
                          o->auth);
    if (*o->header || *o->header_command)
        return cm_err_set(err, CM_UNIMPLEMENTED,
                          "--agent-header and --agent-header-command are not supported");
    return CM_OK;
}

static enum cm_code setup_log(const struct agent_options *o, struct cm_err *err)
{
    const char *json = *o->log_json ? o->log_json : o->log_stackdriver;
    const char *path = *json ? json : o->log_human;
    cm_log_setup("agent", o->verbose ? CM_LOG_DEBUG : CM_LOG_INFO,
                 *json ? CM_LOG_JSON : CM_LOG_TEXT);
    if (!*path || strcmp(path, "/dev/stderr") == 0)
        return CM_OK;
    CM_AUTOFD int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
        return cm_err_errno(err, CM_IO, "open the log %s", path);
    return CM_OK;
}

static int run(struct cm_arena *a, struct agent_options *o, struct cm_err *err)
{
    const char *token = NULL;
    if (check(o, err) != CM_OK || find_token(a, o, &token, err) != CM_OK ||
        setup_log(o, err) != CM_OK)
        return -1;
    static const char *const private_variables[] = {"CODER_AGENT_TOKEN", "CODER_AGENT_TOKEN_FILE",
                                                    "CODER_PROC_PRIO_MGMT", "CODER_PROC_NICE_SCORE",
                                                    "CODER_PROC_OOM_SCORE"};
    for (size_t i = 0; i < CM_COUNT_OF(private_variables); i++)
        forget_variable(private_variables[i]);
    int status;
    if (!o->no_reap && reaper_run(&status))
        return status;
    return app_run(o, token, (const char *const *)environ);
}

int agent_main(int argc, char **argv)
{
    cm_signal_ignore_pipe();
    cm_loop_global_init();
    cm_log_setup("agent", CM_LOG_INFO, CM_LOG_TEXT);
    if (argc == 2 && strcmp(argv[1], SSH_CHILD_COMMAND) == 0)
        return ssh_child_main((const char *const *)environ);
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct agent_options o;
    struct cm_err err;
    if (agent_options_load(a, argc - 1, argv + 1, agent_getenv, &o, &err) != CM_OK) {
        fprintf(stderr, "error: %s\n", err.text);
        return 2;
    }
    if (o.version) {
        printf("Coder %s\n", CM_VERSION);
        return 0;
    }
    if (o.help) {
        CM_AUTOBUF struct cm_buf help = CM_BUF_INIT((size_t)64 * 1024);
        agent_options_help(&help);
        fputs(help.ptr, stdout);
        return 0;
    }
    int status = run(a, &o, &err);
    if (status < 0) {
        fprintf(stderr, "error: %s\n", err.text);
        return 1;
    }
    return status;
}
