/* Parsed JSON into structs. The parser has bounded the text, its depth and its number of values;
 * here each value meets the limits of its field. */
#include <stdarg.h>
#include <stdio.h>

#include "base/enc.h"
#include "codec/json.h"
#include "codec/rules.h"

#define FIELDS_MAX 256 /* of a message; the generator's largest has some 90 */

/* Where a value stands, from the inside out. */
struct place {
    const struct place *up;
    const struct cm_field *field; /* NULL at the top */
    ptrdiff_t index;              /* in a list, or -1 */
    const struct cm_field *map;   /* field is the value of an entry of this map, or NULL */
    struct cm_str key;            /* of that entry */
};

struct decoder {
    struct cm_arena *a;
    struct cm_violations *violations;
    bool answer; /* from a server: check types only */
};

static void add_violation(struct cm_violations *vs, struct cm_arena *a, struct cm_str field,
                          struct cm_str detail)
{
    if (vs->n >= CM_VIOLATIONS_MAX)
        return;
    if (!vs->v)
        vs->v = CM_NEW_ARRAY(a, struct cm_violation, CM_VIOLATIONS_MAX);
    vs->v[vs->n++] = (struct cm_violation){field, detail};
}

void cm_violations_add(struct cm_violations *vs, struct cm_arena *a, struct cm_str field,
                       const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *detail = cm_arena_vprintf(a, fmt, ap);
    va_end(ap);
    add_violation(vs, a, cm_arena_str(a, field), cm_str(detail));
}

/* Somebody's text in quotes, at most 64 bytes of it. */
static void put_cut(struct cm_buf *out, struct cm_str s)
{
    size_t keep = CM_MIN(s.len, (size_t)64);

    while (keep > 0 && keep < s.len && (s.ptr[keep] & 0xc0) == 0x80)
        keep--;
    cm_buf_char(out, '"');
    cm_buf_append(out, s.ptr, keep);
    cm_buf_cstr(out, keep < s.len ? "...\"" : "\"");
}

/* "workspaces[3].name" */
static void put_place(struct cm_buf *out, const struct place *at)
{
    if (at->up && at->up->field) {
        put_place(out, at->up);
        cm_buf_char(out, '.');
    }
    cm_buf_cstr(out, at->map ? at->map->name : at->field->name);
    if (at->index >= 0)
        cm_buf_printf(out, "[%td]", at->index);
    if (at->map) {
        cm_buf_char(out, '[');
        put_cut(out, at->key);
        cm_buf_char(out, ']');
    }
}

/* The value as it was given, for the end of a sentence. */
static void put_given(struct cm_buf *out, const struct cm_field *f, const struct cm_json *n)
{
    struct cm_str s;

    if (f->secret || !cm_json_to_str(n, &s))
        return;
    cm_buf_cstr(out, ", not ");
    put_cut(out, s);
}

/* Adds "<place>: <what>, not <value>"; the place only where the field's own name does not say it.
 */
static void CM_PRINTF(4, 5) complain(struct decoder *d, const struct place *at,
                                     const struct cm_json *given, const char *fmt, ...)
{
    CM_AUTOBUF struct cm_buf detail = CM_BUF_INIT(4096);
    va_list ap;

    if (d->violations->n >= CM_VIOLATIONS_MAX)
        return;
    if (at->index >= 0 || at->map || (at->up && at->up->field)) {
        put_place(&detail, at);
        cm_buf_cstr(&detail, ": ");
    }
    va_start(ap, fmt);
    cm_buf_str(&detail, cm_str(cm_arena_vprintf(d->a, fmt, ap)));
    va_end(ap);
    if (given)
        put_given(&detail, at->field, given);
    add_violation(d->violations, d->a, cm_str((at->map ? at->map : at->field)->name),
                  cm_arena_str(d->a, cm_buf_view(&detail)));
}

static bool wrong_type(struct decoder *d, const struct place *at, const struct cm_json *n,
                       const char *want)
{
    complain(d, at, NULL, "must be %s, not %s", want, cm_json_type_name(cm_json_type(n)));
    return false;
}

static bool check_text(struct decoder *d, const struct place *at, const struct cm_json *n,
                       struct cm_str s)
{
    const struct cm_field *f = at->field;
    size_t max = f->max_len && !f->n_offset ? f->max_len : CM_JSON_STR_MAX;
    const char *form;

    if (d->answer)
        return true;
    if (s.len > max) {
        complain(d, at, NULL, "must have at most %zu bytes, not %zu", max, s.len);
        return false;
    }
    if (f->rule && s.len > 0 && (form = cm_rule_check(f->rule, s))) {
        complain(d, at, n, "must be %s", form);
        return false;
    }
    return true;
}

static bool read_str(struct decoder *d, const struct place *at, const struct cm_json *n,
                     struct cm_str *ret)
{
    struct cm_str s;

    if (!cm_json_to_str(n, &s))
        return wrong_type(d, at, n, "a string");
    if (!check_text(d, at, n, s))
        return false;
    *ret = s;
    return true;
}

static bool read_bytes(struct decoder *d, const struct place *at, const struct cm_json *n,
                       struct cm_str *ret)
{
    CM_AUTOBUF struct cm_buf bytes = CM_BUF_INIT(cm_json_body_limits.bytes);
    size_t max = at->field->max_len ? at->field->max_len : CM_JSON_STR_MAX;
    struct cm_str s;

    if (!cm_json_to_str(n, &s))
        return wrong_type(d, at, n, "a string of base64");
    if (!cm_base64_decode(&bytes, CM_BASE64_STD, s)) {
        complain(d, at, NULL, "must be base64 with padding");
        return false;
    }
    if (bytes.len > max && !d->answer) {
        complain(d, at, NULL, "must have at most %zu bytes, not %zu", max, bytes.len);
        return false;
    }
    *ret = cm_arena_str(d->a, cm_buf_view(&bytes));
    return true;
}

static bool read_raw(struct decoder *d, const struct place *at, const struct cm_json *n,
                     struct cm_str *ret)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(cm_json_body_limits.bytes);
    size_t max = at->field->max_len ? at->field->max_len : CM_JSON_STR_MAX;

    cm_json_write(&text, n);
    if (text.failed || (text.len > max && !d->answer)) {
        complain(d, at, NULL, "must have at most %zu bytes as JSON", max);
        return false;
    }
    *ret = cm_arena_str(d->a, cm_buf_view(&text));
    return true;
}

static bool read_uuid(struct decoder *d, const struct place *at, const struct cm_json *n,
                      struct cm_uuid *ret)
{
    struct cm_str s;

    if (!cm_json_to_str(n, &s))
        return wrong_type(d, at, n, "a UUID");
    if (s.len == 0 && !at->field->required) /* how forms send "none" */
        return true;
    if (!cm_uuid_parse(s, ret)) {
        complain(d, at, n, "must be a UUID");
        return false;
    }
    return true;
}

static bool read_time(struct decoder *d, const struct place *at, const struct cm_json *n,
                      struct cm_time *ret)
{
    struct cm_str s;

    if (!cm_json_to_str(n, &s))
        return wrong_type(d, at, n, "a time");
    if (!cm_time_parse(s, ret)) {
        complain(d, at, n, "must be a time such as 2026-11-23T06:16:49Z");
        return false;
    }
    return true;
}

static bool read_enum(struct decoder *d, const struct place *at, const struct cm_json *n, int *ret)
{
    const struct cm_enum *en = at->field->en;
    struct cm_str s;

    if (!cm_json_to_str(n, &s))
        return wrong_type(d, at, n, "a string");
    if (s.len == 0 || cm_enum_parse(en, s, ret) || d->answer)
        return true;
    if (en->n > 13) {
        complain(d, at, n, "must be a known value");
        return false;
    }
    CM_AUTOBUF struct cm_buf names = CM_BUF_INIT(2048);
    for (size_t i = 1; i < en->n; i++) {
        cm_buf_cstr(&names, i == 1 ? "" : i + 1 == en->n ? " or " : ", ");
        cm_buf_cstr(&names, en->texts[i]);
    }
    complain(d, at, n, "must be %.*s", CM_STR_ARG(cm_buf_view(&names)));
    return false;
}

static bool read_message(struct decoder *d, const struct place *at, const struct cm_message *msg,
                         const struct cm_json *n, char *base);

/* One value into at: the member, or the element of a list. False when a complaint was made. */
static bool read_value(struct decoder *d, const struct place *at, const struct cm_json *n,
                       void *into)
{
    switch ((enum cm_field_type)at->field->type) {
    case CM_FT_STR:
        return read_str(d, at, n, into);
    case CM_FT_RAW:
        return read_raw(d, at, n, into);
    case CM_FT_BYTES:
        return read_bytes(d, at, n, into);
    case CM_FT_UUID:
        return read_uuid(d, at, n, into);
    case CM_FT_TIME:
        return read_time(d, at, n, into);
    case CM_FT_I64:
        return cm_json_to_i64(n, into) || wrong_type(d, at, n, "a whole number");
    case CM_FT_F64:
        return cm_json_to_f64(n, into) || wrong_type(d, at, n, "a number");
    case CM_FT_BOOL:
        return cm_json_to_bool(n, into) || wrong_type(d, at, n, "true or false");
    case CM_FT_ENUM:
        return read_enum(d, at, n, into);
    case CM_FT_MSG:
        return read_message(d, at, at->field->msg, n, into);
    case CM_FT_MAP:
    case CM_FT_UNSET:
        break;
    }
    cm_assert(!"field type");
    return false;
}

static bool read_list(struct decoder *d, const struct place *at, const struct cm_json *n,
                      char *base)
{
    const struct cm_field *f = at->field;
    size_t count = cm_json_count(n), size = cm_field_element_size(f);
    size_t max = f->max_len ? f->max_len : CM_JSON_LIST_MAX;
    bool ok = true;

    if (cm_json_type(n) != CM_JSON_ARRAY)
        return wrong_type(d, at, n, "a list");
    if (count > max && !d->answer) {
        complain(d, at, NULL, "must have at most %zu elements, not %zu", max, count);
        return false;
    }
    char *items = cm_arena_array(d->a, count ? count : 1, size);
    for (size_t i = 0; i < count; i++) {
        struct place element = {at->up, f, (ptrdiff_t)i, at->map, at->key};
        const struct cm_json *item = cm_json_at(n, i);
        /* null as an element is the zero value, as everywhere; raw JSON keeps it. */
        if (!cm_json_is_null(item) || f->type == CM_FT_RAW)
            ok = read_value(d, &element, item, items + i * size) && ok;
    }
    *(char **)(void *)(base + f->offset) = items;
    *(size_t *)(void *)(base + f->n_offset) = count;
    return ok;
}

/* An entry is a message of two fields: the key, which JSON keeps as the member's name, and the
 * value. */
static bool read_entry(struct decoder *d, const struct place *at, const struct cm_json *n,
                       char *entry)
{
    const struct cm_field *value = &at->field->msg->fields[1];
    struct place inner = {at->up, value, -1, at->field, cm_json_key(n)};
    void *into = entry + value->offset;

    *(struct cm_str *)(void *)entry = cm_json_key(n);
    if (cm_json_is_null(n) && value->type != CM_FT_RAW)
        return true;
    if (value->type == CM_FT_MSG) {
        char *m = cm_arena_alloc(d->a, value->msg->size);
        *(char **)into = m;
        into = m;
    }
    return read_value(d, &inner, n, into);
}

static bool read_map(struct decoder *d, const struct place *at, const struct cm_json *n, char *base)
{
    const struct cm_field *f = at->field;
    size_t count = cm_json_count(n), size = cm_field_element_size(f);
    size_t max = f->max_len ? f->max_len : CM_JSON_LIST_MAX;
    bool ok = true;

    if (cm_json_type(n) != CM_JSON_OBJECT)
        return wrong_type(d, at, n, "an object");
    if (count > max && !d->answer) {
        complain(d, at, NULL, "must have at most %zu members, not %zu", max, count);
        return false;
    }
    char *items = cm_arena_array(d->a, count ? count : 1, size);
    for (size_t i = 0; i < count; i++) {
        const struct cm_json *member = cm_json_at(n, i);
        if (f->msg) {
            ok = read_entry(d, at, member, items + i * size) && ok;
            continue;
        }
        struct cm_pair *pair = (void *)(items + i * size);
        pair->key = cm_json_key(member);
        if (!cm_json_is_null(member))
            ok = read_str(d, &(struct place){at->up, f, -1, f, pair->key}, member, &pair->value) &&
                 ok;
    }
    *(char **)(void *)(base + f->offset) = items;
    *(size_t *)(void *)(base + f->n_offset) = count;
    return ok;
}

/* A member of a message, which is not null. */
static bool read_member(struct decoder *d, const struct place *at, const struct cm_message *msg,
                        const struct cm_json *n, char *base)
{
    const struct cm_field *f = at->field;
    char *into = base + f->offset;

    if (f->type == CM_FT_MAP)
        return read_map(d, at, n, base);
    if (f->repeated)
        return read_list(d, at, n, base);
    if (f->type == CM_FT_MSG) {
        char *m = cm_arena_alloc(d->a, f->msg->size);
        *(char **)(void *)into = m;
        into = m;
    }
    if (!read_value(d, at, n, into))
        return false;
    if (f->has_bit != CM_FIELD_NO_BIT)
        cm_set_has((void *)(base + msg->has_offset), f->has_bit);
    return true;
}

/* The reference's meaning of "required": there, and not empty. Numbers and booleans only have to be
 * there. */
static bool is_missing(const struct cm_field *f, const char *base, bool seen)
{
    const void *p = base + f->offset;

    if (!seen)
        return true;
    if (f->n_offset)
        return *(const size_t *)(const void *)(base + f->n_offset) == 0;
    switch ((enum cm_field_type)f->type) {
    case CM_FT_STR:
    case CM_FT_RAW:
    case CM_FT_BYTES:
        return ((const struct cm_str *)p)->len == 0;
    case CM_FT_UUID:
        return cm_uuid_is_nil(*(const struct cm_uuid *)p);
    case CM_FT_TIME:
        return cm_time_is_zero(*(const struct cm_time *)p);
    case CM_FT_ENUM:
        return *(const int *)p == 0;
    case CM_FT_I64:
    case CM_FT_F64:
    case CM_FT_BOOL:
    case CM_FT_MSG:
    case CM_FT_MAP:
    case CM_FT_UNSET:
        break;
    }
    return false;
}

static size_t find_field(const struct cm_message *msg, struct cm_str key)
{
    for (size_t i = 0; i < msg->n_fields; i++)
        if (msg->fields[i].name_len == key.len &&
            memcmp(msg->fields[i].name, key.ptr, key.len) == 0)
            return i;
    for (size_t i = 0; i < msg->n_fields; i++)
        if (cm_str_eq_nocase(cm_str_n(msg->fields[i].name, msg->fields[i].name_len), key))
            return i;
    return msg->n_fields;
}

static bool read_message(struct decoder *d, const struct place *at, const struct cm_message *msg,
                         const struct cm_json *n, char *base)
{
    bool seen[FIELDS_MAX] = {false}, wrong[FIELDS_MAX] = {false}, ok = true;

    cm_assert(msg->n_fields <= FIELDS_MAX);
    for (size_t i = 0; i < msg->n_fields; i++) /* 0 is 1970, not "never" */
        if (msg->fields[i].type == CM_FT_TIME && !msg->fields[i].repeated)
            *(struct cm_time *)(void *)(base + msg->fields[i].offset) = CM_TIME_ZERO;
    if (msg->bare)
        return read_member(d, &(struct place){.up = at, .field = msg->fields, .index = -1}, msg, n,
                           base);
    if (cm_json_type(n) != CM_JSON_OBJECT)
        return wrong_type(d,
                          at->field ? at : &(struct place){.field = &msg->fields[0], .index = -1},
                          n, "an object");

    for (size_t i = 0; i < cm_json_count(n); i++) {
        const struct cm_json *member = cm_json_at(n, i);
        size_t k = find_field(msg, cm_json_key(member));
        if (k == msg->n_fields || cm_json_is_null(member))
            continue;
        seen[k] = true;
        wrong[k] = !read_member(d, &(struct place){.up = at, .field = &msg->fields[k], .index = -1},
                                msg, member, base);
    }
    for (size_t k = 0; k < msg->n_fields; k++) {
        const struct cm_field *f = &msg->fields[k];
        if (f->required && !wrong[k] && !d->answer && is_missing(f, base, seen[k])) {
            complain(d, &(struct place){.up = at, .field = f, .index = -1}, NULL, "is required");
            wrong[k] = true;
        }
        ok = ok && !wrong[k];
    }
    return ok;
}

static enum cm_code decode(struct decoder *d, const struct cm_message *msg,
                           const struct cm_json *node, void **ret, struct cm_err *err)
{
    const struct place root = {.index = -1};

    if (!msg->bare && cm_json_type(node) != CM_JSON_OBJECT)
        return cm_err_set(err, CM_INVALID, "must be a JSON object, not %s",
                          cm_json_type_name(cm_json_type(node)));
    char *base = cm_arena_alloc(d->a, msg->size);
    if (!read_message(d, &root, msg, node, base)) {
        const struct cm_violation *v = d->violations->v;
        return cm_err_set(err, CM_INVALID, "%.*s: %.*s", CM_STR_ARG(v->field),
                          CM_STR_ARG(v->detail));
    }
    *ret = base;
    return CM_OK;
}

enum cm_code cm_json_decode_node(const struct cm_message *msg, struct cm_arena *a,
                                 const struct cm_json *node, void **ret,
                                 struct cm_violations *violations, struct cm_err *err)
{
    struct cm_violations own = {0};
    struct decoder d = {.a = a, .violations = violations ? violations : &own};

    *d.violations = (struct cm_violations){0};
    return decode(&d, msg, node, ret, err);
}

enum cm_code cm_json_decode(const struct cm_message *msg, struct cm_arena *a, struct cm_str text,
                            void **ret, struct cm_violations *violations, struct cm_err *err)
{
    const struct cm_json *node = NULL;
    enum cm_code code;

    if (violations)
        *violations = (struct cm_violations){0};
    if ((code = cm_json_parse(a, text, NULL, &node, err)) != CM_OK)
        return code;
    return cm_json_decode_node(msg, a, node, ret, violations, err);
}

enum cm_code cm_json_decode_answer(const struct cm_message *msg, struct cm_arena *a,
                                   struct cm_str text, void **ret, struct cm_err *err)
{
    struct cm_violations violations = {0};
    struct decoder d = {.a = a, .violations = &violations, .answer = true};
    const struct cm_json *node = NULL;
    enum cm_code code;

    if ((code = cm_json_parse(a, text, &cm_json_file_limits, &node, err)) != CM_OK)
        return code;
    return decode(&d, msg, node, ret, err);
}

enum cm_code cm_json_decode_answer_list(const struct cm_message *msg, struct cm_arena *a,
                                        struct cm_str text, void **ret, size_t *ret_n,
                                        struct cm_err *err)
{
    struct cm_violations violations = {0};
    struct decoder d = {.a = a, .violations = &violations, .answer = true};
    const struct cm_field items = {.name = "list",
                                   .name_len = 4,
                                   .type = CM_FT_MSG,
                                   .repeated = true,
                                   .has_bit = CM_FIELD_NO_BIT,
                                   .msg = msg,
                                   .n_offset = sizeof(void *)};
    const struct cm_json *node = NULL;
    struct {
        void *items;
        size_t n;
    } list = {0};
    enum cm_code code;

    if ((code = cm_json_parse(a, text, &cm_json_file_limits, &node, err)) != CM_OK)
        return code;
    if (!cm_json_is_null(node) &&
        !read_list(&d, &(struct place){.field = &items, .index = -1}, node, (void *)&list))
        return cm_err_set(err, CM_INVALID, "%.*s", CM_STR_ARG(violations.v[0].detail));
    *ret = list.items;
    *ret_n = list.n;
    return CM_OK;
}
