#include "value/json.h"

#include <cjson/cJSON.h>

#include "base/err.h"

static struct value from_json(struct cm_arena *a, const cJSON *j);

static size_t count_children(const cJSON *j)
{
    size_t n = 0;
    for (const cJSON *k = j->child; k; k = k->next)
        n++;
    return n;
}

static struct value from_array(struct cm_arena *a, const cJSON *j)
{
    struct value v = value_list_new(a, count_children(j));
    size_t i = 0;
    for (const cJSON *k = j->child; k; k = k->next)
        v.list.items[i++] = from_json(a, k);
    return v;
}

static struct value from_object(struct cm_arena *a, const cJSON *j)
{
    struct value v = value_map_new(a, count_children(j));
    size_t i = 0;
    for (const cJSON *k = j->child; k; k = k->next) {
        v.map.entries[i].key = cm_arena_str(a, cm_str(k->string));
        v.map.entries[i++].value = from_json(a, k);
    }
    return v;
}

static struct value from_number(double d)
{
    if (d >= -9007199254740992.0 && d <= 9007199254740992.0 && (double)(int64_t)d == d)
        return value_of_int((int64_t)d);
    return (struct value){.kind = VALUE_FLOAT, .real = d};
}

/* Nesting is bounded by cJSON (CJSON_NESTING_LIMIT), so this recursion is too. */
static struct value from_json(struct cm_arena *a, const cJSON *j)
{
    if (cJSON_IsBool(j))
        return value_of_bool(cJSON_IsTrue(j));
    if (cJSON_IsNumber(j))
        return from_number(j->valuedouble);
    if (cJSON_IsString(j))
        return value_of_str(cm_arena_str(a, cm_str(j->valuestring)));
    if (cJSON_IsArray(j))
        return from_array(a, j);
    if (cJSON_IsObject(j))
        return from_object(a, j);
    return VALUE_NONE;
}

enum cm_code json_decode(struct cm_arena *a, struct cm_str text, struct value *ret,
                         struct cm_str *ret_rest, struct cm_err *err)
{
    const char *end = NULL;
    if (!text.len)
        return cm_err_set(err, CM_INVALID, "unexpected end of JSON input");
    if (!cm_str_is_utf8(text))
        return cm_err_set(err, CM_INVALID, "JSON is not UTF-8");
    cJSON *j = cJSON_ParseWithLengthOpts(text.ptr, text.len, &end, false);
    if (!j)
        return cm_err_set(err, CM_INVALID, "invalid JSON at byte %zu",
                          end ? (size_t)(end - text.ptr) : 0);
    struct value v = from_json(a, j);
    cJSON_Delete(j);
    struct cm_str rest = cm_str_trim(cm_str_n(end, text.len - (size_t)(end - text.ptr)));
    if (rest.len && !ret_rest)
        return cm_err_set(err, CM_INVALID, "invalid JSON: %zu bytes follow the value", rest.len);
    if (ret_rest)
        *ret_rest = rest;
    *ret = v;
    return CM_OK;
}

enum cm_code json_decode_strings(struct cm_arena *a, struct cm_str text, struct value *ret,
                                 struct cm_str *ret_rest, struct cm_err *err)
{
    struct value v;
    if (json_decode(a, text, &v, ret_rest, err) != CM_OK)
        return err ? err->code : CM_INVALID;
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
