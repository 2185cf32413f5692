/* The first user, signing in and out. Source: api-behaviour reference, 1.7. */
#include "api/audit_log.h"
#include "api/auth.h"
#include "api/deployment.h"
#include "api/keys.h"
#include "api/targets.h"
#include "api/user_make.h"
#include "app.h"
#include "domain/password.h"
#include "options.h"
#include "api/session_key.h"
#include "store/api_keys.h"

static enum cm_code first_get(struct api_req *r, struct cm_err *err)
{
    int64_t users = 0;
    if (store_user_count(r->db, r->arena, &users, err) != CM_OK)
        return err->code;
    if (users == 0)
        return api_reply_message(r, 404, "The initial user has not been created!", NULL);
    return api_reply_message(r, 200, "The initial user has already been created!", NULL);
}

static enum cm_code first_create(struct api_req *r, struct cm_err *err)
{
    const struct api_create_first_user_request *q = r->body;
    const char *weak = password_weakness(q->password);
    if (weak)
        return api_reply_invalid(r, "Password not strong enough!", "password", "%s", weak);
    int64_t users = 0;
    if (store_user_count(r->db, r->arena, &users, err) != CM_OK)
        return err->code;
    struct store_user_first *made = NULL;
    if (users == 0) {
        char *hash = password_hash(r->arena, q->password);
        if (store_user_create_first(r->db, r->arena, q->email, q->username, q->name, cm_str(hash),
                                    API_LOGIN_TYPE_PASSWORD, &made, err) != CM_OK)
            return err->code;
    }
    if (!made)
        return api_reply_message(r, 409, "The initial user has already been created.", NULL);
    cm_ignore(user_new_ssh_key(r, made->user_id, NULL, err) != CM_OK,
              "the key is made when it is first asked for");
    audit_as(r, made->user_id,
             &(struct audit_event){.action = "create",
                                   .resource_type = "user",
                                   .resource_id = made->user_id,
                                   .target = q->username,
                                   .status = 201});
    struct api_create_first_user_response out = {.user_id = made->user_id,
                                                 .organization_id = made->organization_id};
    return api_reply(r, 201, &api_create_first_user_response_msg, &out);
}

static void set_session_cookie(struct api_req *r, const char *value, int64_t max_age)
{
    bool secure = r->http->tls || r->app->opt->secure_auth_cookie;
    api_reply_header(
        r, "Set-Cookie",
        cm_arena_fmt(r->arena,
                     "coder_session_token=%s; Path=/; Max-Age=%lld; HttpOnly; SameSite=Lax%s",
                     value, (long long)max_age, secure ? "; Secure" : ""));
}

static enum cm_code login(struct api_req *r, struct cm_err *err)
{
    const struct api_login_with_password_request *q = r->body;
    struct store_user_password *u = NULL;
    enum cm_code code = store_user_password_by_email(r->db, r->arena, q->email, &u, err);
    if (code != CM_OK && code != CM_NOT_FOUND)
        return code;
    /* Unknown users cost as much time as known ones. */
    if (!password_verify(u ? u->hashed_password : CM_STR_NONE, q->password)) {
        if (u)
            audit_as(r, u->id,
                     &(struct audit_event){.action = "login",
                                           .resource_type = "api_key",
                                           .resource_id = u->id,
                                           .target = u->username,
                                           .status = 401});
        return cm_err_set(err, CM_UNAUTHENTICATED, "Incorrect email or password.");
    }
    if (r->app->opt->disable_password_auth)
        return cm_err_set(err, CM_DENIED, "Password authentication is disabled.");
    if (u->login_type != API_LOGIN_TYPE_PASSWORD)
        return cm_err_set(
            err, CM_DENIED,
            "Incorrect login type, attempting to use \"password\" but user is of another.");
    if (u->status == API_USER_STATUS_SUSPENDED)
        return cm_err_set(
            err, CM_UNAUTHENTICATED,
            "Your account is suspended. Please contact an administrator to reactivate it.");
    if (u->status == API_USER_STATUS_DORMANT &&
        store_user_update_status(r->db, r->arena, u->id, API_USER_STATUS_ACTIVE, NULL, err) !=
            CM_OK)
        return err->code;
    char key[AUTH_KEY_LEN + 1];
    struct session_key spec = {
        .user_id = u->id, .login_type = "password", .lifetime = r->app->opt->session_duration};
    if (session_key_create(r, &spec, key, err) != CM_OK)
        return err->code;
    audit_as(r, u->id,
             &(struct audit_event){.action = "login",
                                   .resource_type = "api_key",
                                   .resource_id = u->id,
                                   .target = u->username,
                                   .status = 201});
    set_session_cookie(r, key, 365 * 24 * 3600);
    struct api_login_with_password_response out = {.session_token =
                                                       cm_arena_str(r->arena, cm_str(key))};
    return api_reply(r, 201, &api_login_with_password_response_msg, &out);
}

static enum cm_code logout(struct api_req *r, struct cm_err *err)
{
    if (store_api_keys_logout(r->db, r->arena, r->who->key_id, r->who->user_id, NULL, err) != CM_OK)
        return err->code;
    audit(r, &(struct audit_event){.action = "logout",
                                   .resource_type = "api_key",
                                   .resource_id = r->who->user_id,
                                   .target = r->who->username,
                                   .status = 200});
    set_session_cookie(r, "", -1);
    return api_reply_message(r, 200, "Logged out!", NULL);
}

static enum cm_code auth_methods(struct api_req *r, struct cm_err *err)
{
    (void)err;
    struct api_auth_method password = {.enabled = !r->app->opt->disable_password_auth};
    struct api_github_auth_method github = {0};
    struct api_oidc_auth_method oidc = {0};
    struct api_auth_methods out = {.password = &password, .github = &github, .oidc = &oidc};
    return api_reply(r, 200, &api_auth_methods_msg, &out);
}

static enum cm_code validate_password(struct api_req *r, struct cm_err *err)
{
    (void)err;
    const struct api_validate_user_password_request *q = r->body;
    const char *weak = password_weakness(q->password);
    struct api_validate_user_password_response out = {.valid = !weak, .details = cm_str(weak)};
    return api_reply(r, 200, &api_validate_user_password_response_msg, &out);
}

static const struct route rows[] = {
    {CM_HTTP_GET, "/api/v2/users/first", AUTH_NONE, RBAC_PUBLIC, ROUTE_CALL, first_get, NULL,
     "Is there a first user?", LIMIT_API, 0, false},
    {CM_HTTP_POST, "/api/v2/users/first", AUTH_NONE, RBAC_PUBLIC, ROUTE_CALL, first_create,
     &api_create_first_user_request_msg, "Create the first user", LIMIT_LOGIN, 0, false},
    {CM_HTTP_POST, "/api/v2/users/login", AUTH_NONE, RBAC_PUBLIC, ROUTE_CALL, login,
     &api_login_with_password_request_msg, "Sign in with a password", LIMIT_LOGIN, 0, false},
    {CM_HTTP_POST, "/api/v2/users/logout", AUTH_SESSION, RBAC_SELF, ROUTE_CALL, logout, NULL,
     "Sign out", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/users/authmethods", AUTH_NONE, RBAC_PUBLIC, ROUTE_CALL, auth_methods,
     NULL, "Ways to sign in", LIMIT_API, 0, false},
    {CM_HTTP_POST, "/api/v2/users/validate-password", AUTH_NONE, RBAC_PUBLIC, ROUTE_CALL,
     validate_password, &api_validate_user_password_request_msg, "Is a password good enough?",
     LIMIT_LOGIN, 0, false},
};

const struct route_table login_routes = {rows, CM_COUNT_OF(rows)};
