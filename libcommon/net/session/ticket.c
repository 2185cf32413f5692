#include "net/session/ticket.h"

#include <openssl/evp.h>

#include "base/enc.h"
#include "base/random.h"
#include "base/secret.h"
#include "ticket.pb-c.h"

#define CONTEXT       "coder-stream-ticket-v1" /* and its NUL: what is signed begins with it */
#define KEY_ID_LEN    8
#define SIGNATURE_LEN 64
#define BYTES_MAX     (CM_TICKET_TEXT_MAX / 4 * 3)
#define CLOCK_SKEW    CM_MINUTE

typedef Coder__Ticket__V1__StreamTicket pb_ticket;
typedef Coder__Ticket__V1__SignedTicket pb_signed;

struct cm_ticket_key {
    EVP_PKEY *pkey;
    struct cm_ticket_public pub;
};

static const char *const kind_names[] = {[CM_KIND_UNSET] = "",
#define KIND_NAME(name, bit, text) [CM_KIND_##name] = text,
                                         CM_KINDS(KIND_NAME)
#undef KIND_NAME
};

const char *cm_kind_name(enum cm_kind kind)
{
    return kind_names[kind];
}

enum cm_kind cm_kind_parse(struct cm_str name)
{
    for (size_t i = 1; i < CM_COUNT_OF(kind_names); i++)
        if (cm_str_eq_c(name, kind_names[i]))
            return (enum cm_kind)i;
    return CM_KIND_UNSET;
}

void cm_ticket_key_random(uint8_t ret_raw[32])
{
    cm_random_bytes(ret_raw, 32);
}

enum cm_code cm_ticket_key_new(const uint8_t raw[32], struct cm_ticket_key **ret,
                               struct cm_err *err)
{
    CM_AUTO(cm_ticket_key) k = cm_xcalloc(1, sizeof(*k));
    size_t len = sizeof(k->pub.key);
    k->pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, 32);
    if (!k->pkey || EVP_PKEY_get_raw_public_key(k->pkey, k->pub.key, &len) != 1)
        return cm_err_set(err, CM_INTERNAL, "load the key that signs stream tickets");
    *ret = CM_TAKE(k);
    return CM_OK;
}

void cm_ticket_key_free(struct cm_ticket_key *k)
{
    if (!k)
        return;
    EVP_PKEY_free(k->pkey);
    cm_free(k);
}

struct cm_ticket_public cm_ticket_key_public(const struct cm_ticket_key *k)
{
    return k->pub;
}

static void key_id(const struct cm_ticket_public *pub, uint8_t ret[KEY_ID_LEN])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    cm_assert(EVP_Digest(pub->key, sizeof(pub->key), digest, NULL, EVP_sha256(), NULL) == 1);
    memcpy(ret, digest, KEY_ID_LEN);
}

static void what_is_signed(struct cm_buf *out, const void *ticket, size_t len)
{
    cm_buf_append(out, CONTEXT, sizeof(CONTEXT));
    cm_buf_append(out, ticket, len);
}

static bool sign(const struct cm_ticket_key *k, const void *ticket, size_t len,
                 uint8_t ret[SIGNATURE_LEN])
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(BYTES_MAX + sizeof(CONTEXT));
    what_is_signed(&text, ticket, len);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    size_t n = SIGNATURE_LEN;
    bool ok = md && !text.failed && EVP_DigestSignInit(md, NULL, NULL, NULL, k->pkey) == 1 &&
              EVP_DigestSign(md, ret, &n, (const uint8_t *)text.ptr, text.len) == 1 &&
              n == SIGNATURE_LEN;
    EVP_MD_CTX_free(md);
    return ok;
}

static bool signature_good(const struct cm_ticket_public *pub, const pb_signed *s)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(BYTES_MAX + sizeof(CONTEXT));
    what_is_signed(&text, s->ticket.data, s->ticket.len);
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, pub->key, sizeof(pub->key));
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = pkey && md && !text.failed && EVP_DigestVerifyInit(md, NULL, NULL, NULL, pkey) == 1 &&
              EVP_DigestVerify(md, s->signature.data, s->signature.len, (const uint8_t *)text.ptr,
                               text.len) == 1;
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(pkey);
    return ok;
}

static ProtobufCBinaryData borrow(const void *p, size_t len)
{
    return (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)p}; /* packing only reads it */
}

enum cm_code cm_ticket_mint(const struct cm_ticket_key *k, const struct cm_ticket *t,
                            struct cm_buf *out, struct cm_err *err)
{
    cm_usec life = t->expires_at.us - t->issued_at.us;
    if (!(t->kinds & CM_KINDS_ALL) || (t->kinds & ~CM_KINDS_ALL))
        return cm_err_set(err, CM_INVALID,
                          "a stream ticket needs at least one kind of stream, and known ones");
    if (life <= 0 || life > CM_TICKET_LIFE_MAX)
        return cm_err_set(err, CM_INVALID, "a stream ticket lives for up to an hour");
    if (!memchr(t->user_name, '\0', sizeof(t->user_name)))
        return cm_err_set(err, CM_INVALID, "the user's name is longer than %d bytes",
                          CM_TICKET_NAME_MAX);

    pb_ticket pt = CODER__TICKET__V1__STREAM_TICKET__INIT;
    pt.user_id = borrow(t->user_id.b, sizeof(t->user_id.b));
    pt.user_name = (char *)(uintptr_t)t->user_name;
    pt.agent_id = borrow(t->agent_id.b, sizeof(t->agent_id.b));
    pt.client_cert_sha256 = borrow(t->client_cert_sha256, sizeof(t->client_cert_sha256));
    pt.kinds = t->kinds;
    pt.issued_at = t->issued_at.us / CM_SECOND;
    pt.expires_at = t->expires_at.us / CM_SECOND;
    uint8_t inner[BYTES_MAX], outer[BYTES_MAX], id[KEY_ID_LEN], signature[SIGNATURE_LEN];
    cm_assert(coder__ticket__v1__stream_ticket__get_packed_size(&pt) <= sizeof(inner) / 2);
    size_t n = coder__ticket__v1__stream_ticket__pack(&pt, inner);

    key_id(&k->pub, id);
    if (!sign(k, inner, n, signature))
        return cm_err_set(err, CM_INTERNAL, "sign a stream ticket");
    pb_signed ps = CODER__TICKET__V1__SIGNED_TICKET__INIT;
    ps.key_id = borrow(id, sizeof(id));
    ps.ticket = borrow(inner, n);
    ps.signature = borrow(signature, sizeof(signature));
    cm_assert(coder__ticket__v1__signed_ticket__get_packed_size(&ps) <= sizeof(outer));
    cm_base64_encode(out, CM_BASE64_URL_NOPAD, outer,
                     coder__ticket__v1__signed_ticket__pack(&ps, outer));
    return cm_buf_check(out, "the stream ticket", err);
}

static enum cm_code bad(struct cm_err *err, const char *why)
{
    return cm_err_set(err, CM_UNAUTHENTICATED, "stream ticket: %s", why);
}

static bool fill(const pb_ticket *pt, struct cm_ticket *t)
{
    size_t name_len = strlen(pt->user_name);
    if (pt->user_id.len != sizeof(t->user_id.b) || pt->agent_id.len != sizeof(t->agent_id.b) ||
        pt->client_cert_sha256.len != CM_SHA256_LEN || name_len > CM_TICKET_NAME_MAX ||
        pt->issued_at < 0 || pt->expires_at < pt->issued_at ||
        pt->expires_at - pt->issued_at > CM_TICKET_LIFE_MAX / CM_SECOND ||
        pt->expires_at > INT64_MAX / CM_SECOND)
        return false;
    *t = (struct cm_ticket){.kinds = pt->kinds & CM_KINDS_ALL,
                            .issued_at = {pt->issued_at * CM_SECOND},
                            .expires_at = {pt->expires_at * CM_SECOND}};
    memcpy(t->user_id.b, pt->user_id.data, sizeof(t->user_id.b));
    memcpy(t->agent_id.b, pt->agent_id.data, sizeof(t->agent_id.b));
    memcpy(t->client_cert_sha256, pt->client_cert_sha256.data, CM_SHA256_LEN);
    memcpy(t->user_name, pt->user_name, name_len + 1);
    return true;
}

static bool signed_by_one_of(const pb_signed *ps, const struct cm_ticket_public *keys,
                             size_t n_keys)
{
    if (ps->key_id.len != KEY_ID_LEN || ps->signature.len != SIGNATURE_LEN ||
        ps->ticket.len > BYTES_MAX)
        return false;
    for (size_t i = 0; i < n_keys; i++) {
        uint8_t id[KEY_ID_LEN];
        key_id(&keys[i], id);
        if (memcmp(id, ps->key_id.data, KEY_ID_LEN) == 0)
            return signature_good(&keys[i], ps);
    }
    return false;
}

enum cm_code cm_ticket_verify(struct cm_str text, const struct cm_ticket_public *keys,
                              size_t n_keys, const struct cm_uuid *agent, struct cm_time now,
                              struct cm_ticket *ret, struct cm_err *err)
{
    if (text.len == 0)
        return bad(err, "there is none");
    if (text.len > CM_TICKET_TEXT_MAX)
        return bad(err, "too long");
    CM_AUTOBUF struct cm_buf raw = CM_BUF_INIT(BYTES_MAX);
    if (!cm_base64_decode(&raw, CM_BASE64_URL_NOPAD, text))
        return bad(err, "not base64url");
    pb_signed *ps =
        coder__ticket__v1__signed_ticket__unpack(NULL, raw.len, (const uint8_t *)raw.ptr);
    if (!ps)
        return bad(err, "not a ticket");
    bool known = signed_by_one_of(ps, keys, n_keys);
    /* Only what was signed is read any further. */
    pb_ticket *pt =
        known ? coder__ticket__v1__stream_ticket__unpack(NULL, ps->ticket.len, ps->ticket.data)
              : NULL;
    struct cm_ticket t;
    bool complete = pt && fill(pt, &t);
    if (pt)
        coder__ticket__v1__stream_ticket__free_unpacked(pt, NULL);
    coder__ticket__v1__signed_ticket__free_unpacked(ps, NULL);
    if (!known)
        return bad(err, "not signed by this deployment");
    if (!complete)
        return bad(err, "a field is missing or out of range");
    if (agent && !cm_uuid_eq(*agent, t.agent_id))
        return bad(err, "it is for another agent");
    if (t.issued_at.us > now.us + CLOCK_SKEW)
        return bad(err, "issued in the future; check the clocks of this machine and of the server");
    if (t.expires_at.us <= now.us)
        return bad(err, "expired");
    *ret = t;
    return CM_OK;
}
