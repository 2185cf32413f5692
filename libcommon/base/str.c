#include "base/str.h"

#include <ctype.h>
#include <strings.h>

int cm_str_cmp(struct cm_str a, struct cm_str b)
{
    size_t n = CM_MIN(a.len, b.len);
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
    if (c)
        return c;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool cm_str_eq_nocase(struct cm_str a, struct cm_str b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

bool cm_str_starts(struct cm_str s, struct cm_str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

bool cm_str_starts_nocase(struct cm_str s, struct cm_str prefix)
{
    return s.len >= prefix.len &&
           (prefix.len == 0 || strncasecmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

bool cm_str_ends(struct cm_str s, struct cm_str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

ptrdiff_t cm_str_find(struct cm_str s, char c)
{
    const char *p = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return p ? p - s.ptr : -1;
}

ptrdiff_t cm_str_find_last(struct cm_str s, char c)
{
    const char *p = s.len ? memrchr(s.ptr, c, s.len) : NULL;
    return p ? p - s.ptr : -1;
}

bool cm_str_contains(struct cm_str s, struct cm_str needle)
{
    if (needle.len == 0)
        return true;
    return s.len && memmem(s.ptr, s.len, needle.ptr, needle.len) != NULL;
}

struct cm_str cm_str_sub(struct cm_str s, size_t from, size_t len)
{
    if (from > s.len)
        from = s.len;
    if (len > s.len - from)
        len = s.len - from;
    return (struct cm_str){s.ptr ? s.ptr + from : NULL, len};
}

struct cm_str cm_str_trim(struct cm_str s)
{
    while (s.len && isspace((unsigned char)s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len && isspace((unsigned char)s.ptr[s.len - 1]))
        s.len--;
    return s;
}

struct cm_str cm_str_split(struct cm_str s, char sep, struct cm_str *head)
{
    ptrdiff_t at = cm_str_find(s, sep);
    if (at < 0) {
        *head = s;
        return CM_STR_NONE;
    }
    *head = cm_str_sub(s, 0, (size_t)at);
    return cm_str_sub(s, (size_t)at + 1, s.len);
}

bool cm_str_to_i64(struct cm_str s, int64_t *ret)
{
    bool neg = false;
    size_t i = 0;
    if (s.len && (s.ptr[0] == '-' || s.ptr[0] == '+')) {
        neg = s.ptr[0] == '-';
        i = 1;
    }
    if (i == s.len)
        return false;
    int64_t v = 0;
    for (; i < s.len; i++) {
        int d = s.ptr[i] - '0';
        if (d < 0 || d > 9)
            return false;
        if (__builtin_mul_overflow(v, (int64_t)10, &v) ||
            __builtin_add_overflow(v, (int64_t)(neg ? -d : d), &v))
            return false;
    }
    *ret = v;
    return true;
}

bool cm_str_to_u16(struct cm_str s, uint16_t *ret)
{
    int64_t v;
    if (!cm_str_to_i64(s, &v) || v < 0 || v > UINT16_MAX)
        return false;
    *ret = (uint16_t)v;
    return true;
}

bool cm_str_is_utf8(struct cm_str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t i = 0;
    while (i < s.len) {
        unsigned c = p[i];
        if (c < 0x80) {
            i++;
            continue;
        }
        size_t more;
        uint32_t cp, least;
        if ((c & 0xe0) == 0xc0) {
            more = 1, cp = c & 0x1f, least = 0x80;
        } else if ((c & 0xf0) == 0xe0) {
            more = 2, cp = c & 0x0f, least = 0x800;
        } else if ((c & 0xf8) == 0xf0) {
            more = 3, cp = c & 0x07, least = 0x10000;
        } else {
            return false;
        }
        if (s.len - i <= more)
            return false;
        for (size_t k = 1; k <= more; k++) {
            if ((p[i + k] & 0xc0) != 0x80)
                return false;
            cp = cp << 6 | (p[i + k] & 0x3f);
        }
        if (cp < least || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
            return false;
        i += more + 1;
    }
    return true;
}

uint64_t cm_str_hash(struct cm_str s)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a; tables that hold outside keys are bounded by their
                                          owners */
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.ptr[i]) * 1099511628211u;
    return h ^ h >> 29;
}

char *cm_str_xdup(struct cm_str s)
{
    return cm_xstrndup(s.ptr ? s.ptr : "", s.len);
}
