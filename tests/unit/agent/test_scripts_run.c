/* Runs of scripts with a real shell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "scripts/run.h"

#define PATIENCE (20 * CM_SECOND)

struct watch {
    struct cm_buf out;
    struct run_result result;
    char err[CM_ERR_TEXT_MAX];
    bool done;
};

static void on_output(void *ctx, struct cm_str piece, bool is_stderr)
{
    struct watch *w = ctx;
    if (is_stderr)
        cm_buf_char(&w->out, '!');
    cm_buf_str(&w->out, piece);
}

static void on_done(void *ctx, const struct run_result *r, const struct cm_err *err)
{
    struct watch *w = ctx;
    w->result = *r;
    memcpy(w->err, err->text, sizeof(w->err));
    w->done = true;
}

static struct run *begin(struct cm_loop *loop, struct watch *w, const char *script,
                         const char *shell, cm_usec timeout)
{
    static const char *const base[] = {"PATH=/usr/bin:/bin", NULL};
    static const Coder__Agent__V1__CommandEnvironment env =
        CODER__AGENT__V1__COMMAND_ENVIRONMENT__INIT;
    struct cm_user user = {.name = "me", .home = "/", .shell = shell};
    struct environ_pair extra = {CM_STR("EXTRA"), CM_STR("e")};
    struct run_spec spec = {
        .environment = &env,
        .base_env = base,
        .extra = &extra,
        .extra_count = 1,
        .user = &user,
        .script = cm_str(script),
        .timeout = timeout,
        .kill_after = 100 * CM_MSEC,
        .pipe_grace = 300 * CM_MSEC,
        .output = on_output,
        .done = on_done,
        .ctx = w,
    };
    struct run *r = run_start(loop, &spec);
    assert_false(w->done); /* never inside the call */
    return r;
}

static void until_done(struct cm_loop *loop, struct watch *w)
{
    cm_usec end = cm_monotonic_now() + PATIENCE;
    while (!w->done && cm_monotonic_now() < end)
        cm_loop_turn(loop, 100 * CM_MSEC);
    assert_true(w->done);
}

static void every_end_has_its_status(void **state)
{
    (void)state;
    static const struct {
        const char *script, *shell, *out;
        cm_usec timeout;
        enum run_status status;
        int code;
    } rows[] = {
        {"echo hi $EXTRA", "/bin/sh", "hi e\n", 0, RUN_OK, 0},
        {"echo no >&2; exit 3", "/bin/sh", "!no\n", 0, RUN_EXIT_FAILURE, 3},
        {"kill -9 $$", "/bin/sh", "", 0, RUN_EXIT_FAILURE, 255},
        {"#!/bin/bash\necho $BASH | tail -c5", "/bin/sh", "bash\n", 0, RUN_OK, 0},
        {"sleep 1000", "/bin/sh", "", 50 * CM_MSEC, RUN_TIMED_OUT, 255},
        {"trap '' INT; while :; do sleep 1; done", "/bin/sh", "", 50 * CM_MSEC, RUN_TIMED_OUT, 255},
        {"sleep 1000 & echo left", "/bin/sh", "left\n", 0, RUN_PIPES_LEFT_OPEN, 0},
        {"echo", "/no/such/shell", "", 0, RUN_NOT_STARTED, 255},
    };
    CM_AUTO(cm_loop) loop = cm_loop_new();
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct watch w = {.out = CM_BUF_INIT(10000)};
        begin(loop, &w, rows[i].script, rows[i].shell, rows[i].timeout);
        until_done(loop, &w);
        assert_string_equal(cm_buf_view(&w.out).ptr, rows[i].out);
        assert_int_equal(w.result.status, rows[i].status);
        assert_int_equal(w.result.exit_code, rows[i].code);
        assert_true(w.result.ended_at.us >= w.result.started_at.us);
        if (rows[i].status == RUN_NOT_STARTED)
            assert_non_null(strstr(w.err, "/no/such/shell"));
        cm_buf_done(&w.out);
    }
}

static void interrupted_and_aborted_runs_end(void **state)
{
    (void)state;
    CM_AUTO(cm_loop) loop = cm_loop_new();
    struct watch w = {.out = CM_BUF_INIT(10000)};
    struct run *r = begin(loop, &w, "sleep 1000", "/bin/sh", 0);
    run_interrupt(r);
    until_done(loop, &w);
    assert_int_equal(w.result.status, RUN_EXIT_FAILURE);

    struct watch aborted[2] = {{.out = CM_BUF_INIT(100)}, {.out = CM_BUF_INIT(100)}};
    run_abort(begin(loop, &aborted[0], "sleep 1000", "/bin/sh", 0));
    run_abort(begin(loop, &aborted[1], "x", "/no/such/shell", 0));
    for (int i = 0; i < 3; i++)
        cm_loop_turn(loop, CM_MSEC);
    assert_false(aborted[0].done || aborted[1].done);
    cm_buf_done(&w.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_end_has_its_status),
        cmocka_unit_test(interrupted_and_aborted_runs_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
