/* How terraform starts a plugin: variables in the environment, a socket, and one line on stdout
 * that names it. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "schema/call.h"

struct handshake;

/* Whether the environment says that a plugin host started us. */
bool handshake_is_expected(const struct call *c);
/* Makes the listening socket in the folder that the environment names. */
CM_MUST_USE enum cm_code handshake_listen(const struct call *c, struct handshake **ret,
                                          struct cm_err *err);
/* Closes the socket and removes its file. */
void handshake_free(struct handshake *h);
CM_DEFINE_CLEANUP(handshake, handshake_free)
/* The line for stdout; cert_der is empty without TLS. */
void handshake_line(const struct handshake *h, struct cm_str cert_der, struct cm_buf *out);
int handshake_fd(const struct handshake *h);
