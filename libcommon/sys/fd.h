/* Small helpers on file descriptors. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/time.h"

void cm_fd_nonblock(int fd, bool on);
void cm_fd_cloexec(int fd, bool on);
/* Writes all of it, waiting where needed; for blocking and non-blocking descriptors alike. */
CM_MUST_USE enum cm_code cm_fd_write_all(int fd, const void *data, size_t len, struct cm_err *err);
/* Reads until the end or until out is full, which is CM_TOO_LARGE. */
CM_MUST_USE enum cm_code cm_fd_read_all(int fd, struct cm_buf *out, struct cm_err *err);
/* Waits until fd is ready for events (POLLIN, POLLOUT); timeout < 0: without end. False at the
 * deadline. */
CM_MUST_USE bool cm_fd_wait(int fd, short events, cm_usec timeout);
/* Both ends close-on-exec. */
CM_MUST_USE enum cm_code cm_fd_pipe(int ret[2], struct cm_err *err);
/* An anonymous file that holds data, positioned at its start, close-on-exec. */
CM_MUST_USE enum cm_code cm_fd_from_memory(const char *name, struct cm_str data, int *ret,
                                           struct cm_err *err);
/* Closes every descriptor from first on, except those in keep (sorted ascending).
 * Async-signal-safe. */
void cm_fd_close_from(int first, const int *keep, size_t keep_count);
