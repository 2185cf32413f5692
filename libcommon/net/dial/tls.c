#include "net/dial/tls.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "base/str.h"

/* Where distributions keep the bundle: a static program cannot rely on the path that its OpenSSL
 * was built with. */
static const char *const bundle_files[] = {
    "/etc/ssl/certs/ca-certificates.crt",                /* Debian, Ubuntu, Alpine, Arch */
    "/etc/pki/tls/certs/ca-bundle.crt",                  /* Fedora, RHEL 6 */
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* RHEL 7 and later */
    "/etc/ssl/ca-bundle.pem",                            /* openSUSE */
    "/etc/pki/tls/cacert.pem",                           /* OpenELEC */
    "/etc/ssl/cert.pem",                                 /* Alpine, BSDs */
    "/var/lib/ca-certificates/ca-bundle.pem",            /* SLES */
};

static void load_system_cas(SSL_CTX *ctx)
{
    for (size_t i = 0; i < CM_COUNT_OF(bundle_files); i++)
        if (access(bundle_files[i], R_OK) == 0 &&
            SSL_CTX_load_verify_file(ctx, bundle_files[i]) == 1)
            return;
    /* Without any bundle the handshake will say that the authority is unknown. */
    cm_ignore(SSL_CTX_set_default_verify_paths(ctx) != 1, "nothing else is left to try");
}

static const char *reason(void)
{
    unsigned long e = ERR_peek_last_error();
    const char *s = e ? ERR_reason_error_string(e) : NULL;
    return s ? s : "unknown error";
}

/* OpenSSL keeps no certificate of a peer that it refused, so the one that failed is tied to the SSL
 * here. */
static int refused_index = -1;
static pthread_once_t refused_once = PTHREAD_ONCE_INIT;

static void free_refused(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl,
                         void *argp)
{
    (void)parent;
    (void)ad;
    (void)idx;
    (void)argl;
    (void)argp;
    X509_free(ptr);
}

static void make_refused_index(void)
{
    refused_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_refused);
    cm_assert(refused_index >= 0);
}

static int on_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509 *cert = X509_STORE_CTX_get_current_cert(store);
    if (!ok && ssl && cert && !SSL_get_ex_data(ssl, refused_index)) {
        X509_up_ref(cert);
        SSL_set_ex_data(ssl, refused_index, cert);
    }
    return ok;
}

enum cm_code cm_tls_client_new(const struct cm_tls_config *cfg, struct ssl_ctx_st **ret,
                               struct cm_err *err)
{
    pthread_once(&refused_once, make_refused_index);
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    cm_assert(ctx);
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_verify);
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);

    if (cfg->system_ca_file && *cfg->system_ca_file) {
        if (SSL_CTX_load_verify_file(ctx, cfg->system_ca_file) != 1) {
            cm_err_set(err, CM_INVALID, "read CA certificates from %s: %s", cfg->system_ca_file,
                       reason());
            goto fail;
        }
    } else {
        load_system_cas(ctx);
    }
    ERR_clear_error();
    if (cfg->extra_ca_file && *cfg->extra_ca_file &&
        SSL_CTX_load_verify_file(ctx, cfg->extra_ca_file) != 1) {
        cm_err_set(err, CM_INVALID, "read CA certificates from %s: %s", cfg->extra_ca_file,
                   reason());
        goto fail;
    }
    if (cfg->cert_file && *cfg->cert_file) {
        const char *key = cfg->key_file && *cfg->key_file ? cfg->key_file : cfg->cert_file;
        if (SSL_CTX_use_certificate_chain_file(ctx, cfg->cert_file) != 1) {
            cm_err_set(err, CM_INVALID, "read the client certificate from %s: %s", cfg->cert_file,
                       reason());
            goto fail;
        }
        if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
            SSL_CTX_check_private_key(ctx) != 1) {
            cm_err_set(err, CM_INVALID, "read the client certificate's key from %s: %s", key,
                       reason());
            goto fail;
        }
    }
    *ret = ctx;
    return CM_OK;

fail:
    ERR_clear_error();
    SSL_CTX_free(ctx);
    return CM_INVALID;
}

static bool is_address(const char *host)
{
    unsigned char raw[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, raw) == 1 || inet_pton(AF_INET6, host, raw) == 1;
}

enum cm_code cm_tls_session_new(struct ssl_ctx_st *ctx, const char *host, const char *alpn,
                                struct ssl_st **ret, struct cm_err *err)
{
    ERR_clear_error();
    SSL *ssl = SSL_new(ctx);
    cm_assert(ssl);
    SSL_set_connect_state(ssl);
    int ok;
    if (is_address(host)) {
        ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
    } else {
        SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        ok = SSL_set1_host(ssl, host) &&
             SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                      (void *)(uintptr_t)host) == 1 /* the macro's own cast drops const */;
    }
    size_t len = alpn ? strlen(alpn) : 0;
    if (ok && len) {
        unsigned char wire[256];
        cm_assert(len < sizeof(wire));
        wire[0] = (unsigned char)len;
        memcpy(wire + 1, alpn, len);
        ok = SSL_set_alpn_protos(ssl, wire, (unsigned)len + 1) == 0;
    }
    if (!ok) {
        SSL_free(ssl);
        ERR_clear_error();
        return cm_err_set(err, CM_INVALID, "TLS: %s cannot be a server's name", host);
    }
    *ret = ssl;
    return CM_OK;
}

static void append_time(struct cm_buf *out, const ASN1_TIME *t)
{
    struct tm tm;
    if (t && ASN1_TIME_to_tm(t, &tm) == 1)
        cm_buf_printf(out, "%04d-%02d-%02d %02d:%02d UTC", tm.tm_year + 1900, tm.tm_mon + 1,
                      tm.tm_mday, tm.tm_hour, tm.tm_min);
}

static void append_names(struct cm_buf *out, X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int shown = 0, n = sk_GENERAL_NAME_num(names);
    for (int i = 0; i < n && shown < 4; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS) {
            cm_buf_cstr(out, shown++ ? ", " : "");
            cm_buf_append(out, ASN1_STRING_get0_data(name->d.dNSName),
                          (size_t)ASN1_STRING_length(name->d.dNSName));
        } else if (name->type == GEN_IPADD && ASN1_STRING_length(name->d.iPAddress) == 4) {
            const unsigned char *b = ASN1_STRING_get0_data(name->d.iPAddress);
            cm_buf_printf(out, "%s%u.%u.%u.%u", shown++ ? ", " : "", b[0], b[1], b[2], b[3]);
        }
    }
    if (!shown)
        cm_buf_cstr(out, "no name at all");
    else if (shown < n)
        cm_buf_cstr(out, ", ...");
    GENERAL_NAMES_free(names);
}

static enum cm_code explain_verdict(long verdict, X509 *cert, const char *host, struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(1024);
    CM_AUTOBUF struct cm_buf now = CM_BUF_INIT(64);
    char issuer[160] = "";

    ASN1_TIME *t = ASN1_TIME_set(NULL, time(NULL));
    append_time(&now, t);
    ASN1_TIME_free(t);
    if (cert)
        X509_NAME_oneline(X509_get_issuer_name(cert), issuer, sizeof(issuer));
    switch (verdict) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        if (cert)
            append_names(&text, cert);
        return cm_err_set(err, CM_PROTOCOL, "TLS: the certificate is not for %s but for %s", host,
                          text.ptr ? text.ptr : "somebody else");
    case X509_V_ERR_CERT_HAS_EXPIRED:
        if (cert)
            append_time(&text, X509_get0_notAfter(cert));
        return cm_err_set(err, CM_PROTOCOL,
                          "TLS: a certificate of %s expired at %s; this machine's clock says %s",
                          host, text.ptr ? text.ptr : "some time", now.ptr ? now.ptr : "");
    case X509_V_ERR_CERT_NOT_YET_VALID:
        if (cert)
            append_time(&text, X509_get0_notBefore(cert));
        return cm_err_set(err, CM_PROTOCOL,
                          "TLS: a certificate of %s is valid only from %s; this machine's clock "
                          "says %s: is it right?",
                          host, text.ptr ? text.ptr : "later", now.ptr ? now.ptr : "");
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return cm_err_set(err, CM_PROTOCOL,
                          "TLS: the certificate of %s comes from an authority that this machine "
                          "does not trust (%s); "
                          "if the server or a network proxy uses a private authority, name its "
                          "file as an extra CA",
                          host, issuer);
    default:
        return cm_err_set(err, CM_PROTOCOL, "TLS: the certificate of %s: %s", host,
                          X509_verify_cert_error_string(verdict));
    }
}

enum cm_code cm_tls_explain(struct ssl_st *ssl, const char *host, int sys_errno, struct cm_err *err)
{
    long verdict = SSL_get_verify_result(ssl);
    unsigned long e = ERR_peek_last_error();
    int why = ERR_GET_REASON(e);

    if (verdict != X509_V_OK)
        explain_verdict(verdict, SSL_get_ex_data(ssl, refused_index), host, err);
    else if (e && why == SSL_R_WRONG_VERSION_NUMBER)
        cm_err_set(err, CM_PROTOCOL, "TLS: %s does not speak TLS on this port (is it http?)", host);
    else if (e && (why == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED ||
                   why == SSL_R_SSLV3_ALERT_BAD_CERTIFICATE))
        cm_err_set(err, CM_PROTOCOL, "TLS: %s asks for a client certificate", host);
    else if (e)
        cm_err_set(err, CM_PROTOCOL, "TLS handshake with %s: %s", host, reason());
    else if (sys_errno)
        cm_err_set_at(err, CM_UNAVAILABLE, sys_errno, __FILE__, __LINE__, "TLS handshake with %s",
                      host);
    else
        cm_err_set(err, CM_UNAVAILABLE, "TLS handshake with %s: the peer closed the connection",
                   host);
    ERR_clear_error();
    return err->code;
}
