#include "net/http/tls_server.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

/* The first error is what happened; those after it only say where. */
static enum cm_code ssl_failure(struct cm_err *err, const char *what, const char *file)
{
    unsigned long e = ERR_peek_error();
    const char *why = e ? ERR_reason_error_string(e) : NULL;

    if (ERR_GET_LIB(e) == ERR_LIB_SYS)
        why = strerror(ERR_GET_REASON(e));
    else if (ERR_GET_LIB(e) == ERR_LIB_OSSL_DECODER ||
             (ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE))
        why = "it has none in PEM form (\"-----BEGIN ...\")";
    else if (ERR_GET_LIB(e) == ERR_LIB_X509 && ERR_GET_REASON(e) == X509_R_KEY_VALUES_MISMATCH)
        why = "the key is not the certificate's";
    cm_err_set(err, CM_INVALID, "%s \"%s\": %s", what, file, why ? why : "cannot be read");
    ERR_clear_error();
    return CM_INVALID;
}

enum cm_code cm_tls_server_new(const char *cert_file, const char *key_file, const char *min_version,
                               struct ssl_ctx_st **ret, struct cm_err *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    cm_assert(ctx);
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_min_proto_version(ctx, strcmp(min_version, "tls13") == 0 ? TLS1_3_VERSION
                                                                         : TLS1_2_VERSION);
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1) {
        SSL_CTX_free(ctx);
        return ssl_failure(err, "TLS certificate file", cert_file);
    }
    if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(ctx) != 1) {
        SSL_CTX_free(ctx);
        return ssl_failure(err, "TLS key file", key_file);
    }
    *ret = ctx;
    return CM_OK;
}

void cm_tls_server_free(struct ssl_ctx_st *ctx)
{
    SSL_CTX_free(ctx);
}
