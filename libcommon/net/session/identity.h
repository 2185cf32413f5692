/* A key of one boot or one session and its self-signed certificate, known to the other end by its
 * SHA-256. */
#pragma once

#include "base/err.h"
#include "net/session/ticket.h"

struct ssl_st;
struct cm_session_identity;

/* P-256. Takes some 50 us. */
enum cm_code cm_session_identity_new(struct cm_session_identity **ret, struct cm_err *err);
void cm_session_identity_free(struct cm_session_identity *id);
CM_DEFINE_CLEANUP(cm_session_identity, cm_session_identity_free)
const uint8_t *cm_session_identity_sha256(
    const struct cm_session_identity *id); /* CM_SHA256_LEN bytes */

/* For net/session: one end of a TLS 1.3 connection that presents id and takes only the peer whose
 * certificate has peer_sha256 (borrowed until the handshake is done). */
CM_MUST_USE enum cm_code cm_session_identity_ssl(const struct cm_session_identity *id,
                                                 const uint8_t peer_sha256[CM_SHA256_LEN],
                                                 struct ssl_st **ret, struct cm_err *err);
