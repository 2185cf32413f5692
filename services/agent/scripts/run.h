/* One run of a script: a process with a deadline, its output in pieces, and how it ended. On a
 * loop. */
#pragma once

#include "base/err.h"
#include "base/time.h"
#include "env/environ.h"
#include "loop/loop.h"

enum run_status {
    RUN_OK,
    RUN_EXIT_FAILURE,
    RUN_TIMED_OUT,
    RUN_PIPES_LEFT_OPEN, /* it ended, and something that it started in the background kept its
                            output open */
    RUN_NOT_STARTED,
};
const char *run_status_name(enum run_status st); /* as coderd knows it */

struct run_result {
    enum run_status status;
    int exit_code; /* 255 when unknown */
    struct cm_time started_at, ended_at;
};

struct run_spec {
    const Coder__Agent__V1__CommandEnvironment *environment;
    const char *const *base_env;
    const struct environ_pair *extra; /* set last */
    size_t extra_count;
    const struct cm_user *user;
    struct cm_str script;
    cm_usec timeout;    /* 0: none */
    cm_usec kill_after; /* grace between the interrupt and the kill */
    cm_usec pipe_grace; /* how long output may stay open after the end */
    /* Pieces of output as they come. */
    void (*output)(void *ctx, struct cm_str piece, bool is_stderr);
    /* Once, on the loop, never inside run_start: the run is over and freed after it. */
    void (*done)(void *ctx, const struct run_result *result, const struct cm_err *err);
    void *ctx;
};

struct run;
/* What spec points to is only used during the call. Never fails at once: see done. */
struct run *run_start(struct cm_loop *loop, const struct run_spec *spec);
/* Interrupts it, and kills it if it lingers; done tells the end. */
void run_interrupt(struct run *r);
/* Kills it now; done does not run. */
void run_abort(struct run *r);
