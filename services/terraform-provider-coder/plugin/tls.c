#include "plugin/tls.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/random.h"

#define BACKDATE_SECONDS (-300L) /* clocks are coarse, and containers disagree a little */
#define LIFETIME_SECONDS (365L * 24 * 3600)
#define SERIAL_BYTES     16

struct tls {
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

/* P-256 rather than the P-521 of other plugins: a start costs a fraction, and terraform takes
 * either. */
static bool fill_certificate(X509 *cert, EVP_PKEY *key)
{
    X509_NAME *name = X509_get_subject_name(cert);
    return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
           X509_gmtime_adj(X509_getm_notBefore(cert), BACKDATE_SECONDS) &&
           X509_gmtime_adj(X509_getm_notAfter(cert), LIFETIME_SECONDS) &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost",
                                      -1, -1, 0) == 1 &&
           X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, key) == 1 &&
           add_extension(cert, NID_subject_alt_name, "DNS:localhost") &&
           add_extension(cert, NID_key_usage, "critical,digitalSignature") &&
           add_extension(cert, NID_ext_key_usage, "serverAuth") &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

static bool put_der(X509 *cert, struct cm_buf *out)
{
    unsigned char *der = NULL;
    int n = i2d_X509(cert, &der);
    if (n > 0)
        cm_buf_append(out, der, (size_t)n);
    OPENSSL_free(der);
    return n > 0 && !out->failed;
}

static bool use_own_certificate(SSL_CTX *ctx, struct cm_buf *cert_der)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    bool ok = key && cert && fill_certificate(cert, key) && put_der(cert, cert_der) &&
              SSL_CTX_use_certificate(ctx, cert) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1;
    X509_free(cert);
    EVP_PKEY_free(key);
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

enum cm_code tls_new(struct cm_str client_pem, struct tls **ret, struct cm_buf *cert_der,
                     struct cm_err *err)
{
    CM_AUTO(tls) t = cm_xcalloc(1, sizeof(*t));
    /* The system's openssl.cnf has no say in a connection between two processes, and reading it
     * takes time. */
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
        return fail(err, "start OpenSSL");
    t->ctx = SSL_CTX_new(TLS_server_method());
    if (!t->ctx || SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) != 1)
        return fail(err, "set up TLS");
    if (!trust_only(t->ctx, client_pem))
        return fail(err, "read the certificate in PLUGIN_CLIENT_CERT");
    if (!use_own_certificate(t->ctx, cert_der))
        return fail(err, "make a certificate");
    SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_alpn_select_cb(t->ctx, select_h2, NULL);
    SSL_CTX_set_num_tickets(t->ctx, 0); /* there is one connection only */
    SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    *ret = CM_TAKE(t);
    return CM_OK;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->ctx);
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
