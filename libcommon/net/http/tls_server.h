/* The server's side of TLS: a context from certificate and key files. */
#pragma once

#include "base/err.h"

struct ssl_ctx_st;

/* min_version: "tls12" or "tls13". The caller frees with SSL_CTX_free through cm_tls_server_free.
 */
enum cm_code cm_tls_server_new(const char *cert_file, const char *key_file, const char *min_version,
                               struct ssl_ctx_st **ret, struct cm_err *err);
void cm_tls_server_free(struct ssl_ctx_st *ctx);
