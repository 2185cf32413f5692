/* Stream tickets as text from outside, and their inner part as if it were signed; paths of
 * sessions. */
#include <openssl/evp.h>

#include "base/enc.h"
#include "net/session/session.h"
#include "ticket.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct cm_str text, const struct cm_ticket_public *pub)
{
    struct cm_ticket t;
    struct cm_err err = {.code = CM_OK};
    enum cm_code code =
        cm_ticket_verify(text, pub, 1, NULL, (struct cm_time){1800000000 * CM_SECOND}, &t, &err);
    cm_assert(code == CM_OK || code == CM_UNAUTHENTICATED);
    if (code == CM_OK)
        cm_assert(strlen(t.user_name) <= CM_TICKET_NAME_MAX && !(t.kinds & ~CM_KINDS_ALL));
}

/* What coderd would have sent had it signed these bytes. */
static void check_signed(const uint8_t *data, size_t size, const uint8_t raw[32],
                         const struct cm_ticket_public *pub)
{
    static const char context[] = "coder-stream-ticket-v1";
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(4096);
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(4096);
    uint8_t id[EVP_MAX_MD_SIZE], signature[64], packed[1024];
    size_t n = sizeof(signature);
    cm_buf_append(&text, context, sizeof(context));
    cm_buf_append(&text, data, size);
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, 32);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    cm_assert(key && md && EVP_DigestSignInit(md, NULL, NULL, NULL, key) == 1 &&
              EVP_DigestSign(md, signature, &n, (uint8_t *)text.ptr, text.len) == 1 &&
              EVP_Digest(pub->key, 32, id, NULL, EVP_sha256(), NULL) == 1);
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    Coder__Ticket__V1__SignedTicket s = CODER__TICKET__V1__SIGNED_TICKET__INIT;
    s.key_id = (ProtobufCBinaryData){8, id};
    s.ticket = (ProtobufCBinaryData){size, (uint8_t *)(uintptr_t)data};
    s.signature = (ProtobufCBinaryData){sizeof(signature), signature};
    cm_base64_encode(&out, CM_BASE64_URL_NOPAD, packed,
                     coder__ticket__v1__signed_ticket__pack(&s, packed));
    check(cm_buf_view(&out), pub);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t raw[32] = "thirty-two bytes of a fuzzing ke";
    struct cm_ticket_key *key = NULL;
    struct cm_err err;
    cm_assert(cm_ticket_key_new(raw, &key, &err) == CM_OK);
    const struct cm_ticket_public pub = cm_ticket_key_public(key);
    cm_ticket_key_free(key);
    check(cm_str_n(data, size), &pub);
    if (size <= 600)
        check_signed(data, size, raw, &pub);
    struct cm_uuid id;
    uint64_t offset;
    if (cm_session_path_parse(cm_str_n(data, size), &id, &offset)) {
        char again[CM_SESSION_PATH_TEXT];
        struct cm_uuid id2;
        uint64_t offset2;
        cm_session_path_format(id, offset, again);
        cm_assert(cm_session_path_parse(cm_str(again), &id2, &offset2) && cm_uuid_eq(id, id2) &&
                  offset == offset2);
    }
    return 0;
}
