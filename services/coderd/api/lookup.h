/* What names in queries mean, while the parameters of a list are read. Whoever is not there is
 * nobody, for whom there are no rows. A failure of the database ends the request when it comes to
 * api_query_check. On a worker; results live in the request's arena. */
#pragma once

#include "api/request.h"

/* Of a lookup in the store: true for CM_OK, false for CM_NOT_FOUND; any other failure is kept as
 * the request's. */
bool lookup_found(struct api_req *r, enum cm_code code, const struct cm_err *err);
/* "me", an id or a name. Never NULL. */
const struct cm_uuid *lookup_user(struct api_req *r, struct cm_str text);
/* An id or a name. Never NULL. */
const struct cm_uuid *lookup_org(struct api_req *r, struct cm_str text);
