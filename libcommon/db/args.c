/* Encodes parameters in PostgreSQL's binary format: network byte order, microseconds since 2000. */
#include "db/args.h"

#include <string.h>

#define PG_EPOCH_US INT64_C(946684800000000) /* 2000-01-01 in Unix microseconds */

static void put32(void *out, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(out, &v, sizeof(v));
}

static void put64(void *out, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(out, &v, sizeof(v));
}

struct cm_db_args *cm_db_args_new(struct cm_arena *a, const struct cm_db_stmt *st)
{
    struct cm_db_args *q = CM_NEW(a, struct cm_db_args);
    q->a = a;
    q->max = st->n_params;
    if (q->max) {
        q->values = CM_NEW_ARRAY(a, const char *, q->max);
        q->lengths = CM_NEW_ARRAY(a, int, q->max);
        q->fixed = cm_arena_array(a, q->max, sizeof(*q->fixed));
    }
    return q;
}

static void put(struct cm_db_args *q, const void *value, size_t len)
{
    cm_assert(q->n < q->max);
    cm_assert(len <= INT32_MAX);
    q->values[q->n] = value;
    q->lengths[q->n] = (int)len;
    q->n++;
}

static uint8_t *fixed(struct cm_db_args *q)
{
    cm_assert(q->n < q->max);
    return q->fixed[q->n];
}

void cm_db_arg_null(struct cm_db_args *q)
{
    put(q, NULL, 0);
}

void cm_db_arg_bool(struct cm_db_args *q, bool v)
{
    uint8_t *p = fixed(q);
    p[0] = v;
    put(q, p, 1);
}

void cm_db_arg_int(struct cm_db_args *q, int64_t v)
{
    uint8_t *p = fixed(q);
    put64(p, (uint64_t)v);
    put(q, p, 8);
}

void cm_db_arg_float(struct cm_db_args *q, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    cm_db_arg_int(q, (int64_t)bits);
}

void cm_db_arg_text(struct cm_db_args *q, struct cm_str v)
{
    put(q, v.ptr ? v.ptr : "", v.len);
}

void cm_db_arg_bytes(struct cm_db_args *q, struct cm_str v)
{
    cm_db_arg_text(q, v);
}

void cm_db_arg_uuid(struct cm_db_args *q, struct cm_uuid v)
{
    uint8_t *p = fixed(q);
    memcpy(p, v.b, sizeof(v.b));
    put(q, p, sizeof(v.b));
}

/* What has no such time is one that the database refuses. */
static int64_t to_pg_time(struct cm_time t)
{
    int64_t us;
    return __builtin_sub_overflow(t.us, PG_EPOCH_US, &us) ? INT64_MIN + 1 : us;
}

void cm_db_arg_time(struct cm_db_args *q, struct cm_time v)
{
    cm_db_arg_int(q, to_pg_time(v));
}

void cm_db_arg_json(struct cm_db_args *q, struct cm_str v)
{
    char *p = cm_arena_alloc(q->a, v.len + 1);
    p[0] = 1; /* version of jsonb's external form */
    if (v.len)
        memcpy(p + 1, v.ptr, v.len);
    put(q, p, v.len + 1);
}

void cm_db_arg_enum(struct cm_db_args *q, int v, const struct cm_enum *en)
{
    cm_assert(v >= 0 && (size_t)v < en->n);
    cm_db_arg_text(q, cm_str(en->texts[v]));
}

void cm_db_arg_bool_opt(struct cm_db_args *q, const bool *v)
{
    if (v)
        cm_db_arg_bool(q, *v);
    else
        cm_db_arg_null(q);
}

void cm_db_arg_int_opt(struct cm_db_args *q, const int64_t *v)
{
    if (v)
        cm_db_arg_int(q, *v);
    else
        cm_db_arg_null(q);
}

void cm_db_arg_float_opt(struct cm_db_args *q, const double *v)
{
    if (v)
        cm_db_arg_float(q, *v);
    else
        cm_db_arg_null(q);
}

void cm_db_arg_text_opt(struct cm_db_args *q, struct cm_str v)
{
    put(q, v.ptr, v.len);
}

void cm_db_arg_bytes_opt(struct cm_db_args *q, struct cm_str v)
{
    put(q, v.ptr, v.len);
}

void cm_db_arg_uuid_opt(struct cm_db_args *q, const struct cm_uuid *v)
{
    if (v)
        cm_db_arg_uuid(q, *v);
    else
        cm_db_arg_null(q);
}

void cm_db_arg_time_opt(struct cm_db_args *q, const struct cm_time *v)
{
    if (v)
        cm_db_arg_time(q, *v);
    else
        cm_db_arg_null(q);
}

void cm_db_arg_json_opt(struct cm_db_args *q, struct cm_str v)
{
    if (v.ptr)
        cm_db_arg_json(q, v);
    else
        cm_db_arg_null(q);
}

void cm_db_arg_enum_opt(struct cm_db_args *q, int v, const struct cm_enum *en)
{
    if (v)
        cm_db_arg_enum(q, v, en);
    else
        cm_db_arg_null(q);
}

/* One-dimensional array of n elements: dimensions, "has NULLs", element type, length, lower bound;
 * then each element with its length. The caller fills the elements from what this returns. */
static char *array_begin(struct cm_db_args *q, uint32_t oid, size_t n, size_t body_bytes)
{
    cm_assert(n <= INT32_MAX / 16 && body_bytes <= INT32_MAX / 2);
    size_t head = n ? 20 : 12;
    size_t total = head + n * 4 + body_bytes;
    char *p = cm_arena_alloc(q->a, total);
    put32(p, n ? 1 : 0);
    put32(p + 4, 0);
    put32(p + 8, oid);
    if (n) {
        put32(p + 12, (uint32_t)n);
        put32(p + 16, 1);
    }
    put(q, p, total);
    return p + head;
}

static char *array_item(char *at, const void *value, size_t len)
{
    put32(at, (uint32_t)len);
    if (len)
        memcpy(at + 4, value, len);
    return at + 4 + len;
}

void cm_db_arg_bools(struct cm_db_args *q, const bool *v, size_t n)
{
    char *at = array_begin(q, CM_PG_BOOL, n, n);
    for (size_t i = 0; i < n; i++) {
        char b = (char)v[i];
        at = array_item(at, &b, 1);
    }
}

void cm_db_arg_ints(struct cm_db_args *q, const int64_t *v, size_t n)
{
    char *at = array_begin(q, CM_PG_INT8, n, n * 8);
    for (size_t i = 0; i < n; i++) {
        char b[8];
        put64(b, (uint64_t)v[i]);
        at = array_item(at, b, sizeof(b));
    }
}

void cm_db_arg_floats(struct cm_db_args *q, const double *v, size_t n)
{
    char *at = array_begin(q, CM_PG_FLOAT8, n, n * 8);
    for (size_t i = 0; i < n; i++) {
        uint64_t bits;
        char b[8];
        memcpy(&bits, &v[i], sizeof(bits));
        put64(b, bits);
        at = array_item(at, b, sizeof(b));
    }
}

static void strings(struct cm_db_args *q, uint32_t oid, const struct cm_str *v, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += v[i].len;
    char *at = array_begin(q, oid, n, bytes);
    for (size_t i = 0; i < n; i++)
        at = array_item(at, v[i].ptr, v[i].len);
}

void cm_db_arg_texts(struct cm_db_args *q, const struct cm_str *v, size_t n)
{
    strings(q, CM_PG_TEXT, v, n);
}

void cm_db_arg_bytes_list(struct cm_db_args *q, const struct cm_str *v, size_t n)
{
    strings(q, CM_PG_BYTEA, v, n);
}

void cm_db_arg_uuids(struct cm_db_args *q, const struct cm_uuid *v, size_t n)
{
    char *at = array_begin(q, CM_PG_UUID, n, n * sizeof(v->b));
    for (size_t i = 0; i < n; i++)
        at = array_item(at, v[i].b, sizeof(v[i].b));
}

void cm_db_arg_times(struct cm_db_args *q, const struct cm_time *v, size_t n)
{
    char *at = array_begin(q, CM_PG_TIMESTAMPTZ, n, n * 8);
    for (size_t i = 0; i < n; i++) {
        char b[8];
        put64(b, (uint64_t)to_pg_time(v[i]));
        at = array_item(at, b, sizeof(b));
    }
}

void cm_db_arg_pairs(struct cm_db_args *q, const struct cm_pair *v, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += v[i].key.len + v[i].value.len;
    char *at = array_begin(q, CM_PG_TEXT, n * 2, bytes);
    for (size_t i = 0; i < n; i++) {
        at = array_item(at, v[i].key.ptr, v[i].key.len);
        at = array_item(at, v[i].value.ptr, v[i].value.len);
    }
}

uint32_t cm_db_type_oid(enum cm_db_type type)
{
    switch (type) {
    case CM_DB_UNSET:
        return 0;
    case CM_DB_BOOL:
        return CM_PG_BOOL;
    case CM_DB_INT:
        return CM_PG_INT8;
    case CM_DB_FLOAT:
        return CM_PG_FLOAT8;
    case CM_DB_TEXT:
        return CM_PG_TEXT;
    case CM_DB_UUID:
        return CM_PG_UUID;
    case CM_DB_TIME:
        return CM_PG_TIMESTAMPTZ;
    case CM_DB_BYTES:
        return CM_PG_BYTEA;
    case CM_DB_JSON:
        return CM_PG_JSONB;
    case CM_DB_BOOL_ARRAY:
        return CM_PG_BOOL_ARRAY;
    case CM_DB_INT_ARRAY:
        return CM_PG_INT8_ARRAY;
    case CM_DB_FLOAT_ARRAY:
        return CM_PG_FLOAT8_ARRAY;
    case CM_DB_TEXT_ARRAY:
        return CM_PG_TEXT_ARRAY;
    case CM_DB_UUID_ARRAY:
        return CM_PG_UUID_ARRAY;
    case CM_DB_TIME_ARRAY:
        return CM_PG_TIMESTAMPTZ_ARRAY;
    case CM_DB_BYTES_ARRAY:
        return CM_PG_BYTEA_ARRAY;
    }
    return 0;
}
