/* API keys and tokens of users. Source: api-behaviour reference, 1.4 and 1.5. */
#include "api/keys.h"

#include "api/audit_log.h"
#include "api/auth.h"
#include "api/session_key.h"
#include "api/targets.h"
#include "app.h"
#include "domain/names.h"
#include "domain/scopes.h"
#include "options.h"
#include "store/api_keys.h"

#define NSEC_PER_USEC 1000

static struct rbac_object object_key(struct cm_uuid owner_id)
{
    return object_owned(RBAC_api_key, owner_id);
}

/* params[0] as a user whose keys the route's rule is about. */
static enum cm_code param_user(struct api_req *r, struct store_user **ret, struct cm_err *err)
{
    if (target_user(r, 0, ret, err) != CM_OK)
        return err->code;
    struct rbac_object o = object_key((*ret)->id);
    return api_authorize(r, &o, err);
}

/* ---- showing ---- */

/* The inventory has objects here, yet what clients read and write is text: "type:id". */
static struct cm_str *show_allow_list(struct cm_arena *a, struct cm_str json, size_t *ret_n)
{
    const struct cm_json *list = NULL;
    cm_ignore(cm_json_parse(a, json, NULL, &list, NULL) != CM_OK,
              "our own JSON; broken shows as empty");
    size_t n = cm_json_count(list);
    struct cm_str *out = CM_NEW_ARRAY(a, struct cm_str, n);
    for (size_t i = 0; i < n; i++) {
        const struct cm_json *one = cm_json_at(list, i);
        out[i] = cm_str(cm_arena_printf(a, "%.*s:%.*s",
                                        CM_STR_ARG(cm_json_str(cm_json_get(one, "type"))),
                                        CM_STR_ARG(cm_json_str(cm_json_get(one, "id")))));
    }
    *ret_n = n;
    return out;
}

/* What clients from before there were lists of scopes look at. */
static struct cm_str legacy_scope(const struct store_api_key *k)
{
    for (size_t i = 0; i < k->n_scopes; i++) {
        if (cm_str_eq_c(k->scopes[i], SCOPE_ALL))
            return CM_STR("all");
    }
    if (k->n_scopes == 1 && cm_str_eq_c(k->scopes[0], SCOPE_APPLICATION_CONNECT))
        return CM_STR("application_connect");
    return CM_STR("");
}

static void show_key(struct cm_arena *a, const struct store_api_key *k, struct api_api_key *out)
{
    int login_type = 0;
    cm_ignore(!cm_enum_parse(&api_login_type_enum, k->login_type, &login_type),
              "the column has a CHECK");
    *out = (struct api_api_key){.id = k->id,
                                .user_id = k->user_id,
                                .last_used = k->last_used,
                                .expires_at = k->expires_at,
                                .created_at = k->created_at,
                                .updated_at = k->updated_at,
                                .login_type = (enum api_login_type)login_type,
                                .scope = legacy_scope(k),
                                .scopes = k->scopes,
                                .n_scopes = k->n_scopes,
                                .token_name = k->token_name,
                                .lifetime_seconds = k->lifetime_seconds};
    out->allow_list = show_allow_list(a, k->allow_list, &out->n_allow_list);
}

static void show_key_with_owner(struct cm_arena *a, const struct store_api_key *k,
                                struct api_api_key_with_owner *out)
{
    struct api_api_key one;
    show_key(a, k, &one);
    *out = (struct api_api_key_with_owner){.id = one.id,
                                           .user_id = one.user_id,
                                           .last_used = one.last_used,
                                           .expires_at = one.expires_at,
                                           .created_at = one.created_at,
                                           .updated_at = one.updated_at,
                                           .login_type = one.login_type,
                                           .scope = one.scope,
                                           .scopes = one.scopes,
                                           .n_scopes = one.n_scopes,
                                           .token_name = one.token_name,
                                           .lifetime_seconds = one.lifetime_seconds,
                                           .allow_list = one.allow_list,
                                           .n_allow_list = one.n_allow_list,
                                           .username = k->username};
}

/* ---- making ---- */

static enum cm_code reply_made(struct api_req *r, const struct session_key *spec,
                               const struct store_user *u, struct cm_err *err)
{
    char key[AUTH_KEY_LEN + 1];
    if (session_key_create(r, spec, key, err) != CM_OK)
        return err->code;
    audit(r, &(struct audit_event){.action = "create",
                                   .resource_type = "api_key",
                                   .resource_id = u->id,
                                   .target = spec->token_name.ptr ? spec->token_name : u->username,
                                   .status = 201});
    struct api_generate_api_key_response out = {.key = cm_arena_str(r->arena, cm_str(key))};
    return api_reply(r, 201, &api_generate_api_key_response_msg, &out);
}

static enum cm_code key_create(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    if (param_user(r, &u, err) != CM_OK)
        return err->code;
    /* The new key may do everything, so a narrow one must not make it. */
    if (!subject_unrestricted(r->who))
        return cm_err_set(err, CM_DENIED, "A token with limited scopes cannot make a session key.");
    struct session_key spec = {.user_id = u->id,
                               .login_type = "password",
                               .lifetime = r->app->opt->default_token_lifetime};
    return reply_made(r, &spec, u, err);
}

/* Owners' tokens live shorter. */
static cm_usec max_lifetime(const struct api_req *r, const struct store_user *u)
{
    for (size_t i = 0; i < u->n_rbac_roles; i++) {
        if (cm_str_eq_c(u->rbac_roles[i], "owner"))
            return r->app->opt->max_admin_token_lifetime;
    }
    return r->app->opt->max_token_lifetime;
}

/* The scopes asked for, in their stored form. Whoever has a narrow key makes no wider one. */
static void read_scopes(struct api_req *r, const struct api_create_token_request *q,
                        struct session_key *spec)
{
    struct cm_str *scopes = CM_NEW_ARRAY(r->arena, struct cm_str, q->n_scopes + 1);
    size_t n = 0;
    for (size_t i = 0; i < q->n_scopes; i++)
        scopes[n++] = scope_canonical(q->scopes[i]);
    if (!n)
        scopes[n++] = q->scope.len ? scope_canonical(q->scope) : CM_STR(SCOPE_ALL);
    for (size_t i = 0; i < n; i++) {
        const char *field = q->n_scopes ? "scopes" : "scope";
        if (!scope_requestable(scopes[i]))
            cm_violations_add(&r->violations, r->arena, cm_str(field),
                              "\"%.*s\" is no scope; GET /api/v2/auth/scopes lists them",
                              (int)CM_MIN(scopes[i].len, (size_t)64), scopes[i].ptr);
        else if (!subject_covers_scope(r->who, scopes[i]))
            cm_violations_add(&r->violations, r->arena, cm_str(field),
                              "\"%.*s\" is more than the token of this request may do",
                              CM_STR_ARG(scopes[i]));
    }
    spec->scopes = scopes;
    spec->n_scopes = n;
}

/* One target of a request, as "type:id" or {"type", "id"}. */
static bool read_target(struct cm_arena *a, struct cm_str json,
                        struct api_api_allow_list_target *ret)
{
    const struct cm_json *one = NULL;
    enum rbac_resource resource;
    struct cm_uuid id;
    if (cm_json_parse(a, json, NULL, &one, NULL) != CM_OK)
        return false;
    struct cm_str text = cm_json_str(one);
    *ret = (struct api_api_allow_list_target){.type = cm_json_str(cm_json_get(one, "type")),
                                              .id = cm_json_str(cm_json_get(one, "id"))};
    if (text.len)
        ret->id = cm_str_split(text, ':', &ret->type);
    return rbac_resource_parse(ret->type, &resource) &&
           (cm_str_eq_c(ret->id, "*") || cm_uuid_parse(ret->id, &id));
}

static void read_allow_list(struct api_req *r, const struct api_create_token_request *q,
                            struct session_key *spec)
{
    if (!q->n_allow_list) {
        /* As narrow as the key of this request. */
        spec->allow_list = r->who->allow_list;
        return;
    }
    struct api_api_allow_list_target *targets =
        CM_NEW_ARRAY(r->arena, struct api_api_allow_list_target, q->n_allow_list);
    for (size_t i = 0; i < q->n_allow_list; i++) {
        if (!read_target(r->arena, q->allow_list[i], &targets[i]))
            cm_violations_add(
                &r->violations, r->arena, CM_STR("allow_list"),
                "each entry must be \"type:id\" with a resource type or *, and a UUID "
                "or *");
    }
    if (r->who->allow_list.len)
        cm_violations_add(
            &r->violations, r->arena, CM_STR("allow_list"),
            "the token of this request has a list of its own, which the new one gets");
    struct cm_buf text = CM_BUF_INIT((size_t)64 << 10);
    cm_json_encode_list(&text, &api_api_allow_list_target_msg, targets, q->n_allow_list);
    spec->allow_list = cm_arena_str(r->arena, cm_buf_view(&text));
    cm_buf_done(&text);
}

static void read_lifetime(struct api_req *r, const struct api_create_token_request *q,
                          const struct store_user *u, struct session_key *spec)
{
    cm_usec max = max_lifetime(r, u);
    /* 0 is how clients say nothing. */
    spec->lifetime = q->lifetime ? q->lifetime / NSEC_PER_USEC
                                 : CM_MIN(r->app->opt->default_token_lifetime, max);
    /* Expiry is kept in whole seconds. */
    if (spec->lifetime >= CM_SECOND && spec->lifetime <= max)
        return;
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(64);
    cm_duration_format(&text, max);
    cm_violations_add(&r->violations, r->arena, CM_STR("lifetime"),
                      "must be from one second to %.*s, in nanoseconds",
                      CM_STR_ARG(cm_buf_view(&text)));
}

static enum cm_code token_create(struct api_req *r, struct cm_err *err)
{
    const struct api_create_token_request *q = r->body;
    struct store_user *u = NULL;
    if (param_user(r, &u, err) != CM_OK)
        return err->code;
    struct session_key spec = {.user_id = u->id, .login_type = "token"};
    read_lifetime(r, q, u, &spec);
    read_scopes(r, q, &spec);
    read_allow_list(r, q, &spec);
    if (r->violations.n)
        return api_reply_message(r, 400, "Validation failed.", NULL);
    /* Where the client leaves it to us, a name that is taken is not its business. */
    for (int i = 0; i < (q->token_name.len ? 1 : NAME_TRIES); i++) {
        spec.token_name = q->token_name.len ? q->token_name : name_make(r->arena);
        enum cm_code code = reply_made(r, &spec, u, err);
        if (code != CM_CONFLICT || !cm_db_violates(r->db, "api_keys_token_name_key"))
            return code;
    }
    cm_violations_add(&r->violations, r->arena, CM_STR("name"),
                      "this name is taken by another token of the user");
    return api_reply_message(r, 409,
                             cm_arena_printf(r->arena, "A token with name \"%.*s\" already exists.",
                                             CM_STR_ARG(spec.token_name)),
                             NULL);
}

/* ---- reading ---- */

static enum cm_code token_list(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    struct store_api_key *rows = NULL;
    size_t n = 0, shown = 0;
    bool all = cm_str_eq_c(api_query(r, "include_all"), "true");
    bool expired = cm_str_eq_c(api_query(r, "include_expired"), "true");
    if (param_user(r, &u, err) != CM_OK ||
        store_api_key_tokens(r->db, r->arena, all ? NULL : &u->id, expired, &rows, &n, err) !=
            CM_OK)
        return err->code;
    struct api_api_key_with_owner *out = CM_NEW_ARRAY(r->arena, struct api_api_key_with_owner, n);
    for (size_t i = 0; i < n; i++) {
        struct rbac_object o = object_key(rows[i].user_id);
        if (api_may(r, RBAC_do_read, &o))
            show_key_with_owner(r->arena, &rows[i], &out[shown++]);
    }
    return api_reply_list(r, 200, &api_api_key_with_owner_msg, out, shown);
}

static enum cm_code token_config(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    if (param_user(r, &u, err) != CM_OK)
        return err->code;
    struct api_token_config out = {.max_token_lifetime = max_lifetime(r, u) * NSEC_PER_USEC};
    return api_reply(r, 200, &api_token_config_msg, &out);
}

static enum cm_code reply_key(struct api_req *r, const struct store_api_key *k)
{
    struct api_api_key out;
    show_key(r->arena, k, &out);
    return api_reply(r, 200, &api_api_key_msg, &out);
}

static enum cm_code token_by_name(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    struct store_api_key *k = NULL;
    if (param_user(r, &u, err) != CM_OK)
        return err->code;
    enum cm_code code = store_api_key_by_name(r->db, r->arena, u->id, r->params[1], &k, err);
    if (code == CM_NOT_FOUND)
        return api_not_found(err);
    return code == CM_OK ? reply_key(r, k) : code;
}

/* params[1] as a key of the user in params[0]. */
static enum cm_code param_key(struct api_req *r, struct store_user **ret_user,
                              struct store_api_key **ret, struct cm_err *err)
{
    if (param_user(r, ret_user, err) != CM_OK)
        return err->code;
    enum cm_code code = store_api_key_by_id(r->db, r->arena, r->params[1], ret, err);
    if (code == CM_NOT_FOUND || (code == CM_OK && !cm_uuid_eq((*ret)->user_id, (*ret_user)->id)))
        return api_not_found(err);
    return code;
}

static enum cm_code key_get(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    struct store_api_key *k = NULL;
    if (param_key(r, &u, &k, err) != CM_OK)
        return err->code;
    return reply_key(r, k);
}

/* ---- ending ---- */

static void note(struct api_req *r, const char *action, const struct store_api_key *k,
                 const struct store_user *u)
{
    audit(r, &(struct audit_event){.action = action,
                                   .resource_type = "api_key",
                                   .resource_id = u->id,
                                   .target = k->token_name.len ? k->token_name : u->username,
                                   .status = 204});
}

static enum cm_code key_expire(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    struct store_api_key *k = NULL;
    if (param_key(r, &u, &k, err) != CM_OK ||
        store_api_key_expire(r->db, r->arena, k->id, NULL, err) != CM_OK)
        return err->code;
    note(r, "write", k, u);
    return api_reply_none(r, 204);
}

static enum cm_code key_delete(struct api_req *r, struct cm_err *err)
{
    struct store_user *u = NULL;
    struct store_api_key *k = NULL;
    if (param_key(r, &u, &k, err) != CM_OK ||
        store_api_key_delete(r->db, r->arena, k->id, NULL, err) != CM_OK)
        return err->code;
    note(r, "delete", k, u);
    return api_reply_none(r, 204);
}

static enum cm_code scopes(struct api_req *r, struct cm_err *err)
{
    (void)err;
    struct api_external_api_key_scopes out = {0};
    out.external = scope_list(r->arena, &out.n_external);
    return api_reply(r, 200, &api_external_api_key_scopes_msg, &out);
}

#define K "/api/v2/users/{user}/keys"
static const struct route rows[] = {
    {CM_HTTP_GET, "/api/v2/auth/scopes", AUTH_NONE, RBAC_PUBLIC, ROUTE_CALL, scopes, NULL,
     "List scopes of tokens", LIMIT_API, 0, false},
    {CM_HTTP_POST, K, AUTH_SESSION, RBAC(api_key, create), ROUTE_CALL, key_create, NULL,
     "Make a session key", LIMIT_API, 0, false},
    {CM_HTTP_GET, K "/tokens", AUTH_SESSION, RBAC(api_key, read), ROUTE_CALL, token_list, NULL,
     "List tokens", LIMIT_API, 0, false},
    {CM_HTTP_POST, K "/tokens", AUTH_SESSION, RBAC(api_key, create), ROUTE_CALL, token_create,
     &api_create_token_request_msg, "Make a token", LIMIT_API, 0, false},
    {CM_HTTP_GET, K "/tokens/tokenconfig", AUTH_SESSION, RBAC(api_key, read), ROUTE_CALL,
     token_config, NULL, "Limits of tokens", LIMIT_API, 0, false},
    {CM_HTTP_GET, K "/tokens/{keyname}", AUTH_SESSION, RBAC(api_key, read), ROUTE_CALL,
     token_by_name, NULL, "Get a token by name", LIMIT_API, 0, false},
    {CM_HTTP_GET, K "/{keyid}", AUTH_SESSION, RBAC(api_key, read), ROUTE_CALL, key_get, NULL,
     "Get a key", LIMIT_API, 0, false},
    {CM_HTTP_DELETE, K "/{keyid}", AUTH_SESSION, RBAC(api_key, delete), ROUTE_CALL, key_delete,
     NULL, "Delete a key", LIMIT_API, 0, false},
    {CM_HTTP_PUT, K "/{keyid}/expire", AUTH_SESSION, RBAC(api_key, update), ROUTE_CALL, key_expire,
     NULL, "Expire a key", LIMIT_API, 0, false},
};

const struct route_table keys_routes = {rows, CM_COUNT_OF(rows)};
