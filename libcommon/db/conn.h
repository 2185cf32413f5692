/* Inside libcommon/db: the connection itself, and the way from a PGresult to a cm_err. */
#pragma once

#include <libpq-fe.h>

#include "base/map.h"
#include "db/db.h"
#include "db/rows.h"

struct db_prepared {
    struct cm_rows_map *map; /* NULL before the first result, and for queries of exec */
};

struct cm_db {
    PGconn *pg; /* NULL while there is no connection */
    char *conninfo;
    char *app_name;
    cm_usec statement_timeout;
    struct cm_map *prepared; /* statement name -> struct db_prepared */
    bool forget_prepared;    /* the server's copies do not fit its tables any more */
    bool dismissed;          /* the server has said that it ends this connection */
    unsigned tx_depth;
    uint64_t session;
    cm_usec retry_at; /* monotonic; no attempt to connect before it */
    cm_usec backoff;
    char sqlstate[6];
    char constraint[64]; /* NAMEDATALEN */
};

/* How a statement went, beside its code. */
enum db_outcome {
    DB_DONE,
    DB_FAILED, /* refused by PostgreSQL; the connection is fine */
    DB_LOST,   /* connection gone: closed here */
    DB_STALE,  /* the prepared statement has to be prepared again */
};

/* Connects unless connected. Never inside a transaction: there a lost connection stays lost. */
enum cm_code db_ensure(struct cm_db *db, struct cm_err *err);
/* The same, and notices first when the server has closed the idle connection. */
enum cm_code db_ensure_alive(struct cm_db *db, struct cm_err *err);
void db_close(struct cm_db *db);

/* Turns what the server refused into *err and remembers SQLSTATE and constraint. Closes the
 * connection when the error means that it is of no use. */
enum db_outcome db_fail(struct cm_db *db, const char *what, const PGresult *res,
                        struct cm_err *err);
/* The connection broke: closes it. */
enum db_outcome db_lost(struct cm_db *db, struct cm_err *err);

/* Sends all that is queued; then waits for the next result, or NULL at the end of one statement's.
 */
enum db_outcome db_flush(struct cm_db *db, cm_usec deadline, struct cm_err *err);
enum db_outcome db_next(struct cm_db *db, cm_usec deadline, PGresult **ret, struct cm_err *err);
cm_usec db_deadline(const struct cm_db *db, cm_usec timeout);
/* One round trip of the simple protocol. */
enum db_outcome db_simple(struct cm_db *db, const char *what, const char *sql, cm_usec timeout,
                          struct cm_err *err);

/* Connects with the given parameters and our defaults where they are silent; wait: blocks until it
 * is up or has failed, else the caller goes on with PQconnectPoll. NULL with *err when the text is
 * broken. */
PGconn *db_connect(const char *conninfo, const char *app_name, bool wait, struct cm_err *err);
