/* RPC messages and tickets as they come from the network. */
#include "envelope.pb-c.h"
#include "net/rpc/ticket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const messages[] = {
    &coder__rpc__v1__envelope__descriptor,    &coder__rpc__v1__reply__descriptor,
    &coder__rpc__v1__reply_body__descriptor,  &coder__rpc__v1__hello_request__descriptor,
    &coder__rpc__v1__hello_reply__descriptor, &coder__rpc__v1__caller_info__descriptor,
    &coder__rpc__v1__ticket__descriptor,
};

/* A ticket with a good seal around the input, so that what is inside meets the reader too. */
static void open_sealed(struct cm_arena *a, struct cm_str body)
{
    const struct cm_rpc_key key = {.id = 0x01020304, .key = {1}};
    const uint8_t head[5] = {1, 1, 2, 3, 4}, salt[CM_SEAL_SALT] = {7};
    uint8_t *bytes = cm_arena_alloc(a, sizeof(head) + CM_SEAL_SALT + CM_SEAL_TAG + body.len);
    uint8_t *tag = bytes + sizeof(head) + CM_SEAL_SALT;
    struct cm_rpc_ticket *t = NULL;
    memcpy(bytes, head, sizeof(head));
    memcpy(bytes + sizeof(head), salt, sizeof(salt));
    cm_seal_with_salt(key.key, salt, cm_str_n(head, sizeof(head)), body.ptr, body.len,
                      tag + CM_SEAL_TAG, tag);
    struct cm_str ticket = cm_str_n(bytes, (size_t)(tag + CM_SEAL_TAG - bytes) + body.len);
    if (cm_rpc_ticket_open(a, &key, 1, ticket, (struct cm_time){0}, &t, NULL) == CM_OK)
        cm_assert(t->expires_at.us > 0 && t->identity.kind != CM_RPC_UNSET);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    CM_AUTO(cm_arena) a = cm_arena_new();
    const struct cm_rpc_key key = {.id = 1, .key = {1}};
    struct cm_str bytes = cm_str_n(data + 1, size - 1);
    unsigned which = data[0] % (CM_COUNT_OF(messages) + 2);
    struct cm_rpc_ticket *t = NULL;
    ProtobufCMessage *m = NULL;
    struct cm_str packed;
    if (which == CM_COUNT_OF(messages)) {
        cm_assert(cm_rpc_ticket_open(a, &key, 1, bytes, (struct cm_time){0}, &t, NULL) != CM_OK);
    } else if (which > CM_COUNT_OF(messages)) {
        open_sealed(a, bytes);
    } else if (cm_rpc_unpack(a, messages[which], bytes, &m, NULL) == CM_OK) {
        /* What was read can be written. (Not always read again: unknown fields are kept as they
         * came.) */
        cm_assert(cm_rpc_pack(a, m, &packed, NULL) == CM_OK || size > 4096);
    }
    return 0;
}
