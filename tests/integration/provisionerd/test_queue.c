/* The provisionerd program with terraform and provider, against the server's side of the real RPC.
 * Kill tests say in which phase they hit. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coderd_double.h"
#include "queue/record.h"
#include "sys/child.h"
#include "sys/fs.h"
#include "terraform/unpack.h"

#define PATIENCE (60 * CM_SECOND)

struct fixture {
    struct cm_arena *a;
    char *dir;
    const char *cache, *work;
    struct coderd_double d;
    struct cm_child *daemon;
};

static const char workspace[] =
    "terraform {\n  required_providers {\n    coder = { source = \"coder/coder\" }\n  }\n}\n"
    "variable \"v\" { default = \"x\" }\n"
    "data \"coder_workspace\" \"me\" {}\n"
    "resource \"coder_agent\" \"dev\" {\n  os = \"linux\"\n  arch = \"amd64\"\n}\n"
    "resource \"terraform_data\" \"vm\" {\n  count = data.coder_workspace.me.start_count\n"
    "  input = coder_agent.dev.token\n}\n";

/* The second resource says that it is being made, and goes on until somebody stops it. */
#define SLOW(script)                                                                               \
    "resource \"terraform_data\" \"first\" {}\n"                                                   \
    "resource \"terraform_data\" \"second\" {\n  input = terraform_data.first.id\n"                \
    "  provisioner \"local-exec\" {\n    command = \"" script "\"\n  }\n}\n"

static void set_template(struct fixture *f, const char *text)
{
    static char next_id;
    const char *dir = cm_arena_printf(f->a, "%s/template-%d", f->dir, ++next_id);
    struct cm_err err;
    assert_int_equal(cm_fs_mkdirs(dir, 0700, &err), CM_OK);
    assert_int_equal(cm_fs_write(cm_fs_join(f->a, dir, "main.tf"), cm_str(text), 0600, false, &err),
                     CM_OK);
    cm_buf_reset(&f->d.source);
    assert_int_equal(tf_pack(dir, ".", (size_t)1 << 20, &f->d.source, &err), CM_OK);
    f->d.source_id = next_id;
}

static void set_slow_template(struct fixture *f)
{
    set_template(f, cm_arena_printf(f->a, SLOW("touch %s/up; exec sleep 1000"), f->dir));
}

static bool is_up(struct fixture *f)
{
    return cm_fs_exists(cm_fs_join(f->a, f->dir, "up"));
}

static void start_daemon(struct fixture *f)
{
    const char *const argv[] = {getenv("PROVISIONERD_BIN"),
                                "--url",
                                f->d.url,
                                "--cache-dir",
                                f->cache,
                                "--name",
                                "test-1",
                                "--provider-path",
                                getenv("PROVIDER_BIN"),
                                "--heartbeat",
                                "300ms",
                                "--terraform-grace",
                                "20s",
                                NULL};
    const struct cm_child_spec spec = {.argv = argv, .std = {[2] = {.kind = CM_CHILD_INHERIT}}};
    struct cm_err err;
    assert_int_equal(cm_child_start(&spec, &f->daemon, &err), CM_OK);
}

static int end_daemon(struct fixture *f, int signo)
{
    struct cm_child_status st = {.code = -1};
    struct cm_err err;
    if (signo)
        cm_child_signal_one(f->daemon, signo);
    assert_int_equal(cm_child_wait(f->daemon, PATIENCE, &st, &err), CM_OK);
    cm_child_free(f->daemon);
    f->daemon = NULL;
    return cm_child_status_shell(st);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct cm_err err;
    f->a = cm_arena_new();
    assert_int_equal(cm_fs_temp_dir(NULL, "queue-", &f->dir, &err), CM_OK);
    f->cache = cm_fs_join(f->a, f->dir, "cache");
    f->work = cm_fs_join(f->a, f->cache, "work");
    double_init(&f->d, f->dir);
    set_template(f, workspace);
    double_start(&f->d);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cm_child_free(f->daemon);
    record_signal_processes(f->dir, SIGKILL);
    double_done(&f->d);
    cm_ignore(cm_fs_remove_tree(f->dir, NULL) != CM_OK, "a temporary folder");
    cm_free(f->dir);
    cm_arena_free(f->a);
    free(f);
    return 0;
}

static void daemon_runs_jobs_one_after_the_other(void **state)
{
    struct fixture *f = *state;
    f->d.kind = PB_ENUM(JOB_KIND__TEMPLATE_IMPORT);
    double_offer(&f->d, PB_ENUM(TRANSITION__START));
    start_daemon(f);
    DOUBLE_WAIT(&f->d, f->d.completes == 1);
    assert_string_equal(f->d.error, "");
    assert_int_equal(f->d.outcome, PB_ENUM(COMPLETE_REQUEST__OUTCOME__SUCCEEDED));
    assert_int_equal(f->d.variables, 1);
    assert_int_equal(f->d.states, 0);

    f->d.kind = PB_ENUM(JOB_KIND__WORKSPACE_BUILD);
    double_offer(&f->d, PB_ENUM(TRANSITION__START));
    DOUBLE_WAIT(&f->d, f->d.completes == 1);
    assert_int_equal(f->d.outcome, PB_ENUM(COMPLETE_REQUEST__OUTCOME__SUCCEEDED));
    assert_true(f->d.state_before_complete);
    assert_int_equal(f->d.resources, 1);
    assert_int_equal(f->d.agents, 1);
    assert_false(f->d.log_gap);
    assert_non_null(strstr(f->d.log.ptr, "Starting workspace|info|"));
    assert_non_null(strstr(f->d.log.ptr, "Cleaning Up|info|"));
    assert_non_null(strstr(f->d.state.ptr, "terraform_data"));

    double_offer(&f->d, PB_ENUM(TRANSITION__DELETE));
    DOUBLE_WAIT(&f->d, f->d.completes == 1);
    assert_int_equal(f->d.outcome, PB_ENUM(COMPLETE_REQUEST__OUTCOME__SUCCEEDED));
    assert_null(strstr(f->d.state.ptr, "terraform_data"));
    assert_int_equal(end_daemon(f, SIGTERM), 0);
}

static void daemon_hands_in_a_failure_with_its_cause(void **state)
{
    struct fixture *f = *state;
    set_template(f, SLOW("exit 5"));
    double_offer(&f->d, PB_ENUM(TRANSITION__START));
    start_daemon(f);
    DOUBLE_WAIT(&f->d, f->d.completes == 1);
    assert_int_equal(f->d.outcome, PB_ENUM(COMPLETE_REQUEST__OUTCOME__FAILED));
    assert_non_null(strstr(f->d.error, "local-exec provisioner error"));
    assert_non_null(strstr(f->d.state.ptr, "\"name\": \"first\""));
}

static void cancel_by_the_server_stops_the_apply(void **state)
{
    struct fixture *f = *state;
    set_slow_template(f);
    double_offer(&f->d, PB_ENUM(TRANSITION__START));
    start_daemon(f);
    DOUBLE_WAIT(&f->d, is_up(f) &&
                           f->d.states > 0); /* in the middle, with a partial state there already */
    assert_non_null(strstr(f->d.state.ptr, "\"name\": \"first\""));
    f->d.cancel = true;
    DOUBLE_WAIT(&f->d, f->d.completes == 1);
    assert_int_equal(f->d.outcome, PB_ENUM(COMPLETE_REQUEST__OUTCOME__CANCELED));
    assert_non_null(strstr(f->d.state.ptr, "\"name\": \"second\""));
    assert_int_equal(record_signal_processes(f->work, 0), 0);
}

static void drain_lets_the_job_end(void **state)
{
    struct fixture *f = *state;
    set_template(f, cm_arena_printf(f->a,
                                    SLOW("touch %s/up; while ! test -e %s/go; do sleep 0.05; done"),
                                    f->dir, f->dir));
    double_offer(&f->d, PB_ENUM(TRANSITION__START));
    start_daemon(f);
    DOUBLE_WAIT(&f->d, is_up(f));
    cm_child_signal_one(f->daemon, SIGTERM);
    unsigned seen = 0;
    DOUBLE_WAIT(&f->d, (seen = f->d.updates, true));
    DOUBLE_WAIT(&f->d, f->d.updates > seen + 2);
    struct cm_err err;
    assert_int_equal(cm_fs_write(cm_fs_join(f->a, f->dir, "go"), CM_STR(""), 0600, false, &err),
                     CM_OK);
    assert_int_equal(end_daemon(f, 0), 0);
    DOUBLE_WAIT(&f->d, f->d.completes == 1);
    assert_int_equal(f->d.outcome, PB_ENUM(COMPLETE_REQUEST__OUTCOME__SUCCEEDED));
}

static void interrupt_fails_the_job_with_a_word(void **state)
{
    struct fixture *f = *state;
    set_slow_template(f);
    double_offer(&f->d, PB_ENUM(TRANSITION__START));
    start_daemon(f);
    DOUBLE_WAIT(&f->d, is_up(f));
    assert_int_equal(end_daemon(f, SIGINT), 0);
    DOUBLE_WAIT(&f->d, f->d.completes == 1);
    assert_int_equal(f->d.outcome, PB_ENUM(COMPLETE_REQUEST__OUTCOME__FAILED));
    assert_non_null(strstr(f->d.error, "shut down"));
    assert_non_null(strstr(f->d.state.ptr, "\"name\": \"second\""));
}

static void idle_daemon_stops_at_once(void **state)
{
    struct fixture *f = *state;
    start_daemon(f);
    DOUBLE_WAIT(&f->d, f->d.acquires > 1);
    cm_usec began = cm_monotonic_now();
    assert_int_equal(end_daemon(f, SIGTERM), 0);
    assert_true(cm_monotonic_now() - began < 10 * CM_SECOND);
}

static void killed_in_the_apply_leaves_nothing_and_is_made_good(void **state)
{
    struct fixture *f = *state;
    set_slow_template(f);
    double_offer(&f->d, PB_ENUM(TRANSITION__START));
    start_daemon(f);
    DOUBLE_WAIT(&f->d, is_up(f));
    assert_true(record_signal_processes(f->work, 0) > 0);
    end_daemon(f, SIGKILL);
    DOUBLE_WAIT(&f->d, record_signal_processes(f->work, 0) == 0);
    unsigned before = 0;
    DOUBLE_WAIT(&f->d, (before = f->d.states, f->d.completes == 0));
    /* What terraform recorded after the kill came too late for the first daemon. */
    assert_null(f->d.state.ptr ? strstr(f->d.state.ptr, "\"name\": \"second\"") : NULL);
    start_daemon(f);
    DOUBLE_WAIT(&f->d, f->d.completes == 1);
    assert_int_equal(f->d.states, before + 1);
    assert_non_null(strstr(f->d.state.ptr, "\"name\": \"second\""));
    assert_int_equal(f->d.outcome, PB_ENUM(COMPLETE_REQUEST__OUTCOME__FAILED));
    assert_non_null(strstr(f->d.error, "in the middle of the job"));
    DOUBLE_WAIT(&f->d, f->d.acquires > 1);
    assert_int_equal(end_daemon(f, SIGTERM), 0);
}

static void server_that_is_away_gets_everything_later(void **state)
{
    struct fixture *f = *state;
    set_template(f, cm_arena_printf(f->a,
                                    SLOW("touch %s/up; while ! test -e %s/go; do sleep 0.05; done"),
                                    f->dir, f->dir));
    double_offer(&f->d, PB_ENUM(TRANSITION__START));
    start_daemon(f);
    DOUBLE_WAIT(&f->d, is_up(f));
    double_stop(&f->d);
    struct cm_err err;
    assert_int_equal(cm_fs_write(cm_fs_join(f->a, f->dir, "go"), CM_STR(""), 0600, false, &err),
                     CM_OK);
    /* terraform is done while nobody listens. */
    DOUBLE_WAIT(&f->d, record_signal_processes(f->work, 0) == 0);
    double_start(&f->d);
    DOUBLE_WAIT(&f->d, f->d.completes == 1);
    assert_int_equal(f->d.outcome, PB_ENUM(COMPLETE_REQUEST__OUTCOME__SUCCEEDED));
    assert_true(f->d.state_before_complete);
    assert_non_null(strstr(f->d.state.ptr, "\"name\": \"second\""));
    assert_false(f->d.log_gap);
}

static void lost_contact_stops_terraform_before_the_lease_ends(void **state)
{
    struct fixture *f = *state;
    set_slow_template(f);
    f->d.lease_us = 6 * CM_SECOND;
    double_offer(&f->d, PB_ENUM(TRANSITION__START));
    start_daemon(f);
    DOUBLE_WAIT(&f->d, is_up(f));
    double_stop(&f->d);
    cm_usec gone = cm_monotonic_now();
    DOUBLE_WAIT(&f->d, record_signal_processes(f->work, 0) == 0);
    assert_true(cm_monotonic_now() - gone < 12 * CM_SECOND);
    double_start(&f->d);
    DOUBLE_WAIT(&f->d, f->d.completes == 1);
    assert_int_equal(f->d.outcome, PB_ENUM(COMPLETE_REQUEST__OUTCOME__FAILED));
    assert_non_null(strstr(f->d.error, "lost contact"));
    assert_non_null(strstr(f->d.state.ptr, "\"name\": \"second\""));
}

static void job_that_was_given_away_is_stopped_and_its_state_kept(void **state)
{
    struct fixture *f = *state;
    set_slow_template(f);
    double_offer(&f->d, PB_ENUM(TRANSITION__START));
    start_daemon(f);
    DOUBLE_WAIT(&f->d, is_up(f));
    f->d.fence = true;
    unsigned acquires = f->d.acquires;
    DOUBLE_WAIT(&f->d, record_signal_processes(f->work, 0) == 0);
    DOUBLE_WAIT(&f->d, f->d.acquires > acquires); /* ready for the next one */
    assert_int_equal(f->d.completes, 0);
    assert_non_null(strstr(f->d.state.ptr, "\"name\": \"second\""));
}

static void second_daemon_in_one_cache_is_refused(void **state)
{
    struct fixture *f = *state;
    start_daemon(f);
    DOUBLE_WAIT(&f->d, f->d.acquires > 0);
    struct cm_child *first = f->daemon;
    start_daemon(f);
    assert_int_equal(end_daemon(f, 0), 1);
    f->daemon = first;
    assert_int_equal(end_daemon(f, SIGTERM), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(daemon_runs_jobs_one_after_the_other),
        CASE(daemon_hands_in_a_failure_with_its_cause),
        CASE(cancel_by_the_server_stops_the_apply),
        CASE(drain_lets_the_job_end),
        CASE(interrupt_fails_the_job_with_a_word),
        CASE(idle_daemon_stops_at_once),
        CASE(killed_in_the_apply_leaves_nothing_and_is_made_good),
        CASE(server_that_is_away_gets_everything_later),
        CASE(lost_contact_stops_terraform_before_the_lease_ends),
        CASE(job_that_was_given_away_is_stopped_and_its_state_kept),
        CASE(second_daemon_in_one_cache_is_refused),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    signal(SIGPIPE, SIG_IGN); /* the server side ends under its callers */
    cm_loop_global_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
