/* The table of roles against the reference (api-behaviour reference, 3.1 and 3.2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "domain/rbac.h"

static const struct cm_uuid me = {{1}}, other = {{2}}, my_org = {{3}}, other_org = {{4}},
                            thing = {{5}};

/* A member of my_org with a site role and an organization role ("": none). */
struct who {
    struct subject s;
    struct rbac_membership m;
};

static void who_init(struct who *w, const char *site_role, const char *org_role)
{
    *w =
        (struct who){.s = {.user_id = me, .n_orgs = 1, .scope_all = true}, .m = {.org_id = my_org}};
    w->s.orgs = &w->m;
    assert_true(rbac_role_add(&w->s.roles, CM_STR("member"), false));
    assert_true(rbac_role_add(&w->m.roles, CM_STR("organization-member"), true));
    if (*site_role)
        assert_true(rbac_role_add(&w->s.roles, cm_str(site_role), false));
    if (*org_role)
        assert_true(rbac_role_add(&w->m.roles, cm_str(org_role), true));
}

enum whose { NOBODYS, MINE, OTHERS };
enum where { SITE, MY_ORG, OTHER_ORG, ANY_ORG };

struct row {
    const char *site_role, *org_role;
    enum rbac_action action;
    enum rbac_resource resource;
    enum where where;
    enum whose whose;
    bool ok;
};

static const char ACCESS[] = "organization-workspace-access";
static const char ADMIN[] = "organization-admin";
static const char BAN[] = "organization-workspace-creation-ban";

static const struct row rows[] = {
    {"owner", "", RBAC_do_delete, RBAC_user, SITE, OTHERS, true},
    {"owner", "", RBAC_do_read, RBAC_user_secret, SITE, OTHERS, false},
    {"owner", "", RBAC_do_start, RBAC_workspace, OTHER_ORG, OTHERS, true},
    {"owner", "", RBAC_do_start, RBAC_workspace_dormant, OTHER_ORG, OTHERS, false},
    {"owner", "", RBAC_do_stop, RBAC_workspace_dormant, OTHER_ORG, OTHERS, true},
    {"owner", BAN, RBAC_do_create, RBAC_workspace, MY_ORG, MINE, true},
    {"user-admin", "", RBAC_do_create, RBAC_user, SITE, NOBODYS, true},
    {"user-admin", "", RBAC_do_create, RBAC_organization_member, OTHER_ORG, OTHERS, true},
    {"user-admin", "", RBAC_do_read, RBAC_audit_log, SITE, NOBODYS, false},
    {"user-admin", "", RBAC_do_read, RBAC_api_key, SITE, OTHERS, false},
    {"template-admin", "", RBAC_do_delete, RBAC_template, OTHER_ORG, NOBODYS, true},
    {"template-admin", "", RBAC_do_read, RBAC_workspace, OTHER_ORG, OTHERS, true},
    {"template-admin", "", RBAC_do_ssh, RBAC_workspace, OTHER_ORG, OTHERS, false},
    {"template-admin", "", RBAC_do_update, RBAC_user, SITE, OTHERS, false},
    {"auditor", "", RBAC_do_read, RBAC_audit_log, SITE, NOBODYS, true},
    {"auditor", "", RBAC_do_read, RBAC_deployment_config, SITE, NOBODYS, true},
    {"auditor", "", RBAC_do_update, RBAC_deployment_config, SITE, NOBODYS, false},
    {"", "", RBAC_do_read, RBAC_user, SITE, MINE, true},
    {"", "", RBAC_do_read, RBAC_user, SITE, OTHERS, false},
    {"", "", RBAC_do_update, RBAC_user, SITE, MINE, false},
    {"", "", RBAC_do_update_personal, RBAC_user, SITE, MINE, true},
    {"", "", RBAC_do_delete, RBAC_api_key, SITE, MINE, true},
    {"", "", RBAC_do_read, RBAC_organization, MY_ORG, NOBODYS, true},
    {"", "", RBAC_do_read, RBAC_organization, OTHER_ORG, NOBODYS, false},
    {"", "", RBAC_do_create, RBAC_workspace, MY_ORG, MINE, false},
    {"", ACCESS, RBAC_do_create, RBAC_workspace, MY_ORG, MINE, true},
    {"", ACCESS, RBAC_do_create, RBAC_workspace, MY_ORG, OTHERS, false},
    {"", ACCESS, RBAC_do_create, RBAC_workspace, OTHER_ORG, MINE, false},
    {"", ACCESS, RBAC_do_create, RBAC_workspace, ANY_ORG, MINE, true},
    {"", ADMIN, RBAC_do_delete, RBAC_template, MY_ORG, NOBODYS, true},
    {"", ADMIN, RBAC_do_delete, RBAC_template, OTHER_ORG, NOBODYS, false},
    {"", ADMIN, RBAC_do_read, RBAC_workspace, MY_ORG, OTHERS, true},
    {"", ADMIN, RBAC_do_ssh, RBAC_workspace, MY_ORG, OTHERS, false},
    {"", ADMIN, RBAC_do_read, RBAC_user, SITE, OTHERS, true},
    {"", ADMIN, RBAC_do_create, RBAC_user, SITE, NOBODYS, false},
    {"", BAN, RBAC_do_create, RBAC_workspace, MY_ORG, MINE, false},
    {"", "organization-auditor", RBAC_do_read, RBAC_audit_log, MY_ORG, NOBODYS, true},
    {"", "organization-auditor", RBAC_do_read, RBAC_audit_log, SITE, NOBODYS, false},
};

static struct rbac_object object_of(const struct row *row)
{
    struct rbac_object o = {
        .resource = row->resource, .id = thing, .any_org = row->where == ANY_ORG};
    if (row->where == MY_ORG || row->where == OTHER_ORG)
        o.org_id = row->where == MY_ORG ? my_org : other_org;
    if (row->whose != NOBODYS)
        o.owner_id = row->whose == MINE ? me : other;
    return o;
}

static void roles_are_as_in_the_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct who w;
        who_init(&w, rows[i].site_role, rows[i].org_role);
        struct rbac_object o = object_of(&rows[i]);
        if (may(&w.s, rows[i].action, &o) != rows[i].ok)
            fail_msg("row %zu: \"%s\" \"%s\" %s %s: should be %d", i, rows[i].site_role,
                     rows[i].org_role, rbac_action_name(rows[i].action),
                     rbac_resource_name(rows[i].resource), rows[i].ok);
    }
}

static void nobody_may_nothing(void **state)
{
    (void)state;
    struct rbac_object o = {.resource = RBAC_template, .acl_actions = RBAC_ALL_ACTIONS};
    assert_false(may(NULL, RBAC_do_read, &o));
}

static void access_lists_add_to_roles(void **state)
{
    (void)state;
    struct who w;
    who_init(&w, "", BAN);
    struct rbac_object o = {.resource = RBAC_workspace, .org_id = my_org, .owner_id = other};
    assert_false(may(&w.s, RBAC_do_ssh, &o));
    o.acl_actions = (uint32_t)RBAC_do_ssh;
    assert_true(may(&w.s, RBAC_do_ssh, &o));
    assert_false(may(&w.s, RBAC_do_update, &o));
}

static void scopes_and_targets_only_narrow(void **state)
{
    (void)state;
    struct who w;
    struct rbac_target one = {RBAC_template, thing};
    struct rbac_object o = {.resource = RBAC_template, .id = thing, .org_id = my_org};
    who_init(&w, "owner", "");
    assert_true(subject_unrestricted(&w.s));
    w.s.targets = &one;
    w.s.n_targets = 1;
    assert_false(subject_unrestricted(&w.s));
    assert_true(may(&w.s, RBAC_do_read, &o));
    o.id = other;
    assert_false(may(&w.s, RBAC_do_read, &o));
    /* Making another is about no thing that the list names. */
    o.id = (struct cm_uuid){{0}};
    assert_false(may(&w.s, RBAC_do_create, &o));
    one.id = (struct cm_uuid){{0}};
    assert_true(may(&w.s, RBAC_do_create, &o));
    /* An empty list reaches nothing. */
    w.s.n_targets = 0;
    assert_false(may(&w.s, RBAC_do_read, &o));

    who_init(&w, "owner", "");
    w.s.scope_all = false;
    w.s.scopes[0] = (struct rbac_perm){RBAC_template, (uint32_t)RBAC_do_read, false};
    w.s.n_scopes = 1;
    assert_true(may(&w.s, RBAC_do_read, &o));
    assert_false(may(&w.s, RBAC_do_update, &o));
    o.acl_actions = RBAC_ALL_ACTIONS;
    assert_false(may(&w.s, RBAC_do_update, &o));
}

static void every_type_has_actions(void **state)
{
    (void)state;
    for (int i = RBAC_RESOURCE_UNSET + 1; i <= RBAC_ANY_RESOURCE; i++)
        assert_int_not_equal(rbac_resource_actions((enum rbac_resource)i), 0);
}

static void who_may_assign_what(void **state)
{
    static const struct {
        const char *site_role, *org_role, *wanted;
        bool ok;
    } cases[] = {
        {"owner", "", "owner", true},
        {"owner", "", "member", false}, /* everybody has it */
        {"user-admin", "", "owner", false},
        {"user-admin", "", "template-admin", false},
        {"user-admin", "", "organization-workspace-access", true},
        {"user-admin", "", "organization-admin", false},
        {"", "organization-admin", "organization-admin", true},
        {"", "organization-admin", "auditor", false},
        {"", "organization-user-admin", "organization-admin", false},
        {"", "organization-user-admin", "organization-workspace-access", true},
        {"", "", "organization-workspace-access", false},
        {"template-admin", "", "organization-workspace-access", false},
    };
    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(cases); i++) {
        struct who w;
        who_init(&w, cases[i].site_role, cases[i].org_role);
        const struct rbac_role *role = rbac_role_find(cm_str(cases[i].wanted));
        if (rbac_may_assign(&w.s, role, my_org) != cases[i].ok)
            fail_msg("case %zu: %s", i, cases[i].wanted);
    }
    /* A key that may do anything with users may not make owners of them. */
    struct who w;
    struct rbac_perm users[] = {{RBAC_user, RBAC_ALL_ACTIONS, false}};
    who_init(&w, "owner", "");
    w.s.scope_all = false;
    w.s.scopes[0] = users[0];
    w.s.n_scopes = 1;
    assert_false(rbac_may_assign(&w.s, rbac_role_find(CM_STR("owner")), my_org));
    assert_false(
        rbac_may_assign(&w.s, rbac_role_find(CM_STR("organization-workspace-access")), my_org));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles_are_as_in_the_reference),
        cmocka_unit_test(nobody_may_nothing),
        cmocka_unit_test(access_lists_add_to_roles),
        cmocka_unit_test(scopes_and_targets_only_narrow),
        cmocka_unit_test(every_type_has_actions),
        cmocka_unit_test(who_may_assign_what),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
