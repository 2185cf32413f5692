/* Giving and taking roles: the rules that hold wherever roles are set. */
#pragma once

#include "api/request.h"

struct role_list {
    const struct cm_str *names;
    size_t n;
};

/* Is every name of `wanted` a role of that kind, and may the caller give and take whatever differs
 * between the two? org_id nil: site roles. CM_INVALID names the role. */
CM_MUST_USE enum cm_code role_change_check(struct api_req *r, struct cm_uuid org_id,
                                           struct role_list now, struct role_list wanted,
                                           struct cm_err *err);
/* May the caller change the password, or delete the account, of somebody with these site roles?
 * Only of those whose roles it could take away: else a user admin could become an owner. */
bool role_outranks(const struct api_req *r, struct role_list of);
