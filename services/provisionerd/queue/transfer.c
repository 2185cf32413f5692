#include "queue/transfer.h"

#include <poll.h>

#include "obs/log.h"

#define PATIENCE    (60 * CM_SECOND)
#define AGAIN_AFTER 500 /* ms */

/* A server whose database is away says so at once, and mostly has it again within seconds: a job is
 * not to fail for that. */
static enum cm_code fetch_chunk(struct cm_rpc_client *client, const PB(FetchRequest) * req,
                                struct cm_arena *a, const PB(FetchReply) * *ret, struct cm_err *err)
{
    const struct cm_rpc_call_opts opts = {.deadline = TRANSFER_DEADLINE};
    cm_usec end = cm_monotonic_now() + PATIENCE;
    for (;;) {
        const void *answer = NULL;
        enum cm_code code = cm_rpc_call_wait(client, METHOD_FETCH, &req->base,
                                             &coder__provisioner__v1__fetch_reply__descriptor,
                                             &opts, a, &answer, err);
        *ret = answer;
        if (code != CM_UNAVAILABLE || cm_monotonic_now() > end)
            return code;
        CM_WARN("cannot fetch what a job needs yet", CM_F_ERR(err));
        poll(NULL, 0, AGAIN_AFTER);
    }
}

enum cm_code transfer_fetch(struct cm_rpc_client *client, PB(Lease) * lease,
                            PB(FetchRequest__What) what, struct cm_buf *out, struct cm_err *err)
{
    PB(FetchRequest) req = PB_INIT(FETCH_REQUEST);
    size_t before = out->len;
    req.lease = lease;
    req.what = what;
    for (;;) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        const PB(FetchReply) *reply = NULL;
        req.offset = (int64_t)(out->len - before);
        enum cm_code code = fetch_chunk(client, &req, a, &reply, err);
        if (code != CM_OK)
            return code;
        cm_buf_append(out, reply->data.data, reply->data.len);
        code = cm_buf_check(out, "the file", err);
        if (code != CM_OK)
            return code;
        if ((int64_t)(out->len - before) >= reply->total)
            return CM_OK;
        if (reply->data.len == 0)
            return cm_err_set(err, CM_PROTOCOL, "the server sent an empty part of a file");
    }
}

enum cm_code transfer_store(struct cm_rpc_client *client, PB(Lease) * lease,
                            PB(StoreRequest__What) what, struct cm_str data, cm_usec deadline,
                            void (*between)(void *ctx), void *ctx, struct cm_err *err)
{
    PB(StoreRequest) req = PB_INIT(STORE_REQUEST);
    const struct cm_rpc_call_opts opts = {.deadline = deadline > 0 ? deadline : TRANSFER_DEADLINE};
    req.lease = lease;
    req.what = what;
    req.total = (int64_t)data.len;
    size_t done = 0;
    do {
        CM_AUTO(cm_arena) a = cm_arena_new();
        const void *answer = NULL;
        struct cm_str chunk = cm_str_sub(data, done, CM_RPC_CHUNK);
        req.offset = (int64_t)done;
        /* A request only reads its members; the generated struct merely has no const. */
        req.data = (ProtobufCBinaryData){chunk.len, (uint8_t *)(uintptr_t)chunk.ptr};
        enum cm_code code = cm_rpc_call_wait(client, METHOD_STORE, &req.base,
                                             &coder__provisioner__v1__store_reply__descriptor,
                                             &opts, a, &answer, err);
        if (code != CM_OK)
            return code;
        done += chunk.len;
        if (done < data.len && between)
            between(ctx);
    } while (done < data.len);
    return CM_OK;
}

bool transfer_is_final(enum cm_code code)
{
    switch (code) {
    case CM_INVALID:
    case CM_DENIED:
    case CM_NOT_FOUND:
    case CM_CONFLICT:
    case CM_GONE:
    case CM_PRECONDITION:
    case CM_TOO_LARGE:
    case CM_UNIMPLEMENTED:
        return true;
    case CM_OK:
    case CM_UNAUTHENTICATED:
    case CM_TOO_EARLY:
    case CM_RATE_LIMITED:
    case CM_INTERNAL:
    case CM_UNAVAILABLE:
    case CM_TIMEOUT:
    case CM_IO:
    case CM_PROTOCOL:
    case CM_END:
    case CM_CANCELED:
        break;
    }
    return false;
}
