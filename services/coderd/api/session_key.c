#include "api/session_key.h"

#include "store/api_keys.h"

enum cm_code session_key_create(struct api_req *r, const struct session_key *k, char *out,
                                struct cm_err *err)
{
    static const struct cm_str everything[] = {{"coder:all", 9}};
    uint8_t hash[32];
    auth_key_make(out, hash);
    struct store_api_key_insert_args row = {
        .id = cm_str_n(out, AUTH_KEY_ID_LEN),
        .hashed_secret = cm_str_n(hash, sizeof(hash)),
        .user_id = k->user_id,
        .login_type = cm_str(k->login_type),
        .token_name = k->token_name.ptr ? k->token_name : CM_STR(""),
        .scopes = k->n_scopes ? k->scopes : everything,
        .n_scopes = k->n_scopes ? k->n_scopes : 1,
        .allow_list = k->allow_list,
        .lifetime_seconds = k->lifetime / CM_SECOND,
        .ip_address = cm_str(r->client_ip),
        .expires_at = cm_time_add(cm_time_now(), k->lifetime),
    };
    return store_api_key_insert(r->db, r->arena, &row, NULL, err);
}
