/* The coder/coder Terraform provider: a plugin that terraform starts, asks, and stops again,
 * several times a build. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "plugin/serve.h"

/* The release of the public provider whose schema and behaviour this one has. */
#define PROVIDER_VERSION "2.17.0"

static int print_notice(void)
{
    fputs(
        "This is a Terraform provider plugin: it is started by terraform, not by hand.\n"
        "Name it in a template (required_providers: source = \"coder/coder\") and run terraform.\n",
        stderr);
    return 1;
}

static int complain(const struct cm_err *err)
{
    fprintf(stderr, "[ERROR] terraform-provider-coder: %s\n", err->text);
    return 1;
}

int main(int argc, char **argv)
{
    struct cm_err err;
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return puts("terraform-provider-coder " PROVIDER_VERSION) < 0;
    if (argc > 1)
        return print_notice();

    /* Ctrl-C goes to the whole process group, but it is terraform that decides what happens then.
     */
    signal(SIGINT, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    switch (serve_run((const char *const *)environ, &err)) {
    case CM_OK:
        return 0;
    case CM_DENIED:
        return print_notice();
    default:
        return complain(&err);
    }
}
