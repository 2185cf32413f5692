/* Errors and lost connections. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "pg_test.h"
#include "store/test_rows.h"

static char conninfo[PG_TEST_CONNINFO];
static struct cm_db *db, *other;

static void script(struct cm_db *on, const char *sql)
{
    struct cm_err err;
    if (cm_db_script(on, sql, 0, &err) != CM_OK)
        fail_msg("%s", err.text);
}

/* Ends db's connection from outside, and waits until the server has closed it. */
static void kill_connection(void)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    int64_t pid = 0;
    bool done = false;
    assert_int_equal(t_pid(db, a, &pid, NULL), CM_OK);
    assert_int_equal(t_kill(other, a, pid, &done, NULL), CM_OK);
    assert_true(done);
    char sql[256];
    snprintf(sql, sizeof(sql),
             "DO $$ BEGIN WHILE EXISTS (SELECT FROM pg_stat_activity WHERE pid = %d) LOOP"
             " PERFORM pg_sleep(0.01); PERFORM pg_stat_clear_snapshot(); END LOOP; END $$",
             (int)pid);
    script(other, sql);
}

static void what_the_server_refuses_has_a_code(void **state CM_UNUSED)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_err err;
    assert_int_equal(t_counter_insert(db, a, 1, 0, NULL, &err), CM_OK);
    assert_int_equal(t_counter_insert(db, a, 1, 0, NULL, &err), CM_CONFLICT);
    assert_true(cm_db_violates(db, "counters_pkey"));
    assert_string_equal(cm_db_sqlstate(db), "23505");
    assert_int_equal(t_child_insert(db, a, 99, NULL, &err), CM_CONFLICT);
    assert_true(cm_db_violates(db, "children_key_fkey"));
    assert_int_equal(t_counter_insert(db, a, 2, -1, NULL, &err), CM_INVALID);
    assert_true(cm_db_violates(db, "counters_value_check"));
    assert_int_equal(t_count(db, a, INT64_MAX, &(int64_t){0}, &err), CM_INVALID);
    assert_false(cm_db_violates(db, "counters_value_check"));
    /* The connection is fine afterwards. */
    assert_int_equal(t_count(db, a, 1, &(int64_t){0}, &err), CM_OK);
    assert_string_equal(cm_db_sqlstate(db), "");
}

static void a_slow_statement_times_out(void **state CM_UNUSED)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTO(cm_db) hasty = NULL;
    struct cm_err err;
    struct cm_db_conf conf = {.conninfo = conninfo, .statement_timeout = 50 * CM_MSEC};
    assert_int_equal(cm_db_open(&conf, &hasty, &err), CM_OK);
    struct cm_str text;
    assert_int_equal(t_sleep(hasty, a, 30, &text, &err), CM_TIMEOUT);
    assert_string_equal(cm_db_sqlstate(hasty), "57014");
}

/* A server that is stopped, not gone: its own timeout cannot fire, ours does. */
static void a_frozen_server_times_out(void **state CM_UNUSED)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTO(cm_db) hasty = NULL;
    struct cm_err err;
    int64_t pid = 0, v = 0;
    struct cm_db_conf conf = {.conninfo = conninfo, .statement_timeout = 50 * CM_MSEC};
    assert_int_equal(cm_db_open(&conf, &hasty, &err), CM_OK);
    assert_int_equal(t_pid(hasty, a, &pid, &err), CM_OK);
    assert_int_equal(kill((pid_t)pid, SIGSTOP), 0);
    enum cm_code code = t_count(hasty, a, 1, &v, &err);
    assert_int_equal(kill((pid_t)pid, SIGCONT), 0);
    assert_int_equal(code, CM_TIMEOUT);
    /* The next call has a connection of its own. */
    assert_int_equal(t_count(hasty, a, 1, &v, &err), CM_OK);
}

static void reads_survive_a_lost_connection(void **state CM_UNUSED)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_err err;
    int64_t v = 0;
    uint64_t session = cm_db_session(db);
    kill_connection();
    assert_int_equal(t_count(db, a, 1, &v, &err), CM_OK);
    assert_int_equal(v, 2);
    assert_true(cm_db_session(db) != session);
}

/* The end of an idle connection is seen before a write is sent. */
static void writes_survive_an_idle_connections_end(void **state CM_UNUSED)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_err err;
    int64_t n = 0;
    assert_int_equal(t_counter_insert(db, a, 10, 0, NULL, &err), CM_OK);
    kill_connection();
    assert_int_equal(t_serialized(db, a, 10, 1, &n, &err), CM_OK);
    assert_int_equal(n, 1);
}

static void a_transaction_does_not_survive(void **state CM_UNUSED)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_err err;
    int64_t v = 0;
    assert_int_equal(t_counter_insert(db, a, 20, 0, NULL, &err), CM_OK);
    {
        CM_AUTO(cm_db_tx) tx = NULL;
        assert_int_equal(cm_db_tx_begin(db, &tx, &err), CM_OK);
        assert_int_equal(t_serialized(db, a, 20, 1, NULL, &err), CM_OK);
        kill_connection();
        assert_int_equal(t_counter(db, a, 20, &v, &err), CM_UNAVAILABLE);
        assert_int_equal(t_counter(db, a, 20, &v, &err), CM_UNAVAILABLE);
        assert_int_equal(cm_db_tx_commit(tx, &err), CM_UNAVAILABLE);
    }
    assert_int_equal(t_counter(db, a, 20, &v, &err), CM_OK);
    assert_int_equal(v, 0);
}

/* A migration under a live replica changes what a prepared statement returns. */
static void statements_are_prepared_again_when_a_table_changed(void **state CM_UNUSED)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_err err;
    struct cm_str v;
    script(
        db,
        "CREATE TABLE changing (shape varchar(9) NOT NULL); INSERT INTO changing VALUES ('round')");
    assert_int_equal(t_changing(db, a, &v, &err), CM_OK);
    script(other, "ALTER TABLE changing ALTER COLUMN shape TYPE text");
    assert_int_equal(t_changing(db, a, &v, &err), CM_OK);
    assert_true(cm_str_eq_c(v, "round"));
    /* And after somebody has thrown the statements away. */
    script(db, "DEALLOCATE ALL");
    assert_int_equal(t_changing(db, a, &v, &err), CM_OK);
}

static enum cm_code read_shape(struct cm_db *on, void *ctx, struct cm_err *err)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_str v;
    (*(int *)ctx)++;
    return t_changing(on, a, &v, err);
}

static void a_transaction_meets_a_changed_table_and_runs_again(void **state CM_UNUSED)
{
    struct cm_err err;
    int runs = 0;
    script(other, "ALTER TABLE changing ALTER COLUMN shape TYPE varchar(20)");
    assert_int_equal(cm_db_tx_run(db, CM_DB_READ_COMMITTED, read_shape, &runs, &err), CM_OK);
    assert_int_equal(runs, 2);
}

static void an_absent_server_is_unavailable(void **state CM_UNUSED)
{
    struct cm_err err;
    CM_AUTO(cm_db) absent = NULL;
    struct cm_db_conf conf = {.conninfo = "host=/nonexistent user=u password=sesame dbname=d"};
    assert_int_equal(cm_db_open(&conf, &absent, &err), CM_UNAVAILABLE);
    assert_non_null(absent);
    assert_null(strstr(err.text, "sesame"));
    assert_int_equal(cm_db_ping(absent, &err), CM_UNAVAILABLE);

    struct cm_db *none = NULL;
    conf.conninfo = "postgres://u:sesame@[broken";
    assert_int_equal(cm_db_open(&conf, &none, &err), CM_INVALID);
    assert_null(none);
    assert_null(strstr(err.text, "sesame"));
}

static int open_db(void **state CM_UNUSED)
{
    db = pg_test_empty(conninfo);
    other = pg_test_connect(conninfo);
    script(
        db,
        "CREATE TABLE counters (key bigint PRIMARY KEY, value bigint NOT NULL CHECK (value >= 0));"
        "CREATE TABLE children (key bigint REFERENCES counters (key))");
    return 0;
}

static int close_db(void **state CM_UNUSED)
{
    cm_db_free(db);
    cm_db_free(other);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_server_refuses_has_a_code),
        cmocka_unit_test(a_slow_statement_times_out),
        cmocka_unit_test(a_frozen_server_times_out),
        cmocka_unit_test(reads_survive_a_lost_connection),
        cmocka_unit_test(writes_survive_an_idle_connections_end),
        cmocka_unit_test(a_transaction_does_not_survive),
        cmocka_unit_test(statements_are_prepared_again_when_a_table_changed),
        cmocka_unit_test(a_transaction_meets_a_changed_table_and_runs_again),
        cmocka_unit_test(an_absent_server_is_unavailable),
    };
    return cmocka_run_group_tests(tests, open_db, close_db);
}
