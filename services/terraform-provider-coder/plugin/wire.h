/* One accepted connection, with TLS or without. Never blocks but in wire_wait. Single-threaded. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "base/time.h"
#include "plugin/tls.h"

struct wire;

/* Takes fd. tls may be NULL: plain. Does the TLS handshake until the deadline (monotonic clock). */
CM_MUST_USE enum cm_code wire_new(int take_fd, struct tls *tls, cm_usec deadline, struct wire **ret,
                                  struct cm_err *err);
void wire_free(struct wire *w);
CM_DEFINE_CLEANUP(wire, wire_free)

/* *ret_n is what was moved, 0 when nothing can move now: then wire_wait. CM_END: the peer closed.
 */
CM_MUST_USE enum cm_code wire_read(struct wire *w, char *out, size_t room, size_t *ret_n,
                                   struct cm_err *err);
CM_MUST_USE enum cm_code wire_write(struct wire *w, struct cm_str bytes, size_t *ret_n,
                                    struct cm_err *err);
/* Until the connection can be read, or written when to_write. Without limit when deadline is 0,
 * else CM_TIMEOUT. */
CM_MUST_USE enum cm_code wire_wait(struct wire *w, bool to_write, cm_usec deadline,
                                   struct cm_err *err);
/* Tells a TLS peer that the end is meant. */
void wire_close_notify(struct wire *w);
