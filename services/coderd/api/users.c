/* Users: reading, listing, creating, changing. Source: api-behaviour reference, 4.3. */
#include "api/audit_log.h"
#include "api/targets.h"
#include "app.h"

static enum cm_code user_get(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    if (target_user(r, 0, &u, err) != CM_OK)
        return err->code;
    struct rbac_object o = object_user(u->id);
    if (api_authorize(r, &o, err) != CM_OK)
        return err->code;
    struct api_user out;
    show_user(r->arena, u, &out);
    return api_reply(r, 200, &api_user_msg, &out);
}

static const struct route rows[] = {
    {CM_HTTP_GET, "/api/v2/users/{user}", AUTH_SESSION, RBAC(user, read), ROUTE_CALL, user_get,
     NULL, "Get a user", LIMIT_API, 0, false},
};

const struct route_table users_routes = {rows, CM_COUNT_OF(rows)};
