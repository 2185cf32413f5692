/* The environment that commands of a workspace get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <unistd.h>

#include "env/environ.h"

static struct cm_user somebody(const char *shell)
{
    return (struct cm_user){.uid = 7, .gid = 7, .name = "ann", .home = "/home/ann", .shell = shell};
}

static void later_sources_override_earlier_ones(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    const char *base[] = {"A=base", "B=base", "C=base", "PATH=/bin", "USER=root", "EMPTY=", NULL};
    struct environ_pair client[] = {{CM_STR("B"), CM_STR("client")},
                                    {CM_STR("C"), CM_STR("client")},
                                    {CM_STR("D"), CM_STR("client")}};
    Coder__Agent__V1__Variable coder = CODER__AGENT__V1__VARIABLE__INIT;
    Coder__Agent__V1__Variable manifest = CODER__AGENT__V1__VARIABLE__INIT;
    Coder__Agent__V1__Variable last = CODER__AGENT__V1__VARIABLE__INIT;
    Coder__Agent__V1__Variable *list[] = {&coder, &manifest, &last};
    char names[3][2] = {"C", "D", "E"}, values[3][16] = {"coder", "$A-${C}-$NO-$", "$A"};
    for (int i = 0; i < 3; i++) {
        list[i]->name = names[i];
        list[i]->value = values[i];
    }
    char first[] = "/first", end[] = "/last";
    Coder__Agent__V1__CommandEnvironment cfg = CODER__AGENT__V1__COMMAND_ENVIRONMENT__INIT;
    cfg.coder = &list[0];
    cfg.manifest = &list[1];
    cfg.last = &list[2];
    cfg.n_coder = cfg.n_manifest = cfg.n_last = 1;
    cfg.path_first = first;
    cfg.path_last = end;
    struct cm_user user = somebody("/bin/zsh");
    struct environ_set *e = environ_build(a, &cfg, base, client, CM_COUNT_OF(client), &user);
    static const char *const want[][2] = {
        {"A", "base"},
        {"B", "client"},
        {"C", "coder"},
        {"D", "base-coder--$"},
        {"E", "$A"},
        {"USER", "ann"},
        {"LOGNAME", "ann"},
        {"SHELL", "/bin/zsh"},
        {"HOME", "/home/ann"},
        {"EMPTY", ""},
        {"PATH", "/first:/bin:/last"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(want); i++)
        assert_string_equal(environ_get(e, cm_str(want[i][0])).ptr, want[i][1]);
    assert_null(environ_get(e, CM_STR("NO")).ptr);
    size_t n = 0;
    for (const char *const *v = environ_list(e); *v; v++)
        n += strncmp(*v, "C=", 2) == 0;
    assert_int_equal(n, 1);
}

static void bad_names_are_left_out(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct environ_set *e = environ_new(a);
    environ_put(e, CM_STR(""), CM_STR("x"));
    environ_put(e, CM_STR("A=B"), CM_STR("x"));
    environ_put(e, CM_STR("NUL"), CM_STR("x\0y"));
    environ_put(e, CM_STR("GOOD"), CM_STR("1"));
    const char *const *list = environ_list(e);
    assert_string_equal(list[0], "GOOD=1");
    assert_null(list[1]);
}

static void paths_are_expanded(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct environ_set *e = environ_new(a);
    environ_put(e, CM_STR("HOME"), CM_STR("/home/ann"));
    environ_put(e, CM_STR("P"), CM_STR("proj"));
    static const char *const rows[][2] = {
        {"~", "/home/ann"}, {"~/x", "/home/ann/x"},       {"$P/y", "/d/proj/y"},   {"/abs", "/abs"},
        {"rel", "/d/rel"},  {"${HOME}/z", "/home/ann/z"}, {"~other", "/d/~other"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++)
        assert_string_equal(environ_path(e, a, cm_str(rows[i][0]), "/d"), rows[i][1]);
}

static void directory_falls_back_to_home(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct environ_set *e = environ_new(a);
    struct cm_user user = somebody("");
    Coder__Agent__V1__CommandEnvironment cfg = CODER__AGENT__V1__COMMAND_ENVIRONMENT__INIT;
    char there[] = "/usr", missing[] = "/no/such/folder";
    environ_put(e, CM_STR("HOME"), CM_STR("/tmp"));
    cfg.directory = there;
    assert_string_equal(environ_directory(e, a, &cfg, &user), "/usr");
    cfg.directory = missing;
    assert_string_equal(environ_directory(e, a, &cfg, &user), "/tmp");
    environ_put(e, CM_STR("HOME"), CM_STR("/no/home"));
    assert_string_equal(environ_directory(e, a, &cfg, &user), "/");
}

static void shell_comes_from_the_entry_then_the_environment(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct environ_set *e = environ_new(a);
    struct cm_user with = somebody("/bin/fish"), without = somebody("");
    const char *shell = NULL;
    struct cm_err err = {0};
    assert_int_equal(environ_shell(e, &without, &shell, &err), CM_NOT_FOUND);
    assert_non_null(strstr(err.text, "SHELL"));
    environ_put(e, CM_STR("SHELL"), CM_STR("/bin/ksh"));
    assert_int_equal(environ_shell(e, &without, &shell, &err), CM_OK);
    assert_string_equal(shell, "/bin/ksh");
    assert_int_equal(environ_shell(e, &with, &shell, &err), CM_OK);
    assert_string_equal(shell, "/bin/fish");
}

static void shebangs_choose_the_interpreter(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        const char *argv[5];
    } rows[] = {
        {"echo", {"/bin/sh", "-c", "echo"}},
        {"#!/bin/bash\necho", {"/bin/bash", "-c", "#!/bin/bash\necho"}},
        {"#! /usr/bin/env  python3\r\nx",
         {"/usr/bin/env", "python3", "-c", "#! /usr/bin/env  python3\r\nx"}},
        {"#!\nx", {"/bin/sh", "-c", "#!\nx"}},
    };
    CM_AUTO(cm_arena) a = cm_arena_new();
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        const char *const *argv = environ_script_argv(a, "/bin/sh", cm_str(rows[i].script));
        size_t k = 0;
        for (; rows[i].argv[k]; k++)
            assert_string_equal(argv[k], rows[i].argv[k]);
        assert_null(argv[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_sources_override_earlier_ones),
        cmocka_unit_test(bad_names_are_left_out),
        cmocka_unit_test(paths_are_expanded),
        cmocka_unit_test(directory_falls_back_to_home),
        cmocka_unit_test(shell_comes_from_the_entry_then_the_environment),
        cmocka_unit_test(shebangs_choose_the_interpreter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
