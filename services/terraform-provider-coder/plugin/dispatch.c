#include "plugin/dispatch.h"

static void *arena_alloc(void *a, size_t n)
{
    return cm_arena_alloc(a, n);
}

static void arena_free(void *a CM_UNUSED, void *p CM_UNUSED)
{
}

void reply_done(struct reply *r)
{
    cm_buf_done(&r->body);
    cm_buf_done(&r->text);
}

void reply_fail(struct reply *r, enum grpc_status status, const char *text)
{
    cm_buf_reset(&r->text);
    r->status = status;
    grpc_encode_message(&r->text, cm_str(text));
}

static bool find_method(const struct dispatch *d, struct cm_str path,
                        ProtobufCService **ret_service, unsigned *ret_index)
{
    struct cm_str service, method, root;
    method = cm_str_split(path, '/', &root);
    method = cm_str_split(method, '/', &service);
    if (root.len || !method.ptr)
        return false;
    for (size_t i = 0; i < d->n; i++) {
        const ProtobufCServiceDescriptor *desc = d->services[i]->descriptor;
        if (!cm_str_eq_c(service, desc->name))
            continue;
        for (unsigned m = 0; m < desc->n_methods; m++) {
            if (cm_str_eq_c(method, desc->methods[m].name)) {
                *ret_service = d->services[i];
                *ret_index = m;
                return true;
            }
        }
    }
    return false;
}

struct buffer {
    ProtobufCBuffer base;
    struct cm_buf *out;
};

static void buffer_append(ProtobufCBuffer *b, size_t len, const uint8_t *data)
{
    cm_buf_append(((struct buffer *)(void *)b)->out, data, len);
}

/* The closure of every method: packs the response while the handler's memory still lives. */
static void pack_response(const ProtobufCMessage *message, void *data)
{
    struct reply *r = data;
    struct buffer b = {.base = {.append = buffer_append}, .out = &r->body};
    grpc_frame_begin(&r->body);
    protobuf_c_message_pack_to_buffer(message, &b.base);
    grpc_frame_end(&r->body);
    if (r->body.failed)
        reply_fail(r, GRPC_RESOURCE_EXHAUSTED, "the response is too large");
    else
        r->status = GRPC_OK;
}

void dispatch_call(struct dispatch *d, struct cm_str path, struct cm_str body, struct reply *ret)
{
    ProtobufCService *service = NULL;
    unsigned index = 0;
    struct cm_str bytes;
    struct cm_err err;
    *ret = (struct reply){
        .status = GRPC_INTERNAL,
        .body = CM_BUF_INIT(DISPATCH_RESPONSE_MAX),
        .text = CM_BUF_INIT(4096),
    };
    if (!find_method(d, path, &service, &index)) {
        reply_fail(ret, GRPC_UNIMPLEMENTED, "the provider does not have this method");
        return;
    }
    if (grpc_unframe(body, &bytes, &err) != CM_OK) {
        reply_fail(ret, GRPC_INTERNAL, err.text);
        return;
    }
    CM_AUTO(cm_arena) arena = cm_arena_new();
    ProtobufCAllocator allocator = {
        .alloc = arena_alloc, .free = arena_free, .allocator_data = arena};
    const ProtobufCMessageDescriptor *input = service->descriptor->methods[index].input;
    ProtobufCMessage *in =
        protobuf_c_message_unpack(input, &allocator, bytes.len, (const uint8_t *)bytes.ptr);
    if (!in) {
        reply_fail(ret, GRPC_INVALID_ARGUMENT, "the request is not a valid message of this method");
        return;
    }
    *d->lend = arena;
    service->invoke(service, index, in, pack_response, ret);
    *d->lend = NULL;
}
