/* coderd: the API server. Parse options, build the app, run, stop. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin.h"
#include "api/route.h"
#include "app.h"
#include "obs/log.h"
#include "options.h"

static enum cm_log_level level_of(const char *text)
{
    static const struct {
        const char *name;
        enum cm_log_level level;
    } levels[] = {{"debug", CM_LOG_DEBUG},
                  {"info", CM_LOG_INFO},
                  {"warn", CM_LOG_WARN},
                  {"error", CM_LOG_ERROR}};
    for (size_t i = 0; i < CM_COUNT_OF(levels); i++) {
        if (strcmp(text, levels[i].name) == 0)
            return levels[i].level;
    }
    return CM_LOG_INFO;
}

int main(int argc, char **argv)
{
    cm_loop_global_init();
    signal(SIGPIPE, SIG_IGN);
    /* For tests, which walk them. */
    if (argc == 2 && strcmp(argv[1], "--print-routes") == 0)
        return routes_print(STDOUT_FILENO) ? 0 : 1;
    if (admin_is_meant(argc, argv))
        return admin_main(argc, argv);
    CM_AUTO(cm_conf) conf = NULL;
    struct coderd_options opt = {0};
    struct cm_err err;
    if (options_load(argc, argv, &opt, &conf, &err) != CM_OK) {
        if (err.code == CM_CANCELED)
            return 0;
        fprintf(stderr, "coderd: %s\n", err.text);
        return 1;
    }
    cm_log_setup("coderd", level_of(opt.log_level), opt.log_json ? CM_LOG_JSON : CM_LOG_TEXT);
    CM_AUTO(coderd) app = NULL;
    if (app_new(&opt, &app, &err) != CM_OK) {
        CM_ERROR("cannot start", CM_F_ERR(&err));
        return 1;
    }
    app_run(app);
    return 0;
}
