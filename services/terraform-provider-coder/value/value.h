/* Terraform values as trees: what a configuration, a plan or a state holds.
 *
 * All memory belongs to the arena of the call; values are copied shallowly by assignment, so a tree
 * may share parts with another and nobody changes a part in place but its builder. Objects and maps
 * are both VALUE_MAP: the schema knows the difference. Not thread-safe. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum value_kind {
    VALUE_NULL, /* zero on purpose: what nobody set is null */
    VALUE_UNKNOWN,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_FLOAT,
    VALUE_DECIMAL, /* a number that fits neither, as its decimal text */
    VALUE_STRING,
    VALUE_LIST, /* lists and sets */
    VALUE_MAP,
};

struct value_entry;

struct value {
    enum value_kind kind;
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct cm_str str; /* VALUE_STRING; VALUE_DECIMAL; VALUE_UNKNOWN: its refinement, opaque,
                              may be empty */
        struct {
            struct value *items;
            size_t n;
        } list;
        struct {
            struct value_entry *entries;
            size_t n;
        } map;
    };
};

struct value_entry {
    struct cm_str key;
    struct value value;
};

#define VALUE_NONE       ((struct value){.kind = VALUE_NULL})
#define VALUE_NOT_KNOWN  ((struct value){.kind = VALUE_UNKNOWN})
#define VALUE_EMPTY_LIST ((struct value){.kind = VALUE_LIST})

static inline struct value value_of_bool(bool b)
{
    return (struct value){.kind = VALUE_BOOL, .boolean = b};
}

static inline struct value value_of_int(int64_t i)
{
    return (struct value){.kind = VALUE_INT, .integer = i};
}

static inline struct value value_of_str(struct cm_str s)
{
    return (struct value){.kind = VALUE_STRING, .str = s};
}

static inline struct value value_of_cstr(const char *s)
{
    return value_of_str(cm_str(s));
}

struct value value_list_new(struct cm_arena *a, size_t n); /* n nulls */
struct value value_map_new(struct cm_arena *a, size_t n);  /* n empty keys with nulls */

/* Known and not null. */
static inline bool value_is_set(const struct value *v)
{
    return v->kind != VALUE_NULL && v->kind != VALUE_UNKNOWN;
}

/* The member, or a null when v is no map or has no such key. Never NULL. */
const struct value *value_get(const struct value *v, const char *key);
const struct value *value_get_str(const struct value *v, struct cm_str key);
/* Replaces the member of an object that this call's builder owns. The key must exist. */
void value_set(struct value *v, const char *key, struct value member);

/* Convenience for reading members: empty, false or 0 when not set or of another kind. */
struct cm_str value_str(const struct value *v, const char *key);
bool value_bool(const struct value *v, const char *key);
int64_t value_int(const struct value *v, const char *key);
size_t value_count(const struct value *v); /* elements of a list or map, else 0 */

bool value_wholly_known(const struct value *v);
/* Exactly equal; unknowns equal nothing, order matters in lists, not in maps. */
bool value_equal(const struct value *a, const struct value *b);
/* Shortest text of a scalar: strings as they are, numbers in decimal, true or false; empty for all
 * else. */
struct cm_str value_text(struct cm_arena *a, const struct value *v);
