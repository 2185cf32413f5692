/* Authorisation: one function, may(), over one table of roles.
 *
 * Source: api-behaviour reference, section 3 (decision model and built-in roles). A role grants
 * permissions at up to four levels: site, org (objects of an org that the subject is a member of),
 * org member (objects of such an org that the subject owns) and user (objects the subject owns that
 * have no org). The levels are asked in this order; at each, a negative match denies, a positive
 * one allows, and otherwise the next level decides. Grants by an access list of the object are an
 * OR beside the roles. The scopes of the API key must allow as well. */
#pragma once

#include "base/str.h"
#include "base/uuid.h"

#define RBAC_RESOURCES(X)                                                                          \
    X(workspace)                                                                                   \
    X(workspace_dormant)                                                                           \
    X(prebuilt_workspace)                                                                          \
    X(template)                                                                                    \
    X(user)                                                                                        \
    X(api_key)                                                                                     \
    X(organization)                                                                                \
    X(organization_member)                                                                         \
    X(group)                                                                                       \
    X(group_member)                                                                                \
    X(provisioner_daemon)                                                                          \
    X(provisioner_jobs)                                                                            \
    X(workspace_proxy)                                                                             \
    X(oauth2_app)                                                                                  \
    X(oauth2_app_secret)                                                                           \
    X(oauth2_app_code_token)                                                                       \
    X(file)                                                                                        \
    X(audit_log)                                                                                   \
    X(connection_log)                                                                              \
    X(deployment_config)                                                                           \
    X(deployment_stats)                                                                            \
    X(replicas)                                                                                    \
    X(debug_info)                                                                                  \
    X(license)                                                                                     \
    X(system)                                                                                      \
    X(assign_role)                                                                                 \
    X(assign_org_role)                                                                             \
    X(idpsync_settings)                                                                            \
    X(notification_template)                                                                       \
    X(notification_message)                                                                        \
    X(notification_preference)                                                                     \
    X(inbox_notification)                                                                          \
    X(webpush_subscription)                                                                        \
    X(crypto_key)                                                                                  \
    X(user_secret)                                                                                 \
    X(tailnet_coordinator)                                                                         \
    X(workspace_agent_resource_monitor)                                                            \
    X(workspace_agent_devcontainers)

enum rbac_resource {
    RBAC_RESOURCE_UNSET,
#define RBAC_RESOURCE_ENUM(name) RBAC_##name,
    RBAC_RESOURCES(RBAC_RESOURCE_ENUM)
#undef RBAC_RESOURCE_ENUM
        RBAC_ANY_RESOURCE,
};

#define RBAC_ACTIONS(X)                                                                            \
    X(create)                                                                                      \
    X(read)                                                                                        \
    X(update)                                                                                      \
    X(delete)                                                                                      \
    X(use)                                                                                         \
    X(ssh)                                                                                         \
    X(application_connect)                                                                         \
    X(start)                                                                                       \
    X(stop)                                                                                        \
    X(assign)                                                                                      \
    X(unassign)                                                                                    \
    X(read_personal)                                                                               \
    X(update_personal)                                                                             \
    X(view_insights)                                                                               \
    X(create_agent)                                                                                \
    X(delete_agent)                                                                                \
    X(update_agent)                                                                                \
    X(share)

enum rbac_action_index {
#define RBAC_ACTION_INDEX(name) RBAC_INDEX_##name,
    RBAC_ACTIONS(RBAC_ACTION_INDEX)
#undef RBAC_ACTION_INDEX
        RBAC_N_ACTIONS,
};
/* Actions are bits, so that a permission is one mask. */
enum rbac_action {
    RBAC_NO_ACTION = 0,
#define RBAC_ACTION_ENUM(name) RBAC_do_##name = 1 << RBAC_INDEX_##name,
    RBAC_ACTIONS(RBAC_ACTION_ENUM)
#undef RBAC_ACTION_ENUM
};
#define RBAC_ALL_ACTIONS ((1u << RBAC_N_ACTIONS) - 1)

const char *rbac_resource_name(enum rbac_resource r);
const char *rbac_action_name(enum rbac_action a);
CM_MUST_USE bool rbac_resource_parse(struct cm_str name, enum rbac_resource *ret);
CM_MUST_USE bool rbac_action_parse(struct cm_str name, enum rbac_action *ret);
/* The actions that there are for things of this type. */
uint32_t rbac_resource_actions(enum rbac_resource r);

struct rbac_perm {
    enum rbac_resource resource; /* RBAC_RESOURCE_UNSET ends a list */
    uint32_t actions;
    bool negate;
};

struct rbac_role {
    const char *name;
    const char *display_name;
    bool org_role;                                          /* belongs to one organization */
    bool implicit;                                          /* never assigned nor listed */
    const struct rbac_perm *site, *org, *org_member, *user; /* NULL: none */
};

extern const struct rbac_role rbac_roles[];
extern const size_t rbac_n_roles;
const struct rbac_role *rbac_role_find(struct cm_str name);

#define RBAC_ROLES_MAX  16
#define RBAC_SCOPES_MAX 32

/* Of a key's allow list: things of this type, with this id (nil: any). */
struct rbac_target {
    enum rbac_resource resource;
    struct cm_uuid id;
};

struct rbac_membership {
    struct cm_uuid org_id;
    uint32_t roles; /* bit i: rbac_roles[i] */
};

/* Who asks. Built once per request from one database row; lives in the request's arena. */
struct subject {
    struct cm_uuid user_id;
    struct cm_str username, email;
    uint32_t roles; /* site roles, bit i: rbac_roles[i]; implicit ones included */
    struct rbac_membership *orgs;
    size_t n_orgs;
    bool scope_all;
    struct rbac_perm scopes[RBAC_SCOPES_MAX]; /* when not scope_all */
    size_t n_scopes;
    /* The key reaches these things only; NULL: all. */
    const struct rbac_target *targets;
    size_t n_targets;
    struct cm_str allow_list; /* the same as JSON, for keys that this one makes; empty: all */
    struct cm_str key_id;
    int login_type; /* of the key; enum api_login_type */
};

/* What is asked about. Nil ids mean "none". */
struct rbac_object {
    enum rbac_resource resource;
    struct cm_uuid id, org_id, owner_id;
    uint32_t acl_actions; /* what the object's access list grants this subject */
    bool any_org;         /* is there any org in which it would be allowed? */
};

bool may(const struct subject *s, enum rbac_action action, const struct rbac_object *o);

/* Adds a role by name to a mask; false when there is no such role of that kind. */
CM_MUST_USE bool rbac_role_add(uint32_t *mask, struct cm_str name, bool org_role);
bool subject_has_role(const struct subject *s, const char *site_role);
/* Is the key as mighty as its user? */
bool subject_unrestricted(const struct subject *s);
/* May somebody with these rights give or take that site role? (owner: any; user-admin: none of the
 * privileged) */
bool rbac_may_assign(const struct subject *s, const struct rbac_role *role, struct cm_uuid org_id);
