#include "keyring.h"

#include <pthread.h>

#include "base/secret.h"
#include "domain/keys.h"
#include "obs/log.h"
#include "relay/tunnels.h"
#include "rpc/rpc.h"

struct signing {
    struct cm_ticket_key *keys[CM_TICKET_KEYS_MAX]; /* the first signs, all verify */
    uint32_t sequences[CM_TICKET_KEYS_MAX];
    size_t n;
};

struct keyring {
    pthread_mutex_t lock; /* guards signing */
    struct signing signing;
};

static void signing_done(struct signing *s)
{
    for (size_t i = 0; i < s->n; i++)
        cm_ticket_key_free(s->keys[i]);
    s->n = 0;
}

static enum cm_code signing_load(struct cm_db *db, struct signing *ret, struct cm_err *err)
{
    struct deployment_key keys[DEPLOYMENT_KEYS_MAX];
    size_t n = 0;
    *ret = (struct signing){.n = 0};
    enum cm_code code = deployment_keys_load(db, KEYS_STREAM_TICKET, keys, &n, err);
    for (size_t i = 0; code == CM_OK && i < CM_MIN(n, (size_t)CM_TICKET_KEYS_MAX); i++) {
        code = cm_ticket_key_new(keys[i].secret, &ret->keys[i], err);
        ret->sequences[i] = keys[i].sequence;
        ret->n += code == CM_OK;
    }
    cm_secret_wipe(keys, sizeof(keys));
    if (code != CM_OK)
        signing_done(ret);
    return code;
}

static bool same(const struct signing *a, const struct signing *b)
{
    return a->n == b->n && memcmp(a->sequences, b->sequences, a->n * sizeof(*a->sequences)) == 0;
}

enum cm_code keyring_new(struct coderd *app, struct keyring **ret, struct cm_err *err)
{
    struct signing first;
    if (signing_load(app->start_db, &first, err) != CM_OK)
        return err->code;
    struct keyring *k = cm_xcalloc(1, sizeof(*k));
    pthread_mutex_init(&k->lock, NULL);
    k->signing = first;
    *ret = k;
    return CM_OK;
}

void keyring_free(struct keyring *k)
{
    if (!k)
        return;
    signing_done(&k->signing);
    pthread_mutex_destroy(&k->lock);
    cm_free(k);
}

enum cm_code keyring_mint(struct keyring *k, const struct cm_ticket *t, struct cm_buf *out,
                          struct cm_err *err)
{
    pthread_mutex_lock(&k->lock);
    enum cm_code code = cm_ticket_mint(k->signing.keys[0], t, out, err);
    pthread_mutex_unlock(&k->lock);
    return code;
}

size_t keyring_publics(struct keyring *k, struct cm_ticket_public out[CM_TICKET_KEYS_MAX])
{
    pthread_mutex_lock(&k->lock);
    size_t n = k->signing.n;
    for (size_t i = 0; i < n; i++)
        out[i] = cm_ticket_key_public(k->signing.keys[i]);
    pthread_mutex_unlock(&k->lock);
    return n;
}

/* ---- the chore ---- */

struct rpc_keys {
    struct coderd *app;
    struct cm_rpc_key v[DEPLOYMENT_KEYS_MAX];
    size_t n;
};

/* On the first loop, whose end the RPC server's own precedes. */
static void use_rpc_keys(void *arg)
{
    struct rpc_keys *k = arg;
    if (k->app->rpc)
        cm_rpc_server_set_keys(k->app->rpc, k->v, k->n);
    cm_secret_wipe(k, sizeof(*k));
    cm_free(k);
}

static enum cm_code renew_rpc_keys(struct coderd *app, struct cm_db *db, struct cm_err *err)
{
    struct rpc_keys *k = cm_xcalloc(1, sizeof(*k));
    k->app = app;
    enum cm_code code = coderd_rpc_keys(db, k->v, &k->n, err);
    if (code == CM_OK)
        cm_loop_post(app->loops[0], use_rpc_keys, CM_TAKE(k));
    else
        cm_free(k);
    return code;
}

static enum cm_code renew_signing(struct coderd *app, struct cm_db *db, struct cm_err *err)
{
    struct keyring *k = app->keyring;
    struct signing next;
    if (signing_load(db, &next, err) != CM_OK)
        return err->code;
    pthread_mutex_lock(&k->lock);
    bool changed = !same(&k->signing, &next);
    uint32_t first = next.sequences[0];
    if (changed) {
        struct signing old = k->signing;
        k->signing = next;
        next = old;
    }
    pthread_mutex_unlock(&k->lock);
    signing_done(&next);
    if (changed) {
        CM_INFO("other keys sign stream tickets", CM_F_INT(sequence, first));
        tunnels_tell(app->tunnels, CM_STR("/manifest-changed"));
    }
    return CM_OK;
}

enum cm_code keyring_run(struct coderd *app, struct cm_db *db, struct cm_err *err)
{
    if (deployment_keys_renew(db, KEYS_STREAM_TICKET, err) != CM_OK ||
        deployment_keys_renew(db, KEYS_RPC_TICKET, err) != CM_OK)
        return cm_err_wrap(err, "make the next signing key");
    if (renew_rpc_keys(app, db, err) != CM_OK || renew_signing(app, db, err) != CM_OK)
        return cm_err_wrap(err, "read the signing keys");
    return CM_OK;
}
