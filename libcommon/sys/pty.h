/* Pseudo terminals. */
#pragma once

#include "base/err.h"

#define CM_PTY_NAME_MAX 64

/* Both ends close-on-exec. name: the slave's path, e.g. "/dev/pts/3". */
CM_MUST_USE enum cm_code cm_pty_open(int *ret_master, int *ret_slave, char name[CM_PTY_NAME_MAX],
                                     struct cm_err *err);
void cm_pty_resize(int master, unsigned rows, unsigned cols, unsigned xpixel, unsigned ypixel);
