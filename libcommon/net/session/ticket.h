/* Stream tickets: signed by coderd, shown by a client to relays and to the agent, which verify them
 * with coderd's public keys. A ticket says who may open which kinds of stream to which agent, with
 * which client key, until when.
 *
 * The text form is base64url of a SignedTicket (proto/rpc/ticket.proto), at most CM_TICKET_TEXT_MAX
 * characters. Signatures are Ed25519 over a context string and the ticket's bytes. */
#pragma once

#include "base/buf.h"
#include "base/time.h"
#include "base/uuid.h"

#define CM_TICKET_TEXT_MAX 1024
#define CM_TICKET_NAME_MAX 128
#define CM_TICKET_KEYS_MAX 8
#define CM_TICKET_LIFE_MAX CM_HOUR

/* One row per kind of stream: bit in a ticket, name on the wire (:protocol) and in the API. */
#define CM_KINDS(X)                                                                                \
    X(SSH, 0, "ssh")                                                                               \
    X(TCP, 1, "tcp")                                                                               \
    X(UDP, 2, "udp")                                                                               \
    X(UNIX, 3, "unix")                                                                             \
    X(PTY, 4, "pty")                                                                               \
    X(ECHO, 5, "echo")                                                                             \
    X(SPEEDTEST, 6, "speedtest")                                                                   \
    X(STDIO, 7, "stdio")

enum cm_kind {
    CM_KIND_UNSET,
#define CM_KIND_ENUM(name, bit, text) CM_KIND_##name,
    CM_KINDS(CM_KIND_ENUM)
#undef CM_KIND_ENUM
};

const char *cm_kind_name(enum cm_kind kind);
enum cm_kind cm_kind_parse(struct cm_str name); /* CM_KIND_UNSET for no such kind */
static inline uint32_t cm_kind_bit(enum cm_kind kind)
{
    return kind == CM_KIND_UNSET ? 0 : UINT32_C(1) << ((unsigned)kind - 1);
}
#define CM_KINDS_ALL UINT32_C(0xff)

#define CM_SHA256_LEN 32

struct cm_ticket {
    struct cm_uuid user_id, agent_id;
    char user_name[CM_TICKET_NAME_MAX + 1];
    uint8_t client_cert_sha256[CM_SHA256_LEN]; /* of the DER certificate that the client presents */
    uint32_t kinds;                            /* bits of cm_kind_bit */
    struct cm_time issued_at, expires_at;      /* whole seconds */
};

struct cm_ticket_public {
    uint8_t key[32]; /* raw Ed25519 */
};

/* A signing key: 32 raw bytes of an Ed25519 private key, kept in secret by coderd's replicas. */
struct cm_ticket_key;
void cm_ticket_key_random(uint8_t ret_raw[32]);
enum cm_code cm_ticket_key_new(const uint8_t raw[32], struct cm_ticket_key **ret,
                               struct cm_err *err);
void cm_ticket_key_free(struct cm_ticket_key *k);
CM_DEFINE_CLEANUP(cm_ticket_key, cm_ticket_key_free)
struct cm_ticket_public cm_ticket_key_public(const struct cm_ticket_key *k);

/* Appends the text form. Refuses a ticket without kinds, with a life over CM_TICKET_LIFE_MAX or a
 * name too long. Thread-safe: the key is only read. */
CM_MUST_USE enum cm_code cm_ticket_mint(const struct cm_ticket_key *k, const struct cm_ticket *t,
                                        struct cm_buf *out, struct cm_err *err);
/* text is from outside. Good means: signed by one of the keys, for this agent, not expired, issued
 * at most a minute in the future. CM_UNAUTHENTICATED otherwise. agent NULL: any agent (for relays
 * that look at it first). */
CM_MUST_USE enum cm_code cm_ticket_verify(struct cm_str text, const struct cm_ticket_public *keys,
                                          size_t n_keys, const struct cm_uuid *agent,
                                          struct cm_time now, struct cm_ticket *ret,
                                          struct cm_err *err);
