/* Structs to JSON, straight into the buffer.
 *
 * The hot path is a page of workspaces: some 150 KB of short strings, ids and times. So keys are
 * copied with their comma and colon from the table, ids and times are formatted in place, and
 * strings are searched 16 bytes at a time for what needs an escape. */
#include <math.h>
#include <stdio.h>

#include "base/enc.h"
#include "codec/json.h"
#include "codec/node_impl.h"

/* The free end of the buffer. end is NULL after the buffer has failed: nothing is written any more.
 */
struct out {
    char *p, *end;
    struct cm_buf *buf;
};

static void sync_buf(struct out *o)
{
    if (o->end)
        cm_buf_commit(o->buf, (size_t)(o->p - (o->buf->ptr + o->buf->len)));
}

static bool grow(struct out *o, size_t n)
{
    if (!o->end)
        return false;
    sync_buf(o);
    o->p = cm_buf_reserve(o->buf, n);
    o->end = o->p ? o->buf->ptr + CM_MIN(o->buf->cap - 1, o->buf->max) : NULL;
    return o->p != NULL;
}

static struct out out_start(struct cm_buf *buf)
{
    struct out o = {.buf = buf};

    o.p = cm_buf_reserve(buf, 2);
    o.end = o.p ? buf->ptr + CM_MIN(buf->cap - 1, buf->max) : NULL;
    return o;
}

/* Room for n bytes at o->p. */
static inline bool room(struct out *o, size_t n)
{
    return __builtin_expect((size_t)(o->end - o->p) >= n && o->end, 1) || grow(o, n);
}

static inline void put(struct out *o, const char *s, size_t n)
{
    if (!room(o, n))
        return;
    memcpy(o->p, s, n);
    o->p += n;
}

static inline void put_char(struct out *o, char c)
{
    if (room(o, 1))
        *o->p++ = c;
}

typedef unsigned char bytes16 __attribute__((vector_size(16)));
typedef unsigned long long words2 __attribute__((vector_size(16)));

/* Whether any of 16 bytes is not plain: a control character, a quote, a backslash, < > &, or not
 * ASCII. */
static inline bool any_special(const char *s)
{
    bytes16 v;

    memcpy(&v, s, sizeof(v));
    words2 hit = (words2)((v < 0x20) | (v >= 0x7f) | (v == '"') | (v == '\\') | (v == '<') |
                          (v == '>') | (v == '&'));
    return (hit[0] | hit[1]) != 0;
}

static const bool special[256] = {
    [0 ... 0x1f] = true, ['"'] = true, ['\\'] = true,          ['<'] = true,
    ['>'] = true,        ['&'] = true, [0x7f ... 0xff] = true,
};

/* The length of the run of plain bytes that s begins with. */
static inline size_t plain_run(const char *s, size_t n)
{
    size_t i = 0;

    while (n - i >= 16 && !any_special(s + i))
        i += 16;
    while (i < n && !special[(unsigned char)s[i]])
        i++;
    return i;
}

/* The length of the UTF-8 sequence at s, or 0 when it is broken. */
static size_t utf8_len(const char *s, size_t n)
{
    unsigned char c = (unsigned char)s[0];
    size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

    return len <= n && cm_str_is_utf8(cm_str_n(s, len)) ? len : 0;
}

/* Writes one special byte or sequence; the number of bytes of s that it took. */
static size_t put_special(struct out *o, const char *s, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char c = (unsigned char)s[0];
    char esc[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

    if (c >= 0x80) {
        size_t len = utf8_len(s, n);
        /* U+2028 and U+2029 end a line in old JavaScript. */
        if (len == 3 && (memcmp(s, "\xe2\x80\xa8", 3) == 0 || memcmp(s, "\xe2\x80\xa9", 3) == 0))
            put(o, s[2] == '\xa8' ? "\\u2028" : "\\u2029", 6);
        else if (len > 0)
            put(o, s, len);
        else
            put(o, "\\ufffd", 6);
        return len > 0 ? len : 1;
    }
    switch (c) {
    case '"':
    case '\\':
        put(o, (char[]){'\\', (char)c}, 2);
        break;
    case '\n':
        put(o, "\\n", 2);
        break;
    case '\r':
        put(o, "\\r", 2);
        break;
    case '\t':
        put(o, "\\t", 2);
        break;
    case 0x7f:
        put_char(o, 0x7f);
        break;
    default:
        put(o, esc, sizeof(esc));
        break;
    }
    return 1;
}

static inline void put_str(struct out *o, struct cm_str s)
{
    const char *p = s.ptr;
    size_t left = s.len;

    if (!room(o, left + 2))
        return;
    *o->p++ = '"';
    while (left > 0) {
        size_t n = plain_run(p, left);
        put(o, p, n);
        p += n;
        left -= n;
        if (left > 0) {
            n = put_special(o, p, left);
            p += n;
            left -= n;
        }
    }
    put_char(o, '"');
}

/* JSON text from elsewhere: < > & can stand in its strings only, where the escape means the same.
 */
static void put_raw(struct out *o, struct cm_str s)
{
    for (size_t from = 0, i = 0; i <= s.len; i++) {
        bool markup = i < s.len && (s.ptr[i] == '<' || s.ptr[i] == '>' || s.ptr[i] == '&');
        if (!markup && i < s.len)
            continue;
        put(o, s.ptr + from, i - from);
        if (markup)
            put(o, s.ptr[i] == '<' ? "\\u003c" : s.ptr[i] == '>' ? "\\u003e" : "\\u0026", 6);
        from = i + 1;
    }
}

static void put_bytes(struct out *o, struct cm_str s)
{
    put_char(o, '"');
    sync_buf(o);
    cm_base64_encode(o->buf, CM_BASE64_STD, s.ptr, s.len);
    *o = out_start(o->buf);
    put_char(o, '"');
}

static inline void put_i64(struct out *o, int64_t v)
{
    char digits[20]; /* 19 digits and a sign */
    size_t at = sizeof(digits);
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    do {
        digits[--at] = (char)('0' + u % 10);
        u /= 10;
    } while (u > 0);
    if (v < 0)
        digits[--at] = '-';
    put(o, digits + at, sizeof(digits) - at);
}

static void put_f64(struct out *o, double v)
{
    char text[32];

    cm_json_number_text(v, text);
    put(o, text, strlen(text));
}

static inline void put_uuid(struct out *o, const struct cm_uuid *u)
{
    if (!room(o, CM_UUID_TEXT + 2))
        return;
    *o->p = '"';
    cm_uuid_format(*u, o->p + 1);
    o->p += CM_UUID_TEXT;
    *o->p++ = '"';
}

static inline void put_time(struct out *o, struct cm_time t)
{
    if (!room(o, CM_TIME_TEXT + 2))
        return;
    *o->p = '"';
    cm_time_format(t, o->p + 1);
    o->p += 1 + strlen(o->p + 1);
    *o->p++ = '"';
}

static void put_enum(struct out *o, const struct cm_enum *en, int value)
{
    cm_assert(value >= 0 && (size_t)value < en->n);
    put_str(o, cm_str(en->texts[value]));
}

/* What an absent message that shows as zero is encoded from. */
static const _Alignas(16) char zeros[4096];

static void put_message(struct out *o, const struct cm_message *msg, const char *base);

/* One value; at points to the member, or to the element of a list. Messages of lists lie side by
 * side. */
static inline void put_value(struct out *o, const struct cm_field *f, const char *at)
{
    const void *p = at;

    switch ((enum cm_field_type)f->type) {
    case CM_FT_STR:
        put_str(o, *(const struct cm_str *)p);
        break;
    case CM_FT_RAW:
        if (((const struct cm_str *)p)->len > 0)
            put_raw(o, *(const struct cm_str *)p);
        else
            put(o, "null", 4);
        break;
    case CM_FT_BYTES:
        put_bytes(o, *(const struct cm_str *)p);
        break;
    case CM_FT_UUID:
        put_uuid(o, p);
        break;
    case CM_FT_TIME:
        put_time(o, *(const struct cm_time *)p);
        break;
    case CM_FT_I64:
        put_i64(o, *(const int64_t *)p);
        break;
    case CM_FT_F64:
        put_f64(o, *(const double *)p);
        break;
    case CM_FT_BOOL:
        if (*(const bool *)p)
            put(o, "true", 4);
        else
            put(o, "false", 5);
        break;
    case CM_FT_ENUM:
        put_enum(o, f->en, *(const int *)p);
        break;
    case CM_FT_MSG:
        put_message(o, f->msg, at);
        break;
    case CM_FT_MAP:
    case CM_FT_UNSET:
        cm_assert(!"field type");
    }
}

static void put_list(struct out *o, const struct cm_field *f, const char *items, size_t n)
{
    size_t size = cm_field_element_size(f);

    put_char(o, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            put_char(o, ',');
        put_value(o, f, items + i * size);
    }
    put_char(o, ']');
}

static void put_member(struct out *o, const struct cm_field *f, const char *base);

static void put_map(struct out *o, const struct cm_field *f, const char *items, size_t n)
{
    size_t size = cm_field_element_size(f);

    put_char(o, '{');
    for (size_t i = 0; i < n; i++) {
        const char *entry = items + i * size;
        if (i > 0)
            put_char(o, ',');
        put_str(o, *(const struct cm_str *)(const void *)entry);
        put_char(o, ':');
        if (!f->msg) {
            put_str(o, ((const struct cm_pair *)(const void *)entry)->value);
            continue;
        }
        put_member(o, &f->msg->fields[1], entry);
    }
    put_char(o, '}');
}

static bool scalar_is_zero(const struct cm_field *f, const char *at)
{
    const void *p = at;

    switch ((enum cm_field_type)f->type) {
    case CM_FT_STR:
    case CM_FT_RAW:
    case CM_FT_BYTES:
        return ((const struct cm_str *)p)->len == 0;
    case CM_FT_UUID:
        return cm_uuid_is_nil(*(const struct cm_uuid *)p);
    case CM_FT_TIME: /* as it is in a struct that was zeroed and not filled in */
        return cm_time_is_zero(*(const struct cm_time *)p) || ((const struct cm_time *)p)->us == 0;
    case CM_FT_I64:
        return *(const int64_t *)p == 0;
    case CM_FT_F64:
        return fpclassify(*(const double *)p) == FP_ZERO;
    case CM_FT_BOOL:
        return !*(const bool *)p;
    case CM_FT_ENUM:
        return *(const int *)p == 0;
    case CM_FT_MSG:
    case CM_FT_MAP:
    case CM_FT_UNSET:
        break;
    }
    return false;
}

/* The pointer and count of a list or map. */
static inline const char *list_at(const struct cm_field *f, const char *base, size_t *ret_n)
{
    *ret_n = *(const size_t *)(const void *)(base + f->n_offset);
    return *(const char *const *)(const void *)(base + f->offset);
}

static bool is_absent(const struct cm_field *f, const char *base)
{
    size_t n;

    if (f->n_offset) {
        list_at(f, base, &n);
        return n == 0;
    }
    if (f->type == CM_FT_MSG)
        return *(const char *const *)(const void *)(base + f->offset) == NULL;
    return f->empty != CM_EMPTY_ZERO && scalar_is_zero(f, base + f->offset);
}

/* A member that is there, or that shows its zero. */
static void put_member(struct out *o, const struct cm_field *f, const char *base)
{
    size_t n;

    if (f->n_offset) {
        const char *items = list_at(f, base, &n);
        if (n == 0 && f->null_list)
            put(o, "null", 4);
        else if (f->type == CM_FT_MAP)
            put_map(o, f, items, n);
        else
            put_list(o, f, items, n);
    } else if (f->type == CM_FT_MSG) {
        const char *m = *(const char *const *)(const void *)(base + f->offset);
        cm_assert(f->msg->size <= sizeof(zeros));
        put_message(o, f->msg, m ? m : zeros);
    } else if (f->type == CM_FT_TIME && base == zeros) {
        put_time(o, CM_TIME_ZERO);
    } else {
        put_value(o, f, base + f->offset);
    }
}

static void put_message(struct out *o, const struct cm_message *msg, const char *base)
{
    bool first = true;

    if (!base) {
        put(o, "null", 4);
        return;
    }
    if (msg->bare) {
        put_member(o, msg->fields, base);
        return;
    }
    const uint32_t *has = (const void *)(base + msg->has_offset);
    put_char(o, '{');
    for (size_t i = 0; i < msg->n_fields; i++) {
        const struct cm_field *f = &msg->fields[i];
        bool absent = f->has_bit == CM_FIELD_NO_BIT ? is_absent(f, base) : !cm_has(has, f->has_bit);
        if (absent && f->empty == CM_EMPTY_OMIT)
            continue;
        put(o, f->key + first, f->name_len + 4u - first);
        first = false;
        if (absent && f->empty == CM_EMPTY_NULL)
            put(o, "null", 4);
        else
            put_member(o, f, base);
    }
    put_char(o, '}');
}

void cm_json_encode(struct cm_buf *buf, const struct cm_message *msg, const void *value)
{
    struct out o = out_start(buf);

    put_message(&o, msg, value);
    sync_buf(&o);
}

void cm_json_encode_list(struct cm_buf *buf, const struct cm_message *msg, const void *values,
                         size_t n)
{
    struct out o = out_start(buf);

    put_list(&o, &(struct cm_field){.type = CM_FT_MSG, .msg = msg}, values, n);
    sync_buf(&o);
}

void cm_json_write_str(struct cm_buf *buf, struct cm_str s)
{
    struct out o = out_start(buf);

    put_str(&o, s);
    sync_buf(&o);
}
