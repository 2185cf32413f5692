#include "domain/rbac.h"

static const char *const resource_names[] = {
    [RBAC_RESOURCE_UNSET] = "",
#define RESOURCE_NAME(name) [RBAC_##name] = #name,
    RBAC_RESOURCES(RESOURCE_NAME)
#undef RESOURCE_NAME
        [RBAC_ANY_RESOURCE] = "*",
};

static const char *const action_names[] = {
#define ACTION_NAME(name) #name,
    RBAC_ACTIONS(ACTION_NAME)
#undef ACTION_NAME
};

const char *rbac_resource_name(enum rbac_resource r)
{
    return resource_names[r];
}

const char *rbac_action_name(enum rbac_action a)
{
    return a == RBAC_NO_ACTION ? "" : action_names[__builtin_ctz((unsigned)a)];
}

bool rbac_resource_parse(struct cm_str name, enum rbac_resource *ret)
{
    for (size_t i = 1; i < CM_COUNT_OF(resource_names); i++) {
        if (cm_str_eq_c(name, resource_names[i])) {
            *ret = (enum rbac_resource)i;
            return true;
        }
    }
    return false;
}

bool rbac_action_parse(struct cm_str name, enum rbac_action *ret)
{
    for (size_t i = 0; i < CM_COUNT_OF(action_names); i++) {
        if (cm_str_eq_c(name, action_names[i])) {
            *ret = (enum rbac_action)(1 << i);
            return true;
        }
    }
    return false;
}

#define C    ((uint32_t)RBAC_do_create)
#define R    ((uint32_t)RBAC_do_read)
#define U    ((uint32_t)RBAC_do_update)
#define D    ((uint32_t)RBAC_do_delete)
#define CRUD (C | R | U | D)
#define ALL  RBAC_ALL_ACTIONS

#define AGENT_ACTIONS                                                                              \
    ((uint32_t)RBAC_do_create_agent | (uint32_t)RBAC_do_delete_agent |                             \
     (uint32_t)RBAC_do_update_agent)
#define DORMANT_ACTIONS (CRUD | (uint32_t)RBAC_do_stop | AGENT_ACTIONS)
#define ASSIGN          ((uint32_t)RBAC_do_assign | (uint32_t)RBAC_do_unassign | R)

#define WORKSPACE                                                                                  \
    (CRUD | AGENT_ACTIONS | (uint32_t)RBAC_do_start | (uint32_t)RBAC_do_stop |                     \
     (uint32_t)RBAC_do_ssh | (uint32_t)RBAC_do_application_connect | (uint32_t)RBAC_do_share)

static const uint32_t resource_actions[] = {
    [RBAC_workspace] = WORKSPACE,
    [RBAC_workspace_dormant] = WORKSPACE,
    [RBAC_prebuilt_workspace] = U | D,
    [RBAC_template] = CRUD | (uint32_t)RBAC_do_use | (uint32_t)RBAC_do_view_insights,
    [RBAC_user] = CRUD | (uint32_t)RBAC_do_read_personal | (uint32_t)RBAC_do_update_personal,
    [RBAC_api_key] = CRUD,
    [RBAC_organization] = CRUD,
    [RBAC_organization_member] = CRUD,
    [RBAC_group] = CRUD,
    [RBAC_group_member] = R,
    [RBAC_provisioner_daemon] = CRUD,
    [RBAC_provisioner_jobs] = C | R | U,
    [RBAC_workspace_proxy] = CRUD,
    [RBAC_oauth2_app] = CRUD,
    [RBAC_oauth2_app_secret] = CRUD,
    [RBAC_oauth2_app_code_token] = C | R | D,
    [RBAC_file] = C | R,
    [RBAC_audit_log] = C | R,
    [RBAC_connection_log] = R | U,
    [RBAC_deployment_config] = R | U,
    [RBAC_deployment_stats] = R,
    [RBAC_replicas] = R,
    [RBAC_debug_info] = R,
    [RBAC_license] = C | R | D,
    [RBAC_system] = CRUD,
    [RBAC_assign_role] = ASSIGN,
    [RBAC_assign_org_role] = ASSIGN | C | U | D,
    [RBAC_idpsync_settings] = R | U,
    [RBAC_notification_template] = R | U,
    [RBAC_notification_message] = CRUD,
    [RBAC_notification_preference] = R | U,
    [RBAC_inbox_notification] = C | R | U,
    [RBAC_webpush_subscription] = C | R | D,
    [RBAC_crypto_key] = CRUD,
    [RBAC_user_secret] = CRUD,
    [RBAC_tailnet_coordinator] = CRUD,
    [RBAC_workspace_agent_resource_monitor] = C | R | U,
    [RBAC_workspace_agent_devcontainers] = C,
    [RBAC_ANY_RESOURCE] = ALL,
};

uint32_t rbac_resource_actions(enum rbac_resource r)
{
    return resource_actions[r];
}

static const struct rbac_perm owner_site[] = {
    /* The negative rows take out of "everything" what not even an owner has. */
    {RBAC_user_secret, ALL, true},
    {RBAC_workspace_dormant, ALL & ~DORMANT_ACTIONS, true},
    {RBAC_prebuilt_workspace, ALL & ~(U | D), true},
    {RBAC_ANY_RESOURCE, ALL, false},
    {0},
};
static const struct rbac_perm user_admin_site[] = {
    {RBAC_user, CRUD | (uint32_t)RBAC_do_read_personal | (uint32_t)RBAC_do_update_personal, false},
    {RBAC_assign_role, ASSIGN, false},
    {RBAC_assign_org_role, ASSIGN, false},
    {RBAC_organization, R, false},
    {RBAC_organization_member, CRUD, false},
    {RBAC_group, CRUD, false},
    {RBAC_group_member, R, false},
    {RBAC_idpsync_settings, R | U, false},
    {0},
};
static const struct rbac_perm template_admin_site[] = {
    {RBAC_user, R, false},
    {RBAC_assign_org_role, R, false},
    {RBAC_organization, R, false},
    {RBAC_organization_member, R, false},
    {RBAC_group, R, false},
    {RBAC_group_member, R, false},
    {RBAC_template, ALL, false},
    {RBAC_file, C | R, false},
    {RBAC_workspace, R, false},
    {RBAC_workspace_dormant, R, false},
    {RBAC_prebuilt_workspace, U | D, false},
    {RBAC_provisioner_daemon, CRUD, false},
    {RBAC_provisioner_jobs, C | R | U, false},
    {0},
};
static const struct rbac_perm auditor_site[] = {
    {RBAC_user, R, false},
    {RBAC_assign_org_role, R, false},
    {RBAC_organization, R, false},
    {RBAC_organization_member, R, false},
    {RBAC_group, R, false},
    {RBAC_group_member, R, false},
    {RBAC_template, R | (uint32_t)RBAC_do_view_insights, false},
    {RBAC_audit_log, R, false},
    {RBAC_connection_log, R, false},
    {RBAC_deployment_config, R, false},
    {RBAC_deployment_stats, R, false},
    {0},
};
static const struct rbac_perm member_site[] = {
    {RBAC_assign_role, R, false},
    {RBAC_oauth2_app, R, false},
    {RBAC_workspace_proxy, R, false},
    {0},
};
static const struct rbac_perm member_user[] = {
    {RBAC_user, R | (uint32_t)RBAC_do_read_personal | (uint32_t)RBAC_do_update_personal, false},
    {RBAC_api_key, ALL, false},
    {RBAC_file, ALL, false},
    {RBAC_template, ALL, false},
    {RBAC_provisioner_daemon, C | R | U, false},
    {RBAC_user_secret, ALL, false},
    {RBAC_inbox_notification, ALL, false},
    {RBAC_notification_preference, ALL, false},
    {RBAC_webpush_subscription, ALL, false},
    {RBAC_oauth2_app_code_token, ALL, false},
    {0},
};

static const struct rbac_perm org_admin_org[] = {
    {RBAC_workspace, (uint32_t)RBAC_do_ssh | (uint32_t)RBAC_do_application_connect, true},
    {RBAC_user_secret, ALL, true},
    {RBAC_workspace_dormant, ALL & ~DORMANT_ACTIONS, true},
    {RBAC_prebuilt_workspace, ALL & ~(U | D), true},
    {RBAC_ANY_RESOURCE, ALL, false},
    {0},
};
static const struct rbac_perm read_users_site[] = {{RBAC_user, R, false}, {0}};
static const struct rbac_perm org_user_admin_org[] = {
    {RBAC_assign_org_role, ASSIGN, false},
    {RBAC_organization, R, false},
    {RBAC_organization_member, CRUD, false},
    {RBAC_group, ALL, false},
    {RBAC_group_member, ALL, false},
    {RBAC_idpsync_settings, R | U, false},
    {0},
};
static const struct rbac_perm org_template_admin_org[] = {
    {RBAC_template, ALL, false},
    {RBAC_file, C | R, false},
    {RBAC_workspace, R, false},
    {RBAC_workspace_dormant, R, false},
    {RBAC_prebuilt_workspace, U | D, false},
    {RBAC_organization, R, false},
    {RBAC_organization_member, R, false},
    {RBAC_group, R, false},
    {RBAC_group_member, R, false},
    {RBAC_provisioner_daemon, CRUD, false},
    {RBAC_provisioner_jobs, C | R | U, false},
    {0},
};
static const struct rbac_perm org_auditor_org[] = {
    {RBAC_audit_log, R, false},
    {RBAC_connection_log, R, false},
    {RBAC_template, R | (uint32_t)RBAC_do_view_insights, false},
    {RBAC_group, R, false},
    {RBAC_group_member, R, false},
    {RBAC_organization, R, false},
    {RBAC_organization_member, R, false},
    {0},
};
static const struct rbac_perm creation_ban_org[] = {
    {RBAC_workspace, C | D | (uint32_t)RBAC_do_create_agent | (uint32_t)RBAC_do_delete_agent, true},
    {0},
};
static const struct rbac_perm workspace_access_member[] = {
    {RBAC_workspace, ALL, false},
    {RBAC_workspace_dormant, DORMANT_ACTIONS, false},
    {RBAC_file, C | R, false},
    {RBAC_provisioner_daemon, C | R, false},
    {0},
};
static const struct rbac_perm org_member_org[] = {
    {RBAC_organization, R, false},    {RBAC_provisioner_daemon, R, false},
    {RBAC_assign_org_role, R, false}, {RBAC_organization_member, R, false},
    {RBAC_group, R, false},           {0},
};
static const struct rbac_perm org_member_member[] = {
    {RBAC_organization_member, R, false},
    {RBAC_group_member, R, false},
    {RBAC_api_key, ALL, false},
    {RBAC_inbox_notification, ALL, false},
    {0},
};

const struct rbac_role rbac_roles[] = {
    {"owner", "Owner", false, false, owner_site, NULL, NULL, NULL},
    {"user-admin", "User Admin", false, false, user_admin_site, NULL, NULL, NULL},
    {"template-admin", "Template Admin", false, false, template_admin_site, NULL, NULL, NULL},
    {"auditor", "Auditor", false, false, auditor_site, NULL, NULL, NULL},
    {"member", "Member", false, true, member_site, NULL, NULL, member_user},
    {"organization-admin", "Organization Admin", true, false, read_users_site, org_admin_org, NULL,
     NULL},
    {"organization-user-admin", "Organization User Admin", true, false, read_users_site,
     org_user_admin_org, NULL, NULL},
    {"organization-template-admin", "Organization Template Admin", true, false, NULL,
     org_template_admin_org, NULL, NULL},
    {"organization-auditor", "Organization Auditor", true, false, NULL, org_auditor_org, NULL,
     NULL},
    {"organization-workspace-access", "Organization Workspace Access", true, false, NULL, NULL,
     workspace_access_member, NULL},
    {"organization-workspace-creation-ban", "Organization Workspace Creation Ban", true, false,
     NULL, creation_ban_org, NULL, NULL},
    {"organization-member", "Organization Member", true, true, NULL, org_member_org,
     org_member_member, NULL},
};
const size_t rbac_n_roles = CM_COUNT_OF(rbac_roles);

const struct rbac_role *rbac_role_find(struct cm_str name)
{
    for (size_t i = 0; i < rbac_n_roles; i++) {
        if (cm_str_eq_c(name, rbac_roles[i].name))
            return &rbac_roles[i];
    }
    return NULL;
}

bool rbac_role_add(uint32_t *mask, struct cm_str name, bool org_role)
{
    const struct rbac_role *role = rbac_role_find(name);
    if (!role || role->org_role != org_role)
        return false;
    *mask |= UINT32_C(1) << (role - rbac_roles);
    return true;
}

enum verdict { ABSTAIN, ALLOW, DENY };

static enum verdict judge(const struct rbac_perm *p, enum rbac_action action,
                          enum rbac_resource res)
{
    enum verdict v = ABSTAIN;
    for (; p && p->resource; p++) {
        if (!(p->actions & (uint32_t)action) ||
            (p->resource != res && p->resource != RBAC_ANY_RESOURCE))
            continue;
        if (p->negate)
            return DENY;
        v = ALLOW;
    }
    return v;
}

/* Which list of a role speaks at which level. */
enum level { LEVEL_SITE, LEVEL_ORG, LEVEL_ORG_MEMBER, LEVEL_USER };

static const struct rbac_perm *role_perms(const struct rbac_role *r, enum level l)
{
    switch (l) {
    case LEVEL_SITE:
        return r->site;
    case LEVEL_ORG:
        return r->org;
    case LEVEL_ORG_MEMBER:
        return r->org_member;
    case LEVEL_USER:
        return r->user;
    }
    return NULL;
}

static enum verdict judge_roles(uint32_t mask, enum level level, enum rbac_action action,
                                enum rbac_resource res)
{
    enum verdict v = ABSTAIN;
    for (size_t i = 0; i < rbac_n_roles; i++) {
        if (!(mask >> i & 1))
            continue;
        enum verdict one = judge(role_perms(&rbac_roles[i], level), action, res);
        if (one == DENY)
            return DENY;
        if (one == ALLOW)
            v = ALLOW;
    }
    return v;
}

static enum verdict judge_site(const struct subject *s, enum rbac_action action,
                               enum rbac_resource res)
{
    uint32_t mask = s->roles;
    for (size_t i = 0; i < s->n_orgs; i++)
        mask |= s->orgs[i]
                    .roles; /* organization roles may carry site permissions, e.g. reading users */
    return judge_roles(mask, LEVEL_SITE, action, res);
}

static bool in_org(const struct subject *s, const struct rbac_membership *m,
                   enum rbac_action action, const struct rbac_object *o)
{
    enum verdict v = judge_roles(m->roles, LEVEL_ORG, action, o->resource);
    if (v == ABSTAIN && cm_uuid_eq(s->user_id, o->owner_id))
        v = judge_roles(m->roles, LEVEL_ORG_MEMBER, action, o->resource);
    return v == ALLOW;
}

static bool roles_allow(const struct subject *s, enum rbac_action action,
                        const struct rbac_object *o)
{
    enum verdict v = judge_site(s, action, o->resource);
    if (v != ABSTAIN)
        return v == ALLOW;
    if (o->any_org || !cm_uuid_is_nil(o->org_id)) {
        for (size_t i = 0; i < s->n_orgs; i++) {
            if ((o->any_org || cm_uuid_eq(s->orgs[i].org_id, o->org_id)) &&
                in_org(s, &s->orgs[i], action, o))
                return true;
        }
        return false;
    }
    return !cm_uuid_is_nil(o->owner_id) && cm_uuid_eq(o->owner_id, s->user_id) &&
           judge_roles(s->roles, LEVEL_USER, action, o->resource) == ALLOW;
}

static bool scopes_allow(const struct subject *s, enum rbac_action action,
                         const struct rbac_object *o)
{
    if (s->scope_all)
        return true;
    for (size_t i = 0; i < s->n_scopes; i++) {
        const struct rbac_perm *p = &s->scopes[i];
        if ((p->actions & (uint32_t)action) &&
            (p->resource == o->resource || p->resource == RBAC_ANY_RESOURCE))
            return true;
    }
    return false;
}

/* What is asked without an id, such as creating or listing, is about any thing of its type. */
static bool targets_allow(const struct subject *s, const struct rbac_object *o)
{
    for (size_t i = 0; i < s->n_targets; i++) {
        const struct rbac_target *t = &s->targets[i];
        if ((t->resource == o->resource || t->resource == RBAC_ANY_RESOURCE) &&
            (cm_uuid_is_nil(t->id) || cm_uuid_eq(t->id, o->id)))
            return true;
    }
    return !s->targets;
}

bool may(const struct subject *s, enum rbac_action action, const struct rbac_object *o)
{
    cm_assert(action != RBAC_NO_ACTION && o->resource != RBAC_RESOURCE_UNSET);
    if (!s || !scopes_allow(s, action, o) || !targets_allow(s, o))
        return false;
    if (o->acl_actions & (uint32_t)action)
        return true;
    return roles_allow(s, action, o);
}

bool subject_has_role(const struct subject *s, const char *site_role)
{
    const struct rbac_role *r = rbac_role_find(cm_str(site_role));
    return r && (s->roles >> (r - rbac_roles) & 1);
}

bool subject_unrestricted(const struct subject *s)
{
    return s->scope_all && !s->targets;
}

bool rbac_may_assign(const struct subject *s, const struct rbac_role *role, struct cm_uuid org_id)
{
    struct rbac_object o = {.resource = role->org_role ? RBAC_assign_org_role : RBAC_assign_role,
                            .org_id = org_id};
    /* An owner's narrow key gives no roles, or it would make itself a wide one. */
    if (role->implicit || !may(s, RBAC_do_assign, &o))
        return false;
    if (subject_has_role(s, "owner"))
        return true;
    if (!role->org_role)
        return false;
    uint32_t admin = 0;
    cm_assert(rbac_role_add(&admin, CM_STR("organization-admin"), true));
    for (size_t i = 0; i < s->n_orgs; i++) {
        if (cm_uuid_eq(s->orgs[i].org_id, org_id) && s->orgs[i].roles & admin)
            return true;
    }
    return cm_str_eq_c(cm_str(role->name), "organization-workspace-access");
}
