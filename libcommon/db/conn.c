/* One connection: opening it again after it was lost, waiting with a deadline, errors. */
#include "db/conn.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/buf.h"
#include "base/random.h"
#include "base/secret.h"

#define STATEMENT_TIMEOUT (30 * CM_SECOND)
#define GRACE             (5 * CM_SECOND) /* what a server may be late with its own timeout */
#define BACKOFF_FIRST     (50 * CM_MSEC)
#define BACKOFF_MAX       (5 * CM_SECOND)

enum cm_code cm_db_open(const struct cm_db_conf *conf, struct cm_db **ret, struct cm_err *err)
{
    struct cm_err unseen;
    err = err ? err : &unseen;
    CM_AUTO(cm_db) db = cm_xcalloc(1, sizeof(*db));
    db->conninfo = cm_xstrdup(conf->conninfo);
    db->app_name = cm_xstrdup(conf->app_name ? conf->app_name : "coder");
    db->statement_timeout = conf->statement_timeout ? conf->statement_timeout : STATEMENT_TIMEOUT;
    db->prepared = cm_map_new();
    enum cm_code code = conf->lazy ? CM_OK : db_ensure(db, err);
    if (code == CM_OK || code == CM_UNAVAILABLE)
        *ret = CM_TAKE(db);
    return code;
}

void cm_db_free(struct cm_db *db)
{
    if (!db)
        return;
    db_close(db);
    cm_map_free(db->prepared);
    cm_secret_wipe(db->conninfo, strlen(db->conninfo));
    cm_free(db->conninfo);
    cm_free(db->app_name);
    cm_free(db);
}

static void drop_prepared(struct cm_db *db)
{
    size_t it = 0;
    struct cm_str key;
    void *value;
    while (cm_map_next(db->prepared, &it, &key, &value)) {
        cm_rows_map_free(((struct db_prepared *)value)->map);
        cm_free(value);
    }
    cm_map_free(db->prepared);
    db->prepared = cm_map_new();
    db->forget_prepared = false;
}

void db_close(struct cm_db *db)
{
    if (db->pg)
        PQfinish(db->pg);
    db->pg = NULL;
    drop_prepared(db);
}

/* The server's notices are for people at psql; but a last word to an idle connection comes as one,
 * too. */
static void on_notice(void *ctx, const PGresult *res)
{
    struct cm_db *db = ctx;
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    if (state && strncmp(state, "57P", 3) == 0)
        db->dismissed = true;
}

static enum cm_code unreachable(struct cm_db *db, struct cm_err *err)
{
    char text[256];
    struct cm_str why = cm_str_trim(cm_str(PQerrorMessage(db->pg)));
    size_t len = CM_MIN(why.len, sizeof(text) - 1);
    memcpy(text, why.ptr, len);
    text[len] = '\0';
    for (char *nl = text; (nl = strchr(nl, '\n'));)
        *nl = ' ';
    bool refused = PQconnectionNeedsPassword(db->pg) || PQconnectionUsedPassword(db->pg);
    db_close(db);
    db->backoff = db->backoff ? CM_MIN(db->backoff * 2, BACKOFF_MAX) : BACKOFF_FIRST;
    db->retry_at =
        cm_monotonic_now() + db->backoff / 2 + (cm_usec)cm_random_below((uint64_t)db->backoff);
    return cm_err_set(err, CM_UNAVAILABLE, "cannot connect to the database%s: %s",
                      refused ? " (check user and password)" : "", text);
}

enum cm_code db_ensure(struct cm_db *db, struct cm_err *err)
{
    if (db->pg && PQstatus(db->pg) == CONNECTION_OK && !db->forget_prepared)
        return CM_OK;
    if (db->tx_depth) {
        if (db->pg && PQstatus(db->pg) == CONNECTION_OK)
            return CM_OK; /* statements are prepared again after the transaction */
        return cm_err_set(err, CM_UNAVAILABLE, "the database connection was lost in a transaction");
    }
    if (db->pg && PQstatus(db->pg) == CONNECTION_OK) {
        drop_prepared(db);
        return db_simple(db, "deallocate", "DEALLOCATE ALL", 0, err) == DB_DONE ? CM_OK
                                                                                : CM_UNAVAILABLE;
    }
    db_close(db);
    if (cm_monotonic_now() < db->retry_at)
        return cm_err_set(err, CM_UNAVAILABLE, "the database cannot be reached; trying again soon");
    db->pg = db_connect(db->conninfo, db->app_name, true, err);
    if (!db->pg)
        return err->code;
    if (PQstatus(db->pg) != CONNECTION_OK)
        return unreachable(db, err);
    PQsetNoticeReceiver(db->pg, on_notice, db);
    db->dismissed = false;
    PQsetnonblocking(db->pg, 1);
    db->session++;
    /* Not as connection options: poolers refuse those. jit: compiling costs more than our
     * statements. */
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(512);
    cm_buf_printf(&text,
                  "SET statement_timeout = %lld; SET idle_in_transaction_session_timeout = '5min'; "
                  "SET timezone = 'UTC'; SET jit = off; SET plan_cache_mode = force_generic_plan",
                  (long long)(db->statement_timeout / CM_MSEC));
    enum db_outcome out = db_simple(db, "session settings", text.ptr, 0, err);
    if (out != DB_DONE) {
        db_close(db);
        return cm_err_wrap(err, "connect to the database");
    }
    db->backoff = 0;
    db->retry_at = 0;
    return CM_OK;
}

enum cm_code db_ensure_alive(struct cm_db *db, struct cm_err *err)
{
    if (db->pg && !db->tx_depth) {
        /* Hardly anything is due while idle: the server's last word, or the end. */
        struct pollfd p = {.fd = PQsocket(db->pg), .events = POLLIN};
        while (db->pg && poll(&p, 1, 0) > 0) {
            bool alive =
                PQconsumeInput(db->pg) && !PQisBusy(db->pg) && PQstatus(db->pg) == CONNECTION_OK;
            if (!alive || db->dismissed)
                db_close(db);
        }
    }
    return db_ensure(db, err);
}

/* ---- errors ---- */

/* By the beginning of SQLSTATE. What comes from the server's circumstances is told in words of
 * ours: it goes as far as to users, who can do nothing with PostgreSQL's. */
struct meaning {
    const char *prefix;
    enum cm_code code;
    const char *words;
};

static const struct meaning *meaning_of(const char *state)
{
    static const struct meaning rows[] = {
        {"23505", CM_CONFLICT, NULL},
        {"23503", CM_CONFLICT, NULL},
        {"23P01", CM_CONFLICT, NULL},
        {"23502", CM_INVALID, NULL},
        {"23514", CM_INVALID, NULL},
        {"22", CM_INVALID, NULL},
        {"57014", CM_TIMEOUT, "the database took too long to answer; try again"},
        {"55P03", CM_TIMEOUT, "the database was busy with the same data; try again"},
        {"25P03", CM_TIMEOUT, "the database took too long to answer; try again"},
        {"40", CM_UNAVAILABLE, "the same data was changed at the same time; try again"},
        {"08", CM_UNAVAILABLE, "the connection to the database was lost; try again"},
        {"57P", CM_UNAVAILABLE, "the database is being started or stopped; try again soon"},
        {"53100", CM_UNAVAILABLE,
         "the database's disk is full; ask the administrator to make room"},
        {"53200", CM_UNAVAILABLE, "the database is out of memory; try again later"},
        {"53300", CM_UNAVAILABLE, "the database has too many connections; try again soon"},
        {"53", CM_UNAVAILABLE, "the database is short of resources; try again later"},
        {"25006", CM_UNAVAILABLE, "the database takes no changes at the moment; try again soon"},
        {"58030", CM_UNAVAILABLE,
         "the database cannot read or write its disk; ask the administrator"},
        {"", CM_INTERNAL, NULL},
    };
    const struct meaning *m = rows;
    while (strncmp(state, m->prefix, strlen(m->prefix)) != 0)
        m++;
    return m;
}

static void remember(struct cm_db *db, const char *state, const char *constraint)
{
    memset(db->sqlstate, 0, sizeof(db->sqlstate));
    memset(db->constraint, 0, sizeof(db->constraint));
    memcpy(db->sqlstate, state, CM_MIN(strlen(state), sizeof(db->sqlstate) - 1));
    if (constraint)
        memcpy(db->constraint, constraint, CM_MIN(strlen(constraint), sizeof(db->constraint) - 1));
}

enum db_outcome db_lost(struct cm_db *db, struct cm_err *err)
{
    remember(db, "", NULL);
    db_close(db);
    cm_err_set(err, CM_UNAVAILABLE, "the connection to the database was lost; try again");
    return DB_LOST;
}

enum db_outcome db_fail(struct cm_db *db, const char *what, const PGresult *res, struct cm_err *err)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    if (!state)
        return db_lost(db, err); /* an error that libpq made itself */
    remember(db, state, PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME));
    /* The primary message only: DETAIL repeats values, which may be secrets. */
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const struct meaning *m = meaning_of(state);
    if (m->words)
        cm_err_set(err, m->code, "%s", m->words);
    else
        cm_err_set(err, m->code, "%s: %s (SQLSTATE %s)", what, text ? text : "error", state);
    /* The server is going, or is no primary any more: the next call shall find the new one. */
    if (strncmp(state, "57P", 3) == 0 || strcmp(state, "25006") == 0 ||
        strcmp(state, "25P03") == 0) {
        db_close(db);
        return DB_LOST;
    }
    if (strcmp(state, "0A000") == 0 || strcmp(state, "26000") == 0) {
        db->forget_prepared = true;
        return DB_STALE;
    }
    return DB_FAILED;
}

const char *cm_db_sqlstate(const struct cm_db *db)
{
    return db->sqlstate;
}

bool cm_db_violates(const struct cm_db *db, const char *constraint)
{
    return strcmp(db->constraint, constraint) == 0;
}

uint64_t cm_db_session(const struct cm_db *db)
{
    return db->session;
}

/* ---- waiting ---- */

cm_usec db_deadline(const struct cm_db *db, cm_usec timeout)
{
    return cm_monotonic_now() + (timeout ? timeout : db->statement_timeout) + GRACE;
}

static enum db_outcome wait_for(struct cm_db *db, short events, cm_usec deadline,
                                struct cm_err *err)
{
    for (;;) {
        cm_usec left = deadline - cm_monotonic_now();
        struct pollfd p = {.fd = PQsocket(db->pg), .events = events};
        int n = left > 0 ? poll(&p, 1, (int)CM_MIN(left / CM_MSEC + 1, 60000)) : 0;
        if (n > 0)
            return DB_DONE;
        if (n < 0 && errno != EINTR)
            return db_lost(db, err);
        if (n == 0 && cm_monotonic_now() >= deadline) {
            /* The server's own timeout did not fire: it is stopped, or the network is. */
            remember(db, "", NULL);
            db_close(db);
            cm_err_set(err, CM_TIMEOUT, "the database does not answer; try again soon");
            return DB_LOST;
        }
    }
}

enum db_outcome db_flush(struct cm_db *db, cm_usec deadline, struct cm_err *err)
{
    for (;;) {
        int n = PQflush(db->pg);
        if (n == 0)
            return DB_DONE;
        if (n < 0)
            return db_lost(db, err);
        /* Results must be read meanwhile, or both sides wait for the other for ever. */
        if (wait_for(db, POLLIN | POLLOUT, deadline, err) != DB_DONE)
            return DB_LOST;
        if (!PQconsumeInput(db->pg))
            return db_lost(db, err);
    }
}

enum db_outcome db_next(struct cm_db *db, cm_usec deadline, PGresult **ret, struct cm_err *err)
{
    while (PQisBusy(db->pg)) {
        if (wait_for(db, POLLIN, deadline, err) != DB_DONE)
            return DB_LOST;
        if (!PQconsumeInput(db->pg)) {
            /* A last word of the server may have come before the end. */
            if (!PQisBusy(db->pg))
                break;
            return db_lost(db, err);
        }
    }
    *ret = PQgetResult(db->pg);
    return DB_DONE;
}

enum db_outcome db_simple(struct cm_db *db, const char *what, const char *sql, cm_usec timeout,
                          struct cm_err *err)
{
    cm_usec deadline = db_deadline(db, timeout);
    if (!PQsendQuery(db->pg, sql))
        return db_lost(db, err);
    if (db_flush(db, deadline, err) != DB_DONE)
        return DB_LOST;
    enum db_outcome out = DB_DONE;
    for (;;) {
        PGresult *res = NULL;
        if (db_next(db, deadline, &res, err) != DB_DONE)
            return DB_LOST;
        if (!res)
            break;
        ExecStatusType status = PQresultStatus(res);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK &&
            status != PGRES_EMPTY_QUERY && out == DB_DONE)
            out = db_fail(db, what, res, err);
        PQclear(res);
        if (out == DB_LOST)
            return out;
    }
    return out;
}

enum cm_code cm_db_script(struct cm_db *db, const char *sql, cm_usec timeout, struct cm_err *err)
{
    struct cm_err unseen;
    err = err ? err : &unseen;
    enum cm_code code = db_ensure_alive(db, err);
    if (code != CM_OK)
        return code;
    return db_simple(db, "script", sql, timeout, err) == DB_DONE ? CM_OK : err->code;
}

enum cm_code cm_db_ping(struct cm_db *db, struct cm_err *err)
{
    return cm_db_script(db, "SELECT 1", 0, err);
}
