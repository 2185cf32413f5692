/* The command "coder server": read the settings, prepare the folders, run the bundle. */
#include "server/server.h"

#include <signal.h>
#include <stdio.h>

#include "loop/loop.h"
#include "obs/log.h"
#include "server/bundle.h"
#include "server/postgres.h"
#include "sys/fs.h"

static enum cm_code check_programs(struct cm_arena *a, const struct settings *s,
                                   const struct layout *l, struct cm_err *err)
{
    const char *names[] = {"coderd", s->provisioners ? "provisionerd" : "coderd"};
    for (size_t i = 0; i < CM_COUNT_OF(names); i++)
        if (!cm_fs_is_executable(cm_fs_join(a, l->bin_dir, names[i])))
            return cm_err_set(
                err, CM_NOT_FOUND,
                "there is no program %s in %s, beside this one: install them together", names[i],
                l->bin_dir);
    return CM_OK;
}

static enum cm_code print_url(struct cm_arena *a, const struct settings *s, const struct layout *l,
                              struct cm_err *err)
{
    struct postgres pg;
    if (postgres_find(a, s, l, &pg, err) != CM_OK)
        return err->code;
    if (postgres_read_secret(a, l, &pg, err) != CM_OK)
        return err->code != CM_NOT_FOUND
                   ? err->code
                   : cm_err_set(err, CM_NOT_FOUND,
                                "there is no embedded database in %s yet: \"coder server\" makes "
                                "it when it first starts",
                                l->postgres_dir);
    printf(s->raw_url ? "%s\n" : "psql \"%s\"\n", postgres_url(a, l, &pg));
    return CM_OK;
}

static enum cm_code serve(struct cm_arena *a, const struct settings *s, struct layout *l,
                          int *ret_status, struct cm_err *err)
{
    bool embedded = s->command == COMMAND_POSTGRES_SERVE || !s->coderd.pg_connection_url[0];
    struct postgres pg = {0};
    if (s->command == COMMAND_SERVE && check_programs(a, s, l, err) != CM_OK)
        return err->code;
    if (embedded && postgres_find(a, s, l, &pg, err) != CM_OK)
        return err->code;
    if (layout_prepare(a, s, l, err) != CM_OK)
        return err->code;
    /* Preparing the folders says what the users may do. */
    if (embedded &&
        (postgres_find(a, s, l, &pg, err) != CM_OK || postgres_prepare(a, l, &pg, err) != CM_OK))
        return err->code;
    *ret_status = bundle_run(s, l, embedded ? &pg : NULL);
    return CM_OK;
}

void server_reference(struct cm_buf *out)
{
    cm_conf_markdown(out, settings_rows, settings_row_count);
    cm_conf_markdown(out, coderd_option_rows, coderd_option_row_count);
}

int server_main(int argc, char **argv)
{
    struct settings s = {0};
    struct layout l = {.lock_fd = -1};
    struct cm_err err;
    int status = 0;
    CM_AUTO(cm_arena) a = cm_arena_new();
    cm_loop_global_init();
    signal(SIGPIPE, SIG_IGN);
    enum cm_code code = settings_load(&s, argc, argv, &err);
    if (code == CM_OK && s.help) {
        CM_AUTOBUF struct cm_buf text = CM_BUF_INIT((size_t)256 << 10);
        settings_help(&text);
        fputs(cm_buf_view(&text).ptr, stdout);
        settings_done(&s);
        return 0;
    }
    cm_log_setup("coder", s.verbose ? CM_LOG_DEBUG : CM_LOG_INFO,
                 s.coderd.log_json ? CM_LOG_JSON : CM_LOG_TEXT);
    if (code == CM_OK)
        code = layout_find(a, &s, &l, &err);
    if (code == CM_OK)
        code = s.command == COMMAND_POSTGRES_URL ? print_url(a, &s, &l, &err)
                                                 : serve(a, &s, &l, &status, &err);
    layout_done(&l);
    settings_done(&s);
    if (code == CM_OK)
        return status;
    fprintf(stderr, "coder server: %s\n", err.text);
    return 1;
}
