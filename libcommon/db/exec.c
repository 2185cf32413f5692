/* Running one prepared statement. */
#include "db/exec.h"

#include <string.h>

static const int all_binary[CM_DB_PARAMS_MAX] = {
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
};

struct db_prepared *db_prepared_get(struct cm_db *db, const struct cm_db_stmt *st)
{
    return cm_map_get(db->prepared, cm_str(st->name));
}

struct db_prepared *db_prepared_add(struct cm_db *db, const struct cm_db_stmt *st)
{
    struct db_prepared *p = cm_xcalloc(1, sizeof(*p));
    cm_map_put(db->prepared, cm_str(st->name), p);
    return p;
}

bool db_send_prepare(struct cm_db *db, const struct cm_db_stmt *st)
{
    Oid types[CM_DB_PARAMS_MAX];
    for (int i = 0; i < st->n_params; i++)
        types[i] = cm_db_type_oid(st->params[i]);
    return PQsendPrepare(db->pg, st->name, st->sql, st->n_params, types);
}

bool db_send_query(struct cm_db *db, const struct cm_db_stmt *st, const struct cm_db_args *args)
{
    cm_assert(args ? args->n == st->n_params : st->n_params == 0);
    return PQsendQueryPrepared(db->pg, st->name, st->n_params, args ? args->values : NULL,
                               args ? args->lengths : NULL, all_binary, 1);
}

enum cm_code db_take_result(struct db_prepared *p, const struct cm_db_stmt *st, PGresult *res,
                            struct cm_arena *a, struct cm_db_result *ret, struct cm_err *err)
{
    *ret = (struct cm_db_result){0};
    if (st->want == CM_DB_EXEC) {
        int64_t n = 0;
        if (!cm_str_to_i64(cm_str(PQcmdTuples(res)), &n))
            n = 0; /* a command that counts nothing */
        ret->affected = n;
        PQclear(res);
        return CM_OK;
    }
    if (!p->map && cm_rows_map_new(res, st, &p->map, err) != CM_OK) {
        PQclear(res);
        return err->code;
    }
    return cm_rows_take(p->map, st, res, a, &ret->rows, &ret->n, err);
}

/* The result of a command in *ret, everything up to its end read. */
static enum db_outcome finish(struct cm_db *db, const char *what, cm_usec deadline, PGresult **ret,
                              struct cm_err *err)
{
    PGresult *first = NULL;
    if (db_flush(db, deadline, err) != DB_DONE)
        return DB_LOST;
    for (;;) {
        PGresult *res = NULL;
        if (db_next(db, deadline, &res, err) != DB_DONE) {
            PQclear(first);
            return DB_LOST;
        }
        if (!res)
            break;
        if (first)
            PQclear(res);
        else
            first = res;
    }
    if (!first)
        return db_lost(db, err);
    ExecStatusType status = PQresultStatus(first);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        *ret = first;
        return DB_DONE;
    }
    enum db_outcome out = db_fail(db, what, first, err);
    PQclear(first);
    return out;
}

static enum db_outcome prepare(struct cm_db *db, const struct cm_db_stmt *st, cm_usec deadline,
                               struct db_prepared **ret, struct cm_err *err)
{
    PGresult *res = NULL;
    if (!db_send_prepare(db, st))
        return db_lost(db, err);
    enum db_outcome out = finish(db, st->name, deadline, &res, err);
    PQclear(res);
    if (out == DB_DONE)
        *ret = db_prepared_add(db, st);
    return out;
}

static enum db_outcome run_once(struct cm_db *db, struct cm_arena *a, const struct cm_db_stmt *st,
                                const struct cm_db_args *args, struct cm_db_result *ret,
                                struct cm_err *err)
{
    cm_usec deadline = db_deadline(db, 0);
    struct db_prepared *p = db_prepared_get(db, st);
    if (!p) {
        enum db_outcome out = prepare(db, st, deadline, &p, err);
        if (out != DB_DONE)
            return out;
    }
    PGresult *res = NULL;
    if (!db_send_query(db, st, args))
        return db_lost(db, err);
    enum db_outcome out = finish(db, st->name, deadline, &res, err);
    if (out != DB_DONE)
        return out;
    return db_take_result(p, st, res, a, ret, err) == CM_OK ? DB_DONE : DB_FAILED;
}

bool db_worth_repeating(enum db_outcome out, bool read_only, const struct cm_err *err)
{
    return out == DB_STALE || (out == DB_LOST && read_only && err->code != CM_TIMEOUT);
}

enum cm_code cm_db_run(struct cm_db *db, struct cm_arena *a, const struct cm_db_stmt *st,
                       const struct cm_db_args *args, struct cm_db_result *ret, struct cm_err *err)
{
    struct cm_err unseen;
    err = err ? err : &unseen;
    db->sqlstate[0] = db->constraint[0] = '\0';
    struct cm_db_result got = {0};
    enum db_outcome out = DB_FAILED;
    for (int attempt = 0; attempt < 2; attempt++) {
        /* A write to a connection that the server has closed could not be told from one that got
         * through. */
        enum cm_code code = st->read_only ? db_ensure(db, err) : db_ensure_alive(db, err);
        if (code != CM_OK)
            return code;
        out = run_once(db, a, st, args, &got, err);
        if (db->tx_depth || !db_worth_repeating(out, st->read_only, err))
            break;
    }
    if (out != DB_DONE)
        return err->code;
    if (st->want == CM_DB_ONE && got.n == 0)
        return cm_err_set(err, CM_NOT_FOUND, "%s: no such row", st->name);
    if ((st->want == CM_DB_ONE || st->want == CM_DB_OPTIONAL) && got.n > 1)
        return cm_err_set(err, CM_INTERNAL, "%s: %zu rows where one was expected", st->name, got.n);
    *ret = got;
    return CM_OK;
}

enum cm_code cm_db_run_exec(struct cm_db *db, struct cm_arena *a, const struct cm_db_stmt *st,
                            const struct cm_db_args *args, int64_t *ret_affected,
                            struct cm_err *err)
{
    struct cm_db_result res;
    enum cm_code code = cm_db_run(db, a, st, args, &res, err);
    if (code == CM_OK && ret_affected)
        *ret_affected = res.affected;
    return code;
}

enum cm_code cm_db_run_row(struct cm_db *db, struct cm_arena *a, const struct cm_db_stmt *st,
                           const struct cm_db_args *args, void *ret_row, struct cm_err *err)
{
    struct cm_db_result res;
    enum cm_code code = cm_db_run(db, a, st, args, &res, err);
    if (code == CM_OK)
        memcpy(ret_row, &res.rows, sizeof(res.rows));
    return code;
}

enum cm_code cm_db_run_rows(struct cm_db *db, struct cm_arena *a, const struct cm_db_stmt *st,
                            const struct cm_db_args *args, void *ret_rows, size_t *ret_n,
                            struct cm_err *err)
{
    struct cm_db_result res;
    enum cm_code code = cm_db_run(db, a, st, args, &res, err);
    if (code != CM_OK)
        return code;
    memcpy(ret_rows, &res.rows, sizeof(res.rows));
    *ret_n = res.n;
    return CM_OK;
}

enum cm_code cm_db_check(struct cm_db *db, const struct cm_db_stmt *st, struct cm_err *err)
{
    enum cm_code code = db_ensure(db, err);
    if (code != CM_OK)
        return code;
    cm_usec deadline = db_deadline(db, 0);
    struct db_prepared *p = db_prepared_get(db, st);
    if (!p && prepare(db, st, deadline, &p, err) != DB_DONE)
        return err->code;
    PGresult *res = NULL;
    if (!PQsendDescribePrepared(db->pg, st->name)) {
        db_lost(db, err);
        return err->code;
    }
    if (finish(db, st->name, deadline, &res, err) != DB_DONE)
        return err->code;
    CM_AUTO(cm_rows_map) map = NULL;
    if (st->want != CM_DB_EXEC)
        code = cm_rows_map_new(res, st, &map, err);
    else if (PQnfields(res))
        code = cm_err_set(err, CM_INTERNAL, "%s: an exec that returns rows", st->name);
    PQclear(res);
    return code;
}
