#include "rpc/rpc.h"

#include "api/auth.h"
#include "api/job_show.h"
#include "app.h"
#include "base/secret.h"
#include "db/db.h"
#include "domain/keys.h"
#include "obs/log.h"
#include "options.h"
#include "store/agents.h"
#include "store/provisioners.h"

#define PSK_KEY_NAME "psk"

/* Fixed rows of provisioner_keys: what a daemon without a key of its own came by. */
static const struct cm_uuid builtin_key = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
static const struct cm_uuid psk_key = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3}};

static enum cm_code hello_agent(struct worker *w, struct cm_arena *a, const struct cm_rpc_hello *h,
                                struct cm_rpc_identity *ret, struct cm_err *err)
{
    struct cm_uuid token;
    uint8_t hash[32];
    struct store_agent_auth *row = NULL;
    if (!cm_uuid_parse(h->token, &token))
        return cm_err_set(err, CM_UNAUTHENTICATED, "the agent token has not the form of one");
    auth_sha256(h->token, hash);
    if (store_agent_by_token(w->db, a, cm_str_n(hash, sizeof(hash)), &row, err) != CM_OK)
        return err->code;
    if (!row)
        return cm_err_set(
            err, CM_UNAUTHENTICATED,
            "the agent token belongs to no running workspace: it was rebuilt, stopped or deleted");
    ret->subject_id = row->agent_id;
    ret->organization_id = row->organization_id;
    ret->name = row->agent_name;
    return CM_OK;
}

/* Tags as coderd keeps them; a PSK or built-in daemon serves its whole organization. */
static struct cm_pair *daemon_tags(struct cm_arena *a, const struct cm_rpc_hello *h, size_t *ret_n)
{
    struct cm_pair *tags = CM_NEW_ARRAY(a, struct cm_pair, h->n_tags + 2);
    size_t n = 0;
    tags[n++] = (struct cm_pair){CM_STR("scope"), CM_STR("organization")};
    tags[n++] = (struct cm_pair){CM_STR("owner"), CM_STR("")};
    for (size_t i = 0; i < h->n_tags; i++) {
        if (!cm_str_eq_c(h->tags[i].name, "scope") && !cm_str_eq_c(h->tags[i].name, "owner"))
            tags[n++] = (struct cm_pair){h->tags[i].name, h->tags[i].value};
    }
    *ret_n = n;
    return tags;
}

static enum cm_code hello_provisioner(struct worker *w, struct cm_arena *a,
                                      const struct cm_rpc_hello *h, struct cm_rpc_identity *ret,
                                      struct cm_err *err)
{
    static const struct cm_str kinds[] = {{"terraform", 9}};
    struct cm_uuid org = w->app->default_org_id;
    struct cm_uuid key = h->kind == CM_RPC_BUILTIN ? builtin_key : psk_key;
    size_t n_tags = 0;
    struct cm_pair *tags = daemon_tags(a, h, &n_tags);
    if (h->kind == CM_RPC_EXTERNAL && !cm_str_eq_c(h->key_name, PSK_KEY_NAME)) {
        struct store_provisioner_secret *k = NULL;
        if (store_provisioner_key_by_handshake(w->db, a, h->key_name, &k, err) != CM_OK)
            return err->code;
        if (!k)
            return cm_err_set(err, CM_UNAUTHENTICATED,
                              "the provisioner key is unknown or was deleted");
        if (h->n_tags)
            return cm_err_set(err, CM_DENIED,
                              "a provisioner with a key has the key's tags; start it without tags");
        key = k->id;
        org = k->organization_id;
        tags = job_tags(a, k->tags, k->n_tags, key, &n_tags);
    }
    struct store_provisioner_daemon_upsert_args row = {.organization_id = org,
                                                       .key_id = key,
                                                       .name = h->name,
                                                       .version = h->program_version,
                                                       .api_version = CM_STR("1.0"),
                                                       .provisioners = kinds,
                                                       .n_provisioners = 1,
                                                       .tags = tags,
                                                       .n_tags = n_tags};
    if (store_provisioner_daemon_upsert(w->db, a, &row, &ret->subject_id, err) != CM_OK)
        return err->code;
    struct cm_rpc_tag *out = CM_NEW_ARRAY(a, struct cm_rpc_tag, n_tags);
    for (size_t i = 0; i < n_tags; i++)
        out[i] = (struct cm_rpc_tag){tags[i].key, tags[i].value};
    ret->key_id = key;
    ret->organization_id = org;
    ret->name = h->name;
    ret->tags = out;
    ret->n_tags = n_tags;
    CM_INFO("provisioner connected", CM_F_STR(name, h->name),
            CM_F_STR(version, h->program_version));
    return CM_OK;
}

static enum cm_code on_hello(void *app, void *thread_ctx, struct cm_arena *a,
                             const struct cm_rpc_hello *h, struct cm_rpc_identity *ret,
                             struct cm_err *err)
{
    (void)app;
    switch (h->kind) {
    case CM_RPC_AGENT:
        return hello_agent(thread_ctx, a, h, ret, err);
    case CM_RPC_BUILTIN:
    case CM_RPC_EXTERNAL:
        return hello_provisioner(thread_ctx, a, h, ret, err);
    case CM_RPC_PROXY:
    case CM_RPC_UNSET:
        break;
    }
    return cm_err_set(err, CM_DENIED, "this server takes no callers of that kind");
}

static enum cm_code on_psk(void *ctx, void *thread_ctx, struct cm_str name, uint8_t key[CM_PSK_KEY],
                           bool *found, struct cm_err *err)
{
    struct coderd *app = ctx;
    struct worker *w = thread_ctx;
    *found = false;
    /* A database's text cannot hold it. */
    if (memchr(name.ptr, '\0', name.len))
        return CM_OK;
    if (cm_str_eq_c(name, PSK_KEY_NAME)) {
        *found = app->opt->provisioner_daemon_psk[0] != '\0';
        if (*found)
            cm_psk_key_from_text(cm_str(app->opt->provisioner_daemon_psk), key);
        return CM_OK;
    }
    /* A provisioner key: what is stored is not its text but the handshake's key. */
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct store_provisioner_secret *k = NULL;
    if (store_provisioner_key_by_handshake(w->db, a, name, &k, err) != CM_OK)
        return err->code;
    if (k && k->hashed_secret.len == CM_PSK_KEY) {
        memcpy(key, k->hashed_secret.ptr, CM_PSK_KEY);
        *found = true;
    }
    return CM_OK;
}

enum cm_code coderd_rpc_keys(struct cm_db *db, struct cm_rpc_key *ret, size_t *ret_n,
                             struct cm_err *err)
{
    struct deployment_key keys[DEPLOYMENT_KEYS_MAX];
    if (deployment_keys_load(db, KEYS_RPC_TICKET, keys, ret_n, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < *ret_n; i++) {
        ret[i].id = keys[i].sequence;
        memcpy(ret[i].key, keys[i].secret, sizeof(ret[i].key));
    }
    cm_secret_wipe(keys, sizeof(keys));
    return CM_OK;
}

enum cm_code coderd_rpc_start(struct coderd *app, struct cm_err *err)
{
    static const struct cm_rpc_method *const tables[] = {agent_methods, provisioner_methods};
    struct deployment_key fake[DEPLOYMENT_KEYS_MAX];
    struct cm_rpc_key keys[DEPLOYMENT_KEYS_MAX];
    size_t n_keys = 0, n_fake = 0;
    if (coderd_rpc_keys(app->start_db, keys, &n_keys, err) != CM_OK ||
        deployment_keys_load(app->start_db, KEYS_PSK_FAKE, fake, &n_fake, err) != CM_OK)
        return err->code;
    if (app->opt->provisioner_daemon_psk[0]) {
        if (cm_psk_text_check(cm_str(app->opt->provisioner_daemon_psk), err) != CM_OK)
            return cm_err_wrap(err, "CODER_PROVISIONER_DAEMON_PSK");
    }
    struct cm_rpc_server_config cfg = {.loop = app->loops[0],
                                       .pool = app->workers,
                                       .app = app,
                                       .tables = tables,
                                       .n_tables = CM_COUNT_OF(tables),
                                       .contexts = 64,
                                       .parked_max = 4096,
                                       .caller_running_max = CM_MAX(app->n_workers / 2, 1U),
                                       .hello = on_hello,
                                       .psk = on_psk};
    for (int k = CM_RPC_AGENT; k <= CM_RPC_EXTERNAL; k++) {
        cfg.api[k].min = 1;
        cfg.api[k].max = 1;
    }
    memcpy(cfg.fake_secret, fake[0].secret, sizeof(cfg.fake_secret));
    enum cm_code code = cm_rpc_server_new(&cfg, keys, n_keys, &app->rpc, err);
    cm_secret_wipe(keys, sizeof(keys));
    cm_secret_wipe(fake, sizeof(fake));
    if (code != CM_OK || cm_rpc_server_listen_private(app->rpc, &app->rpc_private, err) != CM_OK)
        return err->code;
    if (app->opt->provisioner_socket[0])
        return cm_rpc_server_listen_unix(app->rpc, app->opt->provisioner_socket, err);
    return CM_OK;
}
