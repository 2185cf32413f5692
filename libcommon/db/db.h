/* PostgreSQL for worker threads: one connection, its prepared statements, transactions and batches.
 *
 * A struct cm_db belongs to one thread at a time and blocks it, never longer than the statement
 * timeout and a grace of some seconds. Queries are written in .sql files and called through the
 * functions that scripts/gen/sql.py generates from them; nothing here takes SQL made of outside
 * input.
 *
 * A statement is planned once per connection, for all values (planning a page of workspaces takes
 * three times as long as running it): what wants another plan, say by an optional filter, is
 * another statement.
 *
 * A lost connection is CM_UNAVAILABLE; outside a transaction the next call connects again (with
 * backoff), and a statement that only reads is repeated once by itself. What PostgreSQL refuses
 * becomes
 *
 *   CM_CONFLICT     unique or foreign key violated: cm_db_violates() tells which
 *   CM_INVALID      a value that the column or a CHECK refuses
 *   CM_NOT_FOUND    a query that promises one row found none
 *   CM_TIMEOUT      statement or lock timeout
 *   CM_UNAVAILABLE  connection lost, server starting or full, serialization failure, deadlock
 *   CM_INTERNAL     anything else: a bug of ours */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/time.h"

struct cm_db;
struct cm_db_stmt;
struct cm_db_args;

struct cm_db_conf {
    const char *conninfo; /* URL or key=value text of libpq; copied, wiped on free; never logged */
    const char *app_name; /* shown in pg_stat_activity; NULL: "coder" */
    cm_usec statement_timeout; /* 0: 30 s */
    bool lazy;                 /* the first call connects, not cm_db_open */
};

/* Connects. The pointer is set even when the server cannot be reached yet (CM_UNAVAILABLE), so that
 * a caller may go on and let a later call connect; any other error leaves it alone. */
CM_MUST_USE enum cm_code cm_db_open(const struct cm_db_conf *conf, struct cm_db **ret,
                                    struct cm_err *err);
void cm_db_free(struct cm_db *db);
CM_DEFINE_CLEANUP(cm_db, cm_db_free)

/* Connects if need be and asks the server for a sign of life. */
CM_MUST_USE enum cm_code cm_db_ping(struct cm_db *db, struct cm_err *err);
/* Changes with every new connection: what was bound to the old one (advisory locks) is gone. */
uint64_t cm_db_session(const struct cm_db *db);
/* About the last error of this connection: its SQLSTATE, "" when it was none of PostgreSQL's; and
 * whether it was about this constraint. */
const char *cm_db_sqlstate(const struct cm_db *db);
bool cm_db_violates(const struct cm_db *db, const char *constraint);

/* ---- what generated code calls ---- */

struct cm_db_result {
    void *rows; /* of the statement's row struct, in the arena; NULL when there are none */
    size_t n;
    int64_t affected;
};

CM_MUST_USE enum cm_code cm_db_run(struct cm_db *db, struct cm_arena *a,
                                   const struct cm_db_stmt *st, const struct cm_db_args *args,
                                   struct cm_db_result *ret, struct cm_err *err);
/* The shapes of cm_db_run that generated functions have: ret may be NULL in the first. */
CM_MUST_USE enum cm_code cm_db_run_exec(struct cm_db *db, struct cm_arena *a,
                                        const struct cm_db_stmt *st, const struct cm_db_args *args,
                                        int64_t *ret_affected, struct cm_err *err);
CM_MUST_USE enum cm_code cm_db_run_row(struct cm_db *db, struct cm_arena *a,
                                       const struct cm_db_stmt *st, const struct cm_db_args *args,
                                       void *ret_row, struct cm_err *err);
CM_MUST_USE enum cm_code cm_db_run_rows(struct cm_db *db, struct cm_arena *a,
                                        const struct cm_db_stmt *st, const struct cm_db_args *args,
                                        void *ret_rows, size_t *ret_n, struct cm_err *err);
/* Prepares, and checks that the columns fit the row struct. For tests of all statements. */
CM_MUST_USE enum cm_code cm_db_check(struct cm_db *db, const struct cm_db_stmt *st,
                                     struct cm_err *err);

/* SQL text of several statements, constant or from a migration: no parameters, no rows. timeout 0:
 * the connection's own. */
CM_MUST_USE enum cm_code cm_db_script(struct cm_db *db, const char *sql, cm_usec timeout,
                                      struct cm_err *err);
/* Wakes listeners of a channel (db/listen.h); inside a transaction at commit. */
CM_MUST_USE enum cm_code cm_db_notify(struct cm_db *db, struct cm_str channel,
                                      struct cm_str payload, struct cm_err *err);

/* ---- batches: several independent statements in one round trip ---- */

/* Add with the generated store_x_batch() functions, then run once. Results are written to where the
 * adds said. In a batch a query of `one` leaves NULL when there is no row. Outside a transaction a
 * batch is one of its own: when a statement fails, none has happened. Everything lives in the
 * arena. */
struct cm_db_batch;

struct cm_db_batch *cm_db_batch_new(struct cm_arena *a);
struct cm_arena *cm_db_batch_arena(const struct cm_db_batch *b);
void cm_db_batch_add(struct cm_db_batch *b, const struct cm_db_stmt *st,
                     const struct cm_db_args *args, void *ret_rows, size_t *ret_n,
                     int64_t *ret_affected);
CM_MUST_USE enum cm_code cm_db_batch_run(struct cm_db_batch *b, struct cm_db *db,
                                         struct cm_err *err);

/* ---- transactions ---- */

/* CM_AUTO(cm_db_tx) tx = NULL; begin; queries on db as ever; commit. Leaving the scope without a
 * commit rolls back. A begin inside a transaction makes a savepoint. */
struct cm_db_tx;

CM_MUST_USE enum cm_code cm_db_tx_begin(struct cm_db *db, struct cm_db_tx **ret,
                                        struct cm_err *err);
CM_MUST_USE enum cm_code cm_db_tx_commit(struct cm_db_tx *tx, struct cm_err *err);
void cm_db_tx_free(struct cm_db_tx *tx); /* rolls back unless committed */
CM_DEFINE_CLEANUP(cm_db_tx, cm_db_tx_free)
bool cm_db_in_tx(const struct cm_db *db);

enum cm_db_isolation { CM_DB_READ_COMMITTED, CM_DB_REPEATABLE_READ, CM_DB_SERIALIZABLE };
/* Runs fn in a transaction and commits; after a serialization failure or deadlock runs it again,
 * five times at most, with jitter. fn must not keep what an earlier run of it produced. Not inside
 * a transaction. */
typedef enum cm_code (*cm_db_tx_fn)(struct cm_db *db, void *ctx, struct cm_err *err);
CM_MUST_USE enum cm_code cm_db_tx_run(struct cm_db *db, enum cm_db_isolation isolation,
                                      cm_db_tx_fn fn, void *ctx, struct cm_err *err);

/* ---- advisory locks ---- */

/* A number for a lock's name; names are constants of the program. */
int64_t cm_db_lock_id(const char *name);
/* Waits, within the statement timeout, and holds until the transaction ends. Only inside a
 * transaction. */
CM_MUST_USE enum cm_code cm_db_tx_lock(struct cm_db *db, int64_t id, struct cm_err *err);
/* Takes the lock for the session if it is free; *ret_got tells. It is lost with the connection:
 * compare cm_db_session() before acting on it. */
CM_MUST_USE enum cm_code cm_db_try_lock(struct cm_db *db, int64_t id, bool *ret_got,
                                        struct cm_err *err);
CM_MUST_USE enum cm_code cm_db_unlock(struct cm_db *db, int64_t id, struct cm_err *err);
