/* For tests that turn a loop by hand and wait for what it brings about. */
#pragma once

#include "loop/loop.h"

#define UNTIL_DEADLINE (30 * CM_SECOND)

#define TURN_UNTIL(loop_, cond)                                                                    \
    do {                                                                                           \
        cm_usec end_ = cm_monotonic_now() + UNTIL_DEADLINE;                                        \
        while (!(cond)) {                                                                          \
            if (cm_monotonic_now() > end_)                                                         \
                fail_msg("still not: %s", #cond);                                                  \
            cm_loop_turn(loop_, 5 * CM_MSEC);                                                      \
        }                                                                                          \
    } while (0)
