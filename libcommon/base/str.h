/* Borrowed strings: pointer and length, not necessarily terminated, not necessarily UTF-8. */
#pragma once

#include <string.h>

#include "base/defs.h"

struct cm_str {
    const char *ptr;
    size_t len;
};

#define CM_STR(literal) ((struct cm_str){"" literal, sizeof(literal) - 1})
#define CM_STR_NONE     ((struct cm_str){NULL, 0})
/* For printf: "%.*s", CM_STR_ARG(s) */
#define CM_STR_ARG(s) (int)(s).len, (s).ptr ? (s).ptr : ""

static inline struct cm_str cm_str(const char *cstr)
{
    return (struct cm_str){cstr, cstr ? strlen(cstr) : 0};
}

static inline struct cm_str cm_str_n(const void *ptr, size_t len)
{
    return (struct cm_str){ptr, len};
}

static inline bool cm_str_eq(struct cm_str a, struct cm_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool cm_str_eq_c(struct cm_str a, const char *b)
{
    return cm_str_eq(a, cm_str(b));
}

int cm_str_cmp(struct cm_str a, struct cm_str b);
bool cm_str_eq_nocase(struct cm_str a, struct cm_str b);
bool cm_str_starts(struct cm_str s, struct cm_str prefix);
bool cm_str_ends(struct cm_str s, struct cm_str suffix);
bool cm_str_starts_nocase(struct cm_str s, struct cm_str prefix);
/* The index of the first c, or -1. */
ptrdiff_t cm_str_find(struct cm_str s, char c);
ptrdiff_t cm_str_find_last(struct cm_str s, char c);
bool cm_str_contains(struct cm_str s, struct cm_str needle);
struct cm_str cm_str_sub(struct cm_str s, size_t from, size_t len); /* clamped */
struct cm_str cm_str_trim(struct cm_str s);                         /* ASCII white space */
/* Splits at the first sep: *head gets what is before it, the result is what is after. Without sep,
 * *head is all of s and the result is empty with ptr NULL. */
struct cm_str cm_str_split(struct cm_str s, char sep, struct cm_str *head);
/* Parses all of s as a decimal integer. */
CM_MUST_USE bool cm_str_to_i64(struct cm_str s, int64_t *ret);
CM_MUST_USE bool cm_str_to_u16(struct cm_str s, uint16_t *ret);
bool cm_str_is_utf8(struct cm_str s);
uint64_t cm_str_hash(struct cm_str s);
char *cm_str_xdup(struct cm_str s); /* heap, terminated */
