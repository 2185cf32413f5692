/* Databases for C tests, in the private cluster that tests/lib/pg.py started (cm_pg_test() in
 * CMake). */
#pragma once

#include "db/db.h"

#define PG_TEST_CONNINFO 256

/* A new database, empty or at the head of the migrations; ends the program when that fails.
 * conninfo (may be NULL) gets the parameters for more connections. The cluster goes away with the
 * test, databases with it. */
struct cm_db *pg_test_empty(char conninfo[PG_TEST_CONNINFO]);
struct cm_db *pg_test_migrated(char conninfo[PG_TEST_CONNINFO]);
/* One more connection. */
struct cm_db *pg_test_connect(const char *conninfo);
