#include "net/rpc/seal.h"

#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "base/random.h"
#include "base/secret.h"

#define NONCE 12

static const char MESSAGE_LABEL[] = "coder rpc v1 message";

static void hkdf(struct cm_str secret, const void *salt, size_t salt_len, const char *label,
                 struct cm_str context, uint8_t *out, size_t out_len)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
    size_t n = out_len;
    /* The label's NUL ends it, so that no label and context can be read as another pair. */
    bool ok =
        ctx && EVP_PKEY_derive_init(ctx) > 0 && EVP_PKEY_CTX_set_hkdf_md(ctx, EVP_sha256()) > 0 &&
        EVP_PKEY_CTX_set1_hkdf_salt(ctx, salt, (int)salt_len) > 0 &&
        EVP_PKEY_CTX_set1_hkdf_key(ctx, (const uint8_t *)secret.ptr, (int)secret.len) > 0 &&
        EVP_PKEY_CTX_add1_hkdf_info(ctx, (const uint8_t *)label, (int)strlen(label) + 1) > 0 &&
        (context.len == 0 ||
         EVP_PKEY_CTX_add1_hkdf_info(ctx, (const uint8_t *)context.ptr, (int)context.len) > 0) &&
        EVP_PKEY_derive(ctx, out, &n) > 0 && n == out_len;
    EVP_PKEY_CTX_free(ctx);
    cm_assert(ok);
}

void cm_seal_derive(struct cm_str secret, const char *label, struct cm_str context, uint8_t out[32])
{
    hkdf(secret, "", 0, label, context, out, 32);
}

struct message_key {
    uint8_t key[32];
    uint8_t nonce[NONCE];
};

static struct message_key message_key(const uint8_t secret[CM_SEAL_SECRET],
                                      const uint8_t salt[CM_SEAL_SALT])
{
    struct message_key k;
    _Static_assert(sizeof(k) == 32 + NONCE, "derived in one piece");
    hkdf(cm_str_n(secret, CM_SEAL_SECRET), salt, CM_SEAL_SALT, MESSAGE_LABEL, CM_STR_NONE,
         (uint8_t *)&k, sizeof(k));
    return k;
}

void cm_seal_with_salt(const uint8_t secret[CM_SEAL_SECRET], const uint8_t salt[CM_SEAL_SALT],
                       struct cm_str aad, const void *plain, size_t len, void *out,
                       uint8_t tag[CM_SEAL_TAG])
{
    struct message_key k = message_key(secret, salt);
    cm_assert(len <= INT32_MAX && aad.len <= INT32_MAX);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t rest[16];
    int n = 0;
    bool ok = ctx && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, k.key, k.nonce) > 0 &&
              EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *)aad.ptr, (int)aad.len) > 0 &&
              (len == 0 || EVP_EncryptUpdate(ctx, out, &n, plain, (int)len) > 0) &&
              EVP_EncryptFinal_ex(ctx, rest, &n) > 0 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, CM_SEAL_TAG, tag) > 0;
    EVP_CIPHER_CTX_free(ctx);
    cm_secret_wipe(&k, sizeof(k));
    cm_assert(ok);
}

void cm_seal(const uint8_t secret[CM_SEAL_SECRET], struct cm_str aad, const void *plain, size_t len,
             void *out, struct cm_seal_box *box)
{
    cm_random_bytes(box->salt, sizeof(box->salt));
    cm_seal_with_salt(secret, box->salt, aad, plain, len, out, box->tag);
}

enum cm_code cm_seal_open(const uint8_t secret[CM_SEAL_SECRET], const struct cm_seal_box *box,
                          struct cm_str aad, const void *sealed, size_t len, void *out,
                          struct cm_err *err)
{
    if (len > INT32_MAX || aad.len > INT32_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "a sealed message of %zu bytes", len);
    struct message_key k = message_key(secret, box->salt);
    struct cm_seal_box copy = *box; /* OpenSSL takes the tag by a pointer that is not const */
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t rest[16];
    int n = 0;
    bool ok = ctx && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, k.key, k.nonce) > 0 &&
              EVP_DecryptUpdate(ctx, NULL, &n, (const uint8_t *)aad.ptr, (int)aad.len) > 0 &&
              (len == 0 || EVP_DecryptUpdate(ctx, out, &n, sealed, (int)len) > 0) &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, CM_SEAL_TAG, copy.tag) > 0 &&
              EVP_DecryptFinal_ex(ctx, rest, &n) > 0;
    EVP_CIPHER_CTX_free(ctx);
    cm_secret_wipe(&k, sizeof(k));
    if (!ok) {
        cm_secret_wipe(out, len);
        return cm_err_set(err, CM_DENIED, "the seal of a message is broken");
    }
    return CM_OK;
}

void cm_seal_aad(struct cm_buf *out, enum cm_seal_dir dir, struct cm_str method,
                 struct cm_uuid request_id)
{
    cm_assert(method.len <= UINT8_MAX);
    cm_buf_char(out, (char)dir);
    cm_buf_append(out, request_id.b, sizeof(request_id.b));
    cm_buf_char(out, (char)method.len);
    cm_buf_str(out, method);
}
