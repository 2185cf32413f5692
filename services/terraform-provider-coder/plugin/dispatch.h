/* From a request's path and body to a response: finds the method among the services that protoc-c
 * generated, unpacks, calls, packs. */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "plugin/grpc.h"

#define DISPATCH_SERVICES_MAX 4
/* Largest request and response. Terraform puts whole scripts into every call. */
#define DISPATCH_REQUEST_MAX  ((size_t)64 << 20)
#define DISPATCH_RESPONSE_MAX ((size_t)256 << 20)

struct dispatch {
    ProtobufCService *services[DISPATCH_SERVICES_MAX]; /* borrowed */
    size_t n;
    struct cm_arena **lend; /* where services look for the arena of the call being answered */
};

struct reply {
    enum grpc_status status;
    struct cm_buf body; /* a framed message when status is GRPC_OK; owned */
    struct cm_buf text; /* of another status, encoded for grpc-message; owned */
};

void reply_done(struct reply *r);
void reply_fail(struct reply *r, enum grpc_status status, const char *text);

/* path is /package.Service/Method. Always sets *ret. */
void dispatch_call(struct dispatch *d, struct cm_str path, struct cm_str body, struct reply *ret);
