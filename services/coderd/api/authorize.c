/* The one way from a handler to may(). A file of its own, so that the route walk can put another in
 * its place and see each rule that is taken away turn the walk red (tests/contract/route_walk). */
#include "api/request.h"

enum cm_code api_not_found(struct cm_err *err)
{
    return cm_err_set(err, CM_NOT_FOUND, "%s", API_NOT_FOUND);
}

enum cm_code api_forbidden(struct api_req *r, struct cm_err *err)
{
    r->detail.code = CM_DENIED;
    r->detail.text =
        "Your account does not have the rights for this. An administrator can give them.";
    return cm_err_set(err, CM_DENIED, "Forbidden.");
}

bool api_may(const struct api_req *r, enum rbac_action action, const struct rbac_object *o)
{
    return may(r->who, action, o);
}

enum cm_code api_authorize_also(struct api_req *r, enum rbac_action action,
                                const struct rbac_object *o, struct cm_err *err)
{
    if (may(r->who, action, o))
        return CM_OK;
    if (action == RBAC_do_read || !may(r->who, RBAC_do_read, o))
        return api_not_found(err);
    return api_forbidden(r, err);
}

enum cm_code api_authorize(struct api_req *r, const struct rbac_object *o, struct cm_err *err)
{
    const struct route_rule *rule = &r->route->rule;
    cm_assert(rule->kind == RULE_OBJECT && o->resource == rule->resource);
    enum cm_code code = api_authorize_also(r, rule->action, o, err);
    if (code == CM_OK)
        r->authorized = true;
    return code;
}

enum cm_code api_authorize_known(struct api_req *r, const struct rbac_object *o, struct cm_err *err)
{
    enum cm_code code = api_authorize(r, o, err);
    return code == CM_NOT_FOUND ? api_forbidden(r, err) : code;
}

void api_authorize_list(struct api_req *r)
{
    cm_assert(r->route->rule.kind == RULE_OBJECT && r->route->rule.action == RBAC_do_read);
    r->authorized = true;
}
