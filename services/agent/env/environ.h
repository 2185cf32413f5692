/* The environment of everything that the agent starts: sessions, scripts, metadata, terminals. */
#pragma once

#include "agent_child.pb-c.h"
#include "base/arena.h"
#include "base/err.h"
#include "sys/user.h"

/* An ordered set of variables; all of it lives in the arena. */
struct environ_set;

struct environ_set *environ_new(struct cm_arena *a);
/* Replaces a value, or adds one at the end. Names that are empty or hold '=' or NUL are dropped. */
void environ_put(struct environ_set *e, struct cm_str name, struct cm_str value);
struct cm_str environ_get(const struct environ_set *e,
                          struct cm_str name); /* ptr NULL when unset */
/* "NAME=value" strings, NULL at the end, as execve takes them. */
const char *const *environ_list(const struct environ_set *e);

/* Replaces $NAME and ${NAME} by the set's values; unset ones by nothing. A '$' that begins neither
 * stays. */
struct cm_str environ_expand(const struct environ_set *e, struct cm_arena *a, struct cm_str text);

struct environ_pair {
    struct cm_str name, value;
};

/* The whole stack: base (NULL at the end), then the client's variables, then who the user is, then
 * what cfg says. */
struct environ_set *environ_build(struct cm_arena *a,
                                  const Coder__Agent__V1__CommandEnvironment *cfg,
                                  const char *const *base, const struct environ_pair *client,
                                  size_t client_count, const struct cm_user *user);
/* A path of the manifest: variables and a leading ~ are expanded, a relative one is below dir. */
const char *environ_path(const struct environ_set *e, struct cm_arena *a, struct cm_str path,
                         const char *dir);
const char *environ_home(const struct environ_set *e,
                         const struct cm_user *user); /* $HOME, or the user's entry */
/* Where commands start: the configured folder when there is one and it exists, else home, else "/".
 */
const char *environ_directory(const struct environ_set *e, struct cm_arena *a,
                              const Coder__Agent__V1__CommandEnvironment *cfg,
                              const struct cm_user *user);
/* The user's shell: of the passwd entry, else $SHELL. */
CM_MUST_USE enum cm_code environ_shell(const struct environ_set *e, const struct cm_user *user,
                                       const char **ret, struct cm_err *err);
/* Who we are: the entry of our user id, or, when nobody knows it, the environment's word for it. */
struct cm_user environ_user(struct cm_arena *a, const char *const *base);

/* How a script is run: "#!interpreter args" is obeyed as `interpreter args -c script`, else `shell
 * -c script`. NULL at the end. */
const char *const *environ_script_argv(struct cm_arena *a, const char *shell, struct cm_str script);
