/* Members of an organization, for "organizations members". */
#pragma once

#include "cmd/cmd.h"

extern const struct command organizations_members;

/* All members of the organization. */
CM_MUST_USE enum cm_code members_fetch(struct cli *cli, const struct api_organization *org,
                                       struct api_organization_member_with_user_data **ret,
                                       size_t *ret_n, struct cm_err *err);
/* The one of that name, e-mail address or id. */
CM_MUST_USE enum cm_code members_find(const struct api_organization_member_with_user_data *all,
                                      size_t n, const char *who,
                                      const struct api_organization_member_with_user_data **ret,
                                      struct cm_err *err);
