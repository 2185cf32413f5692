/* The server's side of one provisioner job over the real RPC, without a database: hands out one job
 * at a time, keeps what the daemon reports, and can be told to be unkind. */
#pragma once

#include <pthread.h>

#include "base/arena.h"
#include "base/buf.h"
#include "net/rpc/server.h"
#include "terraform/proto.h"

struct coderd_double {
    char url[128], path[108];
    struct cm_loop *loop;
    struct cm_pool *pool;
    struct cm_rpc_server *server;

    pthread_mutex_t lock; /* guards what follows */
    bool offer;           /* the job is to be had */
    PB(JobKind) kind;
    PB(Transition) transition;
    cm_usec lease_us;
    uint64_t token;
    char source_id; /* another one is another template */
    struct cm_buf source, state, storing;
    bool cancel, fence, slow_state; /* unkindness */

    unsigned hellos, acquires, updates, states, completes;
    size_t log_lines;
    bool log_gap;
    struct cm_buf log; /* "stage|level|output" lines */
    unsigned variables;
    bool state_before_complete;
    PB(CompleteRequest__Outcome) outcome;
    char error[600];
    unsigned resources, agents;
};

void double_init(struct coderd_double *d, const char *dir);
void double_start(struct coderd_double *d);
void double_stop(struct coderd_double *d); /* the server is gone; what it knows is kept */
void double_done(struct coderd_double *d);
/* Gives the daemon a job: a build unless kind was set. Resets what was reported. */
void double_offer(struct coderd_double *d, PB(Transition) transition);
/* Waits until the condition holds under the lock; fails the test when it does not in time. */
#define DOUBLE_WAIT(d, condition)                                                                  \
    do {                                                                                           \
        bool ok_ = false;                                                                          \
        cm_usec until_ = cm_monotonic_now() + 60 * CM_SECOND;                                      \
        while (!ok_ && cm_monotonic_now() < until_) {                                              \
            pthread_mutex_lock(&(d)->lock);                                                        \
            ok_ = (condition);                                                                     \
            pthread_mutex_unlock(&(d)->lock);                                                      \
            if (!ok_)                                                                              \
                poll(NULL, 0, 5);                                                                  \
        }                                                                                          \
        if (!ok_)                                                                                  \
            fail_msg("not in time: %s (log: %s)", #condition, (d)->log.ptr ? (d)->log.ptr : "");   \
    } while (0)
