/* TLS for clients: one context with the machine's CAs and ours, and verdicts that people can act
 * upon. */
#pragma once

#include "base/err.h"

struct ssl_ctx_st;
struct ssl_st;

struct cm_tls_config {
    const char *system_ca_file;       /* instead of the machine's own bundle, or NULL */
    const char *extra_ca_file;        /* PEM, trusted besides, or NULL */
    const char *cert_file, *key_file; /* client certificate, PEM, or NULL */
};

/* Reads the files. Takes some 10 ms for a usual bundle, so make it once, when first needed. */
CM_MUST_USE enum cm_code cm_tls_client_new(const struct cm_tls_config *cfg, struct ssl_ctx_st **ret,
                                           struct cm_err *err);

/* A client's end that insists on host's name (or address) in the certificate. alpn: one protocol,
 * or NULL. */
CM_MUST_USE enum cm_code cm_tls_session_new(struct ssl_ctx_st *ctx, const char *host,
                                            const char *alpn, struct ssl_st **ret,
                                            struct cm_err *err);

/* Why a handshake with host failed: name, dates and clock, unknown authority, protocol. Empties
 * OpenSSL's queue. */
enum cm_code cm_tls_explain(struct ssl_st *ssl, const char *host, int sys_errno,
                            struct cm_err *err);
