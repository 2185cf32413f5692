#include "api/auth.h"

#include <arpa/inet.h>

#include <openssl/evp.h>

#include "api/users.h"
#include "app.h"
#include "base/random.h"
#include "base/secret.h"
#include "domain/scopes.h"
#include "obs/log.h"
#include "options.h"
#include "store/agents.h"
#include "store/auth.h"
#include "store/users.h"

#define TOUCH_EVERY    CM_HOUR
#define CREDENTIAL_MAX 256

static const char SIGNED_OUT[] =
    "You are signed out or your session has expired. Please sign in again to continue.";

void auth_sha256(struct cm_str data, uint8_t *out)
{
    unsigned len = 0;
    cm_assert(EVP_Digest(data.ptr, data.len, out, &len, EVP_sha256(), NULL) == 1 && len == 32);
}

static bool key_split(struct cm_str text, struct cm_str *id, struct cm_str *secret)
{
    if (text.len != AUTH_KEY_LEN || text.ptr[AUTH_KEY_ID_LEN] != '-')
        return false;
    *id = cm_str_sub(text, 0, AUTH_KEY_ID_LEN);
    *secret = cm_str_sub(text, AUTH_KEY_ID_LEN + 1, AUTH_KEY_SECRET_LEN);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alnum && i != AUTH_KEY_ID_LEN)
            return false;
    }
    return true;
}

void auth_key_make(char *out, uint8_t *hash)
{
    cm_random_alnum(out, AUTH_KEY_ID_LEN);
    cm_random_alnum(out + AUTH_KEY_ID_LEN + 1, AUTH_KEY_SECRET_LEN);
    out[AUTH_KEY_ID_LEN] = '-';
    auth_sha256(cm_str_n(out + AUTH_KEY_ID_LEN + 1, AUTH_KEY_SECRET_LEN), hash);
}

void auth_read_token(struct api_req *r)
{
    static const char name[] = "coder_session_token";
    const struct cm_http_head *h = &r->http->head;
    struct cm_str bearer = cm_http_header(h, "authorization");
    struct cm_str candidates[] = {
        cm_http_cookie(h, name),
        cm_http_query(h, r->arena, name),
        cm_http_header(h, "coder-session-token"),
        cm_str_starts_nocase(bearer, CM_STR("bearer "))
            ? cm_str_trim(cm_str_sub(bearer, 7, bearer.len))
            : CM_STR_NONE,
        cm_http_query(h, r->arena, "access_token"),
    };
    for (size_t i = 0; i < CM_COUNT_OF(candidates); i++) {
        if (candidates[i].len) {
            r->token = cm_str_sub(candidates[i], 0, CREDENTIAL_MAX);
            r->token_in_cookie = i == 0;
            return;
        }
    }
}

void auth_client_ip(struct coderd *app, const struct cm_http_req *http, char *out)
{
    memcpy(out, http->peer, sizeof(http->peer));
    if (!option_trusts_proxy(app->opt, http->peer))
        return;
    /* The last hop that a trusted proxy saw; what stands before it the client may have made up,
     * also in a header of its own: proxies either append to it or add another one. */
    struct cm_str all = cm_http_header_last(&http->head, "x-forwarded-for");
    ptrdiff_t comma = cm_str_find_last(all, ',');
    struct cm_str last = cm_str_trim(cm_str_sub(all, (size_t)(comma + 1), all.len));
    char text[sizeof(http->peer)] = "";
    struct in6_addr any;
    if (last.len && last.len < sizeof(text))
        memcpy(text, last.ptr, last.len);
    if (inet_pton(AF_INET, text, &any) == 1 || inet_pton(AF_INET6, text, &any) == 1)
        memcpy(out, text, sizeof(text));
}

static void refuse(struct api_req *r, const char *detail)
{
    if (r->route->auth == AUTH_OPTIONAL)
        return;
    api_reply_message(r, 401, SIGNED_OUT, detail);
    api_reply_header(
        r, "WWW-Authenticate",
        cm_arena_fmt(r->arena,
                     "Bearer realm=\"coder\", error=\"invalid_token\", "
                     "error_description=\"the session token is missing, invalid or expired\", "
                     "resource_metadata=\"%s/.well-known/oauth-protected-resource\"",
                     r->app->access_url));
}

/* Scopes of a key: everything, or single permissions, of which those past the limit are lost. */
static void read_scopes(struct subject *s, const struct store_auth *row)
{
    for (size_t i = 0; i < row->n_scopes; i++) {
        struct rbac_perm perms[SCOPE_PERMS_MAX];
        struct cm_str scope = scope_canonical(row->scopes[i]);
        size_t n = scope_perms(scope, perms);
        if (cm_str_eq_c(scope, SCOPE_ALL))
            s->scope_all = true;
        for (size_t k = 0; k < n && s->n_scopes < RBAC_SCOPES_MAX; k++)
            s->scopes[s->n_scopes++] = perms[k];
    }
}

/* How PostgreSQL writes what nearly all keys have: no need to parse it each time. */
static const char ALLOW_ALL[] = "[{\"id\": \"*\", \"type\": \"*\"}]";

/* Entries that cannot be read allow nothing. */
static void read_allow_list(struct subject *s, struct cm_arena *a, struct cm_str json)
{
    if (cm_str_eq_c(json, ALLOW_ALL))
        return;
    const struct cm_json *list = NULL;
    cm_ignore(cm_json_parse(a, json, NULL, &list, NULL) != CM_OK, "broken reads as empty");
    size_t n = cm_json_count(list);
    struct rbac_target *t = CM_NEW_ARRAY(a, struct rbac_target, n + 1);
    for (size_t i = 0; i < n; i++) {
        const struct cm_json *one = cm_json_at(list, i);
        struct cm_str id = cm_json_str(cm_json_get(one, "id"));
        struct rbac_target *next = &t[s->n_targets];
        *next = (struct rbac_target){0};
        if (rbac_resource_parse(cm_json_str(cm_json_get(one, "type")), &next->resource) &&
            (cm_str_eq_c(id, "*") || (cm_uuid_parse(id, &next->id) && !cm_uuid_is_nil(next->id))))
            s->n_targets++;
    }
    s->targets = t;
    s->allow_list = json;
}

static struct subject *make_subject(struct cm_arena *a, const struct store_auth *row)
{
    struct subject *s = CM_NEW(a, struct subject);
    s->user_id = row->user_id;
    s->username = row->username;
    s->email = row->email;
    s->key_id = row->key_id;
    cm_ignore(!cm_enum_parse(&api_login_type_enum, row->key_login_type, &s->login_type),
              "the column has a CHECK");
    for (size_t i = 0; i < row->n_rbac_roles; i++)
        cm_ignore(!rbac_role_add(&s->roles, row->rbac_roles[i], false),
                  "a role of a newer release grants nothing here");
    cm_assert(rbac_role_add(&s->roles, CM_STR("member"), false));
    s->orgs = CM_NEW_ARRAY(a, struct rbac_membership, row->n_org_ids);
    s->n_orgs = row->n_org_ids;
    for (size_t i = 0; i < row->n_org_ids; i++) {
        s->orgs[i].org_id = row->org_ids[i];
        cm_assert(rbac_role_add(&s->orgs[i].roles, CM_STR("organization-member"), true));
        for (size_t k = 0; k < row->n_org_roles; k++) {
            if (cm_uuid_eq(row->org_role_orgs[k], row->org_ids[i]))
                cm_ignore(!rbac_role_add(&s->orgs[i].roles, row->org_roles[k], true), "as above");
        }
    }
    read_scopes(s, row);
    read_allow_list(s, a, row->allow_list);
    return s;
}

/* Moves last use and a sliding expiry along, at most about once an hour per key. */
static void touch(struct worker *w, struct api_req *r, const struct store_auth *row,
                  struct cm_time now)
{
    if (now.us - row->last_used.us < TOUCH_EVERY)
        return;
    struct cm_time expires = cm_time_add(now, row->lifetime_seconds * CM_SECOND);
    bool slides = !cm_str_eq_c(row->key_login_type, "token") &&
                  !w->app->opt->disable_session_expiry_refresh &&
                  row->expires_at.us - now.us <= row->lifetime_seconds * CM_SECOND - CM_HOUR;
    struct cm_err err;
    if (store_auth_touch(w->db, r->arena, row->key_id, row->user_id, now, cm_str(r->client_ip),
                         slides ? &expires : NULL, NULL, &err) != CM_OK)
        CM_WARN("cannot note the use of a key", CM_F_ERR(&err));
}

/* Whoever comes back is active again. */
static void wake(struct worker *w, struct api_req *r)
{
    struct cm_err err;
    if (store_user_update_status(w->db, r->arena, r->who->user_id, API_USER_STATUS_ACTIVE, NULL,
                                 &err) != CM_OK)
        CM_WARN("cannot make a dormant user active", CM_F_ERR(&err));
}

static void accept_key(struct worker *w, struct api_req *r, const struct store_auth *row)
{
    struct cm_str id, secret;
    uint8_t hash[32];
    cm_assert(key_split(r->token, &id, &secret));
    auth_sha256(secret, hash);
    if (row->hashed_secret.len != sizeof(hash) ||
        !cm_secret_eq(row->hashed_secret.ptr, hash, sizeof(hash))) {
        refuse(r, "The secret of the API key is wrong.");
        return;
    }
    struct cm_time now = cm_time_now();
    if (row->expires_at.us <= now.us) {
        char when[CM_TIME_TEXT];
        refuse(r, cm_arena_printf(r->arena, "The API key expired at %s.",
                                  cm_time_format(row->expires_at, when)));
        return;
    }
    if (cm_str_eq_c(row->status, "suspended")) {
        refuse(r, "The user is not active (status = \"suspended\"). Contact an administrator of "
                  "this deployment.");
        return;
    }
    r->who = make_subject(r->arena, row);
    r->auth = (void *)(uintptr_t)row;
    if (cm_str_eq_c(row->status, "dormant"))
        wake(w, r);
    touch(w, r, row, now);
}

static void resolve_agents(struct worker *w, struct api_req *r)
{
    struct cm_uuid token;
    struct cm_err err;
    if (!cm_uuid_parse(r->token, &token)) {
        refuse(r, "Workspace agents authenticate with the token of their build.");
        return;
    }
    uint8_t hash[32];
    auth_sha256(r->token, hash);
    struct store_agent_auth *row = NULL;
    if (store_agent_by_token(w->db, r->arena, cm_str_n(hash, sizeof(hash)), &row, &err) != CM_OK) {
        refuse(r, "Workspace agent authentication failed. Try again later.");
        if (api_may_log_unavailable(w->app))
            CM_ERROR("cannot look up an agent", CM_F_ERR(&err));
        return;
    }
    if (!row) {
        refuse(r, "The agent token belongs to no running workspace: its workspace was rebuilt, "
                  "stopped or deleted.");
        return;
    }
    struct agent_identity *id = CM_NEW(r->arena, struct agent_identity);
    id->agent_id = row->agent_id;
    id->workspace_id = row->workspace_id;
    id->owner_id = row->owner_id;
    id->build_id = row->build_id;
    r->agent = id;
}

static const struct store_auth *find_row(const struct store_auth *rows, size_t n, struct cm_str id)
{
    for (size_t i = 0; i < n; i++) {
        if (cm_str_eq(rows[i].key_id, id))
            return &rows[i];
    }
    return NULL;
}

void auth_resolve(struct worker *w, struct api_req **reqs, size_t n)
{
    struct cm_str ids[64];
    struct api_req *asked[64];
    size_t n_asked = 0;
    cm_assert(n <= CM_COUNT_OF(ids));
    for (size_t i = 0; i < n; i++) {
        struct api_req *r = reqs[i];
        struct cm_str secret;
        if (r->route->auth == AUTH_NONE || r->admitted)
            continue;
        if (!r->token.len)
            refuse(r, "No session token was sent: neither cookie, query parameter nor header.");
        else if (r->route->auth == AUTH_AGENT)
            resolve_agents(w, r);
        else if (!key_split(r->token, &ids[n_asked], &secret))
            refuse(r, "The session token has not the form of an API key.");
        else
            asked[n_asked++] = r;
    }
    /* Requests of one client often come together: each key is looked up once. */
    struct cm_str unique[64];
    size_t n_unique = 0;
    for (size_t i = 0; i < n_asked; i++) {
        size_t k = 0;
        while (k < n_unique && !cm_str_eq(unique[k], ids[i]))
            k++;
        if (k == n_unique)
            unique[n_unique++] = ids[i];
    }
    if (!n_asked)
        return;
    struct cm_err err;
    struct store_auth *rows = NULL;
    size_t n_rows = 0;
    /* The rows live in the arena of the request that is answered last (see front_work), so they
     * outlive the others. */
    if (store_auth_by_keys(w->db, reqs[0]->arena, unique, n_unique, &rows, &n_rows, &err) !=
        CM_OK) {
        if (api_may_log_unavailable(w->app))
            CM_ERROR("cannot look up session tokens", CM_F_ERR(&err));
        for (size_t i = 0; i < n_asked; i++)
            api_reply_message(asked[i], 503, "The database cannot be reached. Try again shortly.",
                              NULL);
        return;
    }
    for (size_t i = 0; i < n_asked; i++) {
        const struct store_auth *row = find_row(rows, n_rows, ids[i]);
        if (row)
            accept_key(w, asked[i], row);
        else
            refuse(asked[i],
                   "The API key is unknown: it was deleted, or belongs to another deployment.");
    }
}
