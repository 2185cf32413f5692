/* Who a user id is: name, home, shell. Static programs cannot load NSS modules, so /etc/passwd is
 * read, and users that only a directory service knows are asked of the getent command. */
#pragma once

#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"

struct cm_user {
    uid_t uid;
    gid_t gid;
    const char *name, *home, *shell; /* in the arena; "" when the entry has none */
};

/* CM_NOT_FOUND when nobody knows the id. May run getent, for 5 s at most. */
CM_MUST_USE enum cm_code cm_user_by_uid(struct cm_arena *a, uid_t uid, struct cm_user *ret,
                                        struct cm_err *err);
/* The same with the entries of this file only, e.g. in tests. */
CM_MUST_USE enum cm_code cm_user_in_file(struct cm_arena *a, const char *path, uid_t uid,
                                         struct cm_user *ret, struct cm_err *err);
/* By name, local users only (/etc/passwd): accounts of services. CM_NOT_FOUND. */
CM_MUST_USE enum cm_code cm_user_by_name(struct cm_arena *a, const char *name, struct cm_user *ret,
                                         struct cm_err *err);
