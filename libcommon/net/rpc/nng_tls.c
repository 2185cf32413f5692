/* Debian's libnng.a holds a TLS transport made with mbedTLS and wants its library. Nothing here
 * uses it: TLS is OpenSSL's everywhere, and nng speaks to a forwarder inside the process. So in
 * static programs these stand in for mbedTLS, which would be 400 KB of a second TLS library: each
 * says that it failed, should nng ever be asked for TLS. */

#define MBEDTLS_FUNCTIONS(X)                                                                       \
    X(mbedtls_pk_free)                                                                             \
    X(mbedtls_pk_init)                                                                             \
    X(mbedtls_pk_parse_key)                                                                        \
    X(mbedtls_ssl_close_notify)                                                                    \
    X(mbedtls_ssl_conf_authmode)                                                                   \
    X(mbedtls_ssl_conf_ca_chain)                                                                   \
    X(mbedtls_ssl_conf_dbg)                                                                        \
    X(mbedtls_ssl_conf_max_version)                                                                \
    X(mbedtls_ssl_conf_min_version)                                                                \
    X(mbedtls_ssl_conf_own_cert)                                                                   \
    X(mbedtls_ssl_conf_rng)                                                                        \
    X(mbedtls_ssl_config_defaults)                                                                 \
    X(mbedtls_ssl_config_free)                                                                     \
    X(mbedtls_ssl_config_init)                                                                     \
    X(mbedtls_ssl_free)                                                                            \
    X(mbedtls_ssl_get_verify_result)                                                               \
    X(mbedtls_ssl_handshake)                                                                       \
    X(mbedtls_ssl_init)                                                                            \
    X(mbedtls_ssl_read)                                                                            \
    X(mbedtls_ssl_set_bio)                                                                         \
    X(mbedtls_ssl_set_hostname)                                                                    \
    X(mbedtls_ssl_setup)                                                                           \
    X(mbedtls_ssl_write)                                                                           \
    X(mbedtls_x509_crl_free)                                                                       \
    X(mbedtls_x509_crl_init)                                                                       \
    X(mbedtls_x509_crl_parse)                                                                      \
    X(mbedtls_x509_crt_free)                                                                       \
    X(mbedtls_x509_crt_init)                                                                       \
    X(mbedtls_x509_crt_parse)

#define MBEDTLS_DEFINE(name)                                                                       \
    int name(void);                                                                                \
    int name(void)                                                                                 \
    {                                                                                              \
        return -0x7080; /* MBEDTLS_ERR_SSL_FEATURE_UNAVAILABLE */                                  \
    }
MBEDTLS_FUNCTIONS(MBEDTLS_DEFINE)
