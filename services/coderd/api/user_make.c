#include "api/user_make.h"

#include "domain/ssh_key.h"
#include "store/organizations.h"

enum cm_code user_new_ssh_key(struct api_req *r, struct cm_uuid user_id,
                              struct store_git_ssh_key **ret, struct cm_err *err)
{
    struct ssh_key key;
    struct store_git_ssh_key *row = NULL;
    if (ssh_key_make(r->arena, &key, err) != CM_OK ||
        store_git_ssh_key_set(r->db, r->arena, user_id, key.private_key, key.public_key, &row,
                              err) != CM_OK)
        return err->code;
    if (ret)
        *ret = row;
    return CM_OK;
}

static enum cm_code insert(struct api_req *r, const struct store_user_insert_args *row,
                           const struct cm_uuid *org_ids, size_t n_orgs, struct cm_err *err)
{
    CM_AUTO(cm_db_tx) tx = NULL;
    if (cm_db_tx_begin(r->db, &tx, err) != CM_OK ||
        store_user_insert(r->db, r->arena, row, NULL, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < n_orgs; i++) {
        if (store_member_insert(r->db, r->arena, org_ids[i], row->id, NULL, 0, NULL, err) != CM_OK)
            return err->code;
    }
    if (user_new_ssh_key(r, row->id, NULL, err) != CM_OK)
        return err->code;
    return cm_db_tx_commit(tx, err);
}

enum cm_code user_make(struct api_req *r, const struct store_user_insert_args *row,
                       const struct cm_uuid *org_ids, size_t n_orgs, struct cm_err *err)
{
    enum cm_code code = insert(r, row, org_ids, n_orgs, err);
    bool name = cm_db_violates(r->db, "users_username_key");
    if (code != CM_CONFLICT || (!name && !cm_db_violates(r->db, "users_email_key")))
        return code;
    cm_violations_add(&r->violations, r->arena, name ? CM_STR("username") : CM_STR("email"),
                      "is taken by another user");
    cm_ignore(api_reply_message(r, 409,
                                name ? "A user with this username already exists."
                                     : "A user with this email already exists.",
                                NULL) != CM_OK,
              "it cannot fail");
    return code;
}
