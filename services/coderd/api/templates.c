/* Templates: finding, listing and deleting them. Source: api-behaviour reference, 4.7. */
#include "api/acl.h"
#include "api/audit_log.h"
#include "api/lookup.h"
#include "api/search.h"
#include "api/targets.h"
#include "api/template_load.h"
#include "api/template_show.h"
#include "app.h"

static enum cm_code template_get(struct api_req *r, struct cm_err *err)
{
    struct store_template *t = NULL;
    if (template_param(r, 0, &t, err) != CM_OK)
        return err->code;
    return template_reply(r, 200, t->id, err);
}

static enum cm_code template_by_name(struct api_req *r, struct cm_err *err)
{
    struct store_template *t = NULL;
    if (template_named(r, &t, err) != CM_OK)
        return err->code;
    return template_reply(r, 200, t->id, err);
}

static void read_ids(struct api_req *r, const struct search_term *t,
                     struct store_templates_list_args *f)
{
    struct cm_uuid *ids = CM_NEW_ARRAY(r->arena, struct cm_uuid, t->n);
    for (size_t i = 0; i < t->n; i++) {
        if (!cm_uuid_parse(t->values[i], &ids[i]))
            cm_violations_add(&r->violations, r->arena, cm_str(t->key), "must be UUIDs");
    }
    f->ids = ids;
    f->n_ids = t->n;
}

static void read_filter(struct api_req *r, const struct search *s,
                        struct store_templates_list_args *f)
{
    const struct search_term *ids = search_get(s, "ids");
    const bool *deleted = search_bool(r, s, "deleted");
    struct cm_str author = search_text(s, "author");
    f->exact_name = search_text(s, "exact_name");
    f->exact_display_name = search_text(s, "exact_display_name");
    f->name = search_text(s, "name");
    f->display_name = search_text(s, "display_name");
    f->organization_id = search_org(r, s, "organization");
    f->author_id = author.ptr ? lookup_user(r, author) : search_uuid(r, s, "author_id");
    f->has_external_agent = search_bool(r, s, "has_external_agent");
    f->deleted = deleted && *deleted;
    if (search_get(s, "deprecated"))
        f->deprecated = search_bool(r, s, "deprecated");
    if (ids)
        read_ids(r, ids, f);
}

static enum cm_code list(struct api_req *r, const struct cm_uuid *org_id, struct cm_err *err)
{
    static const char *const keys[] = {
        "organization", "exact_name", "exact_display_name", "name",
        "display_name", "ids",        "deprecated",         "deleted",
        "author",       "author_id",  "has_external_agent", NULL};
    static const bool no = false;
    struct store_templates_list_args f = {.deprecated = &no};
    struct search s;
    search_parse(r, api_query(r, "q"), keys, "display_name", &s);
    read_filter(r, &s, &f);
    if (api_query_check(r, err) != CM_OK)
        return err->code;
    if (org_id)
        f.organization_id = org_id;
    struct rbac_object any = {.resource = RBAC_template};
    f.see_all = api_may(r, RBAC_do_read, &any);
    struct cm_uuid *see = CM_NEW_ARRAY(r->arena, struct cm_uuid, r->who->n_orgs);
    for (size_t i = 0; i < r->who->n_orgs; i++) {
        struct rbac_object o = {.resource = RBAC_template, .org_id = r->who->orgs[i].org_id};
        if (api_may(r, RBAC_do_read, &o))
            see[f.n_see_orgs++] = r->who->orgs[i].org_id;
    }
    f.see_orgs = see;
    f.groups = acl_my_groups_text(r, &f.n_groups);
    f.caller = cm_arena_str(r->arena, cm_str(cm_uuid_text(r->who->user_id).s));
    api_authorize_list(r);
    struct store_template *rows = NULL;
    struct api_template *out = NULL;
    size_t n = 0;
    if (store_templates_list(r->db, r->arena, &f, &rows, &n, err) != CM_OK ||
        templates_show(r, rows, n, &out, err) != CM_OK)
        return err->code;
    return api_reply_list(r, 200, &api_template_msg, out, n);
}

static enum cm_code template_list(struct api_req *r, struct cm_err *err)
{
    return list(r, NULL, err);
}

static enum cm_code template_list_org(struct api_req *r, struct cm_err *err)
{
    struct store_organization *org = NULL;
    if (target_org(r, 0, &org, err) != CM_OK)
        return err->code;
    return list(r, &org->id, err);
}

static enum cm_code template_delete(struct api_req *r, struct cm_err *err)
{
    struct store_template *t = NULL;
    int64_t workspaces = 0;
    if (template_param(r, 0, &t, err) != CM_OK ||
        store_template_workspaces(r->db, r->arena, t->id, &workspaces, err) != CM_OK)
        return err->code;
    if (workspaces)
        return cm_err_set(err, CM_INVALID,
                          "All workspaces must be deleted before a template can be removed.");
    if (store_template_delete(r->db, r->arena, t->id, NULL, err) != CM_OK)
        return err->code;
    audit(r, &(struct audit_event){.action = "delete",
                                   .resource_type = "template",
                                   .resource_id = t->id,
                                   .target = t->name,
                                   .org_id = t->organization_id,
                                   .status = 200});
    return api_reply_message(r, 200, "Template has been deleted!", NULL);
}

#define O "/api/v2/organizations/{organization}"
#define T "/api/v2/templates/{template}"
static const struct route rows[] = {
    {CM_HTTP_GET, "/api/v2/templates", AUTH_SESSION, RBAC(template, read), ROUTE_CALL,
     template_list, NULL, "List templates", LIMIT_API, 0, false},
    {CM_HTTP_GET, O "/templates", AUTH_SESSION, RBAC(template, read), ROUTE_CALL, template_list_org,
     NULL, "List an organization's templates", LIMIT_API, 0, false},
    {CM_HTTP_GET, O "/templates/{templatename}", AUTH_SESSION, RBAC(template, read), ROUTE_CALL,
     template_by_name, NULL, "Get a template by name", LIMIT_API, 0, false},
    {CM_HTTP_GET, T, AUTH_SESSION, RBAC(template, read), ROUTE_CALL, template_get, NULL,
     "Get a template", LIMIT_API, 0, false},
    {CM_HTTP_DELETE, T, AUTH_SESSION, RBAC(template, delete), ROUTE_CALL, template_delete, NULL,
     "Delete a template", LIMIT_API, 0, false},
};

const struct route_table templates_routes = {rows, CM_COUNT_OF(rows)};
