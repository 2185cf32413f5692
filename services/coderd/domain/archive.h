/* Uploaded template archives: what is accepted, and zip to tar. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "codec/fields.h"

#define ARCHIVE_BYTES_MAX   ((uint64_t)100 * 1024 * 1024) /* also of what a zip expands to */
#define ARCHIVE_ENTRIES_MAX 20000

enum archive_kind { ARCHIVE_TAR, ARCHIVE_ZIP };

/* Reads the archive in fd from its beginning and refuses what no template needs and attackers do:
 * names that lead out of the folder, links, devices, too many entries, more bytes than
 * ARCHIVE_BYTES_MAX. CM_INVALID or CM_TOO_LARGE with a sentence that names the entry. An empty file
 * is an empty tar. */
CM_MUST_USE enum cm_code archive_check_tar(int fd, struct cm_err *err);
/* Writes the zip in zip_fd as a tar to tar_fd, with the same checks. */
CM_MUST_USE enum cm_code archive_zip_to_tar(int zip_fd, int tar_fd, struct cm_err *err);
/* Writes the tar in tar_fd as a zip to zip_fd. */
CM_MUST_USE enum cm_code archive_tar_to_zip(int tar_fd, int zip_fd, struct cm_err *err);
/* Of a tar in memory: the files that are text, each name without a leading ./ with its content.
 * What is longer than file_max is left out; so is all that comes once total_max bytes are taken. */
CM_MUST_USE enum cm_code archive_texts(struct cm_arena *a, struct cm_str tar, size_t file_max,
                                       size_t total_max, struct cm_pair **ret, size_t *ret_n,
                                       struct cm_err *err);
