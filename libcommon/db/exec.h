/* Inside libcommon/db: the steps of running a statement that single runs and batches share. */
#pragma once

#include "db/args.h"
#include "db/conn.h"

struct db_prepared *db_prepared_get(struct cm_db *db, const struct cm_db_stmt *st);
struct db_prepared *db_prepared_add(struct cm_db *db, const struct cm_db_stmt *st);
bool db_send_prepare(struct cm_db *db, const struct cm_db_stmt *st);
bool db_send_query(struct cm_db *db, const struct cm_db_stmt *st, const struct cm_db_args *args);
/* Takes res over. */
enum cm_code db_take_result(struct db_prepared *p, const struct cm_db_stmt *st, PGresult *res,
                            struct cm_arena *a, struct cm_db_result *ret, struct cm_err *err);
/* After a first try outside a transaction: another on a new connection? Not when time is up
 * already. */
bool db_worth_repeating(enum db_outcome out, bool read_only, const struct cm_err *err);
