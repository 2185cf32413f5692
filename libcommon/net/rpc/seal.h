/* Sealing of messages and tickets: AES-256-GCM under a key that is derived for one message alone.
 *
 * Key and nonce come from HKDF-SHA256(secret, random 32-byte salt, label), so that two processes
 * that share the secret never share a nonce, without having to agree on a counter. What the message
 * is about (direction, method, request id) is authenticated along with it. No state, any thread. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"

#define CM_SEAL_SECRET 32
#define CM_SEAL_SALT   32
#define CM_SEAL_TAG    16

struct cm_seal_box {
    uint8_t salt[CM_SEAL_SALT];
    uint8_t tag[CM_SEAL_TAG];
};

/* out: 32 bytes that follow from secret and label and tell nothing about either. label is a
 * constant of the program; context (may be empty) tells uses apart. Aborts only when OpenSSL has no
 * SHA-256. */
void cm_seal_derive(struct cm_str secret, const char *label, struct cm_str context,
                    uint8_t out[32]);

/* Encrypts len bytes of plain into out (as long; may be plain itself) and fills box. */
void cm_seal(const uint8_t secret[CM_SEAL_SECRET], struct cm_str aad, const void *plain, size_t len,
             void *out, struct cm_seal_box *box);
/* The same under a given salt: for tests. A salt must never be used twice with one secret. */
void cm_seal_with_salt(const uint8_t secret[CM_SEAL_SECRET], const uint8_t salt[CM_SEAL_SALT],
                       struct cm_str aad, const void *plain, size_t len, void *out,
                       uint8_t tag[CM_SEAL_TAG]);
/* CM_DENIED, and out wiped, when anything was altered. out: len bytes, may be sealed itself. */
CM_MUST_USE enum cm_code cm_seal_open(const uint8_t secret[CM_SEAL_SECRET],
                                      const struct cm_seal_box *box, struct cm_str aad,
                                      const void *sealed, size_t len, void *out,
                                      struct cm_err *err);

enum cm_seal_dir { CM_SEAL_REQUEST = 1, CM_SEAL_REPLY = 2, CM_SEAL_HELLO = 3 };
/* What a message is bound to: direction, method and request id, each at a fixed place or with its
 * length. */
void cm_seal_aad(struct cm_buf *out, enum cm_seal_dir dir, struct cm_str method,
                 struct cm_uuid request_id);
