/* What a client needs to know of this deployment before it signs in. */
#include "api/deployment.h"
#include "api/request.h"
#include "app.h"
#include "base/version.h"

static enum cm_code build_info(struct api_req *r, struct cm_err *err)
{
    (void)err;
    struct api_build_info_response out = {
        .external_url = cm_str(r->app->access_url),
        .version = CM_STR(CM_VERSION),
        .dashboard_url = cm_str(r->app->access_url),
        .agent_api_version = CM_STR("1.0"),
        .provisioner_api_version = CM_STR("1.0"),
        .upgrade_message = CM_STR(""),
        .deployment_id = cm_arena_str(r->arena, cm_str(cm_uuid_text(r->app->deployment_id).s)),
    };
    return api_reply(r, 200, &api_build_info_response_msg, &out);
}

static enum cm_code hello(struct api_req *r, struct cm_err *err)
{
    (void)err;
    return api_reply_message(r, 200, "\xf0\x9f\x91\x8b", NULL);
}

static const struct route rows[] = {
    {CM_HTTP_GET, "/api/v2/buildinfo", AUTH_NONE, RBAC_PUBLIC, ROUTE_LOOP, build_info, NULL,
     "Version and addresses", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2", AUTH_NONE, RBAC_PUBLIC, ROUTE_LOOP, hello, NULL, "A sign of life",
     LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/", AUTH_NONE, RBAC_PUBLIC, ROUTE_LOOP, hello, NULL, "A sign of life",
     LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/", AUTH_NONE, RBAC_PUBLIC, ROUTE_LOOP, hello, NULL, "A sign of life",
     LIMIT_API, 0, false},
};

const struct route_table buildinfo_routes = {rows, CM_COUNT_OF(rows)};
