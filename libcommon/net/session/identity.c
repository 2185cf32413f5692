#include "net/session/identity.h"

#include <openssl/ec.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/random.h"
#include "base/secret.h"

struct cm_session_identity {
    SSL_CTX *ctx;
    uint8_t sha256[CM_SHA256_LEN];
};

/* The peer's one-time certificate has no issuer, name or dates worth looking at: it is the expected
 * one or not. The handshake itself proves that the peer has its key. */
static int on_verify(X509_STORE_CTX *store, void *arg)
{
    (void)arg;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509 *cert = X509_STORE_CTX_get0_cert(store);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    const uint8_t *expected = SSL_get_app_data(ssl);
    if (cert && expected && X509_digest(cert, EVP_sha256(), digest, &n) == 1 &&
        n == CM_SHA256_LEN && cm_secret_eq(digest, expected, CM_SHA256_LEN))
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
    return 0;
}

static X509 *self_signed(EVP_PKEY *key)
{
    X509 *x = X509_new();
    int64_t serial = (int64_t)cm_random_below(INT64_MAX);
    X509_NAME *name = x ? X509_get_subject_name(x) : NULL;
    if (!name || !X509_set_version(x, X509_VERSION_3) ||
        !ASN1_INTEGER_set_int64(X509_get_serialNumber(x), serial) ||
        !X509_gmtime_adj(X509_getm_notBefore(x), -86400) ||
        !X509_gmtime_adj(X509_getm_notAfter(x), 10L * 365 * 86400) ||
        !X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"session", -1, -1,
                                    0) ||
        !X509_set_issuer_name(x, name) || !X509_set_pubkey(x, key) ||
        !X509_sign(x, key, EVP_sha256())) {
        X509_free(x);
        return NULL;
    }
    return x;
}

static SSL_CTX *context(EVP_PKEY *key, X509 *cert)
{
    char groups[] = "X25519:P-256"; /* OpenSSL's macro casts const away */
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256") != 1 ||
        SSL_CTX_set1_groups_list(ctx, groups) != 1 || SSL_CTX_use_certificate(ctx, cert) != 1 ||
        SSL_CTX_use_PrivateKey(ctx, key) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, on_verify, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    return ctx;
}

enum cm_code cm_session_identity_new(struct cm_session_identity **ret, struct cm_err *err)
{
    CM_AUTO(cm_session_identity) id = cm_xcalloc(1, sizeof(*id));
    unsigned n = 0;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = key ? self_signed(key) : NULL;
    if (cert && X509_digest(cert, EVP_sha256(), id->sha256, &n) == 1)
        id->ctx = context(key, cert);
    X509_free(cert);
    EVP_PKEY_free(key);
    if (!id->ctx)
        return cm_err_set(err, CM_INTERNAL, "make a key and certificate for sessions");
    *ret = CM_TAKE(id);
    return CM_OK;
}

void cm_session_identity_free(struct cm_session_identity *id)
{
    if (!id)
        return;
    SSL_CTX_free(id->ctx);
    cm_free(id);
}

const uint8_t *cm_session_identity_sha256(const struct cm_session_identity *id)
{
    return id->sha256;
}

enum cm_code cm_session_identity_ssl(const struct cm_session_identity *id,
                                     const uint8_t peer_sha256[CM_SHA256_LEN], struct ssl_st **ret,
                                     struct cm_err *err)
{
    SSL *ssl = SSL_new(id->ctx);
    if (!ssl || SSL_set_app_data(ssl, (void *)(uintptr_t)peer_sha256) != 1) {
        SSL_free(ssl);
        return cm_err_set(err, CM_INTERNAL, "prepare TLS for a session");
    }
    *ret = ssl;
    return CM_OK;
}
