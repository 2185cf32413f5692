#include "db/rows.h"

#include <string.h>

#include "codec/json.h"
#include "db/args.h"

#define PG_EPOCH_US INT64_C(946684800000000) /* 2000-01-01 in Unix microseconds */

struct rows_column {
    const struct cm_field *field;
    uint32_t oid;  /* of the column, or of the array's elements */
    bool is_array; /* a PostgreSQL array */
};

struct cm_rows_map {
    size_t n;
    bool borrows; /* a value may point into the PGresult */
    struct rows_column columns[];
};

/* ---- scalar rows ---- */

#define SCALAR_ROW(name_, type_, ft, sql)                                                          \
    static const struct cm_field name_##_fields[] = {                                              \
        {.name = "*", .name_len = 1, .type = ft, .has_bit = CM_FIELD_NO_BIT}};                     \
    const struct cm_message name_ = {                                                              \
        .name = sql, .size = sizeof(type_), .fields = name_##_fields, .n_fields = 1};

SCALAR_ROW(cm_db_row_int, int64_t, CM_FT_I64, "int")
SCALAR_ROW(cm_db_row_text, struct cm_str, CM_FT_STR, "text")
SCALAR_ROW(cm_db_row_uuid, struct cm_uuid, CM_FT_UUID, "uuid")
SCALAR_ROW(cm_db_row_bool, bool, CM_FT_BOOL, "bool")
SCALAR_ROW(cm_db_row_time, struct cm_time, CM_FT_TIME, "time")
SCALAR_ROW(cm_db_row_float, double, CM_FT_F64, "float")
SCALAR_ROW(cm_db_row_bytes, struct cm_str, CM_FT_BYTES, "bytes")
SCALAR_ROW(cm_db_row_json, struct cm_str, CM_FT_RAW, "json")

static bool is_scalar_row(const struct cm_message *m)
{
    return m->n_fields == 1 && strcmp(m->fields[0].name, "*") == 0;
}

/* ---- mapping ---- */

static bool scalar_fits(enum cm_field_type type, uint32_t oid)
{
    switch (type) {
    case CM_FT_UNSET:
        return false;
    case CM_FT_STR:
        return oid == CM_PG_TEXT || oid == CM_PG_VARCHAR || oid == CM_PG_NAME || oid == CM_PG_UUID;
    case CM_FT_ENUM:
        return oid == CM_PG_TEXT;
    case CM_FT_RAW:
    case CM_FT_MSG:
    case CM_FT_MAP:
        return oid == CM_PG_JSONB || oid == CM_PG_JSON;
    case CM_FT_BYTES:
        return oid == CM_PG_BYTEA;
    case CM_FT_UUID:
        return oid == CM_PG_UUID;
    case CM_FT_TIME:
        return oid == CM_PG_TIMESTAMPTZ;
    case CM_FT_I64:
        return oid == CM_PG_INT8 || oid == CM_PG_INT4 || oid == CM_PG_INT2;
    case CM_FT_F64:
        return oid == CM_PG_FLOAT8 || oid == CM_PG_FLOAT4;
    case CM_FT_BOOL:
        return oid == CM_PG_BOOL;
    }
    return false;
}

/* The element type of an array type, or 0. */
static uint32_t array_element(uint32_t oid)
{
    switch (oid) {
    case CM_PG_BOOL_ARRAY:
        return CM_PG_BOOL;
    case CM_PG_BYTEA_ARRAY:
        return CM_PG_BYTEA;
    case CM_PG_INT2_ARRAY:
        return CM_PG_INT2;
    case CM_PG_INT4_ARRAY:
        return CM_PG_INT4;
    case CM_PG_INT8_ARRAY:
        return CM_PG_INT8;
    case CM_PG_TEXT_ARRAY:
        return CM_PG_TEXT;
    case CM_PG_FLOAT8_ARRAY:
        return CM_PG_FLOAT8;
    case CM_PG_TIMESTAMPTZ_ARRAY:
        return CM_PG_TIMESTAMPTZ;
    case CM_PG_UUID_ARRAY:
        return CM_PG_UUID;
    default:
        return 0;
    }
}

static bool column_fits(struct rows_column *c, uint32_t oid)
{
    enum cm_field_type type = c->field->type;
    uint32_t element = array_element(oid);
    c->oid = oid;
    if (type == CM_FT_MAP && c->field->msg)
        return false; /* maps of anything but text: take the column as RAW */
    if (type == CM_FT_MAP && element == CM_PG_TEXT) {
        c->oid = element;
        return c->is_array = true;
    }
    if (!c->field->repeated || type == CM_FT_MSG || type == CM_FT_MAP)
        return scalar_fits(type, oid);
    c->oid = element;
    c->is_array = true;
    return element && scalar_fits(type, element);
}

enum cm_code cm_rows_map_new(const PGresult *res, const struct cm_db_stmt *st,
                             struct cm_rows_map **ret, struct cm_err *err)
{
    int n = PQnfields(res);
    if (!st->row)
        return cm_err_set(err, CM_INTERNAL, "%s: rows from a query of exec", st->name);
    if (is_scalar_row(st->row) && n != 1)
        return cm_err_set(err, CM_INTERNAL, "%s: %d columns for one value", st->name, n);
    CM_AUTO(cm_rows_map) m = cm_xcalloc(1, sizeof(*m) + (size_t)n * sizeof(m->columns[0]));
    m->n = (size_t)n;
    for (int i = 0; i < n; i++) {
        struct rows_column *c = &m->columns[i];
        const char *name = PQfname(res, i);
        c->field =
            is_scalar_row(st->row) ? st->row->fields : cm_message_field(st->row, cm_str(name));
        if (!c->field)
            return cm_err_set(err, CM_INTERNAL, "%s: column %s is no field of %s", st->name, name,
                              st->row->name);
        if (!column_fits(c, PQftype(res, i)))
            return cm_err_set(err, CM_INTERNAL,
                              "%s: column %s of type %u does not fit its field of %s", st->name,
                              name, PQftype(res, i), st->row->name);
        enum cm_field_type t = c->field->type;
        m->borrows = m->borrows || t == CM_FT_STR || t == CM_FT_RAW || t == CM_FT_BYTES ||
                     t == CM_FT_MAP || t == CM_FT_MSG;
    }
    *ret = CM_TAKE(m);
    return CM_OK;
}

void cm_rows_map_free(struct cm_rows_map *m)
{
    cm_free(m);
}

/* ---- values ---- */

static uint32_t get32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap32(v);
}

static uint64_t get64(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap64(v);
}

static bool get_int(uint32_t oid, struct cm_str v, int64_t *ret)
{
    if (oid == CM_PG_INT8 && v.len == 8)
        *ret = (int64_t)get64(v.ptr);
    else if (oid == CM_PG_INT4 && v.len == 4)
        *ret = (int32_t)get32(v.ptr);
    else if (oid == CM_PG_INT2 && v.len == 2)
        *ret = (int16_t)((uint8_t)v.ptr[0] << 8 | (uint8_t)v.ptr[1]);
    else
        return false;
    return true;
}

static bool get_float(uint32_t oid, struct cm_str v, double *ret)
{
    if (oid == CM_PG_FLOAT8 && v.len == 8) {
        uint64_t bits = get64(v.ptr);
        memcpy(ret, &bits, sizeof(bits));
        return true;
    }
    if (oid == CM_PG_FLOAT4 && v.len == 4) {
        uint32_t bits = get32(v.ptr);
        float f;
        memcpy(&f, &bits, sizeof(bits));
        *ret = (double)f;
        return true;
    }
    return false;
}

/* -infinity and infinity are the ends of int64 in either epoch. */
static struct cm_time from_pg_time(int64_t us)
{
    if (us == INT64_MIN || us > INT64_MAX - PG_EPOCH_US)
        return (struct cm_time){us};
    return (struct cm_time){us + PG_EPOCH_US};
}

/* jsonb goes with its version in front. */
static bool get_json(uint32_t oid, struct cm_str v, struct cm_str *ret)
{
    if (oid == CM_PG_JSONB && (v.len < 1 || v.ptr[0] != 1))
        return false;
    *ret = oid == CM_PG_JSONB ? cm_str_n(v.ptr + 1, v.len - 1) : v;
    return true;
}

/* Writes one value of a scalar type to out. */
static bool put_scalar(const struct rows_column *c, struct cm_str v, struct cm_arena *a, void *out)
{
    switch ((enum cm_field_type)c->field->type) {
    case CM_FT_STR:
        if (c->oid == CM_PG_UUID) {
            struct cm_uuid u;
            if (v.len != sizeof(u.b))
                return false;
            memcpy(u.b, v.ptr, sizeof(u.b));
            char text[CM_UUID_TEXT];
            v = cm_arena_str(a, cm_str(cm_uuid_format(u, text)));
        }
        *(struct cm_str *)out = v;
        return true;
    case CM_FT_BYTES:
        *(struct cm_str *)out = v;
        return true;
    case CM_FT_RAW:
        return get_json(c->oid, v, out);
    case CM_FT_UUID:
        if (v.len != sizeof(struct cm_uuid))
            return false;
        memcpy(out, v.ptr, v.len);
        return true;
    case CM_FT_TIME:
        if (v.len != 8)
            return false;
        *(struct cm_time *)out = from_pg_time((int64_t)get64(v.ptr));
        return true;
    case CM_FT_I64:
        return get_int(c->oid, v, out);
    case CM_FT_F64:
        return get_float(c->oid, v, out);
    case CM_FT_BOOL:
        *(bool *)out = v.len == 1 && v.ptr[0];
        return v.len == 1;
    case CM_FT_ENUM:
        return cm_enum_parse(c->field->en, v, out);
    case CM_FT_UNSET:
    case CM_FT_MSG:
    case CM_FT_MAP:
        break;
    }
    return false;
}

/* An array: dimensions, flags, element type, then per dimension length and lower bound, then the
 * elements. */
static bool put_array(const struct rows_column *c, struct cm_str v, struct cm_arena *a, char *row)
{
    const struct cm_field *f = c->field;
    if (v.len < 12)
        return false;
    uint32_t dims = get32(v.ptr);
    size_t n = 0;
    if (dims > 1 || get32(v.ptr + 8) != c->oid)
        return false;
    if (dims == 1) {
        if (v.len < 20)
            return false;
        n = get32(v.ptr + 12);
        if (n > (v.len - 20) / 4)
            return false;
    }
    struct rows_column item = *c;
    struct cm_field as_text = *f;
    if (f->type == CM_FT_MAP) { /* pairs are two strings each */
        if (n % 2)
            return false;
        as_text.type = CM_FT_STR;
        item.field = &as_text;
    }
    size_t size = cm_field_type_size((enum cm_field_type)item.field->type);
    char *out = n ? cm_arena_array(a, n, size) : NULL;
    struct cm_str rest = cm_str_sub(v, 20, v.len);
    for (size_t i = 0; i < n; i++) {
        if (rest.len < 4)
            return false;
        uint32_t len = get32(rest.ptr);
        if (len == UINT32_MAX || len > rest.len - 4)
            return false; /* NULL, or cut */
        if (!put_scalar(&item, cm_str_n(rest.ptr + 4, len), a, out + i * size))
            return false;
        rest = cm_str_n(rest.ptr + 4 + len, rest.len - 4 - len);
    }
    memcpy(row + f->offset, &out, sizeof(out));
    if (f->type == CM_FT_MAP)
        n /= 2;
    memcpy(row + f->n_offset, &n, sizeof(n));
    return true;
}

static bool put_json(const struct cm_field *f, struct cm_str json, struct cm_arena *a, char *row)
{
    void *out = NULL;
    size_t n = 0;
    if (f->type == CM_FT_MSG) {
        if (f->repeated) {
            if (cm_json_decode_answer_list(f->msg, a, json, &out, &n, NULL) != CM_OK)
                return false;
            memcpy(row + f->n_offset, &n, sizeof(n));
        } else if (cm_json_decode_answer(f->msg, a, json, &out, NULL) != CM_OK) {
            return false;
        }
        memcpy(row + f->offset, &out, sizeof(out));
        return true;
    }
    const struct cm_json *root = NULL;
    if (cm_str_eq_c(json, "{}"))
        return true;
    if (cm_json_parse(a, json, NULL, &root, NULL) != CM_OK || cm_json_type(root) != CM_JSON_OBJECT)
        return false;
    n = cm_json_count(root);
    struct cm_pair *pairs = n ? CM_NEW_ARRAY(a, struct cm_pair, n) : NULL;
    for (size_t i = 0; i < n; i++) {
        const struct cm_json *member = cm_json_at(root, i);
        pairs[i].key = cm_json_key(member);
        if (!cm_json_scalar_text(member, &pairs[i].value))
            return false;
    }
    out = pairs;
    memcpy(row + f->offset, &out, sizeof(out));
    memcpy(row + f->n_offset, &n, sizeof(n));
    return true;
}

static bool put_value(const struct rows_column *c, struct cm_str v, struct cm_arena *a, char *row)
{
    const struct cm_field *f = c->field;
    if (c->is_array)
        return put_array(c, v, a, row);
    if (f->type == CM_FT_MSG || f->type == CM_FT_MAP) {
        struct cm_str json;
        return get_json(c->oid, v, &json) && put_json(f, json, a, row);
    }
    return put_scalar(c, v, a, row + f->offset);
}

static enum cm_code take_rows(const struct cm_rows_map *m, const struct cm_db_stmt *st,
                              PGresult *res, struct cm_arena *a, void **ret_rows, size_t *ret_n,
                              struct cm_err *err)
{
    int n = PQntuples(res);
    char *rows = n ? cm_arena_array(a, (size_t)n, st->row->size) : NULL;
    for (int i = 0; i < n; i++) {
        char *row = rows + (size_t)i * st->row->size;
        uint32_t *has = (uint32_t *)(void *)(row + st->row->has_offset);
        for (size_t k = 0; k < m->n; k++) {
            const struct rows_column *c = &m->columns[k];
            if (PQgetisnull(res, i, (int)k)) {
                if (c->field->type == CM_FT_TIME && !c->field->repeated)
                    *(struct cm_time *)(void *)(row + c->field->offset) = CM_TIME_ZERO;
                continue;
            }
            struct cm_str v = {PQgetvalue(res, i, (int)k), (size_t)PQgetlength(res, i, (int)k)};
            if (!put_value(c, v, a, row))
                return cm_err_set(err, CM_INTERNAL,
                                  "%s: column %s holds a value that %s cannot take", st->name,
                                  PQfname(res, (int)k), st->row->name);
            cm_set_has(has, c->field->has_bit);
        }
    }
    *ret_rows = rows;
    *ret_n = (size_t)n;
    return CM_OK;
}

static void clear_result(void *res)
{
    PQclear(res);
}

enum cm_code cm_rows_take(const struct cm_rows_map *m, const struct cm_db_stmt *st, PGresult *res,
                          struct cm_arena *a, void **ret_rows, size_t *ret_n, struct cm_err *err)
{
    bool keep = m->borrows && PQntuples(res) > 0;
    if (keep)
        cm_arena_defer(a, clear_result, res);
    enum cm_code code = take_rows(m, st, res, a, ret_rows, ret_n, err);
    if (!keep)
        PQclear(res);
    return code;
}
