/* Passwords: how good one is, and how it is stored. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

/* NULL when good enough, else a sentence with what to do. Estimated entropy of 52 bits at least and
 * 64 bytes at most (api-behaviour reference, 1.6). */
const char *password_weakness(struct cm_str password);

/* scrypt with a random salt, as text. Takes some 60 ms and 32 MiB; at most two run at once per
 * process. */
char *password_hash(struct cm_arena *a, struct cm_str password);
/* Constant time for a given cost; an empty hash is compared against a made-up one, so that unknown
 * users take as long. */
bool password_verify(struct cm_str hash, struct cm_str password);
