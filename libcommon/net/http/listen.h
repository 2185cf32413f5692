/* Listening sockets by the addresses that people write. */
#pragma once

#include "base/err.h"

#define CM_HTTP_BACKLOG 1024 /* connections that the kernel takes before we do */

/* address: "127.0.0.1:3000", "[::1]:3000", ":3000"; port 0 takes a free one. *ret_fd is the
 * caller's, non-blocking. CM_CONFLICT when the port is taken. May resolve a name, which blocks. */
CM_MUST_USE enum cm_code cm_http_listen(const char *address, int *ret_fd, struct cm_err *err);
