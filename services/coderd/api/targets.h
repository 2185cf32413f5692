/* What path segments mean: {user} is me, a UUID or a username; {organization} is default, the nil
 * UUID, a UUID or a name. And the shapes that several resources show. */
#pragma once

#include "api/organizations.h"
#include "api/request.h"
#include "api/users.h"
#include "store/organizations.h"
#include "store/users.h"

/* params[i] as a user whom the caller may see. CM_INVALID when there is none, with the words by
 * which clients know that a user is gone. */
CM_MUST_USE enum cm_code target_user(struct api_req *r, size_t i, struct store_user **ret,
                                     struct cm_err *err);
/* The same for a path to something that may be seen where its user may not. CM_NOT_FOUND when there
 * is no such user; what the caller may see is the handler's to ask. */
CM_MUST_USE enum cm_code target_any_user(struct api_req *r, size_t i, struct store_user **ret,
                                         struct cm_err *err);
CM_MUST_USE enum cm_code target_org(struct api_req *r, size_t i, struct store_organization **ret,
                                    struct cm_err *err);

/* The object to put to may() for a user's own row, and for what belongs to a user without an org.
 */
struct rbac_object object_user(struct cm_uuid user_id);
struct rbac_object object_owned(enum rbac_resource res, struct cm_uuid owner_id);
struct rbac_object object_org(enum rbac_resource res, struct cm_uuid org_id,
                              struct cm_uuid owner_id);

/* Fills the API's shape; role names get their display names. */
void show_user(struct cm_arena *a, const struct store_user *u, struct api_user *out);
void show_reduced_user(const struct store_user *u, struct api_reduced_user *out);
void show_organization(const struct store_organization *o, struct api_organization *out);
struct api_slim_role *show_roles(struct cm_arena *a, const struct cm_str *names, size_t n,
                                 size_t *ret_n);
