#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "db/migrate.h"
#include "pg_test.h"

static const struct cm_db_migration good[] = {
    {1, "000001_a", "CREATE TABLE a (x int); INSERT INTO a VALUES (1);"},
    {2, "000002_b", "SELECT pg_sleep(0.05); CREATE TABLE b (x int);"},
    {3, "000003_c", "INSERT INTO a VALUES (2);"},
};
static const struct cm_db_migration broken[] = {
    {1, "000001_a", "CREATE TABLE a (x int);"},
    {2, "000002_broken", "CREATE TABLE b (x int); SELECT 1 / 0;"},
};

static void a_newer_database_is_refused(void **state CM_UNUSED)
{
    CM_AUTO(cm_db) db = pg_test_empty(NULL);
    struct cm_err err;
    size_t n = 0;
    assert_int_equal(cm_db_migrate(db, good, 3, &n, &err), CM_OK);
    assert_int_equal(n, 3);
    assert_int_equal(cm_db_migrate(db, good, 2, &n, &err), CM_PRECONDITION);
    assert_non_null(strstr(err.text, "schema version 3"));
    assert_non_null(strstr(err.text, "up to 2"));
}

static void a_failing_migration_leaves_nothing_of_itself(void **state CM_UNUSED)
{
    CM_AUTO(cm_db) db = pg_test_empty(NULL);
    struct cm_err err;
    assert_int_equal(cm_db_migrate(db, broken, 2, NULL, &err), CM_INVALID);
    assert_non_null(strstr(err.text, "000002_broken"));
    /* The first one stays, the second is as if it had never run. */
    size_t n = 0;
    assert_int_equal(cm_db_script(db, "SELECT * FROM a", 0, &err), CM_OK);
    assert_int_equal(cm_db_script(db, "SELECT * FROM b", 0, &err), CM_INTERNAL);
    assert_int_equal(cm_db_migrate(db, good, 3, &n, &err), CM_OK);
    assert_int_equal(n, 2);
}

struct replica {
    pthread_t thread;
    struct cm_db *db;
    size_t applied;
    enum cm_code code;
};

static void *start_replica(void *ctx)
{
    struct replica *r = ctx;
    r->code = cm_db_migrate(r->db, good, 3, &r->applied, NULL);
    return NULL;
}

static void replicas_that_start_together_migrate_once(void **state CM_UNUSED)
{
    char conninfo[PG_TEST_CONNINFO];
    struct replica r[4] = {{.db = pg_test_empty(conninfo)}};
    size_t applied = 0;
    for (size_t i = 0; i < CM_COUNT_OF(r); i++) {
        if (i)
            r[i].db = pg_test_connect(conninfo);
        assert_int_equal(pthread_create(&r[i].thread, NULL, start_replica, &r[i]), 0);
    }
    for (size_t i = 0; i < CM_COUNT_OF(r); i++) {
        pthread_join(r[i].thread, NULL);
        assert_int_equal(r[i].code, CM_OK);
        applied += r[i].applied;
    }
    assert_int_equal(applied, 3);
    for (size_t i = 0; i < CM_COUNT_OF(r); i++)
        cm_db_free(r[i].db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_newer_database_is_refused),
        cmocka_unit_test(a_failing_migration_leaves_nothing_of_itself),
        cmocka_unit_test(replicas_that_start_together_migrate_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
