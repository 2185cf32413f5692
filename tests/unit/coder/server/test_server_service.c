/* One supervised program, a real one: its readiness, its crashes, its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <unistd.h>

#include "server/service.h"
#include "sys/fd.h"

#define PATIENCE (20 * CM_SECOND)

struct fixture {
    struct cm_loop *loop;
    struct service *service;
    const char *script;
    int starts, ready, lines, failures, stopped;
    bool try_again;
    char last_line[64], ready_text[64];
};

static void keep(char *to, size_t size, struct cm_str text)
{
    size_t n = CM_MIN(text.len, size - 1);
    memcpy(to, text.ptr, n);
    to[n] = '\0';
}

static enum cm_code start(void *ctx, struct service *s, struct cm_child **ret, struct cm_err *err)
{
    struct fixture *f = ctx;
    int ready[2];
    const char *argv[] = {"sh", "-c", f->script, NULL};
    f->starts++;
    assert_int_equal(cm_fd_pipe(ready, err), CM_OK);
    const struct cm_child_spec spec = {.argv = argv,
                                       .std = {[1] = {CM_CHILD_PIPE, 0}},
                                       .extra = {{ready[1], 3}},
                                       .extra_count = 1};
    enum cm_code code = cm_child_start(&spec, ret, err);
    close(ready[1]);
    assert_int_equal(code, CM_OK);
    service_await(s, ready[0]);
    service_read_lines(s, cm_child_take_fd(*ret, 1));
    return CM_OK;
}

static void on_ready(void *ctx, struct service *s, struct cm_str text)
{
    struct fixture *f = ctx;
    (void)s;
    f->ready++;
    keep(f->ready_text, sizeof(f->ready_text), text);
}

static void on_line(void *ctx, struct service *s, struct cm_str line)
{
    struct fixture *f = ctx;
    (void)s;
    f->lines++;
    keep(f->last_line, sizeof(f->last_line), line);
}

static bool on_failure(void *ctx, struct service *s)
{
    struct fixture *f = ctx;
    (void)s;
    f->failures++;
    return f->try_again;
}

static void on_stopped(void *ctx, struct service *s)
{
    struct fixture *f = ctx;
    (void)s;
    f->stopped++;
}

static void set_up(struct fixture *f, const char *script)
{
    *f = (struct fixture){.loop = cm_loop_new(), .script = script};
    const struct service_config cfg = {.name = "sh",
                                       .loop = f->loop,
                                       .ctx = f,
                                       .start = start,
                                       .on_ready = on_ready,
                                       .on_line = on_line,
                                       .on_failure = on_failure,
                                       .on_stopped = on_stopped};
    f->service = service_new(&cfg);
}

static void tear_down(struct fixture *f)
{
    service_free(f->service);
    cm_loop_free(f->loop);
}

static void turn_until(struct fixture *f, const int *counter, int at_least)
{
    cm_usec end = cm_monotonic_now() + PATIENCE;
    while (*counter < at_least) {
        if (cm_monotonic_now() > end)
            fail_msg("waited in vain: %d, not %d", *counter, at_least);
        cm_loop_turn(f->loop, 50 * CM_MSEC);
    }
}

static void says_ready_and_stops(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, "trap 'kill $!; echo bye; exit 0' TERM; echo http://x >&3; sleep 60 & wait");
    service_start(f.service);
    turn_until(&f, &f.ready, 1);
    assert_string_equal(f.ready_text, "http://x");
    assert_true(service_pid(f.service) > 0);
    assert_false(service_stopped(f.service));
    service_stop(f.service, SIGTERM, 0);
    turn_until(&f, &f.stopped, 1);
    assert_true(service_stopped(f.service));
    assert_int_equal(service_pid(f.service), 0);
    /* The last words were read, though the process had ended by then. */
    assert_string_equal(f.last_line, "bye");
    assert_int_equal(f.starts, 1);
    assert_int_equal(f.failures, 0);
    /* Once stopped, nothing more. */
    service_stop(f.service, SIGTERM, 0);
    cm_loop_turn(f.loop, 10 * CM_MSEC);
    assert_int_equal(f.stopped, 1);
    tear_down(&f);
}

static void crash_after_ready_starts_again(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, "echo up >&3; exec sleep 60");
    service_start(f.service);
    for (int i = 1; i <= 3; i++) {
        turn_until(&f, &f.ready, i);
        kill(service_pid(f.service), SIGKILL);
    }
    turn_until(&f, &f.ready, 4);
    assert_int_equal(f.starts, 4);
    assert_int_equal(f.failures, 0);
    tear_down(&f);
}

static void failure_before_ready_is_asked_about(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, "echo cannot; exit 1");
    service_start(f.service);
    turn_until(&f, &f.failures, 1);
    assert_string_equal(f.last_line, "cannot");
    assert_true(service_stopped(f.service));
    assert_int_equal(f.starts, 1);
    f.try_again = true;
    service_start(f.service);
    turn_until(&f, &f.starts, 4);
    /* Waiting for the next try is no obstacle to stopping. */
    turn_until(&f, &f.failures, 4);
    service_stop(f.service, SIGTERM, 0);
    assert_true(service_stopped(f.service));
    tear_down(&f);
}

static void what_ignores_the_signal_is_killed(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, "trap '' TERM; echo up >&3; while :; do sleep 60 & wait; done");
    service_start(f.service);
    turn_until(&f, &f.ready, 1);
    service_stop(f.service, SIGTERM, 60 * CM_SECOND);
    /* Once more, in a hurry. */
    service_stop(f.service, SIGTERM, 50 * CM_MSEC);
    turn_until(&f, &f.stopped, 1);
    tear_down(&f);
}

static void long_lines_are_cut(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, "head -c 100000 /dev/zero | tr '\\0' x; echo; echo end; echo up >&3; exec sleep 60");
    service_start(f.service);
    turn_until(&f, &f.ready, 1);
    cm_usec end = cm_monotonic_now() + PATIENCE;
    while (strcmp(f.last_line, "end") != 0 && cm_monotonic_now() < end)
        cm_loop_turn(f.loop, 50 * CM_MSEC);
    assert_string_equal(f.last_line, "end");
    assert_true(f.lines > 2);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_ready_and_stops),
        cmocka_unit_test(crash_after_ready_starts_again),
        cmocka_unit_test(failure_before_ready_is_asked_about),
        cmocka_unit_test(what_ignores_the_signal_is_killed),
        cmocka_unit_test(long_lines_are_cut),
    };
    cm_loop_global_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
