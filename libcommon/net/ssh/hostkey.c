#include "net/ssh/hostkey.h"

#include <openssl/evp.h>

#include "base/enc.h"

#define KEY_BYTES 32

static void put_u32(struct cm_buf *b, uint32_t v)
{
    uint8_t be[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    cm_buf_append(b, be, sizeof(be));
}

static void put_string(struct cm_buf *b, const void *data, size_t len)
{
    put_u32(b, (uint32_t)len);
    cm_buf_append(b, data, len);
}

static void put_text(struct cm_buf *b, const char *text)
{
    put_string(b, text, strlen(text));
}

/* OpenSSH's PROTOCOL.key: libssh 0.10 reads an Ed25519 key from PKCS #8 without its public half,
 * and then fails. */
static void put_openssh_key(struct cm_buf *out, const uint8_t seed[KEY_BYTES],
                            const uint8_t public[KEY_BYTES])
{
    CM_AUTOBUF struct cm_buf pub = CM_BUF_INIT(256);
    CM_AUTOBUF struct cm_buf priv = CM_BUF_INIT(512);
    priv.wipe = true;
    put_text(&pub, "ssh-ed25519");
    put_string(&pub, public, KEY_BYTES);

    put_u32(&priv, 0); /* two equal numbers, by which a wrong passphrase is noticed */
    put_u32(&priv, 0);
    cm_buf_append(&priv, pub.ptr, pub.len);
    put_u32(&priv, 2 * KEY_BYTES);
    cm_buf_append(&priv, seed, KEY_BYTES);
    cm_buf_append(&priv, public, KEY_BYTES);
    put_text(&priv, "");
    for (char pad = 1; priv.len % 8; pad++)
        cm_buf_char(&priv, pad);

    cm_buf_append(out, "openssh-key-v1", sizeof("openssh-key-v1"));
    put_text(out, "none");
    put_text(out, "none");
    put_text(out, "");
    put_u32(out, 1);
    put_string(out, pub.ptr, pub.len);
    put_string(out, priv.ptr, priv.len);
}

enum cm_code cm_ssh_key_from_seed(const uint8_t seed[CM_SSH_SEED], struct cm_buf *out,
                                  struct cm_err *err)
{
    uint8_t public[KEY_BYTES];
    size_t n = sizeof(public);
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, CM_SSH_SEED);
    bool ok = key && EVP_PKEY_get_raw_public_key(key, public, &n) == 1 && n == sizeof(public);
    EVP_PKEY_free(key);
    if (!ok)
        return cm_err_set(err, CM_INTERNAL, "make an SSH host key: OpenSSL refuses");
    CM_AUTOBUF struct cm_buf raw = CM_BUF_INIT(1024);
    raw.wipe = true;
    put_openssh_key(&raw, seed, public);
    cm_buf_cstr(out, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    cm_base64_encode(out, CM_BASE64_STD, raw.ptr, raw.len);
    cm_buf_cstr(out, "\n-----END OPENSSH PRIVATE KEY-----\n");
    return cm_buf_check(out, "host key", err);
}

void cm_ssh_seed_of(const struct cm_str *names, size_t n, uint8_t ret[CM_SSH_SEED])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    static const char label[] = "coder agent ssh host key v1";
    cm_assert(md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1);
    EVP_DigestUpdate(md, label, sizeof(label));
    for (size_t i = 0; i < n; i++) {
        uint8_t len[4] = {(uint8_t)(names[i].len >> 24), (uint8_t)(names[i].len >> 16),
                          (uint8_t)(names[i].len >> 8), (uint8_t)names[i].len};
        EVP_DigestUpdate(md, len, sizeof(len));
        EVP_DigestUpdate(md, names[i].ptr, names[i].len);
    }
    cm_assert(EVP_DigestFinal_ex(md, ret, NULL) == 1);
    EVP_MD_CTX_free(md);
}
