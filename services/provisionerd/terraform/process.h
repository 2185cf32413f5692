/* One terraform process, with a supervisor between it and us.
 *
 * terraform must neither outlive a provisionerd that was killed, nor lose the state of what it is
 * making because somebody killed its parent. So a small process (a fork of ours that runs system
 * calls only) stands between: when we vanish it keeps terraform's pipes open and empty, asks
 * terraform to stop (SIGINT), waits the grace period and then kills terraform's process group. When
 * the supervisor itself is killed, the kernel kills terraform.
 *
 * What terraform started by itself and left behind on purpose (a detached local-exec) is not
 * touched after a terraform that ended by itself. A struct tf_process belongs to one thread, which
 * must live as long as the process. */
#pragma once

#include "base/err.h"
#include "base/time.h"
#include "sys/child.h"

struct tf_process;

struct tf_process_spec {
    const char *program;     /* absolute path */
    const char *const *argv; /* NULL at the end */
    const char *const *env;  /* NULL at the end */
    const char *cwd;
    cm_usec orphan_grace; /* between SIGINT and SIGKILL when we vanish */
};

CM_MUST_USE enum cm_code tf_process_start(const struct tf_process_spec *spec,
                                          struct tf_process **ret, struct cm_err *err);
/* Kills terraform and what it started, if it still runs. */
void tf_process_free(struct tf_process *p);
CM_DEFINE_CLEANUP(tf_process, tf_process_free)

/* Borrowed, non-blocking, for poll and read. */
int tf_process_stdout(const struct tf_process *p);
int tf_process_stderr(const struct tf_process *p);
/* Readable when terraform has ended: then call tf_process_reap. */
int tf_process_exit_fd(const struct tf_process *p);

/* SIGINT to terraform alone: it tells its providers itself. A second one makes it drop what it is
 * doing. */
void tf_process_interrupt(struct tf_process *p);
/* SIGKILL to terraform's whole process group. */
void tf_process_kill(struct tf_process *p);
/* To be called once tf_process_exit_fd is readable; blocks until then. */
void tf_process_reap(struct tf_process *p, struct cm_child_status *ret);
