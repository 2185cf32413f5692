#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void cm_random_bytes(void *out, size_t n)
{
    unsigned char *p = out;
    while (n) {
        ssize_t r = getrandom(p, n, 0);
        if (r < 0 && errno == EINTR)
            continue;
        cm_assert(r > 0);
        p += r;
        n -= (size_t)r;
    }
}

uint64_t cm_random_below(uint64_t bound)
{
    cm_assert(bound > 0);
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound, v;
    do {
        cm_random_bytes(&v, sizeof(v));
    } while (v >= limit);
    return v % bound;
}

void cm_random_alnum(char *out, size_t n)
{
    static const char set[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (size_t i = 0; i < n; i++)
        out[i] = set[cm_random_below(sizeof(set) - 1)];
    out[n] = '\0';
}
