/* Transactions as scopes, the one place of retries, advisory locks, NOTIFY. */
#include "db/conn.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/random.h"
#include "db/stmt.h"

#define TX_ATTEMPTS 5

struct cm_db_tx {
    struct cm_db *db;
    unsigned depth; /* 1: a transaction; more: a savepoint */
    uint64_t session;
    bool done;
};

#define TX_COMMAND_MAX 96 /* "ROLLBACK TO SAVEPOINT s%u; RELEASE SAVEPOINT s%u" */

static enum cm_code command(struct cm_db *db, const char *sql, struct cm_err *err)
{
    return db_simple(db, "transaction", sql, 0, err) == DB_DONE ? CM_OK : err->code;
}

static enum cm_code begin(struct cm_db *db, const char *sql, struct cm_db_tx **ret,
                          struct cm_err *err)
{
    char savepoint[TX_COMMAND_MAX];
    if (db->tx_depth) {
        snprintf(savepoint, sizeof(savepoint), "SAVEPOINT s%u", db->tx_depth);
        sql = savepoint;
    }
    enum cm_code code = CM_OK;
    for (int attempt = 0; attempt < 2; attempt++) {
        code = db_ensure_alive(db, err);
        if (code == CM_OK)
            code = command(db, sql, err);
        if (db->pg || db->tx_depth || code != CM_UNAVAILABLE)
            break; /* a BEGIN that was lost with its connection may be repeated */
    }
    if (code != CM_OK)
        return code;
    struct cm_db_tx *tx = cm_xcalloc(1, sizeof(*tx));
    *tx = (struct cm_db_tx){.db = db, .depth = ++db->tx_depth, .session = db->session};
    *ret = tx;
    return CM_OK;
}

enum cm_code cm_db_tx_begin(struct cm_db *db, struct cm_db_tx **ret, struct cm_err *err)
{
    struct cm_err unseen;
    return begin(db, "BEGIN", ret, err ? err : &unseen);
}

/* Scopes nest, so the innermost ends first. */
static void leave(struct cm_db_tx *tx)
{
    cm_assert(tx->db->tx_depth == tx->depth);
    tx->db->tx_depth--;
    tx->done = true;
}

enum cm_code cm_db_tx_commit(struct cm_db_tx *tx, struct cm_err *err)
{
    struct cm_err unseen;
    err = err ? err : &unseen;
    struct cm_db *db = tx->db;
    cm_assert(!tx->done);
    if (!db->pg) {
        leave(tx);
        return cm_err_set(err, CM_UNAVAILABLE, "the database connection was lost in a transaction");
    }
    if (PQtransactionStatus(db->pg) == PQTRANS_INERROR)
        /* COMMIT would answer ROLLBACK and call it success. */
        return cm_err_set(err, CM_INTERNAL, "commit of a transaction in which a statement failed");
    char sql[TX_COMMAND_MAX] = "COMMIT";
    if (tx->depth > 1)
        snprintf(sql, sizeof(sql), "RELEASE SAVEPOINT s%u", tx->depth - 1);
    enum cm_code code = command(db, sql, err);
    if (code == CM_OK || tx->depth == 1)
        leave(tx);
    return code;
}

void cm_db_tx_free(struct cm_db_tx *tx)
{
    if (!tx)
        return;
    struct cm_db *db = tx->db;
    if (!tx->done) {
        leave(tx);
        char sql[TX_COMMAND_MAX] = "ROLLBACK";
        if (tx->depth > 1)
            snprintf(sql, sizeof(sql), "ROLLBACK TO SAVEPOINT s%u; RELEASE SAVEPOINT s%u",
                     tx->depth - 1, tx->depth - 1);
        struct cm_err err;
        char sqlstate[sizeof(db->sqlstate)], constraint[sizeof(db->constraint)];
        memcpy(sqlstate, db->sqlstate, sizeof(sqlstate));
        memcpy(constraint, db->constraint, sizeof(constraint));
        /* A connection in an unknown state is worse than none. */
        if (db->pg && command(db, sql, &err) != CM_OK)
            db_close(db);
        memcpy(db->sqlstate, sqlstate, sizeof(sqlstate));
        memcpy(db->constraint, constraint, sizeof(constraint));
    }
    cm_free(tx);
}

bool cm_db_in_tx(const struct cm_db *db)
{
    return db->tx_depth > 0;
}

static const char *begin_text(enum cm_db_isolation isolation)
{
    switch (isolation) {
    case CM_DB_READ_COMMITTED:
        return "BEGIN";
    case CM_DB_REPEATABLE_READ:
        return "BEGIN ISOLATION LEVEL REPEATABLE READ";
    case CM_DB_SERIALIZABLE:
        return "BEGIN ISOLATION LEVEL SERIALIZABLE";
    }
    return "BEGIN";
}

static enum cm_code run_tx(struct cm_db *db, enum cm_db_isolation isolation, cm_db_tx_fn fn,
                           void *ctx, struct cm_err *err)
{
    CM_AUTO(cm_db_tx) tx = NULL;
    enum cm_code code = begin(db, begin_text(isolation), &tx, err);
    if (code != CM_OK)
        return code;
    code = fn(db, ctx, err);
    if (code != CM_OK)
        return code;
    return cm_db_tx_commit(tx, err);
}

/* Serialization failure, deadlock, or a statement that a migration has changed meanwhile. */
static bool worth_repeating(const struct cm_db *db)
{
    return strncmp(db->sqlstate, "40", 2) == 0 || strcmp(db->sqlstate, "0A000") == 0 ||
           strcmp(db->sqlstate, "26000") == 0;
}

enum cm_code cm_db_tx_run(struct cm_db *db, enum cm_db_isolation isolation, cm_db_tx_fn fn,
                          void *ctx, struct cm_err *err)
{
    struct cm_err unseen;
    err = err ? err : &unseen;
    cm_assert(!db->tx_depth);
    enum cm_code code = CM_OK;
    for (int attempt = 0; attempt < TX_ATTEMPTS; attempt++) {
        if (attempt) {
            uint64_t us = cm_random_below((uint64_t)(2 * CM_MSEC) << attempt);
            nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
        }
        db->sqlstate[0] = '\0';
        code = run_tx(db, isolation, fn, ctx, err);
        if (code == CM_OK || !worth_repeating(db))
            break;
    }
    return code;
}

/* ---- advisory locks and NOTIFY ---- */

int64_t cm_db_lock_id(const char *name)
{
    return (int64_t)cm_str_hash(cm_str(name));
}

static const uint8_t int_param[] = {CM_DB_INT};
static const uint8_t text_params[] = {CM_DB_TEXT, CM_DB_TEXT};
static const struct cm_db_stmt tx_lock = {
    .name = "cm_db_tx_lock",
    .sql = "SELECT pg_advisory_xact_lock($1) IS NULL",
    .params = int_param,
    .n_params = 1,
    .want = CM_DB_ONE,
    .row = &cm_db_row_bool,
};
static const struct cm_db_stmt try_lock = {
    .name = "cm_db_try_lock",
    .sql = "SELECT pg_try_advisory_lock($1)",
    .params = int_param,
    .n_params = 1,
    .want = CM_DB_ONE,
    .row = &cm_db_row_bool,
};
static const struct cm_db_stmt unlock = {
    .name = "cm_db_unlock",
    .sql = "SELECT pg_advisory_unlock($1)",
    .params = int_param,
    .n_params = 1,
    .want = CM_DB_ONE,
    .row = &cm_db_row_bool,
};
static const struct cm_db_stmt notify = {
    .name = "cm_db_notify",
    .sql = "SELECT pg_notify($1, $2) IS NULL",
    .params = text_params,
    .n_params = 2,
    .want = CM_DB_ONE,
    .row = &cm_db_row_bool,
};

static enum cm_code with_id(struct cm_db *db, const struct cm_db_stmt *st, int64_t id, bool *ret,
                            struct cm_err *err)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_db_args *q = cm_db_args_new(a, st);
    cm_db_arg_int(q, id);
    bool *row = NULL;
    enum cm_code code = cm_db_run_row(db, a, st, q, &row, err);
    if (code == CM_OK)
        *ret = *row;
    return code;
}

enum cm_code cm_db_tx_lock(struct cm_db *db, int64_t id, struct cm_err *err)
{
    bool ignored;
    cm_assert(db->tx_depth);
    return with_id(db, &tx_lock, id, &ignored, err);
}

enum cm_code cm_db_try_lock(struct cm_db *db, int64_t id, bool *ret_got, struct cm_err *err)
{
    return with_id(db, &try_lock, id, ret_got, err);
}

enum cm_code cm_db_unlock(struct cm_db *db, int64_t id, struct cm_err *err)
{
    bool held;
    return with_id(db, &unlock, id, &held, err);
}

enum cm_code cm_db_notify(struct cm_db *db, struct cm_str channel, struct cm_str payload,
                          struct cm_err *err)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_db_args *q = cm_db_args_new(a, &notify);
    cm_db_arg_text(q, channel);
    cm_db_arg_text(q, payload);
    bool *row = NULL;
    return cm_db_run_row(db, a, &notify, q, &row, err);
}
