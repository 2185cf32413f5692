/* SSH host keys that need no file: an Ed25519 key made from a seed, so that who knows the seed has
 * the same key. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define CM_SSH_SEED 32

/* Appends the private key in OpenSSH's format, for ssh_pki_import_privkey_base64. out should wipe.
 */
CM_MUST_USE enum cm_code cm_ssh_key_from_seed(const uint8_t seed[CM_SSH_SEED], struct cm_buf *out,
                                              struct cm_err *err);
/* The seed that belongs to these names: SHA-256 over them, each with its length. */
void cm_ssh_seed_of(const struct cm_str *names, size_t n, uint8_t ret[CM_SSH_SEED]);
