/* Transactions, retries, advisory locks. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pg_test.h"
#include "store/test_rows.h"

static char conninfo[PG_TEST_CONNINFO];
static struct cm_db *db, *other;

static int64_t value_of(int64_t key)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    int64_t v = -1;
    assert_int_equal(t_counter(other, a, key, &v, NULL), CM_OK);
    return v;
}

static void add(struct cm_db *on, int64_t key, int64_t delta)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    int64_t n = 0;
    struct cm_err err;
    if (t_serialized(on, a, key, delta, &n, &err) != CM_OK)
        fail_msg("%s", err.text);
    assert_int_equal(n, 1);
}

static void leaving_the_scope_rolls_back(void **state CM_UNUSED)
{
    {
        CM_AUTO(cm_db_tx) tx = NULL;
        assert_int_equal(cm_db_tx_begin(db, &tx, NULL), CM_OK);
        assert_true(cm_db_in_tx(db));
        add(db, 1, 5);
    }
    assert_false(cm_db_in_tx(db));
    assert_int_equal(value_of(1), 0);
}

static void commit_keeps(void **state CM_UNUSED)
{
    {
        CM_AUTO(cm_db_tx) tx = NULL;
        assert_int_equal(cm_db_tx_begin(db, &tx, NULL), CM_OK);
        add(db, 2, 5);
        assert_int_equal(cm_db_tx_commit(tx, NULL), CM_OK);
    }
    assert_int_equal(value_of(2), 5);
}

static void a_transaction_inside_rolls_back_alone(void **state CM_UNUSED)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    {
        CM_AUTO(cm_db_tx) outer = NULL;
        assert_int_equal(cm_db_tx_begin(db, &outer, NULL), CM_OK);
        add(db, 3, 1);
        {
            CM_AUTO(cm_db_tx) inner = NULL;
            assert_int_equal(cm_db_tx_begin(db, &inner, NULL), CM_OK);
            add(db, 3, 10);
            assert_int_equal(t_counter_insert(db, a, 3, 0, NULL, NULL), CM_CONFLICT);
            assert_int_equal(cm_db_tx_commit(inner, NULL), CM_INTERNAL);
        }
        assert_true(cm_db_violates(db, "counters_pkey"));
        {
            CM_AUTO(cm_db_tx) inner = NULL;
            assert_int_equal(cm_db_tx_begin(db, &inner, NULL), CM_OK);
            add(db, 3, 100);
            assert_int_equal(cm_db_tx_commit(inner, NULL), CM_OK);
        }
        assert_int_equal(cm_db_tx_commit(outer, NULL), CM_OK);
    }
    assert_int_equal(value_of(3), 101);
}

struct adder {
    pthread_t thread;
    struct cm_db *on;
    int runs;
    enum cm_code code;
};

static enum cm_code read_then_add(struct cm_db *on, void *ctx, struct cm_err *err)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    int64_t v;
    ((struct adder *)ctx)->runs++;
    enum cm_code code = t_counter(on, a, 4, &v, err);
    return code == CM_OK ? t_serialized(on, a, 4, 1, NULL, err) : code;
}

static void *add_often(void *ctx)
{
    struct adder *d = ctx;
    for (int i = 0; i < 20 && d->code == CM_OK; i++)
        d->code = cm_db_tx_run(d->on, CM_DB_REPEATABLE_READ, read_then_add, d, NULL);
    return NULL;
}

/* Two writers of one row under snapshot isolation: one of each collision fails, and runs again. */
static void serialization_failures_run_again(void **state CM_UNUSED)
{
    struct adder a = {.on = db}, b = {.on = other};
    assert_int_equal(pthread_create(&a.thread, NULL, add_often, &a), 0);
    assert_int_equal(pthread_create(&b.thread, NULL, add_often, &b), 0);
    pthread_join(a.thread, NULL);
    pthread_join(b.thread, NULL);
    assert_int_equal(a.code, CM_OK);
    assert_int_equal(b.code, CM_OK);
    assert_int_equal(value_of(4), 40);
}

struct collision {
    int runs;
};

/* Deterministic: the first run is overtaken by the other connection. */
static enum cm_code overtaken_once(struct cm_db *on, void *ctx, struct cm_err *err)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct collision *c = ctx;
    int64_t v;
    enum cm_code code = t_counter(on, a, 5, &v, err);
    if (c->runs++ == 0)
        add(other, 5, 100);
    return code == CM_OK ? t_serialized(on, a, 5, 1, NULL, err) : code;
}

static void an_overtaken_transaction_runs_twice(void **state CM_UNUSED)
{
    struct collision c = {0};
    assert_int_equal(cm_db_tx_run(db, CM_DB_REPEATABLE_READ, overtaken_once, &c, NULL), CM_OK);
    assert_int_equal(c.runs, 2);
    assert_int_equal(value_of(5), 101);
}

static void a_lock_is_held_by_one(void **state CM_UNUSED)
{
    int64_t id = cm_db_lock_id("test lock");
    bool got = false;
    assert_int_equal(cm_db_try_lock(db, id, &got, NULL), CM_OK);
    assert_true(got);
    assert_int_equal(cm_db_try_lock(other, id, &got, NULL), CM_OK);
    assert_false(got);
    assert_int_equal(cm_db_unlock(db, id, NULL), CM_OK);
    assert_int_equal(cm_db_try_lock(other, id, &got, NULL), CM_OK);
    assert_true(got);
    assert_int_equal(cm_db_unlock(other, id, NULL), CM_OK);
    {
        CM_AUTO(cm_db_tx) tx = NULL;
        assert_int_equal(cm_db_tx_begin(db, &tx, NULL), CM_OK);
        assert_int_equal(cm_db_tx_lock(db, id, NULL), CM_OK);
        assert_int_equal(cm_db_try_lock(other, id, &got, NULL), CM_OK);
        assert_false(got);
    }
    assert_int_equal(cm_db_try_lock(other, id, &got, NULL), CM_OK);
    assert_true(got);
}

static int open_db(void **state CM_UNUSED)
{
    db = pg_test_empty(conninfo);
    other = pg_test_connect(conninfo);
    return cm_db_script(db,
                        "CREATE TABLE counters (key bigint PRIMARY KEY, value bigint NOT NULL);"
                        "INSERT INTO counters SELECT n, 0 FROM generate_series(1, 9) n",
                        0, NULL) != CM_OK;
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
        cmocka_unit_test(leaving_the_scope_rolls_back),
        cmocka_unit_test(commit_keeps),
        cmocka_unit_test(a_transaction_inside_rolls_back_alone),
        cmocka_unit_test(serialization_failures_run_again),
        cmocka_unit_test(an_overtaken_transaction_runs_twice),
        cmocka_unit_test(a_lock_is_held_by_one),
    };
    return cmocka_run_group_tests(tests, open_db, close_db);
}
