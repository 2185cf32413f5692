/* The embedded PostgreSQL: Debian's programs over a data folder of ours. It listens on a unix
 * socket in the run folder only. coderd is the role "coder", owner of the database "coder", with a
 * random password (scram); the superuser "postgres" can be used by the servers' user alone (peer).
 */
#pragma once

#include "server/layout.h"

struct postgres {
    const char *bin_dir, *data_dir, *hba_file, *ident_file;
    const char *password; /* of the role coder */
    unsigned port;        /* part of the socket's name */
    int version;          /* major */
    struct cm_child_user child_user;
    bool other_user;
};

/* Finds programs of the version that the data folder has, or the newest for a new one. Texts live
 * in the arena. CM_NOT_FOUND, CM_CONFLICT with a sentence for people. */
CM_MUST_USE enum cm_code postgres_find(struct cm_arena *a, const struct settings *s,
                                       const struct layout *l, struct postgres *pg,
                                       struct cm_err *err);
/* Makes the data folder if there is none (which takes a second or two), the access rules and the
 * password; waits for what is left of a server that was killed. Blocks. */
CM_MUST_USE enum cm_code postgres_prepare(struct cm_arena *a, const struct layout *l,
                                          struct postgres *pg, struct cm_err *err);
/* Password and port as they were kept; CM_NOT_FOUND before the first start. */
CM_MUST_USE enum cm_code postgres_read_secret(struct cm_arena *a, const struct layout *l,
                                              struct postgres *pg, struct cm_err *err);
/* Does any process work in the data folder? After kill -9 of the server, its children do for a
 * moment. */
bool postgres_in_use(const struct postgres *pg);
/* Nobody is in the folder: removes the lock files of an earlier server. The number in them may be
 * another process's by now (after a reboot, in a new container), or that of a dead one that nobody
 * has waited for; PostgreSQL would take either for a server that runs. */
CM_MUST_USE enum cm_code postgres_forget_old(const struct layout *l, const struct postgres *pg,
                                             struct cm_err *err);
/* Starts the server; *ret_log is the pipe with its log, the caller's. */
CM_MUST_USE enum cm_code postgres_start(struct cm_arena *a, const struct layout *l,
                                        const struct postgres *pg, struct cm_child **ret,
                                        int *ret_log, struct cm_err *err);
/* Does the server with this process id take connections? As its own control program finds out: by
 * the last line of postmaster.pid. */
bool postgres_is_ready(const struct postgres *pg, pid_t pid);
/* One line of its log, as one of ours: what is fatal as an error, what is routine for debugging. */
void postgres_log_line(struct cm_str line);
/* postgres://coder:...@/coder?host=... : a secret. */
const char *postgres_url(struct cm_arena *a, const struct layout *l, const struct postgres *pg);
