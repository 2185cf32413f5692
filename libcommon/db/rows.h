/* Inside libcommon/db: PGresult rows to C structs through field tables.
 *
 * The mapping of columns to fields is computed once per statement and connection, and checks names
 * and types:
 *
 *   STR            text, varchar, name; uuid as its text      BOOL   bool
 *   ENUM           text                                       I64    int2, int4, int8
 *   UUID           uuid                                       F64    float4, float8
 *   TIME           timestamptz                                BYTES  bytea
 *   RAW            jsonb, json
 *   MAP            jsonb object, or text[] of key, value, key, value
 *   MSG            jsonb object (repeated: array), decoded by the message's own table
 *   repeated       an array of the type, without NULLs inside
 *
 * NULL leaves the has bit clear and the value empty; a time without a has bit becomes CM_TIME_ZERO.
 * Strings point into the PGresult, which the arena then owns. */
#pragma once

#include <libpq-fe.h>

#include "db/db.h"
#include "db/stmt.h"

struct cm_rows_map;

CM_MUST_USE enum cm_code cm_rows_map_new(const PGresult *res, const struct cm_db_stmt *st,
                                         struct cm_rows_map **ret, struct cm_err *err);
void cm_rows_map_free(struct cm_rows_map *m);
CM_DEFINE_CLEANUP(cm_rows_map, cm_rows_map_free)

/* Takes res over, also on failure. */
CM_MUST_USE enum cm_code cm_rows_take(const struct cm_rows_map *m, const struct cm_db_stmt *st,
                                      PGresult *res, struct cm_arena *a, void **ret_rows,
                                      size_t *ret_n, struct cm_err *err);
