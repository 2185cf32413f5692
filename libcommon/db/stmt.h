/* Statements as data: what scripts/gen/sql.py makes of one named query, and its parameters.
 *
 * Code outside generated files needs nothing from here but the type names. */
#pragma once

#include "base/arena.h"
#include "base/time.h"
#include "base/uuid.h"
#include "codec/fields.h"

/* What a parameter is in PostgreSQL; values travel in binary. */
enum cm_db_type {
    CM_DB_UNSET,
    CM_DB_BOOL,
    CM_DB_INT, /* int8 */
    CM_DB_FLOAT,
    CM_DB_TEXT,
    CM_DB_UUID,
    CM_DB_TIME, /* timestamptz */
    CM_DB_BYTES,
    CM_DB_JSON, /* jsonb */
    CM_DB_BOOL_ARRAY,
    CM_DB_INT_ARRAY,
    CM_DB_FLOAT_ARRAY,
    CM_DB_TEXT_ARRAY,
    CM_DB_UUID_ARRAY,
    CM_DB_TIME_ARRAY,
    CM_DB_BYTES_ARRAY,
};

enum cm_db_want {
    CM_DB_EXEC,     /* no rows; the number of rows affected */
    CM_DB_ONE,      /* exactly one row; none is CM_NOT_FOUND */
    CM_DB_OPTIONAL, /* one row or none */
    CM_DB_MANY,     /* an array, perhaps empty */
};

#define CM_DB_PARAMS_MAX 64

struct cm_db_stmt {
    const char *name; /* unique in the program: also the name on the server */
    const char *sql;
    const uint8_t *params; /* enum cm_db_type */
    uint8_t n_params;
    uint8_t want;                 /* enum cm_db_want */
    bool read_only;               /* safe to repeat when the connection was lost */
    const struct cm_message *row; /* NULL for CM_DB_EXEC */
};

/* Rows of one column that has a C type of its own; the column's name does not matter. */
extern const struct cm_message cm_db_row_int, cm_db_row_text, cm_db_row_uuid, cm_db_row_bool,
    cm_db_row_time, cm_db_row_float, cm_db_row_bytes, cm_db_row_json;

/* The values for one execution, added in the order of the statement's parameters. They live in the
 * arena; text and bytes are borrowed from the caller until the statement has run. */
struct cm_db_args;

struct cm_db_args *cm_db_args_new(struct cm_arena *a, const struct cm_db_stmt *st);
void cm_db_arg_null(struct cm_db_args *q);
void cm_db_arg_bool(struct cm_db_args *q, bool v);
void cm_db_arg_int(struct cm_db_args *q, int64_t v);
void cm_db_arg_float(struct cm_db_args *q, double v);
void cm_db_arg_text(struct cm_db_args *q, struct cm_str v);
void cm_db_arg_bytes(struct cm_db_args *q, struct cm_str v);
void cm_db_arg_uuid(struct cm_db_args *q, struct cm_uuid v);
void cm_db_arg_time(struct cm_db_args *q, struct cm_time v);
void cm_db_arg_json(struct cm_db_args *q, struct cm_str v);                 /* JSON text */
void cm_db_arg_enum(struct cm_db_args *q, int v, const struct cm_enum *en); /* as text */
/* NULL when the pointer is NULL (for text and bytes: when its ptr is; for enums: when 0). */
void cm_db_arg_bool_opt(struct cm_db_args *q, const bool *v);
void cm_db_arg_int_opt(struct cm_db_args *q, const int64_t *v);
void cm_db_arg_float_opt(struct cm_db_args *q, const double *v);
void cm_db_arg_text_opt(struct cm_db_args *q, struct cm_str v);
void cm_db_arg_bytes_opt(struct cm_db_args *q, struct cm_str v);
void cm_db_arg_uuid_opt(struct cm_db_args *q, const struct cm_uuid *v);
void cm_db_arg_time_opt(struct cm_db_args *q, const struct cm_time *v);
void cm_db_arg_json_opt(struct cm_db_args *q, struct cm_str v);
void cm_db_arg_enum_opt(struct cm_db_args *q, int v, const struct cm_enum *en);
/* Arrays; NULL with n == 0 is the empty array. */
void cm_db_arg_bools(struct cm_db_args *q, const bool *v, size_t n);
void cm_db_arg_ints(struct cm_db_args *q, const int64_t *v, size_t n);
void cm_db_arg_floats(struct cm_db_args *q, const double *v, size_t n);
void cm_db_arg_texts(struct cm_db_args *q, const struct cm_str *v, size_t n);
void cm_db_arg_bytes_list(struct cm_db_args *q, const struct cm_str *v, size_t n);
void cm_db_arg_uuids(struct cm_db_args *q, const struct cm_uuid *v, size_t n);
void cm_db_arg_times(struct cm_db_args *q, const struct cm_time *v, size_t n);
/* Key, value, key, value as text[]: jsonb_object() makes an object of it. */
void cm_db_arg_pairs(struct cm_db_args *q, const struct cm_pair *v, size_t n);
/* Arrays that are NULL when the pointer is: optional filters. An empty list that is meant needs a
 * pointer. */
#define CM_DB_ARG_LIST_OPT(fn, q, v, n)                                                            \
    do {                                                                                           \
        if (v)                                                                                     \
            fn((q), (v), (n));                                                                     \
        else                                                                                       \
            cm_db_arg_null(q);                                                                     \
    } while (0)
