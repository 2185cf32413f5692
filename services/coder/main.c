#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"
#include "cli.h"
#include "cmd/gitssh.h"
#include "completion.h"

static bool is_set(const char *name)
{
    const char *v = cm_conf_getenv(name);
    return v && *v;
}

/* A token given as a flag is for this process only: other users of the machine can list command
 * lines. */
static void hide_tokens(char **args, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(args[i], "--token") == 0 && i + 1 < n)
            cm_secret_wipe(args[i + 1], strlen(args[i + 1]));
        else if (strncmp(args[i], "--token=", 8) == 0)
            cm_secret_wipe(args[i] + 8, strlen(args[i] + 8));
    }
}

/* What was redirected is whole, or the exit status says that it is not; a reader that has left,
 * such as head, knows. */
static int end_output(int status)
{
    struct pollfd reader = {.fd = 1};
    int flushed = fflush(stdout), e = errno;
    if (flushed == 0 && !ferror(stdout))
        return status;
    if (poll(&reader, 1, 0) != 1 || !(reader.revents & POLLERR))
        fprintf(stderr, "error: the output is not complete: %s\n",
                flushed != 0 ? strerror(e) : "it could not be written");
    return status ? status : 1;
}

int main(int argc, char **argv)
{
    struct cm_err err = {.code = CM_OK};
    const struct command *c = NULL;
    const char *path = NULL;
    size_t n = 0;

    signal(SIGPIPE, SIG_IGN);
    CM_AUTO(cm_arena) arena = cm_arena_new();
    struct cli cli = {
        .arena = arena,
        .argv0 = argc > 0 ? argv[0] : "coder",
        .stdin_tty = isatty(0),
        .stdout_tty = isatty(1),
        .stderr_tty = isatty(2),
    };
    if (is_set("COMPLETION_MODE"))
        return end_output(completion_print(arena, argc, argv));
    cli.colour = cli.stdout_tty && cli.stderr_tty && !is_set("NO_COLOR");
    char **args = CM_NEW_ARRAY(arena, char *, (size_t)argc + 2);
    args[0] = argv[0];
    if (gitaskpass_is_meant(argc, argv)) {
        char **as_command = CM_NEW_ARRAY(arena, char *, 4);
        as_command[0] = argv[0];
        as_command[1] = cm_arena_cstr(arena, CM_STR("gitaskpass"));
        as_command[2] = argv[1];
        argv = as_command;
        argc = 3;
    }
    if (command_find(arena, argc, argv, &c, &path, args + 1, &n, &err) != CM_OK) {
        cli.path = path;
        cli.hint = command_hint(arena, c, args[n]);
        cli_print_error(&cli, &err);
        return 1;
    }
    if (c->run_main)
        return c->run_main((int)n + 1,
                           args); /* a program of its own, which reads its arguments itself */

    cm_loop_global_init();
    const char **texts = CM_NEW_ARRAY(arena, const char *, n + 1);
    for (size_t i = 0; i < n; i++)
        texts[i] = cm_arena_cstr(arena, cm_str(args[i + 1]));
    hide_tokens(args + 1, n);
    int status = command_run(&cli, c, path, texts, n);
    cm_sdk_free(cli.sdk);
    cm_conf_free(cli.conf);
    return end_output(status);
}
