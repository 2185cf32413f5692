/* Process 1's duty: waiting for orphans. */
#pragma once

/* When we are process 1: goes on in a child and stays behind to reap, to pass signals on, and to
 * exit as it did. Returns in the child, or at once when there is nothing to do, false; in the
 * parent true, with the exit status. */
#include <stdbool.h>

bool reaper_run(int *ret_status);
