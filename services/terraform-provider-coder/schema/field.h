/* The tables that describe the provider: a row per argument, a table per block, an entry per
 * resource and data source.
 *
 * Everything that Terraform can be told about a type is a column here; what a column cannot say is
 * a hook. All tables are constant. */
#pragma once

#include "schema/call.h"

enum field_kind {
    FIELD_UNSET,
    FIELD_STRING,
    FIELD_INT,
    FIELD_BOOL,
    FIELD_STRINGS, /* list of strings */
    FIELD_MAP,     /* map of strings */
    FIELD_ROLES,   /* list of objects {name, org_id} */
    FIELD_LIST,    /* nested blocks in order */
    FIELD_SET,     /* nested blocks without order */
};

enum {
    F_REQUIRED = 1 << 0,
    F_OPTIONAL = 1 << 1,
    F_COMPUTED = 1 << 2,
    F_SENSITIVE = 1 << 3,
    F_IMPLICIT =
        1 << 4, /* the id that every type has; optional in the schema, yet never to be given */
};

struct field;
struct block;

/* Where a check stands: the argument's dotted key for messages and its path. */
struct check {
    struct call *call;
    const struct field *field;
    struct cm_str key;
    struct path path;
};

/* Called for a set value (known, not null) of the field's kind; reports through check_fail. */
typedef void (*field_check_fn)(const struct check *c, const struct value *v);
void check_fail(const struct check *c, const char *fmt, ...) CM_PRINTF(2, 3);

struct field {
    const char *name;
    enum field_kind kind;
    unsigned flags;
    const char *about;
    struct value dflt; /* VALUE_NULL: none */
    field_check_fn check;
    /* Arguments of the check; which of them it reads is its own affair. */
    const char *const *words; /* NULL-terminated */
    int64_t min, max;
    const char *text;
    const char *const *conflicts; /* dotted keys from the root, NULL-terminated */
    const char *deprecated;       /* what to do instead */
    /* Nested blocks only. */
    const struct block *block;
    unsigned min_items, max_items; /* 0: no limit */
};

struct block {
    const struct field *fields;
    size_t n;
};

#define BLOCK_OF(fields_)                                                                          \
    {                                                                                              \
        .fields = (fields_), .n = CM_COUNT_OF(fields_)                                             \
    }
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define DEFAULT_STR(s)                                                                             \
    {                                                                                              \
        .kind = VALUE_STRING, .str = { "" s, sizeof(s) - 1 }                                       \
    }
#define DEFAULT_INT(i)                                                                             \
    {                                                                                              \
        .kind = VALUE_INT, .integer = (i)                                                          \
    }
#define DEFAULT_BOOL(b)                                                                            \
    {                                                                                              \
        .kind = VALUE_BOOL, .boolean = (b)                                                         \
    }

/* The id that Terraform's schema has for every type which does not declare its own. */
#define FIELD_IMPLICIT_ID                                                                          \
    {                                                                                              \
        .name = "id", .kind = FIELD_STRING, .flags = F_OPTIONAL | F_COMPUTED | F_IMPLICIT,         \
        .about = ""                                                                                \
    }

struct type {
    const char *name;
    const char *about;
    int64_t version;
    struct block block;
    bool data; /* a data source: read is set, the resource hooks are not */

    /* Checks of whole configurations beyond the rows; may be NULL. Values may be unknown. */
    void (*validate)(struct call *c, const struct value *config);
    /* Checks of a planned object that is new or changed; may be NULL. */
    void (*check_plan)(struct call *c, const struct value *planned);
    /* Fills the computed members of a new object. state is the planned object and may be changed in
     * place. */
    void (*create)(struct call *c, struct value *state);
    /* Brings a stored object up to date; may be NULL. */
    void (*refresh)(struct call *c, struct value *state);
    /* Fills a data source's result, which holds config with defaults. */
    void (*read)(struct call *c, const struct value *config, struct value *state);
};

static inline bool field_is_block(const struct field *f)
{
    return f->kind == FIELD_LIST || f->kind == FIELD_SET;
}
