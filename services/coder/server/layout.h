/* Where the bundle keeps what, and who it runs as.
 *
 * Under the folder of --global-config: postgres/ (data, port, password) and run/ (sockets), both of
 * the servers' user and closed to others, and server.lock. Started by root, the database and coderd
 * run as another user. Where the way to a folder is closed to that user (a clone in root's home,
 * say), it is given the capability to pass, and a warning says so. */
#pragma once

#include "server/settings.h"
#include "sys/child.h"
#include "sys/user.h"

struct layout {
    const char *config_dir, *cache_dir;
    const char *run_dir; /* sockets; a short path */
    const char *postgres_dir;
    const char *bin_dir; /* coderd, provisionerd; beside this program */
    const char *provisioner_socket;
    struct cm_user user; /* who the database and coderd are */
    bool other_user;     /* not who we are */
    struct cm_child_user database_user,
        coderd_user; /* the same with what each may do, for struct cm_child_spec */
    int lock_fd;
};

/* Finds out what is where, without changing anything. Texts live in the arena. CM_INVALID,
 * CM_NOT_FOUND or CM_DENIED with a sentence for people. */
CM_MUST_USE enum cm_code layout_find(struct cm_arena *a, const struct settings *s, struct layout *l,
                                     struct cm_err *err);
/* Makes the folders and takes the lock: one server to a folder, CM_CONFLICT otherwise. */
CM_MUST_USE enum cm_code layout_prepare(struct cm_arena *a, const struct settings *s,
                                        struct layout *l, struct cm_err *err);
void layout_done(struct layout *l);

/* A folder of the servers' user alone. */
CM_MUST_USE enum cm_code layout_private_dir(const struct layout *l, const char *path,
                                            struct cm_err *err);
