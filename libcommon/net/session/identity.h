/* A key of one boot or one session and its self-signed certificate, known to the other end by its
 * SHA-256. */
#pragma once

#include "base/err.h"
#include "net/session/ticket.h"

struct ssl_ctx_st;
struct cm_session_identity;

/* P-256. Takes some 50 us. */
enum cm_code cm_session_identity_new(struct cm_session_identity **ret, struct cm_err *err);
void cm_session_identity_free(struct cm_session_identity *id);
CM_DEFINE_CLEANUP(cm_session_identity, cm_session_identity_free)
const uint8_t *cm_session_identity_sha256(
    const struct cm_session_identity *id); /* CM_SHA256_LEN bytes */

/* For net/session: a context that presents id, speaks TLS 1.3 only and asks the peer for its
 * certificate. */
enum cm_code cm_session_identity_ssl(const struct cm_session_identity *id, bool server,
                                     struct ssl_ctx_st **ret, struct cm_err *err);
