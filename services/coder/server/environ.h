/* What the servers find in their environment: ours, without the server's options (and their
 * secrets), plus what each is told. Options go this way and not as flags, since other users can
 * list command lines. Arrays end with NULL and live in the arena. */
#pragma once

#include "server/layout.h"

/* All options that were set, with database_url in place of theirs unless it is NULL. */
const char *const *environ_coderd(struct cm_arena *a, const struct settings *s,
                                  const struct layout *l, const char *database_url, int ready_fd);
/* The index-th of this host, from 0. */
const char *const *environ_provisionerd(struct cm_arena *a, const struct settings *s,
                                        const struct layout *l, size_t index);
/* For commands of coderd that need the database alone. */
const char *const *environ_database(struct cm_arena *a, const char *database_url);
