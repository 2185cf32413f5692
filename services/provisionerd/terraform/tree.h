/* Copies of folders, for the cache of initialised templates. Blocks. */
#pragma once

#include "base/err.h"

/* Copies all of src into dst, which is made if it is not there; files and folders keep their modes,
 * symbolic links their text; anything else and .git folders are passed over. At most max_bytes. */
CM_MUST_USE enum cm_code tf_tree_copy(const char *src, const char *dst, size_t max_bytes,
                                      struct cm_err *err);
