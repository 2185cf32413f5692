/* Field tables: what one message of proto/api/ looks like, as data.
 *
 * The generator (scripts/gen/api.py) emits, for each message X of proto/api/, a plain struct api_x
 * and one const struct cm_message api_x_msg. JSON decoding and encoding (codec/json.h), the mapping
 * of SQL rows to structs (db/rows.h), the OpenAPI document and the dashboard's types all come from
 * the same tables.
 *
 * A member of a generated struct is found at base + offset:
 *
 *   CM_FT_STR     struct cm_str           CM_FT_MSG   struct y *  (singular; NULL: absent)
 *   CM_FT_RAW     struct cm_str, JSON     CM_FT_MSG   struct y *  + size_t n_name (repeated: an
 * array) CM_FT_BYTES   struct cm_str, base64   others repeated: pointer to elements + size_t n_name
 *   CM_FT_UUID    struct cm_uuid          CM_FT_MAP   struct cm_pair * + size_t n_name (string to
 * string), CM_FT_TIME    struct cm_time                      or entries described by msg (fields
 * key, value) CM_FT_I64     int64_t                 CM_FT_ENUM  int, a value of the table's, 0 is
 * unset CM_FT_BOOL    bool                    CM_FT_F64   double
 *
 * A singular field that distinguishes absent from zero has a bit in the struct's `has` bitmap. A
 * list that was given but is empty has a pointer that is not NULL. */
#pragma once

#include "base/defs.h"
#include "base/str.h"
#include "base/time.h"
#include "base/uuid.h"

enum cm_field_type {
    CM_FT_UNSET,
    CM_FT_STR,
    CM_FT_RAW,
    CM_FT_BYTES,
    CM_FT_UUID,
    CM_FT_TIME,
    CM_FT_I64,
    CM_FT_F64,
    CM_FT_BOOL,
    CM_FT_ENUM,
    CM_FT_MSG,
    CM_FT_MAP,
};

/* What an encoder shows for a field that is absent (its has bit is clear, pointer NULL, list
 * empty). */
enum cm_field_empty {
    CM_EMPTY_ZERO, /* "", 0, false, nil UUID, zero time, [], {}; a message with all its members
                      empty */
    CM_EMPTY_NULL, /* null */
    CM_EMPTY_OMIT, /* the key is left out; for scalars without a has bit, a zero value counts as
                      absent */
};

#define CM_FIELD_NO_BIT UINT16_MAX

struct cm_message;

struct cm_pair {
    struct cm_str key, value;
};

struct cm_enum {
    const char *name;
    const char *const *texts; /* by value; texts[0] is what unset shows as, usually "" */
    size_t n;
};

struct cm_field {
    const char *name; /* JSON key; also the SQL column */
    const char *key;  /* `,"name":`, ready for an encoder */
    uint16_t name_len;
    uint8_t type;  /* enum cm_field_type */
    uint8_t empty; /* enum cm_field_empty */
    bool repeated;
    bool required;    /* decoding fails without it ("required" validation) */
    bool null_list;   /* an empty list shows as null instead of [] */
    bool secret;      /* the value is not repeated in validation texts */
    uint16_t has_bit; /* or CM_FIELD_NO_BIT */
    uint32_t offset;
    uint32_t n_offset; /* repeated and maps: where the size_t count is */
    uint32_t max_len;  /* bytes of a string, elements of a list; 0: the default of codec/json.h */
    const char *rule; /* validation by name ("username", "email", ...) or NULL; see codec/rules.h */
    const struct cm_message *msg;
    const struct cm_enum *en;
};

struct cm_message {
    const char *name; /* "User" */
    size_t size;
    const struct cm_field *fields;
    size_t n_fields;
    uint32_t has_offset; /* uint32_t array */
    bool bare;           /* the one field stands for the whole value: a map or list as a body */
};

/* The field with this name (exact), or NULL. */
const struct cm_field *cm_message_field(const struct cm_message *m, struct cm_str name);

static inline bool cm_has(const uint32_t *has, unsigned bit)
{
    return bit == CM_FIELD_NO_BIT || (has[bit / 32] >> bit % 32 & 1);
}

static inline void cm_set_has(uint32_t *has, unsigned bit)
{
    if (bit != CM_FIELD_NO_BIT)
        has[bit / 32] |= UINT32_C(1) << bit % 32;
}

/* Enum text to value; false when unknown. */
CM_MUST_USE bool cm_enum_parse(const struct cm_enum *en, struct cm_str text, int *ret);

/* Bytes of a value of that type, of a map's pair; 0 for a message, which has a size of its own. */
size_t cm_field_type_size(enum cm_field_type type);
/* Bytes of one element of a repeated field or map. */
size_t cm_field_element_size(const struct cm_field *f);
