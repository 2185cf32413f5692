/* Key pairs for git over SSH, one per user: Ed25519 in OpenSSH's own formats, so that git, ssh and
 * hosting sites take them as they are. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

struct ssh_key {
    struct cm_str private_key; /* -----BEGIN OPENSSH PRIVATE KEY-----, without a passphrase */
    struct cm_str public_key;  /* "ssh-ed25519 AAAA...\n" */
};

/* The texts live in the arena, the private one is wiped with it. */
CM_MUST_USE enum cm_code ssh_key_make(struct cm_arena *a, struct ssh_key *ret, struct cm_err *err);
