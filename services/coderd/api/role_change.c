#include "api/role_change.h"

static bool has(struct role_list l, struct cm_str name)
{
    for (size_t i = 0; i < l.n; i++) {
        if (cm_str_eq(l.names[i], name))
            return true;
    }
    return false;
}

static enum cm_code check_kind(struct cm_str name, bool org_role, struct cm_err *err)
{
    const struct rbac_role *role = rbac_role_find(name);
    if (!role)
        return cm_err_set(err, CM_INVALID, "There is no role \"%.*s\".",
                          (int)CM_MIN(name.len, (size_t)64), name.ptr);
    if (role->org_role != org_role)
        return cm_err_set(err, CM_INVALID,
                          org_role ? "\"%s\" is a role of the whole site, not of an organization."
                                   : "\"%s\" is a role of an organization, not of the whole site.",
                          role->name);
    if (role->implicit)
        return cm_err_set(err, CM_INVALID, "\"%s\" is a role that everybody has; leave it out.",
                          role->name);
    return CM_OK;
}

static enum cm_code check_assign(const struct api_req *r, struct cm_uuid org_id, struct cm_str name,
                                 struct cm_err *err)
{
    const struct rbac_role *role = rbac_role_find(name);
    /* A role of a newer release can be taken by whoever may take any. */
    bool ok = role ? rbac_may_assign(r->who, role, org_id)
                   : subject_has_role(r->who, "owner") && subject_unrestricted(r->who);
    if (ok)
        return CM_OK;
    return cm_err_set(err, CM_INVALID, "You may not give or take the role \"%.*s\".",
                      CM_STR_ARG(name));
}

enum cm_code role_change_check(struct api_req *r, struct cm_uuid org_id, struct role_list now,
                               struct role_list wanted, struct cm_err *err)
{
    for (size_t i = 0; i < wanted.n; i++) {
        if (check_kind(wanted.names[i], !cm_uuid_is_nil(org_id), err) != CM_OK)
            return err->code;
        if (!has(now, wanted.names[i]) && check_assign(r, org_id, wanted.names[i], err) != CM_OK)
            return err->code;
    }
    for (size_t i = 0; i < now.n; i++) {
        if (!has(wanted, now.names[i]) && check_assign(r, org_id, now.names[i], err) != CM_OK)
            return err->code;
    }
    return CM_OK;
}

bool role_outranks(const struct api_req *r, struct role_list of)
{
    static const struct cm_uuid site;
    struct cm_err ignored;
    for (size_t i = 0; i < of.n; i++) {
        if (check_assign(r, site, of.names[i], &ignored) != CM_OK)
            return false;
    }
    return true;
}
