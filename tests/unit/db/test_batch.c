/* Several statements in one round trip. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pg_test.h"
#include "store/test_rows.h"

static struct cm_db *db;

static void results_go_where_they_belong(void **state CM_UNUSED)
{
    /* Twice: unprepared, and prepared. */
    for (int round = 0; round < 2; round++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        struct cm_db_batch *b = cm_db_batch_new(a);
        struct cm_err err;
        int64_t *one = NULL, *two = NULL, *none = &(int64_t){7}, *many = NULL, affected = -1;
        struct cm_str *text = NULL;
        size_t n = 0;
        t_count_batch(b, 1, &one);
        t_count_batch(b, 2, &two);
        t_none_batch(b, &none);
        t_series_batch(b, 1000, &many, &n);
        t_maybe_batch(b, 1, &text);
        t_serialized_batch(b, 1, 1, &affected);
        if (cm_db_batch_run(b, db, &err) != CM_OK)
            fail_msg("%s", err.text);
        assert_int_equal(*one, 2);
        assert_int_equal(*two, 3);
        assert_null(none);
        assert_int_equal(n, 1000);
        assert_int_equal(many[999], 1000);
        assert_true(cm_str_eq_c(*text, "yes"));
        assert_int_equal(affected, 1);
    }
    CM_AUTO(cm_arena) a = cm_arena_new();
    int64_t v = 0;
    assert_int_equal(t_counter(db, a, 1, &v, NULL), CM_OK);
    assert_int_equal(v, 2);
}

static void a_failure_undoes_the_batch(void **state CM_UNUSED)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_db_batch *b = cm_db_batch_new(a);
    struct cm_err err;
    int64_t *untouched = NULL, v = 0;
    t_serialized_batch(b, 2, 1, NULL);
    t_counter_insert_batch(b, 2, 0, NULL);
    t_count_batch(b, 1, &untouched);
    assert_int_equal(cm_db_batch_run(b, db, &err), CM_CONFLICT);
    assert_true(cm_db_violates(db, "counters_pkey"));
    assert_null(untouched);
    assert_int_equal(t_counter(db, a, 2, &v, &err), CM_OK);
    assert_int_equal(v, 0);
}

static void a_batch_in_a_transaction_is_part_of_it(void **state CM_UNUSED)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    int64_t v = 0, *inside = NULL;
    {
        CM_AUTO(cm_db_tx) tx = NULL;
        assert_int_equal(cm_db_tx_begin(db, &tx, NULL), CM_OK);
        struct cm_db_batch *b = cm_db_batch_new(a);
        t_serialized_batch(b, 3, 4, NULL);
        t_counter_batch(b, 3, &inside);
        assert_int_equal(cm_db_batch_run(b, db, NULL), CM_OK);
        assert_int_equal(*inside, 4);
    }
    assert_int_equal(t_counter(db, a, 3, &v, NULL), CM_OK);
    assert_int_equal(v, 0);
}

/* More than both socket buffers hold, in both directions: sending must not stop reading. */
static void a_large_batch_does_not_deadlock(void **state CM_UNUSED)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_db_batch *b = cm_db_batch_new(a);
    size_t n[400] = {0};
    int64_t *rows[400];
    struct cm_err err;
    for (size_t i = 0; i < CM_COUNT_OF(n); i++)
        t_series_batch(b, 2000, &rows[i], &n[i]);
    if (cm_db_batch_run(b, db, &err) != CM_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < CM_COUNT_OF(n); i++)
        assert_int_equal(n[i], 2000);
}

static void an_empty_batch_is_nothing(void **state CM_UNUSED)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    assert_int_equal(cm_db_batch_run(cm_db_batch_new(a), db, NULL), CM_OK);
}

static void statements_thrown_away_are_prepared_again(void **state CM_UNUSED)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    int64_t *one = NULL;
    assert_int_equal(cm_db_script(db, "DEALLOCATE ALL", 0, NULL), CM_OK);
    struct cm_db_batch *b = cm_db_batch_new(a);
    t_count_batch(b, 1, &one);
    assert_int_equal(cm_db_batch_run(b, db, NULL), CM_OK);
    assert_int_equal(*one, 2);
}

static int open_db(void **state CM_UNUSED)
{
    db = pg_test_empty(NULL);
    return cm_db_script(db,
                        "CREATE TABLE counters (key bigint PRIMARY KEY, value bigint NOT NULL);"
                        "INSERT INTO counters SELECT n, 0 FROM generate_series(1, 9) n",
                        0, NULL) != CM_OK;
}

static int close_db(void **state CM_UNUSED)
{
    cm_db_free(db);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_go_where_they_belong),
        cmocka_unit_test(a_failure_undoes_the_batch),
        cmocka_unit_test(a_batch_in_a_transaction_is_part_of_it),
        cmocka_unit_test(a_large_batch_does_not_deadlock),
        cmocka_unit_test(an_empty_batch_is_nothing),
        cmocka_unit_test(statements_thrown_away_are_prepared_again),
    };
    return cmocka_run_group_tests(tests, open_db, close_db);
}
