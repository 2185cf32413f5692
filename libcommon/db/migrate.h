/* Brings a database to the schema that this program was built with. */
#pragma once

#include "db/db.h"

struct cm_db_migration {
    int version; /* counts from 1 without gaps */
    const char *name;
    const char *sql;
};

/* Applies what is missing, each migration in a transaction of its own, under an advisory lock, so
 * that replicas may start at the same time. CM_PRECONDITION when the database is newer than this
 * program; the text says what to do. ret_applied (may be NULL) gets how many were applied now. */
CM_MUST_USE enum cm_code cm_db_migrate(struct cm_db *db, const struct cm_db_migration *migrations,
                                       size_t n, size_t *ret_applied, struct cm_err *err);
