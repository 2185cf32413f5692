/* The command "coder server": read the settings, prepare the folders, run the bundle. */
#include "server/server.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "loop/loop.h"
#include "net/http/listen.h"
#include "net/http/tls_server.h"
#include "obs/log.h"
#include "server/bundle.h"
#include "server/environ.h"
#include "server/postgres.h"
#include "sys/fd.h"
#include "sys/fs.h"

#define DATABASE_TIMEOUT (2 * CM_MINUTE)
/* For the coderd of a supervisor that was killed: it stops by itself, and is not there for long. */
#define PORT_WAIT (3 * CM_SECOND)

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

static enum cm_code check_port(const char *address, cm_usec until, struct cm_err *err)
{
    for (;;) {
        CM_AUTOFD int fd = -1;
        if (cm_http_listen(address, &fd, err) == CM_OK)
            return CM_OK;
        if (err->code != CM_CONFLICT || cm_monotonic_now() >= until)
            return cm_err_wrap(err, "listen on %s", address);
        usleep(10000);
    }
}

/* What coderd would only find out when there is a database, which takes seconds to make. */
static enum cm_code check_listening(const struct coderd_options *o, struct cm_err *err)
{
    const char *addresses[] = {o->http_address, o->tls_enable ? o->tls_address : ""};
    struct ssl_ctx_st *tls = NULL;
    cm_usec until = cm_monotonic_now() + PORT_WAIT;

    for (size_t i = 0; i < CM_COUNT_OF(addresses); i++) {
        if (*addresses[i] && check_port(addresses[i], until, err) != CM_OK)
            return err->code;
    }
    if (o->tls_enable && cm_tls_server_new(o->tls_cert_file, o->tls_key_file, o->tls_min_version,
                                           &tls, err) != CM_OK)
        return err->code;
    cm_tls_server_free(tls);
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
    if (layout_prepare(a, s, l, err) != CM_OK ||
        (s->command == COMMAND_SERVE && check_listening(&s->coderd, err) != CM_OK))
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

/* The URL of the database that a server of this folder uses. */
static enum cm_code database_url(struct cm_arena *a, const struct settings *s,
                                 const struct layout *l, const char **ret, struct cm_err *err)
{
    struct postgres pg;
    *ret = s->coderd.pg_connection_url;
    if (**ret)
        return CM_OK;
    if (postgres_find(a, s, l, &pg, err) != CM_OK)
        return err->code;
    if (postgres_read_secret(a, l, &pg, err) != CM_OK)
        return err->code == CM_NOT_FOUND
                   ? cm_err_set(err, CM_NOT_FOUND,
                                "there is no embedded database in %s: name the deployment's "
                                "database by --postgres-url, or its folder by --global-config",
                                l->postgres_dir)
                   : err->code;
    *ret = postgres_url(a, l, &pg);
    return CM_OK;
}

enum cm_code server_in_database(const char *config_dir, const char *postgres_url_given,
                                const char *const *args, struct cm_str input, struct cm_buf *out,
                                struct cm_err *err)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct settings s = {0};
    struct layout l = {.lock_fd = -1};
    struct cm_child_status status;
    const char *url = NULL;
    char *argv[] = {(char[]){"server"}, NULL};
    enum cm_code code = settings_load(&s, 1, argv, err);

    if (code == CM_OK && *config_dir)
        s.config_dir = config_dir;
    if (code == CM_OK && *postgres_url_given)
        s.coderd.pg_connection_url = postgres_url_given;
    if (code == CM_OK)
        code = layout_find(a, &s, &l, err);
    if (code == CM_OK)
        code = database_url(a, &s, &l, &url, err);
    if (code == CM_OK) {
        const struct cm_child_spec spec = {.argv = args,
                                           .program = cm_fs_join(a, l.bin_dir, "coderd"),
                                           .env = environ_database(a, url)};
        code = cm_child_run(&spec, input, out, NULL, DATABASE_TIMEOUT, &status, NULL, err);
    }
    if (code == CM_OK && cm_child_status_shell(status) != 0)
        code = cm_err_set(err, CM_PRECONDITION, "%.*s", CM_STR_ARG(cm_str_trim(cm_buf_view(out))));
    layout_done(&l);
    settings_done(&s);
    return code;
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
    if (code == CM_OK && s.write_config) {
        CM_AUTOBUF struct cm_buf text = CM_BUF_INIT((size_t)256 << 10);
        settings_yaml(&s, &text);
        fwrite(text.ptr, 1, text.len, stdout);
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
