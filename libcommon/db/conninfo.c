/* Connection parameters: what the operator wrote, with our defaults where it is silent. */
#include <string.h>

#include "db/conn.h"

static const struct {
    const char *keyword, *value;
} defaults[] = {
    {"connect_timeout", "5"}, /* seconds */
    {"keepalives", "1"},
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "15000"}, /* ms: sent, not acknowledged */
    {"client_encoding", "UTF8"},
    {"target_session_attrs", "read-write"}, /* of several hosts the one that is primary now */
};

PGconn *db_connect(const char *conninfo, const char *app_name, bool wait, struct cm_err *err)
{
    char *why = NULL;
    PQconninfoOption *given = PQconninfoParse(conninfo, &why);
    if (!given) {
        /* libpq's text may repeat the parameters, password included. */
        PQfreemem(why);
        cm_err_set(err, CM_INVALID,
                   "the database URL is broken: use postgres://user:password@host:port/name or "
                   "key=value pairs");
        return NULL;
    }
    const char *keywords[64], *values[64];
    size_t n = 0;
    for (PQconninfoOption *o = given;
         o->keyword && n + CM_COUNT_OF(defaults) + 2 < CM_COUNT_OF(keywords); o++) {
        if (!o->val)
            continue;
        keywords[n] = o->keyword;
        values[n++] = o->val;
    }
    size_t n_given = n;
    for (size_t i = 0; i < CM_COUNT_OF(defaults); i++) {
        bool set = false;
        for (size_t k = 0; k < n_given; k++)
            set = set || strcmp(keywords[k], defaults[i].keyword) == 0;
        if (set)
            continue;
        keywords[n] = defaults[i].keyword;
        values[n++] = defaults[i].value;
    }
    keywords[n] = "fallback_application_name";
    values[n++] = app_name;
    keywords[n] = values[n] = NULL;
    PGconn *pg =
        wait ? PQconnectdbParams(keywords, values, 0) : PQconnectStartParams(keywords, values, 0);
    PQconninfoFree(given);
    if (!pg)
        cm_err_set(err, CM_UNAVAILABLE, "no memory for a database connection");
    return pg;
}
