/* The supervisor between us and terraform, with shell scripts in terraform's place. */
#include "test.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/fs.h"
#include "terraform/process.h"
#include "terraform/run.h"

#define PATIENCE (20 * CM_SECOND)

struct output {
    struct cm_buf out, err_out;
    unsigned lines;
    struct tf_cancel *cancel;
    const char *cancel_at; /* a line */
    enum tf_stop level;
};

static void on_line(void *ctx, bool is_stderr, struct cm_str line)
{
    struct output *o = ctx;
    cm_buf_str(is_stderr ? &o->err_out : &o->out, line);
    cm_buf_char(is_stderr ? &o->err_out : &o->out, '\n');
    o->lines++;
    if (o->cancel_at && cm_str_eq_c(line, o->cancel_at))
        tf_cancel_request(o->cancel, o->level);
}

static struct cm_child_status run(const char *script, struct output *o, cm_usec grace,
                                  bool *stopped)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    const char *const env[] = {"PATH=/usr/bin:/bin", "X=y", NULL};
    struct tf_cancel cancel;
    struct cm_child_status st;
    struct cm_err err;
    assert_int_equal(tf_cancel_init(&cancel, &err), CM_OK);
    cm_buf_init(&o->out, (size_t)8 << 20);
    cm_buf_init(&o->err_out, (size_t)8 << 20);
    o->cancel = &cancel;
    const struct tf_run r = {.program = "/bin/sh",
                             .argv = argv,
                             .env = env,
                             .cwd = "/tmp",
                             .cancel = &cancel,
                             .grace = grace,
                             .line = on_line,
                             .ctx = o};
    assert_int_equal(tf_run(&r, &st, stopped, &err), CM_OK);
    tf_cancel_done(&cancel);
    return st;
}

static void output_done(struct output *o)
{
    cm_buf_done(&o->out);
    cm_buf_done(&o->err_out);
}

static void run_gives_lines_status_and_surroundings(void **state)
{
    (void)state;
    struct output o = {0};
    bool stopped = true;
    struct cm_child_status st = run(
        "pwd; echo $X $0; echo oops >&2; printf 'no newline'; ls /proc/self/fd | wc -l >&2; exit 3",
        &o, CM_SECOND, &stopped);
    assert_int_equal(st.code, 3);
    assert_int_equal(st.signo, 0);
    assert_false(stopped);
    assert_str_is(cm_buf_view(&o.out), "/tmp\ny sh\nno newline\n");
    assert_str_is(cm_buf_view(&o.err_out), "oops\n4\n"); /* 0, 1, 2 and the folder that ls reads */
    output_done(&o);
}

static void run_cuts_lines_that_are_too_long(void **state)
{
    (void)state;
    struct output o = {0};
    run("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo next", &o, CM_SECOND, NULL);
    assert_int_equal(o.lines, 2);
    assert_true(o.out.len <= TF_LINE_MAX + 6);
    assert_true(cm_str_ends(cm_buf_view(&o.out), CM_STR("x\nnext\n")));
    output_done(&o);
}

static void run_stop_gently_interrupts_once(void **state)
{
    (void)state;
    struct output o = {.cancel_at = "ready", .level = TF_STOP_GENTLY};
    bool stopped = false;
    struct cm_child_status st =
        run("trap 'echo stopping; exit 1' INT; echo ready; while :; do sleep 0.05; done", &o,
            PATIENCE, &stopped);
    assert_int_equal(st.code, 1);
    assert_true(stopped);
    assert_str_is(cm_buf_view(&o.out), "ready\nstopping\n");
    output_done(&o);
}

static void run_kills_the_group_after_the_grace(void **state)
{
    (void)state;
    struct output o = {.cancel_at = "ready", .level = TF_STOP_GENTLY};
    /* The background child must go, too. */
    struct cm_child_status st =
        run("trap '' INT; sleep 1000 & echo $!; echo ready; while :; do sleep 0.05; done", &o,
            200 * CM_MSEC, NULL);
    assert_int_equal(st.signo, SIGKILL);
    long child = strtol(o.out.ptr, NULL, 10);
    assert_true(child > 1);
    cm_usec until = cm_monotonic_now() + PATIENCE;
    while (kill((pid_t)child, 0) == 0 && cm_monotonic_now() < until)
        poll(NULL, 0, 5);
    assert_int_equal(kill((pid_t)child, 0), -1);
    output_done(&o);
}

static void run_stop_now_kills_at_once(void **state)
{
    (void)state;
    struct output o = {.cancel_at = "ready", .level = TF_STOP_NOW};
    struct cm_child_status st =
        run("trap '' INT; echo ready; while :; do sleep 0.05; done", &o, PATIENCE, NULL);
    assert_int_equal(st.signo, SIGKILL);
    output_done(&o);
}

static void run_after_a_stop_does_not_start(void **state)
{
    (void)state;
    const char *const argv[] = {"sh", "plan", NULL};
    const char *const env[] = {NULL};
    struct tf_cancel cancel;
    struct cm_child_status st;
    struct cm_err err;
    assert_int_equal(tf_cancel_init(&cancel, &err), CM_OK);
    tf_cancel_request(&cancel, TF_STOP_NOW);
    tf_cancel_request(&cancel, TF_STOP_GENTLY); /* levels only rise */
    assert_int_equal(tf_cancel_level(&cancel), TF_STOP_NOW);
    const struct tf_run r = {
        .program = "/bin/sh", .argv = argv, .env = env, .cwd = "/", .cancel = &cancel};
    assert_int_equal(tf_run(&r, &st, NULL, &err), CM_CANCELED);
    tf_cancel_done(&cancel);
}

static void process_that_cannot_start_is_an_error(void **state)
{
    (void)state;
    const char *const argv[] = {"terraform", "version", NULL};
    const char *const env[] = {NULL};
    const struct tf_run r = {
        .program = "/nonexistent/terraform", .argv = argv, .env = env, .cwd = "/"};
    struct cm_child_status st = {.code = -1};
    struct cm_err err;
    enum cm_code code = tf_run(&r, &st, NULL, &err);
    assert_true(code == CM_IO || st.code == 127);
}

/* A process that only forks us a child which then dies by SIGKILL, as a provisionerd would. The
 * script in terraform's place goes on for a while, writes to its pipe (whose reader is gone), and
 * ends by itself upon SIGINT. */
static void supervisor_stops_terraform_gently_when_we_are_killed(void **state)
{
    (void)state;
    char *dir = NULL;
    struct cm_err err;
    CM_AUTO(cm_arena) a = cm_arena_new();
    assert_int_equal(cm_fs_temp_dir(NULL, "supervise-", &dir, &err), CM_OK);
    pid_t victim = fork();
    if (victim == 0) {
        const char *const argv[] = {"sh", "-c",
                                    "trap 'echo saving; head -c 300000 /dev/zero; echo saved > "
                                    "saved; exit 1' INT; echo up > up; "
                                    "while :; do sleep 0.02; done",
                                    NULL};
        const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
        const struct tf_process_spec spec = {
            .program = "/bin/sh", .argv = argv, .env = env, .cwd = dir, .orphan_grace = PATIENCE};
        struct tf_process *p = NULL;
        if (tf_process_start(&spec, &p, &err) != CM_OK)
            _exit(1);
        for (;;)
            pause();
    }
    cm_usec until = cm_monotonic_now() + PATIENCE;
    while (!cm_fs_exists(cm_fs_join(a, dir, "up")) && cm_monotonic_now() < until)
        poll(NULL, 0, 5);
    assert_true(cm_fs_exists(cm_fs_join(a, dir, "up")));
    kill(victim, SIGKILL);
    waitpid(victim, NULL, 0);
    while (!cm_fs_exists(cm_fs_join(a, dir, "saved")) && cm_monotonic_now() < until)
        poll(NULL, 0, 5);
    assert_true(cm_fs_exists(cm_fs_join(a, dir, "saved")));
    assert_int_equal(cm_fs_remove_tree(dir, &err), CM_OK);
    cm_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_gives_lines_status_and_surroundings),
        cmocka_unit_test(run_cuts_lines_that_are_too_long),
        cmocka_unit_test(run_stop_gently_interrupts_once),
        cmocka_unit_test(run_kills_the_group_after_the_grace),
        cmocka_unit_test(run_stop_now_kills_at_once),
        cmocka_unit_test(run_after_a_stop_does_not_start),
        cmocka_unit_test(process_that_cannot_start_is_an_error),
        cmocka_unit_test(supervisor_stops_terraform_gently_when_we_are_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
