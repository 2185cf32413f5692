/* An orderly stop: the ports are given up first, requests in work get their answers, streams end in
 * good order, agents are asked to bring their tunnels elsewhere; sessions through the relay go on
 * for as long as that takes, and resume on another path. */
#pragma once

#include "loop/loop.h"

struct coderd;

struct drain {
    struct coderd *app; /* NULL: not begun */
    struct cm_timer look;
    cm_usec began, rpc_seen; /* monotonic */
};

/* On the first loop, which is stopped once nothing is left. What takes longer than the options
 * allow is cut off, with the process. */
void drain_start(struct drain *d, struct coderd *app);
void drain_done(struct drain *d); /* of one that was not begun, too */
/* Ends the process at once. */
_Noreturn void drain_leave(void);
