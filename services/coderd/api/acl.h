/* Access lists of templates and workspaces: who has which role beside what roles of the deployment
 * grant. Kept as JSON in the row, read and changed here. */
#pragma once

#include "api/request.h"
#include "store/groups.h"
#include "store/users.h"

enum acl_role { ACL_NONE, ACL_ADMIN, ACL_USE }; /* as enum api_template_role, api_workspace_role */
enum acl_kind {
    ACL_OF_WORKSPACE, /* id -> name of the role */
    ACL_OF_TEMPLATE,  /* id -> list of actions */
};

struct acl_entry {
    struct cm_uuid id;
    enum acl_role role;
};
struct acl {
    struct acl_entry *v;
    size_t n;
};

/* Our own JSON; what is broken grants nothing. */
struct acl acl_read(struct cm_arena *a, struct cm_str json, enum acl_kind kind);
struct cm_str acl_write(struct cm_arena *a, const struct acl *list, enum acl_kind kind);

struct acl_change {
    struct cm_str key;  /* of the request: should be a UUID */
    enum acl_role role; /* ACL_NONE takes the entry away */
};
/* Applies changes; keys that are no UUID are violations of the field. */
void acl_apply(struct api_req *r, struct acl *list, const struct acl_change *c, size_t n,
               const char *field);

/* The best role that the lists give the caller: administrators before users. */
enum acl_role acl_my_role(struct api_req *r, struct cm_str user_acl, struct cm_str group_acl,
                          enum acl_kind kind);
/* Ids of the caller's groups as text, for predicates of lists. */
struct cm_str *acl_my_groups_text(struct api_req *r, size_t *ret_n);

/* The people and groups of lists, in no particular order; those that are gone are left out. */
CM_MUST_USE enum cm_code acl_load_users(struct api_req *r, const struct acl *list,
                                        struct store_user **ret, size_t *ret_n, struct cm_err *err);
CM_MUST_USE enum cm_code acl_load_groups(struct api_req *r, const struct acl *list,
                                         struct cm_uuid org_id, struct store_group **ret,
                                         size_t *ret_n, struct cm_err *err);
enum acl_role acl_role_of(const struct acl *list, struct cm_uuid id);

/* What was given must exist, in this organization: else violations of the two fields. */
CM_MUST_USE enum cm_code acl_check_given(struct api_req *r, const struct acl *users,
                                         const char *users_field, const struct acl *groups,
                                         const char *groups_field, struct cm_uuid org_id,
                                         struct cm_err *err);
