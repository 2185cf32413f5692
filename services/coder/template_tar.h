/* Template folders as tar archives, by libarchive. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct template_tar_notes {
    bool has_lock;          /* .terraform.lock.hcl was there */
    char skipped_vars[256]; /* variable files that were left out, comma separated, or "" */
};

/* Packs what a template needs: no hidden files but the lock file, no state, no variable files.
 * CM_NOT_FOUND when there is no Terraform file, CM_TOO_LARGE over out's maximum. Symbolic links are
 * left out. */
CM_MUST_USE enum cm_code template_tar_pack(const char *dir, struct cm_buf *out,
                                           struct template_tar_notes *notes, struct cm_err *err);
/* Unpacks files and folders below dir. Names that would leave it, links and devices are refused. */
CM_MUST_USE enum cm_code template_tar_unpack(struct cm_str tar, const char *dir,
                                             struct cm_err *err);
