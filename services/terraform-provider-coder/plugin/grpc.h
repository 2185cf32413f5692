/* gRPC's framing inside HTTP/2 streams: one message per request and per response, never compressed.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define GRPC_PREFIX_BYTES 5

/* The codes that we send, with gRPC's numbers. */
enum grpc_status {
    GRPC_OK = 0,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
};

/* The message in a request's whole body; it points into body. CM_PROTOCOL unless body is exactly
 * one message. */
CM_MUST_USE enum cm_code grpc_unframe(struct cm_str body, struct cm_str *ret_message,
                                      struct cm_err *err);
/* Reserves the prefix; to be called before the message is appended, and grpc_frame_end after. */
void grpc_frame_begin(struct cm_buf *out);
void grpc_frame_end(struct cm_buf *out);
/* The text of a grpc-message header: everything but printable ASCII, and the percent sign, is
 * escaped. */
void grpc_encode_message(struct cm_buf *out, struct cm_str text);
