/* Several statements in one round trip, by libpq's pipeline mode. */
#include "db/exec.h"

#include <string.h>

struct batch_item {
    const struct cm_db_stmt *st;
    const struct cm_db_args *args;
    void *ret_rows;
    size_t *ret_n;
    int64_t *ret_affected;
    bool prepares; /* in this run the statement is prepared in front of its execution */
    struct cm_db_result got;
    struct batch_item *next;
};

struct cm_db_batch {
    struct cm_arena *a;
    struct batch_item *first, **last;
    bool read_only;
};

struct cm_db_batch *cm_db_batch_new(struct cm_arena *a)
{
    struct cm_db_batch *b = CM_NEW(a, struct cm_db_batch);
    b->a = a;
    b->last = &b->first;
    b->read_only = true;
    return b;
}

struct cm_arena *cm_db_batch_arena(const struct cm_db_batch *b)
{
    return b->a;
}

void cm_db_batch_add(struct cm_db_batch *b, const struct cm_db_stmt *st,
                     const struct cm_db_args *args, void *ret_rows, size_t *ret_n,
                     int64_t *ret_affected)
{
    struct batch_item *it = CM_NEW(b->a, struct batch_item);
    it->st = st;
    it->args = args;
    it->ret_rows = ret_rows;
    it->ret_n = ret_n;
    it->ret_affected = ret_affected;
    *b->last = it;
    b->last = &it->next;
    b->read_only = b->read_only && st->read_only;
}

/* One result and the NULL behind it, which ends each command of a pipeline. */
static enum db_outcome one_result(struct cm_db *db, cm_usec deadline, PGresult **ret,
                                  struct cm_err *err)
{
    PGresult *res = NULL, *end = NULL;
    if (db_next(db, deadline, &res, err) != DB_DONE)
        return DB_LOST;
    if (!res)
        return db_lost(db, err);
    if (db_next(db, deadline, &end, err) != DB_DONE) {
        PQclear(res);
        return DB_LOST;
    }
    PQclear(end);
    *ret = res;
    return DB_DONE;
}

static enum db_outcome read_item(struct cm_db *db, struct cm_arena *a, struct batch_item *it,
                                 cm_usec deadline, enum db_outcome before, struct cm_err *err)
{
    enum db_outcome out = before;
    /* After a failure the server skips the rest, but each command still has its result to be read.
     */
    for (int step = it->prepares ? 0 : 1; step < 2; step++) {
        PGresult *res = NULL;
        struct cm_err later; /* the first error is the one that tells */
        struct cm_err *e = out == DB_DONE ? err : &later;
        if (one_result(db, deadline, &res, e) != DB_DONE)
            return DB_LOST;
        ExecStatusType status = PQresultStatus(res);
        bool fine = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
        if (step == 1 && fine && out == DB_DONE) {
            struct db_prepared *p = db_prepared_get(db, it->st);
            if (db_take_result(p, it->st, res, a, &it->got, err) != CM_OK)
                out = DB_FAILED;
            continue;
        }
        if (step == 0 && fine && !db_prepared_get(db, it->st))
            db_prepared_add(db, it->st);
        if (!fine && out == DB_DONE)
            out = db_fail(db, it->st->name, res, err);
        PQclear(res);
        if (out == DB_LOST)
            return out;
    }
    return out;
}

static enum db_outcome send_all(struct cm_db *db, struct cm_db_batch *b, struct cm_err *err)
{
    for (struct batch_item *it = b->first; it; it = it->next) {
        it->prepares = !db_prepared_get(db, it->st);
        for (struct batch_item *same = b->first; it->prepares && same != it; same = same->next)
            it->prepares = same->st != it->st;
        if ((it->prepares && !db_send_prepare(db, it->st)) || !db_send_query(db, it->st, it->args))
            return db_lost(db, err);
    }
    return PQpipelineSync(db->pg) ? DB_DONE : db_lost(db, err);
}

static enum db_outcome run_once(struct cm_db *db, struct cm_db_batch *b, struct cm_err *err)
{
    cm_usec deadline = db_deadline(db, 0);
    if (!PQenterPipelineMode(db->pg))
        return db_lost(db, err);
    if (send_all(db, b, err) != DB_DONE || db_flush(db, deadline, err) != DB_DONE)
        return DB_LOST;
    enum db_outcome out = DB_DONE;
    for (struct batch_item *it = b->first; it; it = it->next) {
        out = read_item(db, b->a, it, deadline, out, err);
        if (out == DB_LOST)
            return out;
    }
    PGresult *sync = NULL;
    struct cm_err later;
    struct cm_err *e = out == DB_DONE ? err : &later;
    if (db_next(db, deadline, &sync, e) != DB_DONE)
        return DB_LOST;
    bool synced = sync && PQresultStatus(sync) == PGRES_PIPELINE_SYNC;
    /* Deferred constraints are checked at the end of the implicit transaction. */
    if (!synced && sync && out == DB_DONE)
        out = db_fail(db, "batch", sync, err);
    PQclear(sync);
    if (out == DB_LOST)
        return out;
    if (!synced || !PQexitPipelineMode(db->pg))
        return db_lost(db, e);
    return out;
}

enum cm_code cm_db_batch_run(struct cm_db_batch *b, struct cm_db *db, struct cm_err *err)
{
    struct cm_err unseen;
    err = err ? err : &unseen;
    db->sqlstate[0] = db->constraint[0] = '\0';
    if (!b->first)
        return CM_OK;
    enum db_outcome out = DB_FAILED;
    for (int attempt = 0; attempt < 2; attempt++) {
        enum cm_code code = b->read_only ? db_ensure(db, err) : db_ensure_alive(db, err);
        if (code != CM_OK)
            return code;
        out = run_once(db, b, err);
        if (db->tx_depth || !db_worth_repeating(out, b->read_only, err))
            break;
    }
    if (out != DB_DONE)
        return err->code;
    for (struct batch_item *it = b->first; it; it = it->next) {
        bool single = it->st->want == CM_DB_ONE || it->st->want == CM_DB_OPTIONAL;
        if (single && it->got.n > 1)
            return cm_err_set(err, CM_INTERNAL, "%s: %zu rows where one was expected", it->st->name,
                              it->got.n);
        if (it->ret_rows)
            memcpy(it->ret_rows, &it->got.rows, sizeof(it->got.rows));
        if (it->ret_n)
            *it->ret_n = it->got.n;
        if (it->ret_affected)
            *it->ret_affected = it->got.affected;
    }
    return CM_OK;
}
