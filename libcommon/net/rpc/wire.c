#include "net/rpc/wire.h"

#include <netdb.h>
#include <sys/socket.h>

#include <nng/nng.h>

#include "envelope.pb-c.h"

struct budget {
    struct cm_arena *arena;
    size_t left;
};

static void *budget_alloc(void *ctx, size_t n)
{
    struct budget *b = ctx;
    /* The arena rounds up and keeps books, which counts too when a message is made of a million
     * tiny parts. */
    size_t cost = n + 16;
    if (n > b->left || cost > b->left)
        return NULL;
    b->left -= cost;
    return cm_arena_alloc(b->arena, n);
}

static void budget_free(void *ctx, void *p)
{
    (void)ctx;
    (void)p; /* the arena's */
}

enum cm_code cm_rpc_unpack(struct cm_arena *a, const ProtobufCMessageDescriptor *d,
                           struct cm_str bytes, ProtobufCMessage **ret, struct cm_err *err)
{
    struct budget budget = {a, CM_RPC_UNPACK_MAX};
    ProtobufCAllocator alloc = {budget_alloc, budget_free, &budget};
    ProtobufCMessage *m =
        protobuf_c_message_unpack(d, &alloc, bytes.len, (const uint8_t *)bytes.ptr);
    if (!m)
        return cm_err_set(err, CM_INVALID, "%zu bytes are not a message %s", bytes.len, d->name);
    *ret = m;
    return CM_OK;
}

enum cm_code cm_rpc_pack(struct cm_arena *a, const ProtobufCMessage *m, struct cm_str *ret,
                         struct cm_err *err)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    if (n > CM_RPC_PAYLOAD_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "a message %s has %zu bytes, but may have %zu at most",
                          m->descriptor->name, n, CM_RPC_PAYLOAD_MAX);
    uint8_t *out = cm_arena_alloc(a, n + 1);
    protobuf_c_message_pack(m, out);
    *ret = cm_str_n(out, n);
    return CM_OK;
}

static const struct {
    enum cm_code code;
    Coder__Rpc__V1__ReplyCode wire;
} codes[] = {
    {CM_OK, CODER__RPC__V1__REPLY_CODE__REPLY_OK},
    {CM_INVALID, CODER__RPC__V1__REPLY_CODE__REPLY_INVALID},
    {CM_UNAUTHENTICATED, CODER__RPC__V1__REPLY_CODE__REPLY_UNAUTHENTICATED},
    {CM_DENIED, CODER__RPC__V1__REPLY_CODE__REPLY_DENIED},
    {CM_NOT_FOUND, CODER__RPC__V1__REPLY_CODE__REPLY_NOT_FOUND},
    {CM_CONFLICT, CODER__RPC__V1__REPLY_CODE__REPLY_CONFLICT},
    {CM_GONE, CODER__RPC__V1__REPLY_CODE__REPLY_GONE},
    {CM_PRECONDITION, CODER__RPC__V1__REPLY_CODE__REPLY_PRECONDITION},
    {CM_TOO_LARGE, CODER__RPC__V1__REPLY_CODE__REPLY_TOO_LARGE},
    {CM_TOO_EARLY, CODER__RPC__V1__REPLY_CODE__REPLY_TOO_EARLY},
    {CM_RATE_LIMITED, CODER__RPC__V1__REPLY_CODE__REPLY_RATE_LIMITED},
    {CM_INTERNAL, CODER__RPC__V1__REPLY_CODE__REPLY_INTERNAL},
    {CM_UNIMPLEMENTED, CODER__RPC__V1__REPLY_CODE__REPLY_UNIMPLEMENTED},
    {CM_UNAVAILABLE, CODER__RPC__V1__REPLY_CODE__REPLY_UNAVAILABLE},
    {CM_TIMEOUT, CODER__RPC__V1__REPLY_CODE__REPLY_TIMEOUT},
    {CM_PROTOCOL, CODER__RPC__V1__REPLY_CODE__REPLY_PROTOCOL},
    {CM_CANCELED, CODER__RPC__V1__REPLY_CODE__REPLY_CANCELED},
};

unsigned cm_rpc_code_to_wire(enum cm_code code)
{
    for (size_t i = 0; i < CM_COUNT_OF(codes); i++)
        if (codes[i].code == code)
            return codes[i].wire;
    return CODER__RPC__V1__REPLY_CODE__REPLY_INTERNAL;
}

enum cm_code cm_rpc_code_from_wire(unsigned wire)
{
    for (size_t i = 0; i < CM_COUNT_OF(codes); i++)
        if (codes[i].wire == wire)
            return codes[i].code;
    if (wire == CODER__RPC__V1__REPLY_CODE__REPLY_TICKET)
        return CM_UNAUTHENTICATED;
    return wire == CODER__RPC__V1__REPLY_CODE__REPLY_HANDSHAKE ? CM_UNAVAILABLE : CM_INTERNAL;
}

ProtobufCBinaryData cm_rpc_bytes(struct cm_arena *a, struct cm_str s)
{
    ProtobufCBinaryData b = {.len = s.len, .data = cm_arena_alloc(a, s.len + 1)};
    if (s.len)
        memcpy(b.data, s.ptr, s.len);
    return b;
}

ProtobufCBinaryData cm_rpc_uuid(struct cm_arena *a, struct cm_uuid u)
{
    return cm_rpc_bytes(a, cm_str_n(u.b, sizeof(u.b)));
}

bool cm_rpc_get_uuid(ProtobufCBinaryData b, struct cm_uuid *ret)
{
    if (b.len != sizeof(ret->b))
        return false;
    memcpy(ret->b, b.data, sizeof(ret->b));
    return true;
}

static enum cm_code code_of(int rv)
{
    switch (rv) {
    case NNG_ETIMEDOUT:
        return CM_TIMEOUT;
    case NNG_ECANCELED:
        return CM_CANCELED;
    case NNG_EMSGSIZE:
        return CM_TOO_LARGE;
    case NNG_EPROTO:
        return CM_PROTOCOL;
    case NNG_EADDRINUSE:
        return CM_CONFLICT;
    case NNG_EADDRINVAL:
    case NNG_EINVAL:
        return CM_INVALID;
    case NNG_ECLOSED:
    case NNG_ECONNREFUSED:
    case NNG_ECONNRESET:
    case NNG_ECONNABORTED:
    case NNG_ECONNSHUT:
        return CM_UNAVAILABLE;
    case NNG_EPERM:
        return CM_DENIED;
    case NNG_ENOENT:
        return CM_NOT_FOUND;
    }
    return CM_IO;
}

enum cm_code cm_rpc_nng_err(struct cm_err *err, int rv, const char *what)
{
    return cm_err_set(err, code_of(rv), "%s: %s", what, nng_strerror(rv));
}

const char *cm_rpc_loopback(void)
{
    /* What nng will ask, numeric and so without any look-up. */
    const struct addrinfo hints = {.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo("127.0.0.1", "1", &hints, &found) != 0)
        return "[::1]";
    freeaddrinfo(found);
    return "127.0.0.1";
}

void cm_rpc_global_done(void)
{
    nng_fini();
}
