/* The starter templates, and how many people use a template, or any. Source: api-behaviour
 * reference, 4.7 and 4.17. */
#include "api/targets.h"
#include "api/template_load.h"
#include "app.h"
#include "domain/examples.h"

#define OFFSET_HOURS 14
#define DAYS         60

static enum cm_code reply_examples(struct api_req *r, struct cm_err *err)
{
    struct api_template_example *rows = NULL;
    size_t n = 0;
    if (examples_list(r->arena, &rows, &n, err) != CM_OK)
        return err->code;
    return api_reply_list(r, 200, &api_template_example_msg, rows, n);
}

static enum cm_code examples(struct api_req *r, struct cm_err *err)
{
    /* For whoever sees all templates of some organization, and might make one. */
    const struct rbac_object o = {.resource = RBAC_template, .any_org = true};
    if (api_authorize(r, &o, err) != CM_OK)
        return err->code;
    return reply_examples(r, err);
}

static enum cm_code examples_of_org(struct api_req *r, struct cm_err *err)
{
    struct store_organization *org = NULL;
    if (target_org(r, 0, &org, err) != CM_OK)
        return err->code;
    const struct rbac_object o = {.resource = RBAC_template, .org_id = org->id};
    if (api_authorize(r, &o, err) != CM_OK)
        return err->code;
    return reply_examples(r, err);
}

static enum cm_code reply_daus(struct api_req *r, const struct cm_uuid *template_id,
                               struct cm_err *err)
{
    struct store_dau *rows = NULL;
    size_t n = 0;
    int64_t offset = 0;
    api_query_i64(r, "tz_offset", -OFFSET_HOURS, OFFSET_HOURS, &offset);
    if (api_query_check(r, err) != CM_OK ||
        store_daus(r->db, r->arena, template_id, offset, DAYS, &rows, &n, err) != CM_OK)
        return err->code;
    struct api_da_us_response out = {.entries = CM_NEW_ARRAY(r->arena, struct api_dau_entry, n),
                                     .n_entries = n,
                                     .tz_hour_offset = offset};
    for (size_t i = 0; i < n; i++)
        out.entries[i] = (struct api_dau_entry){.date = rows[i].date, .amount = rows[i].amount};
    return api_reply(r, 200, &api_da_us_response_msg, &out);
}

static enum cm_code template_daus(struct api_req *r, struct cm_err *err)
{
    struct cm_uuid id;
    struct store_template *t = NULL;
    if (api_param_uuid(r, 0, &id, err) != CM_OK || template_load(r, id, &t, err) != CM_OK)
        return err->code;
    struct rbac_object o = template_object(r, t);
    if (api_authorize(r, &o, err) != CM_OK)
        return err->code;
    return reply_daus(r, &t->id, err);
}

static enum cm_code deployment_daus(struct api_req *r, struct cm_err *err)
{
    const struct rbac_object o = {.resource = RBAC_deployment_config};
    if (api_authorize_known(r, &o, err) != CM_OK)
        return err->code;
    return reply_daus(r, NULL, err);
}

static const struct route rows[] = {
    {CM_HTTP_GET, "/api/v2/templates/examples", AUTH_SESSION, RBAC(template, read), ROUTE_CALL,
     examples, NULL, "List example templates", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/organizations/{organization}/templates/examples", AUTH_SESSION,
     RBAC(template, read), ROUTE_CALL, examples_of_org, NULL, "List example templates", LIMIT_API,
     0, false},
    {CM_HTTP_GET, "/api/v2/templates/{template}/daus", AUTH_SESSION, RBAC(template, read),
     ROUTE_CALL, template_daus, NULL, "People who used a template, by day", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/insights/daus", AUTH_SESSION, RBAC(deployment_config, read), ROUTE_CALL,
     deployment_daus, NULL, "People who used workspaces, by day", LIMIT_API, 0, false},
};

const struct route_table template_examples_routes = {rows, CM_COUNT_OF(rows)};
