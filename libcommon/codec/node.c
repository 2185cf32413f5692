/* The tree, and JSON into it. jansson parses; its own tree is gone before this file returns. */
#include "codec/node.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/json.h"
#include "codec/node_impl.h"

const struct cm_json_limits cm_json_body_limits = {16u << 20, 200000, 64};
const struct cm_json_limits cm_json_file_limits = {256u << 20, 8000000, 128};

static void free_tree(json_t **p)
{
    json_decref(*p);
}

/* Checks what the parser would pay for, and what no text of ours can hold: depth and number of
 * values, control characters in strings, \u0000. Looks at the first value only; does not judge the
 * grammar. */
static enum cm_code check_text(struct cm_str text, const struct cm_json_limits *limits,
                               struct cm_err *err)
{
    size_t nodes = 1;
    unsigned depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (in_string) {
            if (c == '"')
                in_string = false;
            else if (c < 0x20)
                return cm_err_set(err, CM_INVALID,
                                  "invalid JSON: control character in a string at byte %zu", i);
            else if (c == '\\' && ++i + 4 < text.len && memcmp(text.ptr + i, "u0000", 5) == 0)
                return cm_err_set(err, CM_INVALID,
                                  "invalid JSON: \\u0000 at byte %zu is not allowed", i);
            continue;
        }
        if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            nodes++;
            if (++depth > limits->depth)
                return cm_err_set(err, CM_TOO_LARGE, "JSON is nested more than %u levels deep",
                                  limits->depth);
        } else if (c == ']' || c == '}') {
            if (depth <= 1)
                break;
            depth--;
        } else if (c == ',') {
            nodes++;
        }
        if (nodes > limits->nodes)
            return cm_err_set(err, CM_TOO_LARGE, "JSON has more than %zu values", limits->nodes);
    }
    return CM_OK;
}

void cm_json_number_text(double v, char out[32])
{
    if (!isfinite(v))
        v = 0;
    if (v == trunc(v) && fabs(v) < 1e18) {
        cm_ignore(snprintf(out, 32, "%lld", (long long)v), "18 digits fit");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        cm_ignore(snprintf(out, 32, "%.*g", precision, v), "17 digits, a sign and an exponent fit");
        if (strtod(out, NULL) == v)
            return;
    }
}

static void convert(struct cm_arena *a, json_t *from, struct cm_json *to)
{
    char text[32];

    switch (json_typeof(from)) {
    case JSON_STRING:
        to->type = CM_JSON_STRING;
        to->str = cm_arena_str(a, cm_str_n(json_string_value(from), json_string_length(from)));
        break;
    case JSON_INTEGER:
        to->type = CM_JSON_NUMBER;
        to->is_int = true;
        to->integer = json_integer_value(from);
        to->num = (double)to->integer;
        to->str = cm_arena_fmt(a, "%lld", (long long)to->integer);
        break;
    case JSON_REAL:
        to->type = CM_JSON_NUMBER;
        to->num = json_real_value(from);
        cm_json_number_text(to->num, text);
        to->str = cm_arena_str(a, cm_str(text));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        to->type = CM_JSON_BOOL;
        to->truth = json_is_true(from);
        break;
    case JSON_NULL:
        to->type = CM_JSON_NULL;
        break;
    case JSON_ARRAY:
        to->type = CM_JSON_ARRAY;
        to->n = json_array_size(from);
        to->items = CM_NEW_ARRAY(a, struct cm_json, to->n ? to->n : 1);
        for (size_t i = 0; i < to->n; i++)
            convert(a, json_array_get(from, i), &to->items[i]);
        break;
    case JSON_OBJECT:
        to->type = CM_JSON_OBJECT;
        to->n = json_object_size(from);
        to->items = CM_NEW_ARRAY(a, struct cm_json, to->n ? to->n : 1);
        struct cm_json *item = to->items;
        for (void *it = json_object_iter(from); it; it = json_object_iter_next(from, it), item++) {
            item->key = cm_arena_str(a, cm_str(json_object_iter_key(it)));
            convert(a, json_object_iter_value(it), item);
        }
        break;
    }
}

/* Integers are kept exact; a text with one that no int64 holds is read again with all numbers as
 * doubles. */
static json_t *load(struct cm_str text, size_t *ret_used, size_t *ret_at)
{
    static const size_t flags = JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY;
    json_error_t e;
    json_t *tree = json_loadb(text.ptr, text.len, flags, &e);
    if (!tree && json_error_code(&e) == json_error_numeric_overflow)
        tree = json_loadb(text.ptr, text.len, flags | JSON_DECODE_INT_AS_REAL, &e);
    *ret_used = *ret_at = e.position > 0 ? (size_t)e.position : 0;
    return tree;
}

static enum cm_code parse_first(struct cm_arena *a, struct cm_str text,
                                const struct cm_json_limits *limits, const struct cm_json **ret,
                                size_t *ret_used, struct cm_err *err)
{
    CM_CLEANUP(free_tree) json_t *tree = NULL;
    size_t at = 0;

    if (!limits)
        limits = &cm_json_body_limits;
    if (text.len > limits->bytes)
        return cm_err_set(err, CM_TOO_LARGE, "JSON is larger than %zu bytes", limits->bytes);
    if (cm_str_trim(text).len == 0)
        return cm_err_set(err, CM_INVALID, "invalid JSON: it is empty");
    if (!cm_str_is_utf8(text))
        return cm_err_set(err, CM_INVALID, "invalid JSON: not UTF-8");
    if (check_text(text, limits, err) != CM_OK)
        return err ? err->code : CM_INVALID;

    tree = load(text, ret_used, &at);
    if (!tree)
        return cm_err_set(err, CM_INVALID, "invalid JSON near byte %zu", at);
    struct cm_json *root = CM_NEW(a, struct cm_json);
    convert(a, tree, root);
    *ret = root;
    return CM_OK;
}

enum cm_code cm_json_parse(struct cm_arena *a, struct cm_str text,
                           const struct cm_json_limits *limits, const struct cm_json **ret,
                           struct cm_err *err)
{
    size_t used = 0;
    return parse_first(a, text, limits, ret, &used, err);
}

enum cm_code cm_json_parse_whole(struct cm_arena *a, struct cm_str text,
                                 const struct cm_json_limits *limits, const struct cm_json **ret,
                                 struct cm_err *err)
{
    const struct cm_json *root = NULL;
    size_t used = 0;
    if (parse_first(a, text, limits, &root, &used, err) != CM_OK)
        return err ? err->code : CM_INVALID;
    if (cm_str_trim(cm_str_sub(text, used, text.len)).len)
        return cm_err_set(err, CM_INVALID, "invalid JSON: byte %zu is behind the value", used);
    *ret = root;
    return CM_OK;
}

enum cm_json_type cm_json_type(const struct cm_json *n)
{
    return n ? n->type : CM_JSON_ABSENT;
}

const char *cm_json_type_name(enum cm_json_type type)
{
    switch (type) {
    case CM_JSON_ABSENT:
        return "absent";
    case CM_JSON_NULL:
        return "null";
    case CM_JSON_BOOL:
        return "a boolean";
    case CM_JSON_NUMBER:
        return "a number";
    case CM_JSON_STRING:
        return "a string";
    case CM_JSON_ARRAY:
        return "a list";
    case CM_JSON_OBJECT:
        return "an object";
    }
    return "unknown";
}

const struct cm_json *cm_json_get_str(const struct cm_json *n, struct cm_str key)
{
    if (cm_json_type(n) != CM_JSON_OBJECT)
        return NULL;
    for (size_t i = n->n; i-- > 0;)
        if (cm_str_eq(n->items[i].key, key))
            return &n->items[i];
    return NULL;
}

const struct cm_json *cm_json_get(const struct cm_json *n, const char *key)
{
    return cm_json_get_str(n, cm_str(key));
}

size_t cm_json_count(const struct cm_json *n)
{
    return n ? n->n : 0;
}

const struct cm_json *cm_json_at(const struct cm_json *n, size_t i)
{
    return n && i < n->n ? &n->items[i] : NULL;
}

struct cm_str cm_json_key(const struct cm_json *member)
{
    return member ? member->key : CM_STR_NONE;
}

bool cm_json_to_str(const struct cm_json *n, struct cm_str *ret)
{
    if (cm_json_type(n) != CM_JSON_STRING)
        return false;
    *ret = n->str;
    return true;
}

bool cm_json_to_bool(const struct cm_json *n, bool *ret)
{
    if (cm_json_type(n) != CM_JSON_BOOL)
        return false;
    *ret = n->truth;
    return true;
}

bool cm_json_to_f64(const struct cm_json *n, double *ret)
{
    if (cm_json_type(n) != CM_JSON_NUMBER || !isfinite(n->num))
        return false;
    *ret = n->num;
    return true;
}

bool cm_json_to_i64(const struct cm_json *n, int64_t *ret)
{
    double v;

    if (cm_json_type(n) == CM_JSON_NUMBER && n->is_int) {
        *ret = n->integer;
        return true;
    }
    /* 2^63 itself is a double and no int64. */
    if (!cm_json_to_f64(n, &v) || v != trunc(v) || v < -0x1p63 || v >= 0x1p63)
        return false;
    *ret = (int64_t)v;
    return true;
}

struct cm_str cm_json_str(const struct cm_json *n)
{
    struct cm_str s = CM_STR("");
    return cm_json_to_str(n, &s) ? s : CM_STR("");
}

bool cm_json_bool(const struct cm_json *n)
{
    bool b = false;
    return cm_json_to_bool(n, &b) && b;
}

int64_t cm_json_i64(const struct cm_json *n)
{
    int64_t v = 0;
    return cm_json_to_i64(n, &v) ? v : 0;
}

bool cm_json_scalar_text(const struct cm_json *n, struct cm_str *ret)
{
    switch (cm_json_type(n)) {
    case CM_JSON_STRING:
    case CM_JSON_NUMBER:
        *ret = n->str;
        return true;
    case CM_JSON_BOOL:
        *ret = n->str.ptr ? n->str : n->truth ? CM_STR("true") : CM_STR("false");
        return true;
    case CM_JSON_NULL:
        *ret = CM_STR("");
        return true;
    case CM_JSON_ABSENT:
    case CM_JSON_ARRAY:
    case CM_JSON_OBJECT:
        return false;
    }
    return false;
}

void cm_json_write(struct cm_buf *out, const struct cm_json *n)
{
    char text[32];

    switch (cm_json_type(n)) {
    case CM_JSON_ABSENT:
    case CM_JSON_NULL:
        cm_buf_cstr(out, "null");
        break;
    case CM_JSON_BOOL:
        cm_buf_cstr(out, n->truth ? "true" : "false");
        break;
    case CM_JSON_NUMBER:
        if (n->is_int) {
            cm_buf_i64(out, n->integer);
            break;
        }
        cm_json_number_text(n->num, text);
        cm_buf_cstr(out, text);
        break;
    case CM_JSON_STRING:
        cm_json_write_str(out, n->str);
        break;
    case CM_JSON_ARRAY:
    case CM_JSON_OBJECT:
        cm_buf_char(out, n->type == CM_JSON_OBJECT ? '{' : '[');
        for (size_t i = 0; i < n->n; i++) {
            if (i > 0)
                cm_buf_char(out, ',');
            if (n->type == CM_JSON_OBJECT) {
                cm_json_write_str(out, n->items[i].key);
                cm_buf_char(out, ':');
            }
            cm_json_write(out, &n->items[i]);
        }
        cm_buf_char(out, n->type == CM_JSON_OBJECT ? '}' : ']');
        break;
    }
}
