/* The TLS that terraform and its plugins speak: each side makes a certificate for this one process,
 * tells the other by a channel that is already trusted, and accepts no other. */
#pragma once

#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/err.h"

struct tls;

/* Makes a key and a certificate for this process; cert_der gets the latter. */
CM_MUST_USE enum cm_code tls_new(struct tls **ret, struct cm_buf *cert_der, struct cm_err *err);
/* Sets up the server's side, which accepts only the certificate in client_pem. Apart from tls_new,
 * so that the caller can publish cert_der first: the peer then works while this does. */
CM_MUST_USE enum cm_code tls_trust(struct tls *t, struct cm_str client_pem, struct cm_err *err);
void tls_free(struct tls *t);
CM_DEFINE_CLEANUP(tls, tls_free)

/* A server's end on fd, after tls_trust; owned by the caller (SSL_free). */
CM_MUST_USE enum cm_code tls_accept(struct tls *t, int fd, SSL **ret, struct cm_err *err);
