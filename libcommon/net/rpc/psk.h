/* The handshake by which two ends prove to each other that they hold the same pre-shared key,
 * without sending it: TLS 1.3 with an external PSK and (EC)DHE (RFC 8446, psk_dhe_ke), run by
 * OpenSSL over memory. Bytes in, bytes out; whoever uses this carries them. What remains is a
 * secret for seal.h; no TLS record is sent afterwards.
 *
 *   client                                   server
 *   cm_psk_client_new                        cm_psk_server_new
 *   cm_psk_step(c, "", &out)   -- out -->    cm_psk_step(s, in, &out)
 *   cm_psk_step(c, in, &out)   <-- out --
 *   done                       -- out -->    cm_psk_step(s, in, &out), done
 *
 * An object belongs to one thread at a time. It is bounded: 16 KiB of input in all, three steps. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "net/rpc/seal.h"

#define CM_PSK_KEY        32
#define CM_PSK_NAME_MAX   96 /* bytes of a key's name */
#define CM_PSK_FLIGHT_MAX 16384

/* An administrator's own PSK has this many characters at least, since a recorded handshake can be
 * guessed at. */
#define CM_PSK_TEXT_MIN 22
/* CM_INVALID, with the command that makes a good one, when text is too short (or over 256
 * characters). */
CM_MUST_USE enum cm_code cm_psk_text_check(struct cm_str text, struct cm_err *err);
/* The handshake's key from the text that people see. One way: a server may keep the result instead
 * of the text, but must guard it just as well. */
void cm_psk_key_from_text(struct cm_str text, uint8_t key[CM_PSK_KEY]);

struct cm_psk;

/* Finds the key called name: sets *found and, if so, key. Blocking is fine. Failing (not: finding
 * nothing) ends the handshake with that error. */
typedef enum cm_code (*cm_psk_lookup_fn)(void *ctx, struct cm_str name, uint8_t key[CM_PSK_KEY],
                                         bool *found, struct cm_err *err);

/* fake_secret: the deployment's own, stable among replicas; an unknown name gets a key derived from
 * it, so that nobody can find out which names exist. lookup runs inside cm_psk_step, with the ctx
 * given there. */
enum cm_code cm_psk_server_new(const uint8_t fake_secret[32], cm_psk_lookup_fn lookup,
                               struct cm_psk **ret, struct cm_err *err);
enum cm_code cm_psk_client_new(struct cm_str name, const uint8_t key[CM_PSK_KEY],
                               struct cm_psk **ret, struct cm_err *err);
void cm_psk_free(struct cm_psk *p); /* NULL is fine; wipes */
CM_DEFINE_CLEANUP(cm_psk, cm_psk_free)

/* Takes what the peer sent (empty for the client's first step) and appends what to send to out.
 * CM_UNAUTHENTICATED when the keys differ or the peer breaks the rules: err then says what for the
 * log, and nothing of it, and nothing of out, may be sent to the peer, which would tell the cases
 * apart. */
CM_MUST_USE enum cm_code cm_psk_step(struct cm_psk *p, struct cm_str in, struct cm_buf *out,
                                     void *lookup_ctx, struct cm_err *err);
bool cm_psk_is_done(const struct cm_psk *p);
/* When done: the secret that both ends share now (TLS exporter), for sealing. */
void cm_psk_secret(const struct cm_psk *p, uint8_t secret[CM_SEAL_SECRET]);
/* The name that the client gave; empty before the first step. Borrowed. Server only. */
struct cm_str cm_psk_name(const struct cm_psk *p);
/* Was the name unknown? For the log. Server only. */
bool cm_psk_name_unknown(const struct cm_psk *p);
