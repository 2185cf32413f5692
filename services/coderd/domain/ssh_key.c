/* The private key's container is described in OpenSSH's PROTOCOL.key, the public key's in RFC 8709:
 * strings and numbers with a length or 32 bits in front, big endian. */
#include "domain/ssh_key.h"

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/enc.h"
#include "base/random.h"
#include "base/secret.h"

#define KEY_BYTES  32
#define BLOCK      8 /* of the cipher "none" */
#define LINE_CHARS 70
#define BLOB_MAX   ((size_t)1024)

static void put_u32(struct cm_buf *b, uint32_t v)
{
    const uint8_t bytes[] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    cm_buf_append(b, bytes, sizeof(bytes));
}

static void put_string(struct cm_buf *b, struct cm_str s)
{
    put_u32(b, (uint32_t)s.len);
    cm_buf_str(b, s);
}

static void put_public(struct cm_buf *b, const uint8_t *pub)
{
    put_string(b, CM_STR("ssh-ed25519"));
    put_string(b, cm_str_n(pub, KEY_BYTES));
}

static void put_secret_part(struct cm_buf *b, const uint8_t *pub, const uint8_t *seed)
{
    uint8_t both[2 * KEY_BYTES];
    uint32_t check;
    cm_random_bytes(&check, sizeof(check));
    /* Twice the same number: how a reader tells a wrong passphrase. */
    put_u32(b, check);
    put_u32(b, check);
    put_public(b, pub);
    memcpy(both, seed, KEY_BYTES);
    memcpy(both + KEY_BYTES, pub, KEY_BYTES);
    put_string(b, cm_str_n(both, sizeof(both)));
    cm_secret_wipe(both, sizeof(both));
    put_string(b, CM_STR("")); /* the comment */
    for (char pad = 1; b->len % BLOCK; pad++)
        cm_buf_char(b, pad);
}

static void put_container(struct cm_buf *b, const uint8_t *pub, const uint8_t *seed)
{
    CM_AUTOBUF struct cm_buf public_part = CM_BUF_INIT(BLOB_MAX), secret = CM_BUF_INIT(BLOB_MAX);
    secret.wipe = true;
    put_public(&public_part, pub);
    put_secret_part(&secret, pub, seed);
    cm_buf_append(b, "openssh-key-v1", sizeof("openssh-key-v1"));
    put_string(b, CM_STR("none")); /* cipher */
    put_string(b, CM_STR("none")); /* key derivation, */
    put_string(b, CM_STR(""));     /* and its options */
    put_u32(b, 1);                 /* keys within */
    put_string(b, cm_buf_view(&public_part));
    put_string(b, cm_buf_view(&secret));
}

static void wipe(void *buf)
{
    struct cm_buf *b = buf;
    cm_buf_done(b);
    cm_free(b);
}

/* A text that is wiped when the arena goes. */
static struct cm_buf *secret_text(struct cm_arena *a)
{
    struct cm_buf *b = cm_xcalloc(1, sizeof(*b));
    cm_buf_init(b, 4 * BLOB_MAX);
    b->wipe = true;
    cm_arena_defer(a, wipe, b);
    return b;
}

static struct cm_str private_text(struct cm_arena *a, const uint8_t *pub, const uint8_t *seed)
{
    CM_AUTOBUF struct cm_buf blob = CM_BUF_INIT(BLOB_MAX), encoded = CM_BUF_INIT(2 * BLOB_MAX);
    struct cm_buf *text = secret_text(a);
    blob.wipe = encoded.wipe = true;
    put_container(&blob, pub, seed);
    cm_base64_encode(&encoded, CM_BASE64_STD, blob.ptr, blob.len);
    cm_buf_cstr(text, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    for (size_t i = 0; i < encoded.len; i += LINE_CHARS) {
        cm_buf_str(text, cm_str_sub(cm_buf_view(&encoded), i, LINE_CHARS));
        cm_buf_char(text, '\n');
    }
    cm_buf_cstr(text, "-----END OPENSSH PRIVATE KEY-----\n");
    cm_assert(!blob.failed && !encoded.failed && !text->failed);
    return cm_buf_view(text);
}

static struct cm_str public_text(struct cm_arena *a, const uint8_t *pub)
{
    CM_AUTOBUF struct cm_buf blob = CM_BUF_INIT(BLOB_MAX), text = CM_BUF_INIT(BLOB_MAX);
    put_public(&blob, pub);
    cm_buf_cstr(&text, "ssh-ed25519 ");
    cm_base64_encode(&text, CM_BASE64_STD, blob.ptr, blob.len);
    cm_buf_char(&text, '\n');
    cm_assert(!blob.failed && !text.failed);
    return cm_arena_str(a, cm_buf_view(&text));
}

enum cm_code ssh_key_make(struct cm_arena *a, struct ssh_key *ret, struct cm_err *err)
{
    uint8_t pub[KEY_BYTES], seed[KEY_BYTES];
    size_t n_pub = sizeof(pub), n_seed = sizeof(seed);
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    bool ok = key && EVP_PKEY_get_raw_public_key(key, pub, &n_pub) == 1 &&
              EVP_PKEY_get_raw_private_key(key, seed, &n_seed) == 1 && n_pub == sizeof(pub) &&
              n_seed == sizeof(seed);
    EVP_PKEY_free(key);
    if (ok) {
        ret->private_key = private_text(a, pub, seed);
        ret->public_key = public_text(a, pub);
    }
    cm_secret_wipe(seed, sizeof(seed));
    return ok ? CM_OK : cm_err_set(err, CM_INTERNAL, "OpenSSL cannot make an Ed25519 key");
}
