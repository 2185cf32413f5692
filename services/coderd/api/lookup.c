#include "api/lookup.h"

#include "store/organizations.h"
#include "store/users.h"

static const struct cm_uuid nobody = {{0xff}};

bool lookup_found(struct api_req *r, enum cm_code code, const struct cm_err *err)
{
    if (code != CM_OK && code != CM_NOT_FOUND && !r->failure) {
        r->failure = CM_NEW(r->arena, struct cm_err);
        *r->failure = *err;
    }
    return code == CM_OK;
}

static struct cm_uuid *parse_id(struct api_req *r, struct cm_str text)
{
    struct cm_uuid id;
    if (!cm_uuid_parse(text, &id))
        return NULL;
    struct cm_uuid *kept = CM_NEW(r->arena, struct cm_uuid);
    *kept = id;
    return kept;
}

const struct cm_uuid *lookup_user(struct api_req *r, struct cm_str text)
{
    struct store_user *u = NULL;
    struct cm_err err;
    if (cm_str_eq_c(text, "me"))
        return &r->who->user_id;
    const struct cm_uuid *id = parse_id(r, text);
    if (id)
        return id;
    return lookup_found(r, store_user_by_username(r->db, r->arena, text, &u, &err), &err) ? &u->id
                                                                                          : &nobody;
}

const struct cm_uuid *lookup_org(struct api_req *r, struct cm_str text)
{
    struct store_organization *org = NULL;
    struct cm_err err;
    const struct cm_uuid *id = parse_id(r, text);
    if (id)
        return id;
    return lookup_found(r, store_organization_by_name(r->db, r->arena, text, &org, &err), &err)
               ? &org->id
               : &nobody;
}
