#include "net/rpc/ticket.h"

#include "base/secret.h"
#include "envelope.pb-c.h"

/* On the wire: format (1 byte), key id (4 bytes, big endian), salt, tag, sealed message Ticket. All
 * before the salt is authenticated along with it. */
#define FORMAT 1
#define HEAD   5
#define FIXED  (HEAD + CM_SEAL_SALT + CM_SEAL_TAG)

enum cm_code cm_rpc_ticket_seal(const struct cm_rpc_key *key, const struct cm_rpc_ticket *t,
                                struct cm_buf *out, struct cm_err *err)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    const struct cm_rpc_identity *id = &t->identity;
    if (id->n_tags > CM_RPC_TAGS_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "%zu tags are more than %d", id->n_tags,
                          CM_RPC_TAGS_MAX);
    Coder__Rpc__V1__Ticket m = CODER__RPC__V1__TICKET__INIT;
    m.kind = (Coder__Rpc__V1__CallerKind)id->kind;
    m.subject_id = cm_rpc_uuid(a, id->subject_id);
    m.has_key_id = m.has_organization_id = m.has_api_version = m.has_extra = 1;
    m.key_id = cm_rpc_uuid(a, id->key_id);
    m.organization_id = cm_rpc_uuid(a, id->organization_id);
    m.name = cm_arena_cstr(a, id->name);
    m.program_version = cm_arena_cstr(a, id->program_version);
    m.extra = cm_rpc_bytes(a, id->extra);
    m.api_version = id->api_version;
    m.n_tags = id->n_tags;
    m.tags = CM_NEW_ARRAY(a, Coder__Rpc__V1__Tag *, id->n_tags + 1);
    for (size_t i = 0; i < id->n_tags; i++) {
        m.tags[i] = CM_NEW(a, Coder__Rpc__V1__Tag);
        coder__rpc__v1__tag__init(m.tags[i]);
        m.tags[i]->name = cm_arena_cstr(a, id->tags[i].name);
        m.tags[i]->value = cm_arena_cstr(a, id->tags[i].value);
    }
    m.has_secret = t->has_secret;
    if (t->has_secret)
        m.secret = (ProtobufCBinaryData){sizeof(t->secret), (uint8_t *)cm_arena_alloc(a, 32)};
    if (t->has_secret)
        memcpy(m.secret.data, t->secret, sizeof(t->secret));
    m.expires_at_us = t->expires_at.us;

    size_t n = coder__rpc__v1__ticket__get_packed_size(&m);
    if (n + FIXED > CM_RPC_TICKET_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "name and tags of a caller have %zu bytes: too many",
                          n);
    uint8_t *body = cm_arena_alloc(a, n + 1);
    coder__rpc__v1__ticket__pack(&m, body);
    const uint8_t head[HEAD] = {FORMAT, (uint8_t)(key->id >> 24), (uint8_t)(key->id >> 16),
                                (uint8_t)(key->id >> 8), (uint8_t)key->id};
    struct cm_seal_box box;
    cm_seal(key->key, cm_str_n(head, HEAD), body, n, body, &box);
    if (t->has_secret)
        cm_secret_wipe(m.secret.data, m.secret.len);
    cm_buf_append(out, head, HEAD);
    cm_buf_append(out, box.salt, sizeof(box.salt));
    cm_buf_append(out, box.tag, sizeof(box.tag));
    cm_buf_append(out, body, n);
    return cm_buf_check(out, "the ticket", err);
}

static enum cm_code bad(struct cm_err *err, const char *why)
{
    return cm_err_set(err, CM_UNAUTHENTICATED, "ticket: %s", why);
}

struct wipe {
    void *p;
    size_t n;
};

static void wipe_run(void *arg)
{
    struct wipe *w = arg;
    cm_secret_wipe(w->p, w->n);
}

static void wipe_with(struct cm_arena *a, void *p, size_t n)
{
    struct wipe *w = CM_NEW(a, struct wipe);
    *w = (struct wipe){p, n};
    cm_arena_defer(a, wipe_run, w);
}

static enum cm_code to_ticket(struct cm_arena *a, const Coder__Rpc__V1__Ticket *m,
                              struct cm_rpc_ticket **ret, struct cm_err *err)
{
    struct cm_rpc_ticket *t = CM_NEW(a, struct cm_rpc_ticket);
    struct cm_rpc_identity *id = &t->identity;
    if (m->kind <= CODER__RPC__V1__CALLER_KIND__CALLER_UNSPECIFIED ||
        m->kind > CODER__RPC__V1__CALLER_KIND__CALLER_PROXY)
        return bad(err, "of an unknown kind of caller");
    id->kind = (enum cm_rpc_kind)m->kind;
    if (!cm_rpc_get_uuid(m->subject_id, &id->subject_id) ||
        (m->has_key_id && !cm_rpc_get_uuid(m->key_id, &id->key_id)) ||
        (m->has_organization_id && !cm_rpc_get_uuid(m->organization_id, &id->organization_id)))
        return bad(err, "an id has not 16 bytes");
    id->name = cm_str(m->name ? m->name : "");
    id->program_version = cm_str(m->program_version ? m->program_version : "");
    id->extra = cm_rpc_str(m->extra);
    id->api_version = m->api_version;
    struct cm_rpc_tag *tags = CM_NEW_ARRAY(a, struct cm_rpc_tag, m->n_tags + 1);
    for (size_t i = 0; i < m->n_tags; i++)
        tags[i] = (struct cm_rpc_tag){cm_str(m->tags[i]->name), cm_str(m->tags[i]->value)};
    id->tags = tags;
    id->n_tags = m->n_tags;
    t->expires_at.us = m->expires_at_us;
    if (m->has_secret) {
        if (m->secret.len != sizeof(t->secret))
            return bad(err, "its secret has not 32 bytes");
        memcpy(t->secret, m->secret.data, sizeof(t->secret));
        cm_secret_wipe(m->secret.data, m->secret.len);
        wipe_with(a, t->secret, sizeof(t->secret));
        t->has_secret = true;
    }
    *ret = t;
    return CM_OK;
}

enum cm_code cm_rpc_ticket_open(struct cm_arena *a, const struct cm_rpc_key *keys, size_t n_keys,
                                struct cm_str bytes, struct cm_time now, struct cm_rpc_ticket **ret,
                                struct cm_err *err)
{
    if (bytes.len < FIXED || bytes.len > CM_RPC_TICKET_MAX || bytes.ptr[0] != FORMAT)
        return bad(err, "not one of ours");
    const uint8_t *head = (const uint8_t *)bytes.ptr;
    uint32_t id =
        (uint32_t)head[1] << 24 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 8 | head[4];
    const struct cm_rpc_key *key = NULL;
    for (size_t i = 0; i < n_keys && !key; i++)
        if (keys[i].id == id)
            key = &keys[i];
    if (!key)
        return bad(err, "sealed under a key that is no longer in use");
    struct cm_seal_box box;
    memcpy(box.salt, head + HEAD, sizeof(box.salt));
    memcpy(box.tag, head + HEAD + CM_SEAL_SALT, sizeof(box.tag));
    size_t n = bytes.len - FIXED;
    uint8_t *body = cm_arena_alloc(a, n + 1);
    wipe_with(a, body, n);
    if (cm_seal_open(key->key, &box, cm_str_n(head, HEAD), head + FIXED, n, body, NULL) != CM_OK)
        return bad(err, "its seal is broken");
    ProtobufCMessage *m = NULL;
    struct cm_rpc_ticket *t = NULL;
    if (cm_rpc_unpack(a, &coder__rpc__v1__ticket__descriptor, cm_str_n(body, n), &m, NULL) != CM_OK)
        return bad(err, "its content is of another version");
    if (to_ticket(a, (const Coder__Rpc__V1__Ticket *)m, &t, err) != CM_OK)
        return CM_UNAUTHENTICATED;
    if (t->expires_at.us <= now.us)
        return bad(err, "expired");
    *ret = t;
    return CM_OK;
}
