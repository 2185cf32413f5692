#include "api/workspace_load.h"

enum cm_code workspace_param(struct api_req *r, size_t i, struct store_workspace **ret,
                             struct cm_err *err)
{
    struct cm_uuid id;
    if (api_param_uuid(r, i, &id, err) != CM_OK)
        return err->code;
    enum cm_code code = store_workspace_by_id(r->db, r->arena, id, ret, err);
    if (code != CM_OK)
        return code == CM_NOT_FOUND ? api_not_found(err) : code;
    struct rbac_object o = workspace_object(r, *ret);
    return api_authorize(r, &o, err);
}

enum cm_code workspace_param_live(struct api_req *r, size_t i, struct store_workspace **ret,
                                  struct cm_err *err)
{
    if (workspace_param(r, i, ret, err) != CM_OK)
        return err->code;
    if ((*ret)->deleted)
        return cm_err_set(err, CM_GONE,
                          "Workspace \"%s\" was deleted, you can view this workspace by specifying "
                          "'?deleted=true' and trying again.",
                          cm_uuid_text((*ret)->id).s);
    return CM_OK;
}
