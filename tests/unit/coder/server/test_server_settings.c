/* What "coder server" is asked to do, where it keeps what, and what it tells its servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/environ.h"
#include "server/layout.h"
#include "sys/fs.h"

static enum cm_code load(struct settings *s, struct cm_err *err, const char *const *args)
{
    char *argv[16] = {cm_xstrdup("coder")};
    int argc = 1;
    for (; args[argc - 1]; argc++)
        argv[argc] = cm_xstrdup(args[argc - 1]);
    *s = (struct settings){0};
    enum cm_code code = settings_load(s, argc, argv, err);
    for (int i = 0; i < argc; i++)
        cm_free(argv[i]);
    return code;
}

static void commands_and_limits(void **state)
{
    (void)state;
    static const struct {
        const char *args[4];
        enum cm_code code;
        enum settings_command command;
        const char *text; /* of the error */
    } rows[] = {
        {{NULL}, CM_OK, COMMAND_SERVE, NULL},
        {{"postgres-builtin-serve", NULL}, CM_OK, COMMAND_POSTGRES_SERVE, NULL},
        {{"postgres-builtin-url", "--raw-url", NULL}, CM_OK, COMMAND_POSTGRES_URL, NULL},
        {{"provisioner-builtin", NULL}, CM_INVALID, 0, "unknown command \"provisioner-builtin\""},
        {{"--provisioner-daemons", "65", NULL}, CM_INVALID, 0, "a number from 0 to 64"},
        {{"--provisioner-daemons", "-1", NULL}, CM_INVALID, 0, "a number from 0 to 64"},
        {{"--db-workers", "-1", NULL}, CM_INVALID, 0, "--db-workers must be 0 or more"},
        {{"--access-url", "coder.example", NULL},
         CM_INVALID,
         0,
         "such as https://coder.example.com"},
        {{"--access-url", "http://", NULL}, CM_INVALID, 0, "must be a URL"},
        {{"--access-url", "HTTPS://x", NULL}, CM_OK, COMMAND_SERVE, NULL},
        {{"--wildcard-access-url", "*.apps.example.com:8443", NULL}, CM_OK, COMMAND_SERVE, NULL},
        {{"--wildcard-access-url", "*--dev.example.com", NULL}, CM_OK, COMMAND_SERVE, NULL},
        {{"--wildcard-access-url", "https://*.example.com", NULL}, CM_OK, COMMAND_SERVE, NULL},
        {{"--wildcard-access-url", "apps.example.com", NULL}, CM_INVALID, 0, "its only asterisk"},
        {{"--wildcard-access-url", "*.*.example.com", NULL}, CM_INVALID, 0, "its only asterisk"},
        {{"--wildcard-access-url", "*", NULL}, CM_INVALID, 0, "its only asterisk"},
        {{"--wildcard-access-url", "*.example.com.", NULL}, CM_INVALID, 0, "its only asterisk"},
        {{"--wildcard-access-url", "*.example.com/x", NULL}, CM_INVALID, 0, "its only asterisk"},
        {{"--wildcard-access-url", "*..com", NULL}, CM_INVALID, 0, "its only asterisk"},
        {{"--http-address", "nonsense", NULL}, CM_INVALID, 0, "the form host:port"},
        {{"--http-address", "127.0.0.1:65536", NULL}, CM_INVALID, 0, "the form host:port"},
        {{"--http-address", "[::1]:0", NULL}, CM_OK, COMMAND_SERVE, NULL},
        {{"--http-address=", NULL}, CM_INVALID, 0, "nothing to listen on"},
        {{"--tls-enable", NULL}, CM_INVALID, 0, "needs --tls-cert-file and --tls-key-file"},
        {{"--no-such-thing", NULL}, CM_INVALID, 0, "unknown flag: --no-such-thing"},
        {{"--config", "/nonexistent/x.yaml", NULL},
         CM_NOT_FOUND,
         0,
         "configuration file /nonexistent/x.yaml"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct settings s;
        struct cm_err err = {0};
        assert_int_equal(load(&s, &err, rows[i].args), rows[i].code);
        if (rows[i].code == CM_OK)
            assert_int_equal(s.command, rows[i].command);
        else
            assert_non_null(strstr(err.text, rows[i].text));
        settings_done(&s);
    }
}

static void help_lists_every_option(void **state)
{
    (void)state;
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT((size_t)256 << 10);
    settings_help(&text);
    const struct {
        const struct cm_opt *rows;
        size_t n;
    } tables[] = {{settings_rows, settings_row_count},
                  {coderd_option_rows, coderd_option_row_count}};
    for (size_t t = 0; t < CM_COUNT_OF(tables); t++) {
        for (size_t i = 0; i < tables[t].n; i++) {
            const struct cm_opt *o = &tables[t].rows[i];
            char env[CM_OPT_ENV_MAX];
            CM_AUTOFREE char *flag = cm_xasprintf("--%s ", o->flag);
            if (o->flags & CM_OPT_HIDDEN)
                continue;
            assert_non_null(strstr(text.ptr, flag));
            if (*cm_opt_env(o, env))
                assert_non_null(strstr(text.ptr, env));
        }
    }
}

static void a_file_gives_options_that_nothing_else_has_set(void **state)
{
    (void)state;
    CM_AUTOFREE char *dir = NULL;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_err err;
    struct settings s;
    assert_int_equal(cm_fs_temp_dir(NULL, "settings-", &dir, &err), CM_OK);
    const char *path = cm_fs_join(a, dir, "c.yaml");
    struct cm_str yaml =
        CM_STR("provisioning:\n  daemons: 7\nnetworking:\n  accessURL: https://file.example\n"
               "  http:\n    httpAddress: 127.0.0.1:1\n");
    assert_int_equal(cm_fs_write(path, yaml, 0600, false, &err), CM_OK);
    const char *args[] = {"--config", path, "--http-address", "127.0.0.1:2", NULL};
    assert_int_equal(load(&s, &err, args), CM_OK);
    assert_int_equal(s.provisioners, 7);
    assert_string_equal(s.coderd.access_url, "https://file.example");
    assert_string_equal(s.coderd.http_address, "127.0.0.1:2");
    settings_done(&s);
    assert_int_equal(cm_fs_remove_tree(dir, &err), CM_OK);
}

static const char *value(const char *const *env, const char *name)
{
    size_t n = strlen(name);
    const char *found = NULL;
    for (; *env; env++) {
        if (strncmp(*env, name, n) != 0 || (*env)[n] != '=')
            continue;
        assert_null(found); /* once only */
        found = *env + n + 1;
    }
    return found;
}

static void servers_are_told_their_options_and_no_more(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct settings s;
    struct layout l;
    struct cm_err err;
    setenv("CODER_PROVISIONER_DAEMON_PSK", "a-secret-of-26-characters.", 1);
    setenv("CODER_PG_CONNECTION_URL", "postgres://u:p@h/d", 1);
    setenv("CODER_PROVISIONER_TERRAFORM_PATH", "/opt/terraform", 1);
    setenv("PGPASSWORD", "mixed up", 1);
    setenv("CODER_LOOPS", "1", 1);
    const char *args[] = {"--loops",     "3",      "--global-config",    "/tmp/x",
                          "--cache-dir", "/tmp/c", "--session-duration", "90m",
                          "-v",          NULL};
    assert_int_equal(load(&s, &err, args), CM_OK);
    assert_int_equal(layout_find(a, &s, &l, &err), CM_OK);

    const char *const *e = environ_coderd(a, &s, &l, NULL, 3);
    assert_string_equal(value(e, "CODER_PG_CONNECTION_URL"), "postgres://u:p@h/d");
    assert_string_equal(value(e, "CODER_PROVISIONER_DAEMON_PSK"), "a-secret-of-26-characters.");
    assert_string_equal(value(e, "CODER_LOOPS"), "3");
    assert_string_equal(value(e, "CODER_SESSION_DURATION"), "1h30m0s");
    assert_string_equal(value(e, "CODER_CACHE_DIRECTORY"), "/tmp/c/coderd");
    assert_string_equal(value(e, "CODER_PROVISIONER_SOCKET"), "/tmp/x/run/provisioner.sock");
    assert_string_equal(value(e, "CODER_READY_FD"), "3");
    assert_string_equal(value(e, "CODER_LOG_LEVEL"), "debug");
    assert_string_equal(value(e, "PGPASSWORD"), "mixed up"); /* for a database of the user's own */
    assert_null(value(e, "CODER_CONFIG_DIR"));

    e = environ_coderd(a, &s, &l, "postgres://embedded", 3);
    assert_string_equal(value(e, "CODER_PG_CONNECTION_URL"), "postgres://embedded");
    assert_null(value(e, "PGPASSWORD"));

    e = environ_provisionerd(a, &s, &l, 2);
    assert_string_equal(value(e, "CODER_URL"), "ipc:///tmp/x/run/provisioner.sock");
    assert_string_equal(value(e, "CODER_CACHE_DIRECTORY"), "/tmp/c/provisioner-2");
    assert_string_equal(value(e, "CODER_PROVISIONER_TERRAFORM_PATH"), "/opt/terraform");
    assert_string_equal(value(e, "CODER_VERBOSE"), "true");
    assert_null(value(e, "CODER_PG_CONNECTION_URL"));
    assert_null(value(e, "CODER_PROVISIONER_DAEMON_PSK"));
    assert_null(value(e, "PGPASSWORD"));
    settings_done(&s);
    unsetenv("CODER_PROVISIONER_DAEMON_PSK");
    unsetenv("CODER_PG_CONNECTION_URL");
    unsetenv("CODER_PROVISIONER_TERRAFORM_PATH");
    unsetenv("PGPASSWORD");
    unsetenv("CODER_LOOPS");
}

static void sockets_are_in_a_short_folder(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct settings s;
    struct layout l, again, other;
    struct cm_err err;
    const char *args[] = {"--global-config", "/tmp/short", NULL};
    assert_int_equal(load(&s, &err, args), CM_OK);
    assert_int_equal(layout_find(a, &s, &l, &err), CM_OK);
    assert_string_equal(l.run_dir, "/tmp/short/run");
    settings_done(&s);

    const char *longs[] = {
        "--global-config",
        "/tmp/a-folder-with-a-name-that-is-too-long-for-the-sockets/of-any-server/that-we-start",
        NULL};
    assert_int_equal(load(&s, &err, longs), CM_OK);
    assert_int_equal(layout_find(a, &s, &l, &err), CM_OK);
    assert_true(strlen(l.provisioner_socket) < 60);
    /* The same one at each start, and another for another folder. */
    assert_int_equal(layout_find(a, &s, &again, &err), CM_OK);
    assert_string_equal(l.run_dir, again.run_dir);
    settings_done(&s);
    longs[1] =
        "/tmp/a-folder-with-a-name-that-is-too-long-for-the-sockets/of-any-server/that-they-start";
    assert_int_equal(load(&s, &err, longs), CM_OK);
    assert_int_equal(layout_find(a, &s, &other, &err), CM_OK);
    assert_string_not_equal(l.run_dir, other.run_dir);
    settings_done(&s);
}

static void one_server_to_a_folder(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTOFREE char *dir = NULL;
    struct settings s;
    struct layout first, second;
    struct cm_err err;
    assert_int_equal(cm_fs_temp_dir(NULL, "layout-", &dir, &err), CM_OK);
    const char *args[] = {"--global-config", dir, "--cache-dir", cm_fs_join(a, dir, "cache"), NULL};
    assert_int_equal(load(&s, &err, args), CM_OK);
    assert_int_equal(layout_find(a, &s, &first, &err), CM_OK);
    assert_int_equal(layout_find(a, &s, &second, &err), CM_OK);
    assert_int_equal(layout_prepare(a, &s, &first, &err), CM_OK);
    assert_int_equal(layout_prepare(a, &s, &second, &err), CM_CONFLICT);
    assert_non_null(strstr(err.text, "another server uses the folder"));
    layout_done(&first);
    assert_int_equal(layout_prepare(a, &s, &second, &err), CM_OK);
    layout_done(&second);
    settings_done(&s);
    assert_int_equal(cm_fs_remove_tree(dir, &err), CM_OK);
}

static void another_user_is_for_root_only(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct settings s;
    struct layout l;
    struct cm_err err;
    const char *root[] = {"--server-user", "root", NULL},
               *nobody[] = {"--server-user", "nobody", NULL},
               *missing[] = {"--server-user", "no-such-user", NULL};
    assert_int_equal(load(&s, &err, root), CM_OK);
    assert_int_equal(layout_find(a, &s, &l, &err), CM_INVALID);
    settings_done(&s);
    assert_int_equal(load(&s, &err, missing), CM_OK);
    assert_int_equal(layout_find(a, &s, &l, &err), geteuid() == 0 ? CM_NOT_FOUND : CM_INVALID);
    settings_done(&s);
    assert_int_equal(load(&s, &err, nobody), CM_OK);
    if (geteuid() == 0) {
        assert_int_equal(layout_find(a, &s, &l, &err), CM_OK);
        assert_true(l.other_user);
        assert_int_equal(l.user.uid, 65534);
        assert_true(l.coderd_user.low_ports);
        assert_false(l.database_user.low_ports);
        assert_false(l.coderd_user.closed_folders);
    } else {
        assert_int_equal(layout_find(a, &s, &l, &err), CM_INVALID);
    }
    settings_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_and_limits),
        cmocka_unit_test(help_lists_every_option),
        cmocka_unit_test(a_file_gives_options_that_nothing_else_has_set),
        cmocka_unit_test(servers_are_told_their_options_and_no_more),
        cmocka_unit_test(sockets_are_in_a_short_folder),
        cmocka_unit_test(one_server_to_a_folder),
        cmocka_unit_test(another_user_is_for_root_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
