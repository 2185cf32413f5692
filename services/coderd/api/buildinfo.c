/* What a client needs to know of this deployment before it signs in. */
#include "api/deployment.h"
#include "api/oauth2.h"
#include "api/request.h"
#include "app.h"
#include "base/version.h"
#include "domain/scopes.h"

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

/* RFC 9728; the WWW-Authenticate of a refusal points here. Tokens are made by people, so there is
 * no authorization server to name. */
static enum cm_code protected_resource(struct api_req *r, struct cm_err *err)
{
    (void)err;
    struct cm_str header = CM_STR("header");
    struct api_o_auth2_protected_resource_metadata out = {.resource = cm_str(r->app->access_url),
                                                          .bearer_methods_supported = &header,
                                                          .n_bearer_methods_supported = 1};
    out.scopes_supported = scope_list(r->arena, &out.n_scopes_supported);
    api_reply_header(r, "Access-Control-Allow-Origin", CM_STR("*"));
    return api_reply(r, 200, &api_o_auth2_protected_resource_metadata_msg, &out);
}

static const struct route rows[] = {
    {CM_HTTP_GET, "/api/v2/buildinfo", AUTH_NONE, RBAC_PUBLIC, ROUTE_LOOP, build_info, NULL,
     "Version and addresses", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/.well-known/oauth-protected-resource", AUTH_NONE, RBAC_PUBLIC, ROUTE_LOOP,
     protected_resource, NULL, "How this deployment takes tokens", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2", AUTH_NONE, RBAC_PUBLIC, ROUTE_LOOP, hello, NULL, "A sign of life",
     LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/", AUTH_NONE, RBAC_PUBLIC, ROUTE_LOOP, hello, NULL, "A sign of life",
     LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/", AUTH_NONE, RBAC_PUBLIC, ROUTE_LOOP, hello, NULL, "A sign of life",
     LIMIT_API, 0, false},
};

const struct route_table buildinfo_routes = {rows, CM_COUNT_OF(rows)};
