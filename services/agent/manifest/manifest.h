/* The manifest, as coderd sent it: how commands are run because of it, and its copy on disk for a
 * start or a stop without coderd. */
#pragma once

#include "agent.pb-c.h"
#include "agent_child.pb-c.h"
#include "base/arena.h"
#include "base/err.h"
#include "options.h"

#define MANIFEST_MAX ((size_t)4 * 1024 * 1024)

struct manifest {
    struct cm_arena *arena; /* owns the rest */
    const Coder__Agent__V1__Manifest *message;
    const Coder__Agent__V1__CommandEnvironment *environment;
};

/* What the manifest does not say of how commands are run. */
struct manifest_process {
    const char *token, *url;
    const char *exe; /* our own file; NULL when it offers no git helpers */
    const char *exe_dir;
    const char *script_bin; /* folder in front of PATH */
    bool set_priority;
    int nice, oom_score_adj;
};

/* Copies the message. */
struct manifest *manifest_new(const Coder__Agent__V1__Manifest *m,
                              const struct manifest_process *p);
void manifest_free(struct manifest *m);
CM_DEFINE_CLEANUP(manifest, manifest_free)
bool manifest_same(const Coder__Agent__V1__Manifest *a, const Coder__Agent__V1__Manifest *b);

/* The copy belongs to one token: another agent's is not found. The file is ours alone (0600), and
 * one that is not is not read. */
CM_MUST_USE enum cm_code manifest_save(const char *path, const char *token,
                                       const Coder__Agent__V1__Manifest *m, struct cm_err *err);
CM_MUST_USE enum cm_code manifest_load(const char *path, const char *token,
                                       const struct manifest_process *p, struct manifest **ret,
                                       struct cm_err *err);
