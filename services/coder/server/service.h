/* One supervised program on a loop: started, watched, started again with backoff when it ends by
 * itself, and stopped with a signal and a deadline.
 *
 * States: stopped -> running -> (ended) waiting -> running ...; stopping -> stopped. Callbacks run
 * on the loop, never inside a call of ours. */
#pragma once

#include "loop/loop.h"
#include "sys/child.h"

struct service;

struct service_config {
    const char *name; /* for the log; borrowed */
    struct cm_loop *loop;
    void *ctx;
    /* Starts the program. The error is logged, and tried again like an end. */
    enum cm_code (*start)(void *ctx, struct service *s, struct cm_child **ret, struct cm_err *err);
    /* It said that it is ready, with this text (a pipe was given to service_await), or
     * service_ready was called. */
    void (*on_ready)(void *ctx, struct service *s, struct cm_str text);
    /* A line of a pipe given to service_read_lines; may be NULL. */
    void (*on_line)(void *ctx, struct service *s, struct cm_str line);
    /* Looks at a program that is not ready yet, every few milliseconds; may be NULL. */
    void (*poll)(void *ctx, struct service *s);
    /* It ended before it was ever ready. True: try again all the same. */
    bool (*on_failure)(void *ctx, struct service *s);
    /* It ended after service_stop. */
    void (*on_stopped)(void *ctx, struct service *s);
};

struct service *service_new(const struct service_config *cfg);
void service_free(struct service *s); /* kills what runs */

void service_start(struct service *s);
/* Signals it, and kills it after grace (0: never). Calling it again hurries: the new signal, the
 * new grace. on_stopped follows also when it does not run. */
void service_stop(struct service *s, int signo, cm_usec grace);
bool service_stopped(const struct service *s);
pid_t service_pid(const struct service *s); /* 0: does not run */

/* Within start: descriptors that the service owns from now on. The first line of ready_fd means
 * ready. */
void service_await(struct service *s, int ready_fd);
void service_read_lines(struct service *s, int fd);
/* From poll. */
void service_ready(struct service *s, struct cm_str text);
