/* Making users: what the first one, those that an administrator makes, and those of an identity
 * provider have in common. */
#pragma once

#include "api/request.h"
#include "store/users.h"

/* Replaces the user's key pair for git. ret may be NULL. */
CM_MUST_USE enum cm_code user_new_ssh_key(struct api_req *r, struct cm_uuid user_id,
                                          struct store_git_ssh_key **ret, struct cm_err *err);
/* Inserts user, memberships and key pair in one transaction. CM_CONFLICT when name or e-mail is
 * taken: the reply is the 409 then, which names the field. */
CM_MUST_USE enum cm_code user_make(struct api_req *r, const struct store_user_insert_args *row,
                                   const struct cm_uuid *org_ids, size_t n_orgs,
                                   struct cm_err *err);
