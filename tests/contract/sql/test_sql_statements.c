/* Every statement of the store against a real server: it parses, its parameters have the types that
 * the binder sends, and its columns fit the row struct. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "db/migrate.h"
#include "pg_test.h"
#include "store/migrations.h"
#include "store/statements.h"

static void every_statement_prepares_and_fits_its_row(void **state CM_UNUSED)
{
    CM_AUTO(cm_db) db = pg_test_migrated(NULL);
    size_t bad = 0;
    assert_true(store_n_statements > 40);
    for (size_t i = 0; i < store_n_statements; i++) {
        struct cm_err err;
        if (cm_db_check(db, store_statements[i], &err) != CM_OK) {
            print_error("%s\n", err.text);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

/* A statement that repeats after a lost connection must be free of effects: a read-only transaction
 * proves it. */
static void read_only_statements_do_not_write(void **state CM_UNUSED)
{
    CM_AUTO(cm_db) db = pg_test_migrated(NULL);
    struct cm_err err;
    assert_int_equal(cm_db_script(db, "SET default_transaction_read_only = on", 0, &err), CM_OK);
    size_t n = 0;
    for (size_t i = 0; i < store_n_statements; i++) {
        const struct cm_db_stmt *st = store_statements[i];
        if (!st->read_only)
            continue;
        CM_AUTO(cm_arena) a = cm_arena_new();
        struct cm_db_args *q = cm_db_args_new(a, st);
        for (int p = 0; p < st->n_params; p++)
            cm_db_arg_null(q);
        struct cm_db_result res;
        enum cm_code code = cm_db_run(db, a, st, q, &res, &err);
        if (code != CM_OK && code != CM_NOT_FOUND)
            fail_msg("%s", err.text);
        n++;
    }
    assert_true(n > 15);
}

static void migrating_twice_applies_nothing(void **state CM_UNUSED)
{
    CM_AUTO(cm_db) db = pg_test_empty(NULL);
    struct cm_err err;
    size_t applied = 0;
    assert_int_equal(cm_db_migrate(db, store_migrations, store_n_migrations, &applied, &err),
                     CM_OK);
    assert_int_equal(applied, store_n_migrations);
    assert_int_equal(cm_db_migrate(db, store_migrations, store_n_migrations, &applied, &err),
                     CM_OK);
    assert_int_equal(applied, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_statement_prepares_and_fits_its_row),
        cmocka_unit_test(read_only_statements_do_not_write),
        cmocka_unit_test(migrating_twice_applies_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
