#include "value/json.h"

#include "codec/node.h"

static struct value from_json(struct cm_arena *a, const struct cm_json *j);

static struct value from_array(struct cm_arena *a, const struct cm_json *j)
{
    struct value v = value_list_new(a, cm_json_count(j));
    for (size_t i = 0; i < v.list.n; i++)
        v.list.items[i] = from_json(a, cm_json_at(j, i));
    return v;
}

static struct value from_object(struct cm_arena *a, const struct cm_json *j)
{
    struct value v = value_map_new(a, cm_json_count(j));
    for (size_t i = 0; i < v.map.n; i++) {
        const struct cm_json *member = cm_json_at(j, i);
        v.map.entries[i] = (struct value_entry){cm_json_key(member), from_json(a, member)};
    }
    return v;
}

static struct value from_number(const struct cm_json *j)
{
    int64_t i = 0;
    double d = 0;
    if (cm_json_to_i64(j, &i))
        return value_of_int(i);
    cm_ignore(cm_json_to_f64(j, &d), "the node is a number");
    return (struct value){.kind = VALUE_FLOAT, .real = d};
}

/* The parser has bounded the nesting, and with it this recursion. */
static struct value from_json(struct cm_arena *a, const struct cm_json *j)
{
    switch (cm_json_type(j)) {
    case CM_JSON_ABSENT:
    case CM_JSON_NULL:
        return VALUE_NONE;
    case CM_JSON_BOOL:
        return value_of_bool(cm_json_bool(j));
    case CM_JSON_NUMBER:
        return from_number(j);
    case CM_JSON_STRING:
        return value_of_str(cm_json_str(j));
    case CM_JSON_ARRAY:
        return from_array(a, j);
    case CM_JSON_OBJECT:
        return from_object(a, j);
    }
    return VALUE_NONE;
}

enum cm_code json_decode(struct cm_arena *a, enum json_extent extent, struct cm_str text,
                         struct value *ret, struct cm_err *err)
{
    const struct cm_json *root = NULL;
    enum cm_code code = extent == JSON_WHOLE
                            ? cm_json_parse_whole(a, text, &cm_json_file_limits, &root, err)
                            : cm_json_parse(a, text, &cm_json_file_limits, &root, err);
    if (code == CM_OK)
        *ret = from_json(a, root);
    return code;
}

enum cm_code json_decode_strings(struct cm_arena *a, enum json_extent extent, struct cm_str text,
                                 struct value *ret, struct cm_err *err)
{
    struct value v;
    enum cm_code code = json_decode(a, extent, text, &v, err);
    if (code != CM_OK)
        return code;
    if (v.kind == VALUE_NULL)
        v = VALUE_EMPTY_LIST;
    if (v.kind != VALUE_LIST)
        return cm_err_set(err, CM_INVALID, "the JSON value is not a list of strings");
    for (size_t i = 0; i < v.list.n; i++) {
        if (v.list.items[i].kind == VALUE_NULL)
            v.list.items[i] = value_of_str(CM_STR(""));
        if (v.list.items[i].kind != VALUE_STRING)
            return cm_err_set(err, CM_INVALID, "element %zu of the JSON list is not a string", i);
    }
    *ret = v;
    return CM_OK;
}
