/* provisionerd: takes jobs from coderd, runs terraform, reports. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "base/version.h"
#include "local.h"
#include "obs/log.h"
#include "options.h"

static const char *get_env(const char *name)
{
    return getenv(name);
}

static int print_help(void)
{
    CM_AUTOBUF struct cm_buf help = CM_BUF_INIT((size_t)64 << 10);
    cm_buf_cstr(
        &help,
        "Takes jobs from a Coder deployment and runs terraform.\n\nUSAGE:\n  provisionerd [flags]\n"
        "  provisionerd run-local --source DIR [flags]   one job without a server\n\n");
    cm_conf_help(&help, option_rows, option_row_count, CM_OPT_HIDDEN);
    fputs(help.ptr, stdout);
    return 0;
}

int main(int argc, char **argv)
{
    const char *const *env = (const char *const *)environ;
    struct options o = {0};
    struct cm_err err;
    const struct cm_conf_set set = {option_rows, option_row_count, &o};
    CM_AUTO(cm_conf) conf = NULL;
    cm_log_setup("provisionerd", CM_LOG_INFO, CM_LOG_TEXT);
    if (argc > 1 && strcmp(argv[1], "run-local") == 0)
        return local_run(argc - 1, argv + 1, env);
    enum cm_code code = cm_conf_load(&set, 1, (const char *const *)argv + 1,
                                     (size_t)CM_MAX(argc - 1, 0), get_env, &conf, &err);
    if (code == CM_OK && o.help)
        return print_help();
    if (code == CM_OK && o.version) {
        puts(CM_VERSION);
        return 0;
    }
    if (code == CM_OK) {
        cm_log_setup("provisionerd", o.verbose ? CM_LOG_DEBUG : CM_LOG_INFO,
                     strcmp(o.log_format, "json") == 0 ? CM_LOG_JSON : CM_LOG_TEXT);
        code = app_run(&o, env, get_env, &err);
    }
    if (code == CM_OK)
        return 0;
    fprintf(stderr, "provisionerd: %s\n", err.text);
    return 1;
}
