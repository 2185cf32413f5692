#include "db/migrate.h"

#include "db/stmt.h"

#define LOCK_NAME    "schema migrations"
#define STEP_TIMEOUT CM_HOUR /* of one migration; waiting for another replica's run included */

static const struct cm_db_stmt head = {
    .name = "cm_db_migrate_head",
    .sql = "SELECT coalesce(max(version), 0)::int8 FROM schema_migrations",
    .want = CM_DB_ONE,
    .read_only = true,
    .row = &cm_db_row_int,
};
static const uint8_t record_params[] = {CM_DB_INT, CM_DB_TEXT};
static const struct cm_db_stmt record = {
    .name = "cm_db_migrate_record",
    .sql = "INSERT INTO schema_migrations (version, name) VALUES ($1, $2)",
    .params = record_params,
    .n_params = CM_COUNT_OF(record_params),
    .want = CM_DB_EXEC,
};

static const char create_table[] = "CREATE TABLE IF NOT EXISTS schema_migrations ("
                                   " version bigint PRIMARY KEY,"
                                   " name text NOT NULL,"
                                   " applied_at timestamptz NOT NULL DEFAULT now())";

static enum cm_code read_head(struct cm_db *db, struct cm_arena *a, int64_t *ret,
                              struct cm_err *err)
{
    int64_t *row = NULL;
    enum cm_code code = cm_db_run_row(db, a, &head, NULL, &row, err);
    if (code == CM_OK)
        *ret = *row;
    return code;
}

/* In a transaction that holds the lock: creates the table, tells where the database stands. */
static enum cm_code lock_and_look(struct cm_db *db, struct cm_arena *a, int64_t *ret,
                                  struct cm_err *err)
{
    enum cm_code code = cm_db_script(db, "SET LOCAL statement_timeout = 0", 0, err);
    if (code != CM_OK)
        return code;
    CM_AUTOBUF struct cm_buf lock = CM_BUF_INIT(128);
    cm_buf_printf(&lock, "SELECT pg_advisory_xact_lock(%lld)", (long long)cm_db_lock_id(LOCK_NAME));
    code = cm_db_script(db, lock.ptr, STEP_TIMEOUT, err);
    if (code == CM_OK)
        code = cm_db_script(db, create_table, 0, err);
    return code == CM_OK ? read_head(db, a, ret, err) : code;
}

static enum cm_code apply(struct cm_db *db, struct cm_arena *a, const struct cm_db_migration *m,
                          struct cm_err *err)
{
    enum cm_code code = cm_db_script(db, m->sql, STEP_TIMEOUT, err);
    if (code != CM_OK)
        return cm_err_wrap(err, "migration %s", m->name);
    struct cm_db_args *q = cm_db_args_new(a, &record);
    cm_db_arg_int(q, m->version);
    cm_db_arg_text(q, cm_str(m->name));
    return cm_db_run_exec(db, a, &record, q, NULL, err);
}

/* One step: CM_END when nothing is missing. */
static enum cm_code step(struct cm_db *db, struct cm_arena *a,
                         const struct cm_db_migration *migrations, size_t n, struct cm_err *err)
{
    CM_AUTO(cm_db_tx) tx = NULL;
    enum cm_code code = cm_db_tx_begin(db, &tx, err);
    if (code != CM_OK)
        return code;
    int64_t at = 0;
    code = lock_and_look(db, a, &at, err);
    if (code != CM_OK)
        return code;
    if (at > (int64_t)n)
        return cm_err_set(
            err, CM_PRECONDITION,
            "the database has schema version %lld, but this program knows versions up to %zu: "
            "start the release that upgraded it, or a newer one (a schema never goes back)",
            (long long)at, n);
    bool missing = at < (int64_t)n;
    if (missing)
        code = apply(db, a, &migrations[at], err);
    if (code == CM_OK)
        code = cm_db_tx_commit(tx, err);
    return code == CM_OK && !missing ? CM_END : code;
}

enum cm_code cm_db_migrate(struct cm_db *db, const struct cm_db_migration *migrations, size_t n,
                           size_t *ret_applied, struct cm_err *err)
{
    for (size_t i = 0; i < n; i++)
        cm_assert(migrations[i].version == (int)i + 1);
    CM_AUTO(cm_arena) a = cm_arena_new();
    enum cm_code code = CM_OK;
    size_t applied = 0;
    while ((code = step(db, a, migrations, n, err)) == CM_OK)
        applied++;
    if (code != CM_END)
        return cm_err_wrap(err, "upgrade the database");
    if (ret_applied)
        *ret_applied = applied;
    return CM_OK;
}
