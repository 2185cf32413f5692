/* Takes a template out of its archive. The archive is a user's: only regular files and folders with
 * local paths are made, sizes and counts are bounded, and what could stand in for files of ours is
 * left out. Blocks. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#define TF_ARCHIVE_MAX   ((size_t)100 << 20)
#define TF_ARCHIVE_FILES 10000
#define TF_ARCHIVE_RATIO 100 /* unpacked bytes per byte of archive, beyond the first MiB */

enum tf_unpack_kind {
    TF_UNPACK_SOURCE,  /* a template's files: no .terraform folder, no state */
    TF_UNPACK_MODULES, /* a module archive: modules/... to go into .terraform */
};

/* dest must exist, be empty or ours alone. *ret_skipped (may be NULL) counts links, devices and the
 * like, which are passed over. CM_INVALID for a broken archive or a path that leaves dest;
 * CM_TOO_LARGE over a limit. */
CM_MUST_USE enum cm_code tf_unpack(struct cm_str archive, const char *dest,
                                   enum tf_unpack_kind kind, unsigned *ret_skipped,
                                   struct cm_err *err);

/* The other direction, for modules: a tar of <dir>/<name> without .git folders and links, at most
 * max bytes of files. CM_TOO_LARGE when it would be more. */
struct cm_buf;
CM_MUST_USE enum cm_code tf_pack(const char *dir, const char *name, size_t max, struct cm_buf *out,
                                 struct cm_err *err);
