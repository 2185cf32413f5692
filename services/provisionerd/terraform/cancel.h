/* How a running job is told to stop, from any thread. Level 1 asks terraform to stop gently (what
 * it is doing now is finished and recorded), level 2 kills it. Levels only rise. */
#pragma once

#include <stdatomic.h>

#include "base/err.h"

enum tf_stop { TF_STOP_NONE, TF_STOP_GENTLY, TF_STOP_NOW };

struct tf_cancel {
    _Atomic int level; /* enum tf_stop */
    int event_fd;      /* readable from the first request on */
};

CM_MUST_USE enum cm_code tf_cancel_init(struct tf_cancel *c, struct cm_err *err);
void tf_cancel_done(struct tf_cancel *c);
void tf_cancel_request(struct tf_cancel *c, enum tf_stop level); /* any thread */
enum tf_stop tf_cancel_level(struct tf_cancel *c);
/* For the thread that runs the job: makes event_fd unreadable until the next request. */
void tf_cancel_seen(struct tf_cancel *c);
