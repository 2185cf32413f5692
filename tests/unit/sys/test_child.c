/* Real processes: how they start, what they get, how they end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/child.h"
#include "sys/fd.h"
#include "sys/pty.h"
#include "sys/signals.h"
#include "sys/user.h"

#define PATIENCE (20 * CM_SECOND)

static void run_sh(const char *script, struct cm_str input, struct cm_buf *out,
                   struct cm_child_status *st)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    struct cm_child_spec spec = {.argv = argv};
    struct cm_err err = {0};
    if (cm_child_run(&spec, input, out, NULL, PATIENCE, st, NULL, &err) != CM_OK)
        fail_msg("%s", err.text);
}

static void run_reports_status_as_a_shell_would(void **state)
{
    (void)state;
    static const struct {
        const char *script, *out;
        int code, signo, shell;
    } rows[] = {
        {"exit 0", "", 0, 0, 0},
        {"echo hi; exit 3", "hi\n", 3, 0, 3},
        {"echo to-err >&2", "to-err\n", 0, 0, 0},
        {"kill -TERM $$", "", 0, SIGTERM, 143},
        {"cat", "fed", 0, 0, 0},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(4096);
        struct cm_child_status st = {0};
        run_sh(rows[i].script, CM_STR("fed"), &out, &st);
        assert_string_equal(cm_buf_view(&out).ptr, rows[i].out);
        assert_int_equal(st.code, rows[i].code);
        assert_int_equal(st.signo, rows[i].signo);
        assert_int_equal(cm_child_status_shell(st), rows[i].shell);
    }
}

static void start_failures_are_errors(void **state)
{
    (void)state;
    static const struct {
        const char *program, *cwd;
        enum cm_code code;
        const char *text;
    } rows[] = {
        {"/no/such/program", NULL, CM_NOT_FOUND, "run /no/such/program: No such file"},
        {"no-such-program-in-path", NULL, CM_NOT_FOUND, "no-such-program-in-path"},
        {"/etc/passwd", NULL, CM_DENIED, "Permission denied"},
        {"true", "/no/such/folder", CM_NOT_FOUND, "enter folder /no/such/folder"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        const char *argv[] = {rows[i].program, NULL};
        struct cm_child_spec spec = {.argv = argv, .cwd = rows[i].cwd};
        struct cm_child *c = NULL;
        struct cm_err err = {0};
        assert_int_equal(cm_child_start(&spec, &c, &err), rows[i].code);
        assert_null(c);
        assert_non_null(strstr(err.text, rows[i].text));
    }
}

static void program_is_found_in_the_childs_path(void **state)
{
    (void)state;
    const char *argv[] = {"true", NULL};
    const char *env[] = {"PATH=/no/such/folder", NULL};
    struct cm_child_spec spec = {.argv = argv, .env = env};
    struct cm_child *c = NULL;
    struct cm_err err;
    assert_int_equal(cm_child_start(&spec, &c, &err), CM_NOT_FOUND);
}

static void child_gets_env_cwd_and_nothing_else(void **state)
{
    (void)state;
    int leak = open("/dev/null", O_RDONLY); /* not close-on-exec, on purpose */
    int given = open("/etc/hostname", O_RDONLY | O_CLOEXEC);
    assert_true(leak > 2 && given > 2);
    const char *argv[] = {"/bin/sh", "-c",
                          "pwd; echo $A; env | grep -c ^A=; ls /proc/self/fd | tr '\\n' ' '", NULL};
    const char *env[] = {"A=b c", "PATH=/usr/bin:/bin", NULL};
    struct cm_child_spec spec = {.argv = argv,
                                 .env = env,
                                 .cwd = "/usr",
                                 .extra = {{.fd = given, .child_fd = 9}},
                                 .extra_count = 1};
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(4096);
    struct cm_child_status st;
    struct cm_err err;
    assert_int_equal(cm_child_run(&spec, CM_STR_NONE, &out, NULL, PATIENCE, &st, NULL, &err),
                     CM_OK);
    close(leak);
    close(given);
    /* 3 is the folder that ls itself reads. */
    assert_string_equal(out.ptr, "/usr\nb c\n1\n0 1 2 3 9 ");
}

static void child_has_default_signals(void **state)
{
    (void)state;
    cm_signal_ignore_pipe();
    sigset_t block;
    sigemptyset(&block);
    sigaddset(&block, SIGTERM);
    sigprocmask(SIG_BLOCK, &block, NULL);
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(4096);
    struct cm_child_status st;
    run_sh("grep -E 'SigBlk|SigIgn' /proc/self/status | tr -d '\\t'", CM_STR_NONE, &out, &st);
    sigprocmask(SIG_UNBLOCK, &block, NULL);
    assert_string_equal(out.ptr, "SigBlk:0000000000000000\nSigIgn:0000000000000000\n");
}

static void signal_reaches_the_whole_group(void **state)
{
    (void)state;
    /* The grandchild holds the pipe: only when it dies too does the read end. */
    const char *argv[] = {"sh", "-c", "sleep 1000 & echo up; wait", NULL};
    for (int new_session = 0; new_session < 2; new_session++) {
        struct cm_child_spec spec = {
            .argv = argv, .std = {[1] = {.kind = CM_CHILD_PIPE}}, .new_session = new_session};
        CM_AUTO(cm_child) c = NULL;
        struct cm_err err;
        assert_int_equal(cm_child_start(&spec, &c, &err), CM_OK);
        CM_AUTOFD int fd = cm_child_take_fd(c, 1);
        assert_int_equal(cm_child_take_fd(c, 1), -1);
        char b[8];
        assert_int_equal(read(fd, b, sizeof(b)), 3);
        struct cm_child_status st;
        assert_false(cm_child_reap(c, &st));
        assert_int_equal(cm_child_wait(c, 0, &st, &err), CM_TIMEOUT);
        cm_child_stop(c, SIGTERM, PATIENCE, &st);
        assert_int_equal(st.signo, SIGTERM);
        assert_true(cm_fd_wait(fd, POLLIN, PATIENCE));
        assert_int_equal(read(fd, b, sizeof(b)), 0);
        assert_true(cm_child_reap(c, &st));
    }
}

static void stop_kills_what_ignores_the_signal(void **state)
{
    (void)state;
    const char *argv[] = {"sh", "-c", "trap '' TERM; echo up; while :; do sleep 100; done", NULL};
    struct cm_child_spec spec = {.argv = argv, .std = {[1] = {.kind = CM_CHILD_PIPE}}};
    CM_AUTO(cm_child) c = NULL;
    struct cm_err err;
    assert_int_equal(cm_child_start(&spec, &c, &err), CM_OK);
    CM_AUTOFD int fd = cm_child_take_fd(c, 1);
    char b[8];
    assert_int_equal(read(fd, b, sizeof(b)), 3);
    struct cm_child_status st;
    cm_child_stop(c, SIGTERM, 50 * CM_MSEC, &st);
    assert_int_equal(st.signo, SIGKILL);
}

static void exit_fd_becomes_readable(void **state)
{
    (void)state;
    const char *argv[] = {"cat", NULL};
    struct cm_child_spec spec = {.argv = argv, .std = {[0] = {.kind = CM_CHILD_PIPE}}};
    CM_AUTO(cm_child) c = NULL;
    struct cm_err err;
    assert_int_equal(cm_child_start(&spec, &c, &err), CM_OK);
    assert_false(cm_fd_wait(cm_child_exit_fd(c), POLLIN, 0));
    close(cm_child_take_fd(c, 0));
    assert_true(cm_fd_wait(cm_child_exit_fd(c), POLLIN, PATIENCE));
    struct cm_child_status st;
    assert_true(cm_child_reap(c, &st));
    assert_int_equal(st.code, 0);
}

static void run_stops_at_its_deadline_and_cuts_output(void **state)
{
    (void)state;
    const char *slow[] = {"sh", "-c", "sleep 1000 & wait", NULL};
    struct cm_child_spec spec = {.argv = slow};
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(100);
    struct cm_err err;
    assert_int_equal(cm_child_run(&spec, CM_STR_NONE, &out, NULL, 50 * CM_MSEC, NULL, NULL, &err),
                     CM_TIMEOUT);
    const char *loud[] = {"sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x", NULL};
    spec.argv = loud;
    bool cut = false;
    assert_int_equal(cm_child_run(&spec, CM_STR_NONE, &out, NULL, PATIENCE, NULL, &cut, &err),
                     CM_OK);
    assert_true(cut);
    assert_int_equal(out.len, 100);
}

static void run_survives_a_child_that_does_not_read(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_DFL);
    size_t n = (size_t)1 << 20;
    char *big = calloc(1, n);
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(100);
    struct cm_child_status st;
    run_sh("exec 0<&-; echo done", cm_str_n(big, n), &out, &st);
    free(big);
    assert_string_equal(out.ptr, "done\n");
}

static void pty_becomes_the_childs_terminal(void **state)
{
    (void)state;
    int master, slave;
    char name[CM_PTY_NAME_MAX];
    struct cm_err err;
    assert_int_equal(cm_pty_open(&master, &slave, name, &err), CM_OK);
    cm_pty_resize(master, 40, 132, 0, 0);
    const char *argv[] = {"sh", "-c", "tty; stty size; ps -o tty= -p $$ | tr -d ' '", NULL};
    struct cm_child_fd tty = {.kind = CM_CHILD_FD, .fd = slave};
    struct cm_child_spec spec = {
        .argv = argv, .std = {tty, tty, tty}, .new_session = true, .controlling_tty = true};
    CM_AUTO(cm_child) c = NULL;
    assert_int_equal(cm_child_start(&spec, &c, &err), CM_OK);
    close(slave);
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(4096);
    for (;;) {
        char b[256];
        ssize_t n = read(master, b, sizeof(b));
        if (n <= 0)
            break; /* EIO: the last holder of the slave has gone */
        cm_buf_append(&out, b, (size_t)n);
    }
    close(master);
    CM_AUTOFREE char *want = cm_xasprintf("%s\r\n40 132\r\n%s\r\n", name, name + 5);
    assert_string_equal(out.ptr, want);
    struct cm_child_status st;
    assert_int_equal(cm_child_wait(c, PATIENCE, &st, &err), CM_OK);
}

static void priority_is_applied(void **state)
{
    (void)state;
    const char *argv[] = {"sh", "-c", "cat /proc/self/oom_score_adj; nice", NULL};
    struct cm_child_spec spec = {
        .argv = argv, .set_priority = true, .nice = 7, .oom_score_adj = 500};
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(64);
    struct cm_err err;
    assert_int_equal(cm_child_run(&spec, CM_STR_NONE, &out, NULL, PATIENCE, NULL, NULL, &err),
                     CM_OK);
    assert_string_equal(out.ptr, "500\n7\n");
}

static void another_user_has_named_capabilities_only(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    const char *argv[] = {
        "sh", "-c",
        "id -u; id -G; sed -n 's/^CapEff:\\t*//p; s/^NoNewPrivs:\\t*//p' /proc/self/status", NULL};
    static const struct {
        bool low_ports, closed_folders;
        const char *out;
    } rows[] = {
        {false, false, "65534\n65534\n0000000000000000\n1\n"},
        {true, false, "65534\n65534\n0000000000000400\n1\n"},
        {false, true, "65534\n65534\n0000000000000004\n1\n"},
        {true, true, "65534\n65534\n0000000000000404\n1\n"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        const struct cm_child_user nobody = {65534, 65534, rows[i].low_ports,
                                             rows[i].closed_folders};
        struct cm_child_spec spec = {.argv = argv, .user = &nobody};
        CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(256);
        struct cm_err err;
        assert_int_equal(cm_child_run(&spec, CM_STR_NONE, &out, NULL, PATIENCE, NULL, NULL, &err),
                         CM_OK);
        assert_string_equal(cm_buf_view(&out).ptr, rows[i].out);
    }
}

/* A process in between starts the child and is killed; the child says which signal reached it. */
static void child_gets_its_signal_when_the_parent_dies(void **state)
{
    (void)state;
    static const struct cm_child_user nobody = {.uid = 65534, .gid = 65534};
    for (int as_user = 0; as_user < (geteuid() == 0 ? 2 : 1); as_user++) {
        int p[2];
        struct cm_err err;
        assert_int_equal(cm_fd_pipe(p, &err), CM_OK);
        pid_t between = fork();
        if (between == 0) {
            const char *argv[] = {
                "sh", "-c", "trap 'kill $!; echo got-int; exit' INT; echo up; sleep 60 & wait",
                NULL};
            struct cm_child_spec spec = {.argv = argv,
                                         .die_with_parent = true,
                                         .die_signo = SIGINT,
                                         .user = as_user ? &nobody : NULL,
                                         .std = {[1] = {CM_CHILD_FD, p[1]}}};
            struct cm_child *c = NULL;
            if (cm_child_start(&spec, &c, &err) != CM_OK)
                _exit(1);
            for (;;)
                pause();
        }
        close(p[1]);
        char text[16] = "";
        assert_true(cm_fd_wait(p[0], POLLIN, PATIENCE));
        assert_int_equal(read(p[0], text, 3), 3);
        assert_memory_equal(text, "up\n", 3);
        kill(between, SIGKILL);
        waitpid(between, NULL, 0);
        assert_true(cm_fd_wait(p[0], POLLIN, PATIENCE));
        assert_int_equal(read(p[0], text, 8), 8);
        assert_memory_equal(text, "got-int\n", 8);
        close(p[0]);
    }
}

static void signals_have_names(void **state)
{
    (void)state;
    assert_int_equal(cm_signal_by_name(CM_STR("TERM")), SIGTERM);
    assert_int_equal(cm_signal_by_name(CM_STR("SIGKILL")), SIGKILL);
    assert_int_equal(cm_signal_by_name(CM_STR("NOPE")), 0);
    assert_string_equal(cm_signal_name(SIGUSR1), "USR1");
    assert_null(cm_signal_name(0));
}

static void users_are_found_in_files(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_user u;
    struct cm_err err;
    assert_int_equal(cm_user_by_uid(a, 0, &u, &err), CM_OK);
    assert_string_equal(u.name, "root");
    assert_string_equal(u.home, "/root");
    assert_int_equal(cm_user_in_file(a, "/etc/passwd", 4242424, &u, &err), CM_NOT_FOUND);
    assert_int_equal(cm_user_by_uid(a, 4242424, &u, &err), CM_NOT_FOUND);
    assert_int_equal(cm_user_by_name(a, "nobody", &u, &err), CM_OK);
    assert_int_equal(u.uid, 65534);
    assert_int_equal(cm_user_by_name(a, "no-such-user", &u, &err), CM_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_reports_status_as_a_shell_would),
        cmocka_unit_test(start_failures_are_errors),
        cmocka_unit_test(program_is_found_in_the_childs_path),
        cmocka_unit_test(child_gets_env_cwd_and_nothing_else),
        cmocka_unit_test(child_has_default_signals),
        cmocka_unit_test(signal_reaches_the_whole_group),
        cmocka_unit_test(stop_kills_what_ignores_the_signal),
        cmocka_unit_test(exit_fd_becomes_readable),
        cmocka_unit_test(run_stops_at_its_deadline_and_cuts_output),
        cmocka_unit_test(run_survives_a_child_that_does_not_read),
        cmocka_unit_test(pty_becomes_the_childs_terminal),
        cmocka_unit_test(priority_is_applied),
        cmocka_unit_test(another_user_has_named_capabilities_only),
        cmocka_unit_test(child_gets_its_signal_when_the_parent_dies),
        cmocka_unit_test(signals_have_names),
        cmocka_unit_test(users_are_found_in_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
