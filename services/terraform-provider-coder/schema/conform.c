#include "schema/conform.h"

/* Blocks of one list. Some checks compare all pairs, and no template has a thousandth of this. */
#define BLOCKS_MAX 10000

/* Text of a number as JSON and MessagePack carry it when no binary form fits. */
static bool is_decimal(struct cm_str s)
{
    size_t digits = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c >= '0' && c <= '9')
            digits++;
        else if (c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E')
            return false;
    }
    return digits > 0;
}

static enum cm_code wrong_type(const struct field *f, const char *wanted, struct cm_err *err)
{
    return cm_err_set(err, CM_PROTOCOL, "argument \"%s\" is not %s", f->name, wanted);
}

static bool conform_number(const struct value *in, struct value *ret)
{
    switch (in->kind) {
    case VALUE_INT:
    case VALUE_DECIMAL:
        *ret = *in;
        return true;
    case VALUE_FLOAT:
        *ret = *in;
        if (in->real >= -9007199254740992.0 && in->real <= 9007199254740992.0 &&
            (double)(int64_t)in->real == in->real)
            *ret = value_of_int((int64_t)in->real);
        return true;
    case VALUE_STRING:
        *ret = (struct value){.kind = VALUE_DECIMAL, .str = in->str};
        return is_decimal(in->str);
    case VALUE_NULL:
    case VALUE_UNKNOWN:
    case VALUE_BOOL:
    case VALUE_LIST:
    case VALUE_MAP:
        return false;
    }
    return false;
}

static bool all_strings(const struct value *v)
{
    for (size_t i = 0; i < value_count(v); i++) {
        const struct value *m = v->kind == VALUE_MAP ? &v->map.entries[i].value : &v->list.items[i];
        if (value_is_set(m) && m->kind != VALUE_STRING)
            return false;
    }
    return true;
}

static enum cm_code conform_blocks(struct cm_arena *a, const struct field *f,
                                   enum conform_mode mode, const struct value *in,
                                   struct value *ret, struct cm_err *err)
{
    if (in->kind != VALUE_LIST)
        return wrong_type(f, "a list of blocks", err);
    if (in->list.n > BLOCKS_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "there are %zu blocks \"%s\", at most %d are taken",
                          in->list.n, f->name, BLOCKS_MAX);
    *ret = value_list_new(a, in->list.n);
    for (size_t i = 0; i < in->list.n; i++) {
        if (in->list.items[i].kind == VALUE_NULL)
            return wrong_type(f, "a list of blocks without nulls", err);
        if (conform_object(a, f->block, mode, &in->list.items[i], &ret->list.items[i], err) !=
            CM_OK)
            return cm_err_wrap(err, "block \"%s\"", f->name);
    }
    return CM_OK;
}

static enum cm_code conform_member(struct cm_arena *a, const struct field *f,
                                   enum conform_mode mode, const struct value *in,
                                   struct value *ret, struct cm_err *err)
{
    if (!value_is_set(in)) {
        *ret = *in;
        if (in->kind == VALUE_NULL && field_is_block(f))
            *ret = VALUE_EMPTY_LIST;
        return CM_OK;
    }
    *ret = *in;
    switch (f->kind) {
    case FIELD_STRING:
        return in->kind == VALUE_STRING ? CM_OK : wrong_type(f, "a string", err);
    case FIELD_INT:
        return conform_number(in, ret) ? CM_OK : wrong_type(f, "a number", err);
    case FIELD_BOOL:
        return in->kind == VALUE_BOOL ? CM_OK : wrong_type(f, "true or false", err);
    case FIELD_STRINGS:
        return in->kind == VALUE_LIST && all_strings(in) ? CM_OK
                                                         : wrong_type(f, "a list of strings", err);
    case FIELD_MAP:
        return in->kind == VALUE_MAP && all_strings(in) ? CM_OK
                                                        : wrong_type(f, "a map of strings", err);
    case FIELD_ROLES:
        return in->kind == VALUE_LIST ? CM_OK : wrong_type(f, "a list of roles", err);
    case FIELD_LIST:
    case FIELD_SET:
        return conform_blocks(a, f, mode, in, ret, err);
    case FIELD_UNSET:
        break;
    }
    return cm_err_set(err, CM_INTERNAL, "argument \"%s\" has no kind", f->name);
}

static const struct field *find_field(const struct block *block, struct cm_str name)
{
    for (size_t i = 0; i < block->n; i++)
        if (cm_str_eq_c(name, block->fields[i].name))
            return &block->fields[i];
    return NULL;
}

enum cm_code conform_object(struct cm_arena *a, const struct block *block, enum conform_mode mode,
                            const struct value *in, struct value *ret, struct cm_err *err)
{
    if (!value_is_set(in)) {
        *ret = *in;
        return CM_OK;
    }
    if (in->kind != VALUE_MAP)
        return cm_err_set(err, CM_PROTOCOL, "a block is not an object");
    if (mode == CONFORM_EXACT) {
        if (in->map.n != block->n)
            return cm_err_set(err, CM_PROTOCOL, "an object with %zu arguments is required, got %zu",
                              block->n, in->map.n);
        for (size_t i = 0; i < in->map.n; i++)
            if (!find_field(block, in->map.entries[i].key))
                return cm_err_set(err, CM_PROTOCOL, "unsupported argument \"%.*s\"",
                                  CM_STR_ARG(cm_str_sub(in->map.entries[i].key, 0, 100)));
    }
    *ret = value_map_new(a, block->n);
    for (size_t i = 0; i < block->n; i++) {
        const struct field *f = &block->fields[i];
        struct value_entry *e = &ret->map.entries[i];
        e->key = cm_str(f->name);
        enum cm_code code = conform_member(a, f, mode, value_get(in, f->name), &e->value, err);
        if (code != CM_OK)
            return code;
    }
    return CM_OK;
}

static struct value zero_of(const struct field *f)
{
    switch (f->kind) {
    case FIELD_STRING:
        return value_of_str(CM_STR(""));
    case FIELD_INT:
        return value_of_int(0);
    case FIELD_BOOL:
        return value_of_bool(false);
    case FIELD_LIST:
    case FIELD_SET:
        return VALUE_EMPTY_LIST;
    case FIELD_STRINGS:
    case FIELD_MAP:
    case FIELD_ROLES:
    case FIELD_UNSET:
        break;
    }
    return VALUE_NONE;
}

void conform_zero_fill(const struct block *block, struct value *object)
{
    for (size_t i = 0; i < block->n && object->kind == VALUE_MAP; i++) {
        const struct field *f = &block->fields[i];
        struct value *v = &object->map.entries[i].value;
        if (v->kind == VALUE_NULL)
            *v = zero_of(f);
        for (size_t k = 0; field_is_block(f) && v->kind == VALUE_LIST && k < v->list.n; k++)
            conform_zero_fill(f->block, &v->list.items[k]);
    }
}

struct value conform_drop_nulls(struct cm_arena *a, const struct value *v)
{
    if (v->kind != VALUE_MAP)
        return *v;
    struct value out = value_map_new(a, v->map.n);
    size_t n = 0;
    for (size_t i = 0; i < v->map.n; i++)
        if (v->map.entries[i].value.kind != VALUE_NULL)
            out.map.entries[n++] = v->map.entries[i];
    out.map.n = n;
    return n ? out : VALUE_NONE;
}
