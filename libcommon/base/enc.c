#include "base/enc.h"

#include <ctype.h>

int cm_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

void cm_hex_encode(struct cm_buf *out, const void *data, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i++) {
        cm_buf_char(out, hex[p[i] >> 4]);
        cm_buf_char(out, hex[p[i] & 15]);
    }
}

bool cm_hex_decode(struct cm_str text, void *out, size_t out_len)
{
    if (text.len != 2 * out_len)
        return false;
    unsigned char *p = out;
    for (size_t i = 0; i < out_len; i++) {
        int hi = cm_hex_digit(text.ptr[2 * i]), lo = cm_hex_digit(text.ptr[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        p[i] = (unsigned char)(hi << 4 | lo);
    }
    return true;
}

static const char *alphabet(enum cm_base64 kind)
{
    return kind == CM_BASE64_URL_NOPAD
               ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
               : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
}

void cm_base64_encode(struct cm_buf *out, enum cm_base64 kind, const void *data, size_t len)
{
    const char *set = alphabet(kind);
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i += 3) {
        size_t n = CM_MIN(len - i, (size_t)3);
        uint32_t v = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                     (n > 2 ? (uint32_t)p[i + 2] : 0);
        char quad[4] = {set[v >> 18 & 63], set[v >> 12 & 63], '=', '='};
        if (n > 1)
            quad[2] = set[v >> 6 & 63];
        if (n > 2)
            quad[3] = set[v & 63];
        cm_buf_append(out, quad, kind == CM_BASE64_STD ? 4 : n + 1);
    }
}

static int base64_digit(enum cm_base64 kind, char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    bool url = kind == CM_BASE64_URL_NOPAD;
    if (c == (url ? '-' : '+'))
        return 62;
    if (c == (url ? '_' : '/'))
        return 63;
    return -1;
}

bool cm_base64_decode(struct cm_buf *out, enum cm_base64 kind, struct cm_str text)
{
    size_t len = text.len;
    if (kind == CM_BASE64_STD) {
        if (len % 4)
            return false;
        for (int pads = 0; pads < 2 && len && text.ptr[len - 1] == '='; pads++)
            len--;
    }
    if (len % 4 == 1)
        return false;
    uint32_t acc = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < len; i++) {
        int d = base64_digit(kind, text.ptr[i]);
        if (d < 0)
            return false;
        acc = acc << 6 | (uint32_t)d;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            cm_buf_char(out, (char)(acc >> bits & 255));
        }
    }
    return (acc & ((1u << bits) - 1)) == 0;
}

void cm_percent_encode(struct cm_buf *out, struct cm_str s, const char *keep)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (isalnum(c) || (c && strchr("-._~", c)) || (c && keep && strchr(keep, c))) {
            cm_buf_char(out, (char)c);
        } else {
            char esc[3] = {'%', hex[c >> 4], hex[c & 15]};
            cm_buf_append(out, esc, 3);
        }
    }
}

bool cm_percent_decode(struct cm_buf *out, struct cm_str s, bool plus_is_space)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '%') {
            if (s.len - i < 3)
                return false;
            int hi = cm_hex_digit(s.ptr[i + 1]), lo = cm_hex_digit(s.ptr[i + 2]);
            if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
                return false;
            c = (char)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        cm_buf_char(out, c);
    }
    return true;
}
