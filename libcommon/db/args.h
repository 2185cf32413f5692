/* Inside libcommon/db: how parameters are held, and the type numbers of PostgreSQL's catalog that
 * are fixed for ever (pg_type.dat). */
#pragma once

#include "db/stmt.h"

enum cm_pg_oid {
    CM_PG_BOOL = 16,
    CM_PG_BYTEA = 17,
    CM_PG_NAME = 19,
    CM_PG_INT8 = 20,
    CM_PG_INT2 = 21,
    CM_PG_INT4 = 23,
    CM_PG_TEXT = 25,
    CM_PG_JSON = 114,
    CM_PG_FLOAT4 = 700,
    CM_PG_FLOAT8 = 701,
    CM_PG_BOOL_ARRAY = 1000,
    CM_PG_BYTEA_ARRAY = 1001,
    CM_PG_INT2_ARRAY = 1005,
    CM_PG_INT4_ARRAY = 1007,
    CM_PG_TEXT_ARRAY = 1009,
    CM_PG_INT8_ARRAY = 1016,
    CM_PG_FLOAT8_ARRAY = 1022,
    CM_PG_VARCHAR = 1043,
    CM_PG_TIMESTAMPTZ = 1184,
    CM_PG_TIMESTAMPTZ_ARRAY = 1185,
    CM_PG_UUID = 2950,
    CM_PG_UUID_ARRAY = 2951,
    CM_PG_JSONB = 3802,
};

struct cm_db_args {
    struct cm_arena *a;
    int n, max;
    const char **values;
    int *lengths;
    uint8_t (*fixed)[16]; /* where values of fixed size are kept */
};

uint32_t cm_db_type_oid(enum cm_db_type type);
