/* What one RPC works with: its arena, the process's environment, the provider's settings and the
 * diagnostics found.
 *
 * Lives for one call on the connection's thread; nothing outlives the arena. */
#pragma once

#include "base/arena.h"
#include "value/value.h"

#define PATH_STEPS_MAX 8

/* Where in a configuration something is. Members of a set have no address, so a path ends at the
 * set: steps added after path_seal are dropped. */
struct path_step {
    struct cm_str name; /* ptr NULL: index counts */
    int64_t index;
};

struct path {
    struct path_step steps[PATH_STEPS_MAX];
    size_t n;
    bool sealed;
};

#define PATH_ROOT ((struct path){.n = 0})

struct path path_name(struct path p, const char *name);
struct path path_index(struct path p, size_t index);
struct path path_seal(struct path p);

struct diag {
    struct diag *next;
    bool warning;
    struct cm_str summary, detail;
    struct path path; /* no steps: the whole block */
};

/* Variables of the process, read through here so that tests can bring their own. Borrowed,
 * NULL-terminated. */
struct environment {
    const char *const *vars;
};

struct call {
    struct cm_arena *arena;
    const struct environment *env;
    struct cm_str access_url; /* the provider's url; empty before Configure */
    struct diag *first, **tail;
    size_t n_diags;
    bool failed; /* an error was found */
};

void call_init(struct call *c, struct cm_arena *arena, const struct environment *env,
               struct cm_str access_url);

/* Adds a diagnostic and returns it, so that the caller may set detail. At most CALL_DIAGS_MAX are
 * kept; further ones are counted and dropped, but an error still fails the call. */
#define CALL_DIAGS_MAX 500
struct diag *call_error(struct call *c, struct path at, const char *summary, ...) CM_PRINTF(3, 4);
struct diag *call_warning(struct call *c, struct path at, const char *summary, ...) CM_PRINTF(3, 4);

/* The variable's value; *exists tells an empty one from none (may be NULL). */
struct cm_str call_env(const struct call *c, const char *name, bool *exists);
struct cm_str call_env_or(const struct call *c, const char *name,
                          const char *otherwise); /* also when empty */

/* A random UUID as a string value of the arena. */
struct value call_new_uuid(struct call *c);
/* Lower-case hex SHA-256 of s. */
struct cm_str call_sha256(struct call *c, struct cm_str s);
/* Go's %q: quoted, with escapes for quotes, backslashes and control characters. */
struct cm_str call_quote(struct call *c, struct cm_str s);
