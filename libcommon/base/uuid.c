#include "base/uuid.h"

#include "base/enc.h"
#include "base/random.h"

struct cm_uuid cm_uuid_random(void)
{
    struct cm_uuid u;
    cm_random_bytes(u.b, sizeof(u.b));
    u.b[6] = (uint8_t)((u.b[6] & 0x0f) | 0x40);
    u.b[8] = (uint8_t)((u.b[8] & 0x3f) | 0x80);
    return u;
}

bool cm_uuid_is_nil(struct cm_uuid u)
{
    static const struct cm_uuid nil;
    return cm_uuid_eq(u, nil);
}

bool cm_uuid_eq(struct cm_uuid a, struct cm_uuid b)
{
    return memcmp(a.b, b.b, sizeof(a.b)) == 0;
}

bool cm_uuid_parse(struct cm_str s, struct cm_uuid *ret)
{
    struct cm_uuid u;
    if (s.len != CM_UUID_TEXT - 1)
        return false;
    size_t at = 0;
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            if (s.ptr[at++] != '-')
                return false;
        }
        int hi = cm_hex_digit(s.ptr[at]), lo = cm_hex_digit(s.ptr[at + 1]);
        if (hi < 0 || lo < 0)
            return false;
        u.b[i] = (uint8_t)(hi << 4 | lo);
        at += 2;
    }
    *ret = u;
    return true;
}

const char *cm_uuid_format(struct cm_uuid u, char out[CM_UUID_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    char *p = out;
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = hex[u.b[i] >> 4];
        *p++ = hex[u.b[i] & 15];
    }
    *p = '\0';
    return out;
}

struct cm_uuid_str cm_uuid_text(struct cm_uuid u)
{
    struct cm_uuid_str t;
    cm_uuid_format(u, t.s);
    return t;
}
