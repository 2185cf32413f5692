#include "net/rpc/psk.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/secret.h"

#define STEPS_MAX 3

/* OpenSSL would pick SHA-384's suite first, which an external PSK for SHA-256 does not fit. */
static const char SUITE[] = "TLS_AES_128_GCM_SHA256";
static const char EXPORTER[] = "EXPORTER-coder-rpc-v1";

struct cm_psk {
    SSL_CTX *ctx;
    SSL *ssl;
    bool server, done, failed;
    char name[CM_PSK_NAME_MAX];
    size_t name_len;
    bool name_unknown;
    uint8_t key[CM_PSK_KEY]; /* the client's */
    uint8_t fake_secret[32]; /* the server's */
    cm_psk_lookup_fn lookup;
    void *lookup_ctx;         /* during a step */
    struct cm_err lookup_err; /* code CM_OK: the lookup itself went well */
    size_t taken;
    unsigned steps;
    uint8_t secret[CM_SEAL_SECRET];
};

enum cm_code cm_psk_text_check(struct cm_str text, struct cm_err *err)
{
    if (text.len < CM_PSK_TEXT_MIN)
        return cm_err_set(err, CM_INVALID,
                          "the pre-shared key has %zu characters, but must have %d at least, since "
                          "whoever records a connection can try short ones; make a good one with: "
                          "openssl rand -base64 32",
                          text.len, CM_PSK_TEXT_MIN);
    if (text.len > 256)
        return cm_err_set(err, CM_INVALID,
                          "the pre-shared key has %zu characters, but may have 256 at most; make a "
                          "good one with: openssl rand -base64 32",
                          text.len);
    return CM_OK;
}

void cm_psk_key_from_text(struct cm_str text, uint8_t key[CM_PSK_KEY])
{
    cm_seal_derive(text, "coder psk v1", CM_STR_NONE, key);
}

static SSL_SESSION *session_with_key(SSL *ssl, const uint8_t key[CM_PSK_KEY])
{
    static const uint8_t suite_id[] = {0x13, 0x01};
    const SSL_CIPHER *suite = SSL_CIPHER_find(ssl, suite_id);
    SSL_SESSION *s = SSL_SESSION_new();
    if (!suite || !s || !SSL_SESSION_set1_master_key(s, key, CM_PSK_KEY) ||
        !SSL_SESSION_set_cipher(s, suite) || !SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION)) {
        SSL_SESSION_free(s);
        return NULL;
    }
    return s;
}

static int on_find_session(SSL *ssl, const unsigned char *name, size_t name_len, SSL_SESSION **ret)
{
    struct cm_psk *p = SSL_get_app_data(ssl);
    uint8_t key[CM_PSK_KEY] = {0};
    bool found = false;
    if (name_len == 0 || name_len > sizeof(p->name))
        return 1;
    /* A client may offer several names: only the first one counts, so that a handshake is one
     * guess. (It comes twice when the client has to choose another group.) */
    if (p->name_len && !cm_str_eq(cm_psk_name(p), cm_str_n(name, name_len)))
        return 1;
    memcpy(p->name, name, name_len);
    p->name_len = name_len;
    struct cm_str n = {p->name, name_len};
    struct cm_err err = {.code = CM_OK};
    if (p->lookup(p->lookup_ctx, n, key, &found, &err) != CM_OK) {
        p->lookup_err = err;
        return 0;
    }
    p->name_unknown = !found;
    /* Derived in every case, so that both take the same time. */
    uint8_t fake[CM_PSK_KEY];
    cm_seal_derive(cm_str_n(p->fake_secret, sizeof(p->fake_secret)), "coder psk unknown name", n,
                   fake);
    *ret = session_with_key(ssl, found ? key : fake);
    cm_secret_wipe(key, sizeof(key));
    cm_secret_wipe(fake, sizeof(fake));
    return *ret != NULL;
}

static int on_use_session(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_len,
                          SSL_SESSION **ret)
{
    struct cm_psk *p = SSL_get_app_data(ssl);
    /* After a HelloRetryRequest the server's hash is known; another one than ours cannot be served.
     */
    if (md && EVP_MD_get_type(md) != NID_sha256)
        return 0;
    *ret = session_with_key(ssl, p->key);
    *id = (const unsigned char *)p->name;
    *id_len = p->name_len;
    return *ret != NULL;
}

static enum cm_code psk_new(bool server, struct cm_psk **ret, struct cm_err *err)
{
    CM_AUTO(cm_psk) p = cm_xcalloc(1, sizeof(*p));
    p->server = server;
    p->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (!p->ctx || !SSL_CTX_set_min_proto_version(p->ctx, TLS1_3_VERSION) ||
        !SSL_CTX_set_max_proto_version(p->ctx, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(p->ctx, SUITE) || !SSL_CTX_set_num_tickets(p->ctx, 0) ||
        /* The macro of that name casts const away, which clang refuses. */
        !SSL_CTX_ctrl(p->ctx, SSL_CTRL_SET_GROUPS_LIST, 0, (void *)(uintptr_t) "X25519:P-256"))
        return cm_err_set(err, CM_INTERNAL, "OpenSSL offers no TLS 1.3 with %s", SUITE);
    SSL_CTX_set_session_cache_mode(p->ctx, SSL_SESS_CACHE_OFF);
    if (server) {
        SSL_CTX_set_psk_find_session_callback(p->ctx, on_find_session);
    } else {
        SSL_CTX_set_psk_use_session_callback(p->ctx, on_use_session);
        /* Without CAs no certificate passes: a server that offers one in place of the key is
         * refused. */
        SSL_CTX_set_verify(p->ctx, SSL_VERIFY_PEER, NULL);
    }
    p->ssl = SSL_new(p->ctx);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    if (!p->ssl || !in || !out) {
        BIO_free(in);
        BIO_free(out);
        return cm_err_set(err, CM_INTERNAL, "no memory for a TLS session");
    }
    SSL_set_bio(p->ssl, in, out);
    SSL_set_app_data(p->ssl, p);
    if (server)
        SSL_set_accept_state(p->ssl);
    else
        SSL_set_connect_state(p->ssl);
    *ret = CM_TAKE(p);
    return CM_OK;
}

enum cm_code cm_psk_server_new(const uint8_t fake_secret[32], cm_psk_lookup_fn lookup,
                               struct cm_psk **ret, struct cm_err *err)
{
    struct cm_psk *p = NULL;
    if (psk_new(true, &p, err) != CM_OK)
        return cm_err_wrap(err, "start a PSK handshake");
    memcpy(p->fake_secret, fake_secret, sizeof(p->fake_secret));
    p->lookup = lookup;
    *ret = p;
    return CM_OK;
}

enum cm_code cm_psk_client_new(struct cm_str name, const uint8_t key[CM_PSK_KEY],
                               struct cm_psk **ret, struct cm_err *err)
{
    if (name.len == 0 || name.len > CM_PSK_NAME_MAX)
        return cm_err_set(err, CM_INVALID, "the name of a key has %zu bytes, but must have 1 to %d",
                          name.len, CM_PSK_NAME_MAX);
    struct cm_psk *p = NULL;
    if (psk_new(false, &p, err) != CM_OK)
        return cm_err_wrap(err, "start a PSK handshake");
    memcpy(p->name, name.ptr, name.len);
    p->name_len = name.len;
    memcpy(p->key, key, sizeof(p->key));
    *ret = p;
    return CM_OK;
}

void cm_psk_free(struct cm_psk *p)
{
    if (!p)
        return;
    SSL_free(p->ssl);
    SSL_CTX_free(p->ctx);
    cm_secret_wipe(p, sizeof(*p));
    cm_free(p);
}

static enum cm_code refuse(struct cm_psk *p, struct cm_err *err, const char *why)
{
    p->failed = true;
    ERR_clear_error();
    return cm_err_set(err, CM_UNAUTHENTICATED, "PSK handshake: %s", why);
}

/* The step that OpenSSL refused: its reason, in words that help whoever reads the log. */
static enum cm_code explain(struct cm_psk *p, struct cm_err *err)
{
    if (p->lookup_err.code != CM_OK) {
        p->failed = true;
        ERR_clear_error();
        if (err)
            *err = p->lookup_err;
        return cm_err_wrap(err, "look up the key of a PSK handshake");
    }
    if (p->server && p->name_len)
        return refuse(p, err, p->name_unknown ? "no key has this name" : "the keys differ");
    unsigned long e = ERR_peek_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;
    return refuse(p, err, reason ? reason : "the peer's bytes are not TLS 1.3 with a PSK");
}

static enum cm_code finish(struct cm_psk *p, struct cm_err *err)
{
    /* A TLS client is also content with a certificate; ours must not be. */
    if (!SSL_session_reused(p->ssl))
        return refuse(p, err, "the peer did not use the key");
    if (SSL_export_keying_material(p->ssl, p->secret, sizeof(p->secret), EXPORTER,
                                   sizeof(EXPORTER) - 1, NULL, 0, 0) != 1)
        return refuse(p, err, "no secret could be exported");
    p->done = true;
    return CM_OK;
}

enum cm_code cm_psk_step(struct cm_psk *p, struct cm_str in, struct cm_buf *out, void *lookup_ctx,
                         struct cm_err *err)
{
    if (p->failed || p->done || ++p->steps > STEPS_MAX)
        return refuse(p, err, "more steps than a handshake has");
    p->taken += in.len;
    if (p->taken > CM_PSK_FLIGHT_MAX)
        return refuse(p, err, "more bytes than a handshake has");
    ERR_clear_error();
    if (in.len && BIO_write(SSL_get_rbio(p->ssl), in.ptr, (int)in.len) != (int)in.len)
        return refuse(p, err, "no memory");
    p->lookup_ctx = lookup_ctx;
    int rv = SSL_do_handshake(p->ssl);
    p->lookup_ctx = NULL;
    if (rv != 1 && SSL_get_error(p->ssl, rv) != SSL_ERROR_WANT_READ)
        return explain(p, err);
    if (rv == 1 && finish(p, err) != CM_OK)
        return CM_UNAUTHENTICATED;
    BIO *wbio = SSL_get_wbio(p->ssl);
    size_t n = BIO_ctrl_pending(wbio);
    char *room = n ? cm_buf_reserve(out, n) : NULL;
    if (n && (!room || BIO_read(wbio, room, (int)n) != (int)n))
        return refuse(p, err, "no room for an answer");
    if (n)
        cm_buf_commit(out, n);
    if (!p->done && n == 0)
        return refuse(p, err, "a step without an end");
    return CM_OK;
}

bool cm_psk_is_done(const struct cm_psk *p)
{
    return p->done;
}

void cm_psk_secret(const struct cm_psk *p, uint8_t secret[CM_SEAL_SECRET])
{
    cm_assert(p->done);
    memcpy(secret, p->secret, sizeof(p->secret));
}

struct cm_str cm_psk_name(const struct cm_psk *p)
{
    return cm_str_n(p->name, p->name_len);
}

bool cm_psk_name_unknown(const struct cm_psk *p)
{
    return p->name_unknown;
}
