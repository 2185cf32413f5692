/* The starter templates inside the program, as "coder templates init" has them. */
#pragma once

#include "api/templates.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* What each says of itself in its README.md; lives in the arena. */
CM_MUST_USE enum cm_code examples_list(struct cm_arena *a, struct api_template_example **ret,
                                       size_t *ret_n, struct cm_err *err);
/* The files of one as a tar, the same bytes each time; CM_NOT_FOUND when there is none of this id.
 */
CM_MUST_USE enum cm_code examples_tar(struct cm_str id, struct cm_buf *out, struct cm_err *err);
