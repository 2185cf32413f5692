/* Archives in the database, for handlers that make or read them. */
#pragma once

#include "api/request.h"
#include "store/files.h"

/* Keeps the tar in fd as the caller's; the same content again is the same file, *ret_new tells. */
CM_MUST_USE enum cm_code file_store(struct api_req *r, int fd, struct cm_uuid *ret_id,
                                    bool *ret_new, struct cm_err *err);
/* The object to put to may(): files are their owner's, and to be read by those who may read a
 * template that has a version of it. */
CM_MUST_USE enum cm_code file_object(struct api_req *r, const struct store_file *f,
                                     struct rbac_object *ret, struct cm_err *err);
