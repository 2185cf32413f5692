#include "near.h"

#define WORD_MAX 64

/* How many letters were left out, added, mistaken or exchanged with the next one. */
static size_t distance(struct cm_str a, struct cm_str b)
{
    size_t rows[3][WORD_MAX + 1];

    for (size_t j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *now = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t same = above[j - 1] + (a.ptr[i - 1] != b.ptr[j - 1]);
            now[j] = CM_MIN(CM_MIN(above[j] + 1, now[j - 1] + 1), same);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1])
                now[j] = CM_MIN(now[j], above2[j - 2] + 1);
        }
    }
    return rows[a.len % 3][b.len];
}

void near_try(struct near *n, struct cm_str candidate)
{
    if (!n->typed.len || n->typed.len > WORD_MAX || !candidate.len || candidate.len > WORD_MAX)
        return;
    /* Half of a short word may not be wrong, nor more than three letters of a long one. */
    size_t most = CM_MIN((size_t)3, (CM_MAX(n->typed.len, candidate.len) + 1) / 3);
    bool begins = n->typed.len > 1 && cm_str_starts(candidate, n->typed);
    size_t d = begins ? 1 : distance(n->typed, candidate);

    if (d <= most && (!n->best.ptr || d < n->distance)) {
        n->best = candidate;
        n->distance = d;
    }
}
