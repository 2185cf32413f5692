/* Values of terraform's language, as far as forms need them. Immutable, in the evaluation's arena.
 *
 * What cannot be known here is a value too: UNKNOWN is what a resource will say one day, ERROR what
 * terraform would refuse. Both spread through whatever uses them. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "codec/node.h"

enum form_kind {
    FORM_UNKNOWN,
    FORM_ERROR,
    FORM_NULL,
    FORM_BOOL,
    FORM_NUMBER,
    FORM_STRING,
    FORM_LIST,   /* and tuple, and set: sorted, without duplicates */
    FORM_OBJECT, /* and map: keys sorted */
};

struct form_value {
    enum form_kind kind;
    bool b;
    double n;
    struct cm_str s;
    struct form_value *items;
    struct cm_str *keys; /* of an object */
    size_t count;
    size_t weight; /* of all that is inside, counted as often as it is referred to */
};

/* Heavier lists and objects become UNKNOWN: values share their parts, so that a few lines can make
 * one that takes for ever to walk. */
#define FORM_WEIGHT_MAX ((size_t)50000)

#define FORM_UNKNOWN_VALUE ((struct form_value){.kind = FORM_UNKNOWN})
#define FORM_ERROR_VALUE   ((struct form_value){.kind = FORM_ERROR})
#define FORM_NULL_VALUE    ((struct form_value){.kind = FORM_NULL})

static inline struct form_value form_string(struct cm_str s)
{
    return (struct form_value){.kind = FORM_STRING, .s = s.ptr ? s : CM_STR("")};
}
static inline struct form_value form_number(double n)
{
    return (struct form_value){.kind = FORM_NUMBER, .n = n};
}
static inline struct form_value form_bool(bool b)
{
    return (struct form_value){.kind = FORM_BOOL, .b = b};
}
static inline bool form_known(struct form_value v)
{
    return v.kind > FORM_ERROR;
}

/* With room for n. */
struct form_value form_list(struct cm_arena *a, size_t n);
struct form_value form_object(struct cm_arena *a, size_t n);
/* Into a list or object that has room. Setting a known key replaces it. Nothing happens to one that
 * has become UNKNOWN. */
void form_push(struct form_value *list, struct form_value v);
void form_set(struct form_value *object, struct cm_str key, struct form_value v);
/* Adds v to the list that is the member key, making it. Only for lists that nobody else refers to.
 */
void form_group(struct cm_arena *a, struct form_value *object, struct cm_str key,
                struct form_value v);
void form_set_c(struct form_value *object, const char *key, struct form_value v);
const struct form_value *form_get(const struct form_value *object, struct cm_str key);
size_t form_weight(struct form_value v); /* at least 1 */
/* ERROR where there is none. */
struct form_value form_index(struct cm_arena *a, struct form_value from, struct form_value key);
struct form_value form_sorted_set(struct cm_arena *a, struct form_value list);

/* Conversions as terraform does them; UNKNOWN and ERROR stay, NULL stays, what does not convert is
 * an ERROR. */
struct form_value form_to_string(struct cm_arena *a, struct form_value v);
struct form_value form_to_number(struct cm_arena *a, struct form_value v);
struct form_value form_to_bool(struct form_value v);

bool form_same(struct form_value a, struct form_value b);
/* All of it is known: no UNKNOWN or ERROR at any depth. */
bool form_whole(struct form_value v);
struct form_value form_from_json(struct cm_arena *a, const struct cm_json *j);
void form_to_json(struct cm_buf *out, struct form_value v);
