/* The terraform program: where it is, and whether it is one that we can drive. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

#define TF_VERSION_MIN "1.1.0"

struct tf_binary {
    const char *path;     /* absolute */
    const char *version;  /* 1.11.4 */
    const char *platform; /* linux_amd64 */
    unsigned number;      /* major * 10000 + minor * 100 + patch */
};

/* configured: a path, or NULL to look terraform up in path_env. Runs `terraform version`. The error
 * says what to install or set. Strings live in the arena. */
CM_MUST_USE enum cm_code tf_binary_find(struct cm_arena *a, const char *configured,
                                        const char *path_env, struct tf_binary *ret,
                                        struct cm_err *err);

/* "1.11.4" -> 11104; a suffix such as -beta1 is ignored. False when it is no version. */
CM_MUST_USE bool tf_version_number(struct cm_str text, unsigned *ret);
