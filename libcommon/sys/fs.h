/* Files and folders: the few operations that every program repeats. Paths are terminated strings;
 * blocking calls. */
#pragma once

#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* The whole file, up to out's maximum; CM_NOT_FOUND, CM_DENIED, CM_TOO_LARGE, CM_IO. */
CM_MUST_USE enum cm_code cm_fs_read(const char *path, struct cm_buf *out, struct cm_err *err);
/* Replaces the file in one step: written beside it with mode, then renamed. With sync it survives a
 * power cut. */
CM_MUST_USE enum cm_code cm_fs_write(const char *path, struct cm_str data, mode_t mode, bool sync,
                                     struct cm_err *err);
/* Makes the folder and those above it; one that exists is fine, whatever its mode. */
CM_MUST_USE enum cm_code cm_fs_mkdirs(const char *path, mode_t mode, struct cm_err *err);
/* Removes a file or a folder with all in it, following no symbolic links; what is not there is
 * fine. */
CM_MUST_USE enum cm_code cm_fs_remove_tree(const char *path, struct cm_err *err);
/* A new folder of mode 0700, "<parent>/<prefix>XXXXXX"; parent NULL: $TMPDIR or /tmp. Heap string.
 */
CM_MUST_USE enum cm_code cm_fs_temp_dir(const char *parent, const char *prefix, char **ret,
                                        struct cm_err *err);
bool cm_fs_exists(const char *path);
bool cm_fs_is_dir(const char *path);
bool cm_fs_is_executable(const char *path);
/* "a/b": with one slash between, or name alone when it is absolute. */
char *cm_fs_join(struct cm_arena *a, const char *dir, const char *name);
/* The folder part of a path ("." when there is none). */
char *cm_fs_dirname(struct cm_arena *a, const char *path);
const char *cm_fs_basename(const char *path); /* points into path */
/* The running program's file; a heap string. */
CM_MUST_USE enum cm_code cm_fs_self_exe(char **ret, struct cm_err *err);
