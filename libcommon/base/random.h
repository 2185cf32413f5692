/* Random bytes from the kernel. Aborts when the kernel has none: nothing safe could follow. */
#pragma once

#include "base/defs.h"

void cm_random_bytes(void *out, size_t n);
uint64_t cm_random_below(uint64_t bound); /* uniform in [0, bound); bound > 0 */
/* n characters of 0-9A-Za-z, unbiased, and a NUL: out has n + 1 bytes. */
void cm_random_alnum(char *out, size_t n);
