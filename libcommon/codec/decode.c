/* Parsed JSON into structs: messages, lists and maps. The parser has bounded the text, its depth
 * and its number of values; here each value meets the limits of its field. */
#include "codec/decode_impl.h"

#define FIELDS_MAX 256 /* of a message; the largest has some 40 */

static bool read_message(struct decoder *d, const struct place *at, const struct cm_message *msg,
                         const struct cm_json *n, char *base);

/* One value into a member that is no pointer, or into an element of a list. */
static bool read_value(struct decoder *d, const struct place *at, const struct cm_json *n,
                       void *into)
{
    if (at->field->type == CM_FT_MSG)
        return read_message(d, at, at->field->msg, n, into);
    return decode_scalar(d, at, n, into);
}

/* null stands for the zero value, but a request's message must be there: handlers look inside. */
static bool is_nothing(const struct decoder *d, const struct cm_field *f, const struct cm_json *n)
{
    return cm_json_is_null(n) && f->type != CM_FT_RAW && (d->answer || f->type != CM_FT_MSG);
}

static bool read_list(struct decoder *d, const struct place *at, const struct cm_json *n,
                      char *base)
{
    const struct cm_field *f = at->field;
    size_t count = cm_json_count(n), size = cm_field_element_size(f);
    size_t max = f->max_len ? f->max_len : CM_JSON_LIST_MAX;
    bool ok = true;

    if (cm_json_type(n) != CM_JSON_ARRAY)
        return decode_wrong_type(d, at, n, "a list");
    if (count > max && !d->answer) {
        decode_complain(d, at, NULL, "must have at most %zu elements, not %zu", max, count);
        return false;
    }
    char *items = cm_arena_array(d->a, count ? count : 1, size);
    for (size_t i = 0; i < count; i++) {
        struct place element = {at->up, f, (ptrdiff_t)i, at->map, at->key};
        const struct cm_json *item = cm_json_at(n, i);
        if (!is_nothing(d, f, item))
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
    if (is_nothing(d, value, n))
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
        return decode_wrong_type(d, at, n, "an object");
    if (count > max && !d->answer) {
        decode_complain(d, at, NULL, "must have at most %zu members, not %zu", max, count);
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
            ok =
                decode_str(d, &(struct place){at->up, f, -1, f, pair->key}, member, &pair->value) &&
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
        return decode_wrong_type(
            d, at->field ? at : &(struct place){.field = &msg->fields[0], .index = -1}, n,
            "an object");

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
            decode_complain(d, &(struct place){.up = at, .field = f, .index = -1}, NULL,
                            "is required");
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

static enum cm_code decode_node(const struct cm_message *msg, struct cm_arena *a,
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
    return decode_node(msg, a, node, ret, violations, err);
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
