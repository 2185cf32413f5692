#include "pg_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/uuid.h"
#include "db/migrate.h"
#include "store/migrations.h"

static CM_NORETURN void die(const struct cm_err *err)
{
    fprintf(stderr, "test database: %s\n", err->text);
    exit(2);
}

struct cm_db *pg_test_connect(const char *conninfo)
{
    struct cm_err err;
    struct cm_db *db = NULL;
    if (cm_db_open(&(struct cm_db_conf){.conninfo = conninfo, .app_name = "test"}, &db, &err) !=
        CM_OK)
        die(&err);
    return db;
}

static void create(const char *name, const char *template_name, char conninfo[PG_TEST_CONNINFO])
{
    struct cm_err err;
    const char *cluster = getenv("CM_TEST_PG");
    if (!cluster) {
        fprintf(stderr, "run this test by ctest, or as: tests/lib/pg.py run PROGRAM\n");
        exit(2);
    }
    CM_AUTO(cm_db) db = pg_test_connect(cluster);
    char sql[PG_TEST_CONNINFO];
    snprintf(sql, sizeof(sql), "CREATE DATABASE %s TEMPLATE %s STRATEGY file_copy", name,
             template_name);
    if (cm_db_script(db, sql, 0, &err) != CM_OK)
        die(&err);
    const char *end = strstr(cluster, " dbname=");
    if (snprintf(conninfo, PG_TEST_CONNINFO, "%.*s dbname=%s", (int)(end - cluster), cluster,
                 name) >= PG_TEST_CONNINFO)
        exit(2);
}

static void new_name(char out[32])
{
    snprintf(out, 32, "t%.8s%.4s", cm_uuid_text(cm_uuid_random()).s,
             cm_uuid_text(cm_uuid_random()).s);
}

struct cm_db *pg_test_empty(char conninfo[PG_TEST_CONNINFO])
{
    char own[PG_TEST_CONNINFO], name[32];
    conninfo = conninfo ? conninfo : own;
    new_name(name);
    create(name, "template1", conninfo);
    return pg_test_connect(conninfo);
}

struct cm_db *pg_test_migrated(char conninfo[PG_TEST_CONNINFO])
{
    /* Migrated once per program, then copied. */
    static char template_name[32];
    char own[PG_TEST_CONNINFO], name[32];
    conninfo = conninfo ? conninfo : own;
    if (!template_name[0]) {
        struct cm_err err;
        new_name(template_name);
        create(template_name, "template1", conninfo);
        CM_AUTO(cm_db) db = pg_test_connect(conninfo);
        if (cm_db_migrate(db, store_migrations, store_n_migrations, NULL, &err) != CM_OK)
            die(&err);
    }
    new_name(name);
    create(name, template_name, conninfo);
    return pg_test_connect(conninfo);
}
