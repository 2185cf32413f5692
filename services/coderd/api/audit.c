#include "api/audit_log.h"

#include "app.h"
#include "obs/log.h"
#include "store/audit.h"

void audit_as(struct api_req *r, struct cm_uuid actor, const struct audit_event *e)
{
    struct cm_err err;
    bool has_org = !cm_uuid_is_nil(e->org_id), has_user = !cm_uuid_is_nil(actor);
    struct cm_str agent = cm_http_header(&r->http->head, "user-agent");
    struct store_audit_insert_args row = {
        .id = cm_uuid_random(),
        .time = cm_time_now(),
        .user_id = has_user ? &actor : NULL,
        .organization_id = has_org ? &e->org_id : NULL,
        .ip = cm_str(r->client_ip),
        .user_agent = cm_str_is_utf8(agent) ? cm_str_sub(agent, 0, 512) : CM_STR(""),
        .resource_type = cm_str(e->resource_type),
        .resource_id = e->resource_id,
        .resource_target = e->target,
        .resource_icon = CM_STR(""),
        .action = cm_str(e->action),
        .diff = e->diff.len ? e->diff : CM_STR("{}"),
        .status_code = e->status,
        .additional_fields = e->extra.len ? e->extra : CM_STR("{}"),
        .request_id = r->request_id};
    if (store_audit_insert(r->db, r->arena, &row, NULL, &err) != CM_OK)
        CM_ERROR("cannot write an audit row", CM_F_CSTR(action, e->action),
                 CM_F_CSTR(resource_type, e->resource_type), CM_F_ERR(&err));
}

void audit(struct api_req *r, const struct audit_event *e)
{
    static const struct cm_uuid nobody;
    audit_as(r, r->who ? r->who->user_id : nobody, e);
}
