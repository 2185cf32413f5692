/* Notifications, and what happens to them when the connection goes. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "db/listen.h"
#include "pg_test.h"
#include "store/test_rows.h"

#define DEADLINE (20 * CM_SECOND)

struct seen {
    int ready, lost, notified;
    char channel[32], payload[32];
};

static void on_notify(void *ctx, struct cm_str channel, struct cm_str payload)
{
    struct seen *s = ctx;
    s->notified++;
    snprintf(s->channel, sizeof(s->channel), "%.*s", CM_STR_ARG(channel));
    snprintf(s->payload, sizeof(s->payload), "%.*s", CM_STR_ARG(payload));
}

static void on_ready(void *ctx)
{
    ((struct seen *)ctx)->ready++;
}

static void on_lost(void *ctx, const struct cm_err *why)
{
    assert_int_equal(why->code, CM_UNAVAILABLE);
    ((struct seen *)ctx)->lost++;
}

/* The event loop of the caller, in small. */
static void turn_until(struct cm_db_listen *l, const int *counter, int value)
{
    cm_usec end = cm_monotonic_now() + DEADLINE;
    while (*counter < value) {
        cm_usec now = cm_monotonic_now();
        if (now > end)
            fail_msg("not within %d s", (int)(DEADLINE / CM_SECOND));
        cm_usec wait = CM_MIN(cm_db_listen_deadline(l), end) - now;
        struct pollfd p = {.fd = cm_db_listen_fd(l), .events = cm_db_listen_events(l)};
        poll(&p, 1, wait > 0 ? (int)(wait / CM_MSEC) + 1 : 0);
        cm_db_listen_poll(l);
    }
}

static void notifications_arrive_also_after_the_connection_was_lost(void **state CM_UNUSED)
{
    char conninfo[PG_TEST_CONNINFO];
    CM_AUTO(cm_db) db = pg_test_empty(conninfo);
    CM_AUTO(cm_db_listen) l = NULL;
    struct seen seen = {0};
    const char *const channels[] = {"builds", "agents"};
    struct cm_db_listen_conf conf = {.conninfo = conninfo,
                                     .app_name = "listener",
                                     .channels = channels,
                                     .n_channels = 2,
                                     .on_notify = on_notify,
                                     .on_ready = on_ready,
                                     .on_lost = on_lost,
                                     .ctx = &seen};
    assert_int_equal(cm_db_listen_new(&conf, &l, NULL), CM_OK);
    turn_until(l, &seen.ready, 1);
    assert_int_equal(cm_db_notify(db, CM_STR("agents"), CM_STR("a1"), NULL), CM_OK);
    assert_int_equal(cm_db_notify(db, CM_STR("elsewhere"), CM_STR("x"), NULL), CM_OK);
    turn_until(l, &seen.notified, 1);
    assert_string_equal(seen.channel, "agents");
    assert_string_equal(seen.payload, "a1");

    assert_int_equal(cm_db_script(db,
                                  "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                  " WHERE application_name = 'listener'",
                                  0, NULL),
                     CM_OK);
    turn_until(l, &seen.ready, 2);
    assert_int_equal(seen.lost, 1);
    assert_int_equal(cm_db_notify(db, CM_STR("builds"), CM_STR("b2"), NULL), CM_OK);
    turn_until(l, &seen.notified, 2);
    assert_string_equal(seen.payload, "b2");
    assert_int_equal(seen.ready, 2);
}

static void an_absent_server_is_tried_again_with_backoff(void **state CM_UNUSED)
{
    CM_AUTO(cm_db_listen) l = NULL;
    struct seen seen = {0};
    const char *const channels[] = {"x"};
    struct cm_db_listen_conf conf = {.conninfo = "host=/nonexistent dbname=d",
                                     .channels = channels,
                                     .n_channels = 1,
                                     .on_notify = on_notify,
                                     .on_ready = on_ready,
                                     .on_lost = on_lost,
                                     .ctx = &seen};
    assert_int_equal(cm_db_listen_new(&conf, &l, NULL), CM_OK);
    turn_until(l, &seen.lost, 3);
    assert_true(cm_db_listen_deadline(l) > cm_monotonic_now() + 50 * CM_MSEC);
    assert_int_equal(seen.ready, 0);
}

static void channels_are_words(void **state CM_UNUSED)
{
    const char *const bad[] = {"", "a b", "x;DROP", "Upper", "\"q\""};
    for (size_t i = 0; i < CM_COUNT_OF(bad); i++) {
        struct cm_db_listen *l = NULL;
        struct cm_db_listen_conf conf = {.conninfo = "",
                                         .channels = &bad[i],
                                         .n_channels = 1,
                                         .on_notify = on_notify,
                                         .on_ready = on_ready};
        assert_int_equal(cm_db_listen_new(&conf, &l, NULL), CM_INVALID);
        assert_null(l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notifications_arrive_also_after_the_connection_was_lost),
        cmocka_unit_test(an_absent_server_is_tried_again_with_backoff),
        cmocka_unit_test(channels_are_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
