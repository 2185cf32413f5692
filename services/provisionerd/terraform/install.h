/* Where terraform gets its providers: our own from a local mirror that needs no network, the others
 * from the mirror that the operator configured or from their registries. Made once when the daemon
 * starts. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "terraform/binary.h"

struct tf_install_spec {
    const char *cache_dir; /* ours; exists */
    const char *provider;  /* terraform-provider-coder; NULL: not offered, taken like any other */
    const char *filesystem_mirror; /* a folder in terraform's unpacked or packed layout, or NULL */
    const char *network_mirror; /* an https URL, or NULL: then nothing is fetched from registries */
    const char
        *cli_config; /* the operator's own CLI configuration: used instead of ours; or NULL */
};

struct tf_install {
    const char *cli_config; /* for TF_CLI_CONFIG_FILE */
    const char *plugin_cache;
    const char *fingerprint; /* changes when what init would do may change: part of cache keys */
};

CM_MUST_USE enum cm_code tf_install_prepare(struct cm_arena *a, const struct tf_install_spec *spec,
                                            const struct tf_binary *bin, struct tf_install *ret,
                                            struct cm_err *err);

/* Takes the entry of our own provider out of the lock file in dir: a lock that was made with
 * another build of it names checksums that ours cannot have. Other entries stay. No lock file is
 * fine. */
CM_MUST_USE enum cm_code tf_lock_forget_own(const char *dir, struct cm_err *err);

/* Lower-case hex of SHA-256, in the arena. */
char *tf_sha256_hex(struct cm_arena *a, struct cm_str data);
