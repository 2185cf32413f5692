/* libyaml's events into the tree. Its document API would expand aliases without bound, so events it
 * is. */
#include "codec/yaml.h"

#include <stdlib.h>
#include <yaml.h>

#include "codec/json.h"
#include "codec/node_impl.h"

const struct cm_json_limits cm_yaml_limits = {1u << 20, 100000, 32};

struct reader {
    yaml_parser_t parser;
    struct cm_arena *a;
    const struct cm_json_limits *limits;
    size_t nodes;
    unsigned depth;
    struct cm_err *err;
};

static enum cm_code next_event(struct reader *r, yaml_event_t *ev)
{
    if (yaml_parser_parse(&r->parser, ev))
        return CM_OK;
    const char *problem = r->parser.problem ? r->parser.problem : "broken YAML";
    size_t line = r->parser.problem_mark.line;
    return cm_err_set(r->err, CM_INVALID, "line %zu: %s", line + 1, problem);
}

static enum cm_code refuse(struct reader *r, const yaml_event_t *ev, const char *what)
{
    return cm_err_set(r->err, CM_INVALID, "line %zu: %s", ev->start_mark.line + 1, what);
}

/* A decimal number as YAML 1.2's core schema has it: strtod alone would also take hex, inf and nan.
 */
static bool plain_number(struct cm_str s, double *ret)
{
    size_t digits = 0;
    char *end;

    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] >= '0' && s.ptr[i] <= '9')
            digits++;
        else if (!strchr("+-.eE", s.ptr[i]))
            return false;
    }
    if (digits == 0 || digits > 40)
        return false;
    *ret = strtod(s.ptr, &end); /* terminated: it is in the arena */
    return end == s.ptr + s.len;
}

static void resolve_plain(struct cm_json *n, struct cm_str s)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    static const char *const trues[] = {"true", "True", "TRUE"};
    static const char *const falses[] = {"false", "False", "FALSE"};

    n->type = CM_JSON_STRING;
    for (size_t i = 0; i < CM_COUNT_OF(nulls); i++)
        if (cm_str_eq_c(s, nulls[i]))
            n->type = CM_JSON_NULL;
    for (size_t i = 0; i < CM_COUNT_OF(trues); i++) {
        if (cm_str_eq_c(s, trues[i]) || cm_str_eq_c(s, falses[i])) {
            n->type = CM_JSON_BOOL;
            n->truth = cm_str_eq_c(s, trues[i]);
        }
    }
    if (plain_number(s, &n->num))
        n->type = CM_JSON_NUMBER;
}

static enum cm_code read_scalar(struct reader *r, const yaml_event_t *ev, struct cm_json *n)
{
    const char *tag = (const char *)ev->data.scalar.tag;

    n->str = cm_arena_str(r->a, cm_str_n(ev->data.scalar.value, ev->data.scalar.length));
    if (memchr(n->str.ptr, '\0', n->str.len))
        return refuse(r, ev, "a NUL character is not allowed");
    if (tag && strcmp(tag, YAML_STR_TAG) != 0)
        return refuse(r, ev, "tags other than !!str are not supported");
    if (ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !tag)
        resolve_plain(n, n->str);
    else
        n->type = CM_JSON_STRING;
    return CM_OK;
}

static enum cm_code read_node(struct reader *r, const yaml_event_t *ev, struct cm_json *n);

/* Makes room for one more item; doubling wastes at most as much as is used. */
static struct cm_json *add_item(struct reader *r, struct cm_json *n, size_t *cap)
{
    if (n->n == *cap) {
        size_t more = *cap ? *cap * 2 : 8;
        struct cm_json *items = CM_NEW_ARRAY(r->a, struct cm_json, more);
        if (n->n)
            memcpy(items, n->items, n->n * sizeof(*items));
        n->items = items;
        *cap = more;
    }
    return &n->items[n->n++];
}

static enum cm_code read_key(struct reader *r, const yaml_event_t *ev, struct cm_json *map,
                             size_t *cap, struct cm_json **ret)
{
    if (ev->type != YAML_SCALAR_EVENT)
        return refuse(r, ev, "a key must be a plain word");
    struct cm_str key = cm_str_n(ev->data.scalar.value, ev->data.scalar.length);
    if (ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && cm_str_eq(key, CM_STR("<<")))
        return refuse(r, ev, "merge keys are not supported");
    if (map->n >= CM_JSON_LIST_MAX) /* the search for duplicates is linear */
        return cm_err_set(r->err, CM_TOO_LARGE, "line %zu: a mapping has more than %zu keys",
                          ev->start_mark.line + 1, CM_JSON_LIST_MAX);
    if (cm_json_get_str(map, key))
        return cm_err_set(r->err, CM_INVALID, "line %zu: the key \"%.*s\" is there twice",
                          ev->start_mark.line + 1, (int)CM_MIN(key.len, (size_t)100), key.ptr);
    *ret = add_item(r, map, cap);
    (*ret)->key = cm_arena_str(r->a, key);
    return CM_OK;
}

/* The items up to the end event of a sequence or mapping. */
static enum cm_code read_items(struct reader *r, struct cm_json *n)
{
    size_t cap = 0;
    enum cm_code code = CM_OK;

    for (bool end = false; !end && code == CM_OK;) {
        struct cm_json *item = NULL;
        yaml_event_t ev;
        if ((code = next_event(r, &ev)) != CM_OK)
            return code;
        end = ev.type == YAML_SEQUENCE_END_EVENT || ev.type == YAML_MAPPING_END_EVENT;
        if (!end && n->type == CM_JSON_ARRAY) {
            item = add_item(r, n, &cap);
            code = read_node(r, &ev, item);
        } else if (!end && (code = read_key(r, &ev, n, &cap, &item)) == CM_OK) {
            yaml_event_delete(&ev);
            if ((code = next_event(r, &ev)) != CM_OK)
                return code;
            /* read_node may not move items: the array of this mapping grows only here. */
            code = read_node(r, &ev, item);
        }
        yaml_event_delete(&ev);
    }
    return code;
}

static enum cm_code read_node(struct reader *r, const yaml_event_t *ev, struct cm_json *n)
{
    if (++r->nodes > r->limits->nodes)
        return cm_err_set(r->err, CM_TOO_LARGE, "YAML has more than %zu values", r->limits->nodes);
    if (ev->type == YAML_ALIAS_EVENT)
        return refuse(r, ev, "aliases are not supported");
    if (ev->type == YAML_SCALAR_EVENT)
        return read_scalar(r, ev, n);
    bool map = ev->type == YAML_MAPPING_START_EVENT;
    if (!map && ev->type != YAML_SEQUENCE_START_EVENT)
        return refuse(r, ev, "a value is expected here");
    if (map ? ev->data.mapping_start.tag != NULL : ev->data.sequence_start.tag != NULL)
        return refuse(r, ev, "tags other than !!str are not supported");
    if (++r->depth > r->limits->depth)
        return cm_err_set(r->err, CM_TOO_LARGE, "line %zu: YAML is nested more than %u levels deep",
                          ev->start_mark.line + 1, r->limits->depth);
    n->type = map ? CM_JSON_OBJECT : CM_JSON_ARRAY;
    enum cm_code code = read_items(r, n);
    r->depth--;
    return code;
}

static enum cm_code read_document(struct reader *r, struct cm_json *root)
{
    yaml_event_t ev;
    enum cm_code code;
    bool done = false;

    root->type = CM_JSON_NULL;
    while (!done) {
        if ((code = next_event(r, &ev)) != CM_OK)
            return code;
        if (ev.type == YAML_STREAM_START_EVENT || ev.type == YAML_DOCUMENT_START_EVENT) {
            yaml_event_delete(&ev);
            continue;
        }
        done = ev.type == YAML_STREAM_END_EVENT || ev.type == YAML_DOCUMENT_END_EVENT;
        code = done ? CM_OK : read_node(r, &ev, root);
        yaml_event_delete(&ev);
        if (code != CM_OK)
            return code;
    }
    return CM_OK;
}

enum cm_code cm_yaml_parse(struct cm_arena *a, struct cm_str text,
                           const struct cm_json_limits *limits, const struct cm_json **ret,
                           struct cm_err *err)
{
    struct reader r = {.a = a, .limits = limits ? limits : &cm_yaml_limits, .err = err};

    if (text.len > r.limits->bytes)
        return cm_err_set(err, CM_TOO_LARGE, "YAML is larger than %zu bytes", r.limits->bytes);
    if (!cm_str_is_utf8(text))
        return cm_err_set(err, CM_INVALID, "YAML must be UTF-8");
    struct cm_json *root = CM_NEW(a, struct cm_json);
    cm_assert(yaml_parser_initialize(&r.parser)); /* fails only without memory */
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.ptr ? text.ptr : ""),
                                 text.len);
    enum cm_code code = read_document(&r, root);
    yaml_parser_delete(&r.parser);
    if (code == CM_OK)
        *ret = root;
    return code;
}
