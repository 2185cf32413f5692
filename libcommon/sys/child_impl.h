/* Inside sys/ only: what happens in the new process. */
#pragma once

#include "sys/child.h"

/* What the new process needs, all made ready before fork: nothing may be allocated after it. */
struct cm_child_plan {
    const struct cm_child_spec *spec;
    char **candidates; /* paths to try, in order, NULL at the end */
    char *const *env;
    int std[3]; /* -1: /dev/null */
    int report; /* written: struct cm_child_report, when something fails; close-on-exec */
    pid_t parent;
};

enum cm_child_step {
    CM_CHILD_STEP_FDS = 1,
    CM_CHILD_STEP_SESSION,
    CM_CHILD_STEP_TTY,
    CM_CHILD_STEP_USER,
    CM_CHILD_STEP_CWD,
    CM_CHILD_STEP_EXEC,
};

struct cm_child_report {
    int step, sys_errno;
};

/* Runs in the child: becomes the program or reports and exits. Async-signal-safe throughout. */
CM_NORETURN void cm_child_become(const struct cm_child_plan *plan);
