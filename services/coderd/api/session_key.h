/* Making API keys: of a login, of the CLI, of a workspace. */
#pragma once

#include "api/auth.h"
#include "api/request.h"

struct session_key {
    struct cm_uuid user_id;
    const char *login_type; /* password, github, oidc, token */
    struct cm_str token_name;
    const struct cm_str *scopes; /* n 0: coder:all */
    size_t n_scopes;
    struct cm_str allow_list; /* JSON; empty: everything */
    cm_usec lifetime;
};

/* out: AUTH_KEY_LEN + 1 bytes, the only time that the secret is seen. CM_CONFLICT when the token
 * name is taken. */
CM_MUST_USE enum cm_code session_key_create(struct api_req *r, const struct session_key *k,
                                            char *out, struct cm_err *err);
