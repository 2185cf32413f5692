/* Hello: who is it, which versions do we share, and a ticket for the time after. */
#include <openssl/sha.h>

#include "base/random.h"
#include "base/secret.h"
#include "base/version.h"
#include "net/rpc/server_impl.h"
#include "obs/log.h"

/* Refused Hellos between two sweeps: with one proof (a token, a key's name) from one address, and
 * all of one address. Behind a balancer that is not trusted to name its clients, all callers have
 * one address: one that nobody knows any more, and tries again and again, must hold up itself
 * only. So the second limit is there for the price of a refusal, not for guesses, and is far from
 * what a fleet of forgotten callers does. */
#define PROOF_FAILURES_MAX   20
#define ADDRESS_FAILURES_MAX 1000
#define ADDRESSES_MAX        4096
#define PROOFS_MAX           16384

/* All refusals of a handshake read like this, whatever the cause. */
static const char REFUSED[] =
    "refused: wrong key or unknown key name; the server's log has the cause";

/* By address and by what was tried there, which may be a secret: its digest. */
struct proof_key {
    char address[RPC_ADDRESS_MAX];
    uint8_t digest[32];
};

static struct cm_str address_key(const struct rpc_work *w)
{
    return cm_str(w->address);
}

static struct cm_str proof_key(const struct rpc_work *w, struct cm_str proof, struct proof_key *k)
{
    *k = (struct proof_key){0};
    memcpy(k->address, w->address, strlen(w->address));
    SHA256((const uint8_t *)proof.ptr, proof.len, k->digest);
    return cm_str_n((const char *)k, sizeof(*k));
}

/* counts: a member of the server, which each sweep replaces. */
static bool over(struct rpc_work *w, struct cm_map *const *counts, struct cm_str key, uintptr_t max)
{
    struct cm_rpc_server *s = w->server;
    pthread_mutex_lock(&s->lock);
    uintptr_t n = (uintptr_t)cm_map_get(*counts, key);
    pthread_mutex_unlock(&s->lock);
    return !w->is_unix && n >= max;
}

static bool address_failed_too_often(struct rpc_work *w)
{
    return over(w, &w->server->failures, address_key(w), ADDRESS_FAILURES_MAX);
}

static bool proof_failed_too_often(struct rpc_work *w, struct cm_str proof)
{
    struct proof_key k;
    return over(w, &w->server->proofs, proof_key(w, proof, &k), PROOF_FAILURES_MAX);
}

static void count_one(struct cm_map *counts, struct cm_str key, size_t max)
{
    uintptr_t n = (uintptr_t)cm_map_get(counts, key);
    if (n || cm_map_count(counts) < max)
        cm_map_put(counts, key, (void *)(n + 1)); /* a count, not a pointer */
}

/* That we could not look is no fault of the caller's. */
static bool is_fault_of_caller(enum cm_code code)
{
    return cm_code_http_status(code) < 500 && code != CM_CANCELED;
}

static void count_failure(struct rpc_work *w, struct cm_str proof, enum cm_code code)
{
    struct cm_rpc_server *s = w->server;
    struct proof_key k;
    struct cm_str key = proof_key(w, proof, &k);
    pthread_mutex_lock(&s->lock);
    s->refused++;
    if (is_fault_of_caller(code)) {
        count_one(s->failures, address_key(w), ADDRESSES_MAX);
        count_one(s->proofs, key, PROOFS_MAX);
    }
    pthread_mutex_unlock(&s->lock);
}

static void too_often(struct rpc_work *w)
{
    rpc_reply(w, CODER__RPC__V1__REPLY_CODE__REPLY_RATE_LIMITED,
              "too many refused Hellos; wait a while", NULL, NULL);
}

/* proof: what it was refused with; empty when it brought none. */
static void refuse(struct rpc_work *w, struct cm_str proof, enum cm_code code,
                   const struct cm_err *err, const uint8_t *secret)
{
    count_failure(w, proof, code);
    CM_WARN("rpc: caller refused", CM_F_CSTR(client, w->address), CM_F_ERR(err));
    rpc_reply_err(w, code, err, secret);
}

/* Unfinished handshakes. */

static void handshake_free(struct rpc_handshake *h)
{
    cm_psk_free(h->psk);
    cm_free(h);
}

void rpc_handshakes_expire(struct cm_rpc_server *s, cm_usec now)
{
    struct cm_link gone;
    cm_list_init(&gone);
    pthread_mutex_lock(&s->lock);
    CM_LIST_EACH(l, &s->handshakes)
    {
        if (cm_container_of(l, struct rpc_handshake, link)->expires > now)
            break;
        cm_list_unlink(l);
        s->n_handshakes--;
        cm_list_push(&gone, l);
    }
    pthread_mutex_unlock(&s->lock);
    for (struct cm_link *l; (l = cm_list_pop(&gone));)
        handshake_free(cm_container_of(l, struct rpc_handshake, link));
}

/* Keeps it until its next step; the oldest one makes room. */
static void handshake_put(struct cm_rpc_server *s, struct rpc_handshake *h)
{
    struct cm_link *oldest = NULL;
    rpc_handshakes_expire(s, cm_monotonic_now());
    pthread_mutex_lock(&s->lock);
    if (s->n_handshakes >= RPC_HANDSHAKES_MAX)
        oldest = cm_list_pop(&s->handshakes);
    else
        s->n_handshakes++;
    cm_list_push(&s->handshakes, &h->link);
    pthread_mutex_unlock(&s->lock);
    if (oldest)
        handshake_free(cm_container_of(oldest, struct rpc_handshake, link));
}

static struct rpc_handshake *handshake_take(struct rpc_work *w, struct cm_uuid id)
{
    struct cm_rpc_server *s = w->server;
    struct rpc_handshake *found = NULL;
    rpc_handshakes_expire(s, cm_monotonic_now());
    pthread_mutex_lock(&s->lock);
    CM_LIST_EACH(l, &s->handshakes)
    {
        struct rpc_handshake *h = cm_container_of(l, struct rpc_handshake, link);
        if (h->pipe == w->pipe && cm_uuid_eq(h->id, id)) {
            cm_list_unlink(l);
            s->n_handshakes--;
            found = h;
            break;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

/* Who it is. */

static enum cm_code negotiate(const struct cm_rpc_server_config *cfg, enum cm_rpc_kind kind,
                              const Coder__Rpc__V1__CallerInfo *c, unsigned *ret,
                              struct cm_err *err)
{
    unsigned min = cfg->api[kind].min, max = cfg->api[kind].max;
    if (max == 0)
        return cm_err_set(err, CM_DENIED, "this server takes no callers of this kind");
    unsigned best = CM_MIN(max, c->api_max);
    if (best < min || best < c->api_min)
        return cm_err_set(err, CM_PRECONDITION,
                          "no common version: the server (%s) speaks versions %u to %u of this "
                          "API, the caller %u to "
                          "%u; update the %s",
                          CM_VERSION, min, max, c->api_min, c->api_max,
                          c->api_max < min ? "caller" : "server");
    *ret = best;
    return CM_OK;
}

static bool text_ok(const char *s)
{
    struct cm_str v = cm_str(s ? s : "");
    return v.len <= CM_RPC_NAME_MAX && cm_str_is_utf8(v);
}

static enum cm_code read_caller(struct cm_arena *a, const Coder__Rpc__V1__CallerInfo *c,
                                struct cm_rpc_hello *h, struct cm_err *err)
{
    bool ok = text_ok(c->name) && text_ok(c->program_version) && c->n_tags <= CM_RPC_TAGS_MAX;
    struct cm_rpc_tag *tags = CM_NEW_ARRAY(a, struct cm_rpc_tag, (ok ? c->n_tags : 0) + 1);
    for (size_t i = 0; ok && i < c->n_tags; i++) {
        ok = text_ok(c->tags[i]->name) && text_ok(c->tags[i]->value);
        tags[i] = (struct cm_rpc_tag){cm_str(c->tags[i]->name), cm_str(c->tags[i]->value)};
    }
    if (!ok)
        return cm_err_set(err, CM_INVALID,
                          "name, version and tags of a caller must be UTF-8 of up to %d bytes, and "
                          "the tags no more "
                          "than %d",
                          CM_RPC_NAME_MAX, CM_RPC_TAGS_MAX);
    h->name = cm_str(c->name ? c->name : "");
    h->program_version = cm_str(c->program_version ? c->program_version : "");
    h->tags = tags;
    h->n_tags = c->n_tags;
    return CM_OK;
}

static enum cm_code make_ticket(struct rpc_work *w, const struct cm_rpc_identity *id,
                                const uint8_t *secret, struct cm_buf *out, struct cm_err *err)
{
    struct cm_rpc_key keys[RPC_KEYS_MAX];
    struct cm_rpc_ticket t = {.identity = *id, .has_secret = secret != NULL};
    if (secret)
        memcpy(t.secret, secret, sizeof(t.secret));
    t.expires_at = cm_time_add(cm_time_now(), w->server->cfg.ticket_life);
    enum cm_code code = cm_err_set(err, CM_INTERNAL, "no key for tickets");
    if (rpc_keys_copy(w->server, keys) > 0)
        code = cm_rpc_ticket_seal(&keys[0], &t, out, err);
    cm_secret_wipe(keys, sizeof(keys));
    cm_secret_wipe(&t, sizeof(t));
    return code;
}

/* The common end: h says kind and proof. */
static enum cm_code welcome(struct rpc_work *w, const Coder__Rpc__V1__CallerInfo *c,
                            struct cm_rpc_hello *h, const uint8_t *secret, struct cm_err *err)
{
    const struct cm_rpc_server_config *cfg = &w->server->cfg;
    struct cm_arena *a = w->rq.arena;
    struct cm_rpc_identity id = {0};
    CM_AUTOBUF struct cm_buf ticket = CM_BUF_INIT(CM_RPC_TICKET_MAX);
    enum cm_code code = negotiate(cfg, h->kind, c, &h->api_version, err);
    if (code == CM_OK)
        code = read_caller(a, c, h, err);
    h->address = cm_str(w->address);
    if (code == CM_OK)
        code = cfg->hello(cfg->app, w->rq.thread_ctx, a, h, &id, err);
    id.kind = h->kind;
    id.api_version = h->api_version;
    if (code == CM_OK)
        rpc_caller_known(w, id.subject_id);
    if (code == CM_OK)
        code = make_ticket(w, &id, secret, &ticket, err);
    if (code != CM_OK)
        return code;
    Coder__Rpc__V1__HelloReply r = CODER__RPC__V1__HELLO_REPLY__INIT;
    r.has_ticket = r.has_ticket_life_us = r.has_api_version = r.has_heartbeat_us =
        r.has_subject_id = 1;
    r.ticket = cm_rpc_bytes(a, cm_buf_view(&ticket));
    r.ticket_life_us = cfg->ticket_life;
    r.api_version = h->api_version;
    r.heartbeat_us = cfg->heartbeat;
    r.subject_id = cm_rpc_uuid(a, id.subject_id);
    r.server_version = cm_arena_cstr(a, cm_str(CM_VERSION));
    rpc_reply(w, CODER__RPC__V1__REPLY_CODE__REPLY_OK, NULL, &r.base, secret);
    return CM_OK;
}

/* By PSK. */

struct lookup {
    struct rpc_work *w;
};

static enum cm_code look_up(void *ctx, struct cm_str name, uint8_t key[CM_PSK_KEY], bool *found,
                            struct cm_err *err)
{
    struct rpc_work *w = ((struct lookup *)ctx)->w;
    const struct cm_rpc_server_config *cfg = &w->server->cfg;
    if (proof_failed_too_often(w, name))
        return cm_err_set(err, CM_RATE_LIMITED, "too many refused handshakes with this name");
    if (!cm_str_is_utf8(name))
        return CM_OK; /* so no key's name */
    return cfg->psk(cfg->app, w->rq.thread_ctx, name, key, found, err);
}

static void handshake_refused(struct rpc_work *w, const struct cm_psk *p, enum cm_code code,
                              const struct cm_err *err)
{
    struct cm_str name = p ? cm_psk_name(p) : CM_STR_NONE;
    if (code == CM_RATE_LIMITED) {
        too_often(w);
        return;
    }
    count_failure(w, name, code);
    if (!cm_str_is_utf8(name))
        name = CM_STR("(not UTF-8)");
    CM_WARN("rpc: handshake refused", CM_F_CSTR(client, w->address), CM_F_STR(key_name, name),
            CM_F_ERR(err));
    if (code == CM_UNAUTHENTICATED || code == CM_INVALID || code == CM_DENIED)
        rpc_reply(w, CODER__RPC__V1__REPLY_CODE__REPLY_UNAUTHENTICATED, REFUSED, NULL, NULL);
    else
        rpc_reply(w, CODER__RPC__V1__REPLY_CODE__REPLY_UNAVAILABLE,
                  "the server cannot look up keys now", NULL, NULL);
}

/* What the caller says about itself, sealed, and bound to this very request. */
static enum cm_code open_caller(struct rpc_work *w, const Coder__Rpc__V1__Handshake *m,
                                const uint8_t *secret, Coder__Rpc__V1__CallerInfo **ret,
                                struct cm_err *err)
{
    struct cm_seal_box box;
    ProtobufCMessage *c = NULL;
    if (!m->has_caller || m->seal_salt.len != sizeof(box.salt) ||
        m->seal_tag.len != sizeof(box.tag))
        return cm_err_set(err, CM_INVALID, "the handshake's last step lacks the caller");
    memcpy(box.salt, m->seal_salt.data, sizeof(box.salt));
    memcpy(box.tag, m->seal_tag.data, sizeof(box.tag));
    CM_AUTOBUF struct cm_buf aad = CM_BUF_INIT(256);
    cm_seal_aad(&aad, CM_SEAL_HELLO, w->method_name, w->rq.id);
    if (cm_seal_open(secret, &box, cm_buf_view(&aad), m->caller.data, m->caller.len, m->caller.data,
                     err) != CM_OK)
        return CM_DENIED;
    if (cm_rpc_unpack(w->rq.arena, &coder__rpc__v1__caller_info__descriptor, cm_rpc_str(m->caller),
                      &c, err) != CM_OK)
        return CM_INVALID;
    *ret = (Coder__Rpc__V1__CallerInfo *)c;
    if ((*ret)->kind != CODER__RPC__V1__CALLER_KIND__CALLER_EXTERNAL_PROVISIONER)
        return cm_err_set(err, CM_INVALID, "only external provisioners say Hello by a handshake");
    return CM_OK;
}

static void finish_handshake(struct rpc_work *w, const struct cm_psk *p,
                             const Coder__Rpc__V1__Handshake *m)
{
    struct cm_err err = {.code = CM_OK};
    Coder__Rpc__V1__CallerInfo *caller = NULL;
    uint8_t secret[CM_SEAL_SECRET];
    cm_psk_secret(p, secret);
    enum cm_code code = open_caller(w, m, secret, &caller, &err);
    if (code != CM_OK) {
        handshake_refused(w, p, CM_UNAUTHENTICATED, &err);
    } else {
        struct cm_rpc_hello h = {.kind = CM_RPC_EXTERNAL, .key_name = cm_psk_name(p)};
        code = welcome(w, caller, &h, secret, &err);
        if (code != CM_OK)
            refuse(w, cm_psk_name(p), code, &err, secret);
    }
    cm_secret_wipe(secret, sizeof(secret));
}

static void go_on(struct rpc_work *w, struct rpc_handshake *h, struct cm_str out)
{
    Coder__Rpc__V1__HelloReply r = CODER__RPC__V1__HELLO_REPLY__INIT;
    r.has_handshake_id = r.has_handshake_data = 1;
    r.handshake_id = cm_rpc_uuid(w->rq.arena, h->id);
    r.handshake_data = cm_rpc_bytes(w->rq.arena, out);
    h->pipe = w->pipe;
    h->expires = cm_monotonic_now() + RPC_HANDSHAKE_LIFE;
    handshake_put(w->server, h);
    rpc_reply(w, CODER__RPC__V1__REPLY_CODE__REPLY_OK, NULL, &r.base, NULL);
}

static struct rpc_handshake *first_step(struct rpc_work *w, struct cm_err *err)
{
    const struct cm_rpc_server_config *cfg = &w->server->cfg;
    struct cm_psk *p = NULL;
    if (cm_psk_server_new(cfg->fake_secret, look_up, &p, err) != CM_OK)
        return NULL;
    struct rpc_handshake *h = cm_xcalloc(1, sizeof(*h));
    h->psk = p;
    h->id = cm_uuid_random();
    return h;
}

static void handshake(struct rpc_work *w, const Coder__Rpc__V1__Handshake *m)
{
    const struct cm_rpc_server_config *cfg = &w->server->cfg;
    struct cm_err err = {.code = CM_OK};
    struct rpc_handshake *h = NULL;
    struct cm_uuid id;
    if (cfg->api[CM_RPC_EXTERNAL].max == 0) {
        cm_err_set(&err, CM_DENIED, "this server takes no external provisioners");
        refuse(w, CM_STR_NONE, CM_DENIED, &err, NULL);
        return;
    }
    if (m->step == 1)
        h = first_step(w, &err);
    else if (m->has_id && cm_rpc_get_uuid(m->id, &id))
        h = handshake_take(w, id);
    if (!h && err.code != CM_OK) {
        rpc_reply_err(w, err.code, &err, NULL);
        return;
    }
    if (!h) {
        rpc_reply(w, CODER__RPC__V1__REPLY_CODE__REPLY_HANDSHAKE, "start the handshake again", NULL,
                  NULL);
        return;
    }
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(CM_PSK_FLIGHT_MAX);
    struct lookup ctx = {w};
    enum cm_code code = cm_psk_step(h->psk, cm_rpc_str(m->data), &out, &ctx, &err);
    if (code == CM_OK && !cm_psk_is_done(h->psk)) {
        go_on(w, h, cm_buf_view(&out));
        return;
    }
    if (code == CM_OK)
        finish_handshake(w, h->psk, m);
    else
        handshake_refused(w, h->psk, code, &err);
    handshake_free(h);
}

/* By token, or by the unix socket. */

static enum cm_code plain_caller(const struct rpc_work *w, const Coder__Rpc__V1__HelloRequest *m,
                                 struct cm_rpc_hello *h, struct cm_err *err)
{
    if (!m->caller)
        return cm_err_set(err, CM_INVALID, "the Hello does not say who calls");
    switch (m->caller->kind) {
    case CODER__RPC__V1__CALLER_KIND__CALLER_AGENT:
        if (!m->agent_token || m->proxy_token)
            break;
        h->kind = CM_RPC_AGENT;
        h->token = cm_str(m->agent_token);
        return CM_OK;
    case CODER__RPC__V1__CALLER_KIND__CALLER_PROXY:
        if (!m->proxy_token || m->agent_token)
            break;
        h->kind = CM_RPC_PROXY;
        h->token = cm_str(m->proxy_token);
        return CM_OK;
    case CODER__RPC__V1__CALLER_KIND__CALLER_BUILTIN_PROVISIONER:
        if (!w->is_unix)
            return cm_err_set(err, CM_DENIED,
                              "built-in provisioners come by the private socket only");
        h->kind = CM_RPC_BUILTIN;
        return CM_OK;
    case CODER__RPC__V1__CALLER_KIND__CALLER_EXTERNAL_PROVISIONER:
    case CODER__RPC__V1__CALLER_KIND__CALLER_UNSPECIFIED:
    case _CODER__RPC__V1__CALLER_KIND_IS_INT_SIZE:
        break;
    }
    return cm_err_set(err, CM_UNAUTHENTICATED, "the Hello's proof does not fit its kind of caller");
}

void rpc_hello(struct rpc_work *w, struct cm_str payload)
{
    struct cm_err err = {.code = CM_OK};
    ProtobufCMessage *pm = NULL;
    if (address_failed_too_often(w)) {
        too_often(w);
        return;
    }
    enum cm_code code =
        cm_rpc_unpack(w->rq.arena, &coder__rpc__v1__hello_request__descriptor, payload, &pm, &err);
    const Coder__Rpc__V1__HelloRequest *m = (const Coder__Rpc__V1__HelloRequest *)pm;
    if (code == CM_OK && m->handshake) {
        handshake(w, m->handshake);
        return;
    }
    struct cm_rpc_hello h = {0};
    if (code == CM_OK)
        code = plain_caller(w, m, &h, &err);
    if (code == CM_OK && h.token.len > CM_RPC_NAME_MAX)
        code = cm_err_set(&err, CM_UNAUTHENTICATED, "a token of %zu bytes", h.token.len);
    if (proof_failed_too_often(w, h.token)) {
        too_often(w);
        return;
    }
    if (code == CM_OK)
        code = welcome(w, m->caller, &h, NULL, &err);
    if (code != CM_OK)
        refuse(w, h.token, code, &err, NULL);
}
