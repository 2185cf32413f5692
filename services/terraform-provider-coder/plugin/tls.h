/* The TLS that terraform and its plugins speak: each side makes a certificate for this one process,
 * tells the other by a channel that is already trusted, and accepts no other. */
#pragma once

#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/err.h"

struct tls;

/* client_pem: the only certificate to accept. cert_der gets our own. */
CM_MUST_USE enum cm_code tls_new(struct cm_str client_pem, struct tls **ret,
                                 struct cm_buf *cert_der, struct cm_err *err);
void tls_free(struct tls *t);
CM_DEFINE_CLEANUP(tls, tls_free)

/* A server's end on fd; owned by the caller (SSL_free). */
CM_MUST_USE enum cm_code tls_accept(struct tls *t, int fd, SSL **ret, struct cm_err *err);
