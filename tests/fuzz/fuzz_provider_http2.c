/* Bytes of a connection: HTTP/2 frames, gRPC framing, protobuf requests, all the way to the
 * provider's methods. */
#include <stdio.h>

#include "plugin/host.h"
#include "plugin/http2.h"
#include "plugin/provider.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_connection(struct dispatch *d, struct cm_str bytes)
{
    CM_AUTO(http2) h = NULL;
    struct cm_str out = CM_STR("");
    if (http2_new(d, &h, NULL) != CM_OK)
        return;
    bool ok = http2_receive(h, bytes, NULL) == CM_OK;
    do
        ok = ok && http2_pending(h, &out, NULL) == CM_OK;
    while (ok && out.len);
}

/* The first byte picks a method, so that its message is reached without frames around it. */
static void as_message(struct dispatch *d, struct cm_str bytes)
{
    const ProtobufCServiceDescriptor *s = d->services[0]->descriptor;
    char path[128];
    struct reply r;
    size_t n = (size_t)snprintf(path, sizeof(path), "/%s/%s", s->name,
                                s->methods[(unsigned char)bytes.ptr[0] % s->n_methods].name);
    dispatch_call(d, cm_str_n(path, n), cm_str_sub(bytes, 1, bytes.len), &r);
    reply_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct host host;
    struct provider provider;
    host_init(&host);
    provider_init(&provider, NULL);
    struct dispatch d = {
        .services = {&provider.service.base, &host.controller.base},
        .n = 2,
        .lend = &provider.arena,
    };
    as_connection(&d, cm_str_n(data, size));
    if (size)
        as_message(&d, cm_str_n(data, size));
    provider_done(&provider);
    return 0;
}
