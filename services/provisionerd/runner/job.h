/* One job from its source archive to its final word: unpack, init, plan or apply, and what came out
 * of it.
 *
 * job_run blocks its thread and does not know about coderd: what it needs and what it has to tell
 * goes through struct job_host, whose functions are called on the same thread. A host that answers
 * late makes terraform wait, so it had better queue. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/time.h"
#include "runner/cache.h"
#include "terraform/binary.h"
#include "terraform/cancel.h"
#include "terraform/install.h"
#include "terraform/proto.h"
#include "terraform/variables.h"

#define JOB_LOG_MAX                                                                                \
    ((size_t)1 << 20) /* bytes of log output; what is over it is dropped, with a notice */
#define JOB_STATE_MAX   ((size_t)256 << 20)
#define JOB_MODULES_MAX ((size_t)20 << 20)

struct job_log_line {
    struct cm_time at;
    const char *source; /* provisioner_daemon, provisioner: static */
    const char *level;  /* static */
    const char *stage;  /* static */
    struct cm_str output;
};

struct job_host {
    void *ctx;
    void (*log)(void *ctx, const struct job_log_line *line);
    /* Appends all of it to out. */
    enum cm_code (*fetch)(void *ctx, PB(FetchRequest__What) what, struct cm_buf *out,
                          struct cm_err *err);
    /* The state of a workspace, whole, as terraform wrote it; also in the middle of an apply. */
    void (*state)(void *ctx, struct cm_str state);
    void (*modules)(void *ctx, struct cm_str archive);
    void (*describe)(void *ctx, struct cm_str readme, PB(TemplateVariable) *const *variables,
                     size_t n);
};

struct job_config {
    const struct tf_binary *terraform;
    const struct tf_install *install;
    struct version_cache *cache; /* may be NULL: nothing is kept */
    const char *work_root;       /* folders of jobs are made in it */
    const char *const *host_env;
    cm_usec grace; /* from the gentle stop of terraform to its kill */
};

/* Fills *ret, which lives in the arena, without its lease. folder (may be NULL): an empty folder to
 * work in, which the caller removes; NULL: a new one, removed at the end. */
void job_run(const struct job_config *cfg, const PB(Job) * msg, const struct job_host *host,
             struct tf_cancel *cancel, const char *folder, struct cm_arena *a,
             PB(CompleteRequest) * ret);
