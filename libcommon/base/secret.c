#include "base/secret.h"

bool cm_secret_eq(const void *a, const void *b, size_t len)
{
    const volatile unsigned char *x = a, *y = b;
    unsigned char diff = 0;
    for (size_t i = 0; i < len; i++)
        diff = (unsigned char)(diff | (x[i] ^ y[i]));
    return diff == 0;
}

bool cm_secret_str_eq(struct cm_str a, struct cm_str b)
{
    return a.len == b.len && cm_secret_eq(a.ptr, b.ptr, a.len);
}

void cm_secret_wipe(void *p, size_t len)
{
    explicit_bzero(p, len);
}
