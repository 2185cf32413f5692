/* Runs one terraform command to its end: output by line or into a buffer, stop requests, a regular
 * tick. Blocks; for a job's own thread. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/time.h"
#include "sys/child.h"
#include "terraform/cancel.h"

#define TF_LINE_MAX ((size_t)1 << 20) /* longer lines are cut */
#define TF_RUN_TICK (200 * CM_MSEC)

struct tf_run {
    const char *program;
    const char *const *argv;
    const char *const *env;
    const char *cwd;
    struct tf_cancel *cancel; /* may be NULL */
    cm_usec grace;            /* from the gentle stop to the kill */

    struct cm_buf *out; /* when set, stdout is collected here and line is called for stderr only */
    void (*line)(void *ctx, bool is_stderr, struct cm_str line);
    void (*tick)(void *ctx); /* about every TF_RUN_TICK; may be NULL */
    void *ctx;
};

/* CM_OK when terraform could be started; what it says is in *ret. *ret_stopped (may be NULL) tells
 * whether a stop was asked for while it ran. CM_TOO_LARGE when out is full. */
CM_MUST_USE enum cm_code tf_run(const struct tf_run *r, struct cm_child_status *ret,
                                bool *ret_stopped, struct cm_err *err);
