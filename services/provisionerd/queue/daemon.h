/* The daemon's work: takes one job after the other from coderd, runs it on a thread of its own,
 * hands the result in.
 *
 *   recovering -> acquiring -> running -> acquiring ...      any of them -> finished, after
 * daemon_stop
 *
 * Lives on the client's loop; the pool must have two threads at least: a job, and its reports. */
#pragma once

#include "loop/pool.h"
#include "net/rpc/client.h"
#include "runner/job.h"

struct daemon;

struct daemon_config {
    struct cm_loop *loop;
    struct cm_pool *pool;
    struct cm_rpc_client *client;
    const struct job_config *job; /* with its work_root */
    const char *name;
    const struct cm_rpc_tag *tags;
    size_t n_tags;
    cm_usec heartbeat;              /* 0: the default */
    void (*on_finished)(void *ctx); /* on the loop, once, after daemon_stop */
    void *ctx;
};

enum cm_code daemon_new(const struct daemon_config *cfg, struct daemon **ret, struct cm_err *err);
/* After the client and the pool have been freed. */
void daemon_free(struct daemon *d);
CM_DEFINE_CLEANUP(daemon, daemon_free)

enum daemon_stop {
    DAEMON_DRAIN,  /* take no more jobs; what runs may end */
    DAEMON_CANCEL, /* also stop the running job, gently; it fails with a word about the shutdown */
    DAEMON_QUIT,   /* kill terraform, hand in what can be handed in at once; the next start does the
                      rest */
};
void daemon_stop(struct daemon *d, enum daemon_stop how);
