#include "plugin/tls.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/random.h"

#define BACKDATE_SECONDS (-300L) /* clocks are coarse, and containers disagree a little */
#define LIFETIME_SECONDS (365L * 24 * 3600)
#define SERIAL_BYTES     16

#define POINT_BYTES 65 /* an uncompressed point of P-256 */

struct tls {
    EVP_PKEY *key;
    X509 *cert;
    SSL_CTX *ctx;
};

static enum cm_code fail(struct cm_err *err, const char *what)
{
    char text[256];
    ERR_error_string_n(ERR_get_error(), text, sizeof(text));
    ERR_clear_error();
    return cm_err_set(err, CM_INTERNAL, "%s: %s", what, text);
}

static bool add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    bool ok = ext && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

static bool set_serial(X509 *cert)
{
    unsigned char bytes[SERIAL_BYTES];
    cm_random_bytes(bytes, sizeof(bytes));
    bytes[0] &= 0x7f; /* a serial number is positive */
    BIGNUM *n = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
    BN_free(n);
    return ok;
}

/* X509_set_pubkey would load OpenSSL's encoders for this one key, which takes longer than all the
 * rest. */
static bool set_public_key(X509 *cert, EVP_PKEY *key)
{
    unsigned char point[POINT_BYTES];
    size_t n = 0;
    if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, point,
                                        sizeof(point), &n) != 1)
        return false;
    unsigned char *owned = OPENSSL_memdup(point, n);
    if (owned && X509_PUBKEY_set0_param(X509_get_X509_PUBKEY(cert),
                                        OBJ_nid2obj(NID_X9_62_id_ecPublicKey), V_ASN1_OBJECT,
                                        OBJ_nid2obj(NID_X9_62_prime256v1), owned, (int)n) == 1)
        return true;
    OPENSSL_free(owned);
    return false;
}

static bool fill_certificate(X509 *cert, EVP_PKEY *key)
{
    X509_NAME *name = X509_get_subject_name(cert);
    return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
           X509_gmtime_adj(X509_getm_notBefore(cert), BACKDATE_SECONDS) &&
           X509_gmtime_adj(X509_getm_notAfter(cert), LIFETIME_SECONDS) &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost",
                                      -1, -1, 0) == 1 &&
           X509_set_issuer_name(cert, name) == 1 && set_public_key(cert, key) &&
           add_extension(cert, NID_subject_alt_name, "DNS:localhost") &&
           add_extension(cert, NID_key_usage, "critical,digitalSignature") &&
           add_extension(cert, NID_ext_key_usage, "serverAuth") &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

static bool put_der(const X509 *cert, struct cm_buf *out)
{
    unsigned char *der = NULL;
    int n = i2d_X509(cert, &der);
    if (n > 0)
        cm_buf_append(out, der, (size_t)n);
    OPENSSL_free(der);
    return n > 0 && !out->failed;
}

/* Only a certificate that was read has a public key that TLS can use: set_public_key has left bytes
 * in this one. */
static bool use_certificate(SSL_CTX *ctx, const X509 *made)
{
    unsigned char *der = NULL;
    int n = i2d_X509(made, &der);
    bool ok = n > 0 && SSL_CTX_use_certificate_ASN1(ctx, n, der) == 1;
    OPENSSL_free(der);
    return ok;
}

static bool trust_only(SSL_CTX *ctx, struct cm_str pem)
{
    if (pem.len > INT_MAX)
        return false;
    BIO *in = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *client = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
    bool ok = client && X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), client) == 1;
    X509_free(client);
    BIO_free(in);
    return ok;
}

static int select_h2(SSL *ssl CM_UNUSED, const unsigned char **out, unsigned char *out_len,
                     const unsigned char *in, unsigned int in_len, void *arg CM_UNUSED)
{
    static const unsigned char h2[] = {2, 'h', '2'};
    union {
        unsigned char *writable;
        const unsigned char *readable;
    } chosen = {NULL};
    if (SSL_select_next_proto(&chosen.writable, out_len, h2, sizeof(h2), in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen.readable;
    return SSL_TLSEXT_ERR_OK;
}

/* P-256 rather than the P-521 of other plugins: a start costs a fraction, and terraform takes
 * either. */
enum cm_code tls_new(struct tls **ret, struct cm_buf *cert_der, struct cm_err *err)
{
    CM_AUTO(tls) t = cm_xcalloc(1, sizeof(*t));
    /* The system's openssl.cnf has no say in a connection between two processes, and reading it
     * takes time. */
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
        return fail(err, "start OpenSSL");
    t->key = EVP_EC_gen("P-256");
    t->cert = X509_new();
    if (!t->key || !t->cert || !fill_certificate(t->cert, t->key) || !put_der(t->cert, cert_der))
        return fail(err, "make a certificate");
    *ret = CM_TAKE(t);
    return CM_OK;
}

enum cm_code tls_trust(struct tls *t, struct cm_str client_pem, struct cm_err *err)
{
    t->ctx = SSL_CTX_new(TLS_server_method());
    if (!t->ctx || SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) != 1 ||
        !use_certificate(t->ctx, t->cert) || SSL_CTX_use_PrivateKey(t->ctx, t->key) != 1)
        return fail(err, "set up TLS");
    if (!trust_only(t->ctx, client_pem))
        return fail(err, "read the certificate in PLUGIN_CLIENT_CERT");
    SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_alpn_select_cb(t->ctx, select_h2, NULL);
    SSL_CTX_set_num_tickets(t->ctx, 0); /* there is one connection only */
    SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return CM_OK;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->ctx);
    X509_free(t->cert);
    EVP_PKEY_free(t->key);
    cm_free(t);
}

enum cm_code tls_accept(struct tls *t, int fd, SSL **ret, struct cm_err *err)
{
    SSL *ssl = SSL_new(t->ctx);
    if (!ssl || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        return fail(err, "set up TLS");
    }
    SSL_set_accept_state(ssl);
    *ret = ssl;
    return CM_OK;
}
