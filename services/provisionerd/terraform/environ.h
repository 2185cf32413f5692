/* The environment of terraform: the host's without what is ours or would steer terraform behind our
 * back, plus what templates may know about their build (the CODER_* contract of the coder
 * provider). Secrets travel here and in files of mode 0600, never in arguments. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "terraform/install.h"
#include "terraform/proto.h"

struct tf_env {
    struct cm_arena *arena;
    const char **v; /* NULL at the end */
    size_t n, cap;
    const char *too_long; /* the first name whose value no process could be given; NULL: none */
};

void tf_env_init(struct tf_env *e, struct cm_arena *a, const char *const *host,
                 const struct tf_install *install);
void tf_env_set(struct tf_env *e, const char *name,
                const char *value); /* replaces; NULL value: nothing */
/* Adds what the job says. CM_TOO_LARGE names the value that is too long. */
CM_MUST_USE enum cm_code tf_env_add_job(struct tf_env *e, const PB(Job) * job, struct cm_err *err);
