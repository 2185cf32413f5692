/* What client and server of the RPC share: limits, who a caller is, unpacking into arenas, codes on
 * the wire. */
#pragma once

#include <google/protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/time.h"
#include "base/uuid.h"

#define CM_RPC_MESSAGE_MAX                                                                         \
    ((size_t)1024 * 1024) /* bytes of one message on the wire, everything included */
#define CM_RPC_PAYLOAD_MAX                                                                         \
    (CM_RPC_MESSAGE_MAX - (size_t)8192) /* of a method's request or reply                          \
                                         */
#define CM_RPC_CHUNK                                                                               \
    ((size_t)512 * 1024) /* a fair size for the data field of chunked transfers                    \
                          */
#define CM_RPC_UNPACK_MAX ((size_t)16 * 1024 * 1024) /* memory that one message may become */
#define CM_RPC_WAIT_MAX   (25 * CM_SECOND) /* the longest that a request stays unanswered */
#define CM_RPC_HEARTBEAT  (15 * CM_SECOND)
#define CM_RPC_LINGER     CM_SECOND /* for one side of a connection, once the other has closed */
#define CM_RPC_METHOD_MAX 64
#define CM_RPC_NAME_MAX   128
#define CM_RPC_TAGS_MAX   64
#define CM_RPC_PATH       "/rpc" /* on coderd's public port */

enum cm_rpc_kind {
    CM_RPC_UNSET,
    CM_RPC_AGENT,
    CM_RPC_BUILTIN,  /* built-in provisioner */
    CM_RPC_EXTERNAL, /* external provisioner */
    CM_RPC_PROXY,
};
/* For method tables: any of several kinds. */
#define CM_RPC_KIND_BIT(kind)  (1u << (kind))
#define CM_RPC_ANY_PROVISIONER (CM_RPC_KIND_BIT(CM_RPC_BUILTIN) | CM_RPC_KIND_BIT(CM_RPC_EXTERNAL))

struct cm_rpc_tag {
    struct cm_str name, value;
};

/* Who calls, as the Hello established it. Strings are borrowed from whoever gives the struct. */
struct cm_rpc_identity {
    enum cm_rpc_kind kind;
    struct cm_uuid subject_id;      /* agent, daemon or proxy */
    struct cm_uuid key_id;          /* provisioner key; nil otherwise */
    struct cm_uuid organization_id; /* nil where it does not apply */
    struct cm_str name;             /* of the daemon or proxy */
    const struct cm_rpc_tag *tags;
    size_t n_tags;
    unsigned api_version; /* negotiated; of the kind's own API */
    struct cm_str program_version;
    struct cm_str extra; /* the program's own, kept in the ticket: at most 1 KiB */
};

/* Unpacks into the arena, at most CM_RPC_UNPACK_MAX of it. CM_INVALID: not such a message (or too
 * large). */
CM_MUST_USE enum cm_code cm_rpc_unpack(struct cm_arena *a, const ProtobufCMessageDescriptor *d,
                                       struct cm_str bytes, ProtobufCMessage **ret,
                                       struct cm_err *err);
/* Packs into the arena. CM_TOO_LARGE when it is over CM_RPC_PAYLOAD_MAX. */
CM_MUST_USE enum cm_code cm_rpc_pack(struct cm_arena *a, const ProtobufCMessage *m,
                                     struct cm_str *ret, struct cm_err *err);

/* Codes on the wire: see ReplyCode in envelope.proto. What a caller cannot use (I/O errors, ...)
 * becomes INTERNAL. */
unsigned cm_rpc_code_to_wire(enum cm_code code);
enum cm_code cm_rpc_code_from_wire(unsigned wire);

/* Protobuf's optional and bytes fields, to and from ours. */
static inline struct cm_str cm_rpc_str(ProtobufCBinaryData b)
{
    return (struct cm_str){(const char *)b.data, b.len};
}
ProtobufCBinaryData cm_rpc_bytes(struct cm_arena *a, struct cm_str s); /* copies */
ProtobufCBinaryData cm_rpc_uuid(struct cm_arena *a, struct cm_uuid u);
CM_MUST_USE bool cm_rpc_get_uuid(ProtobufCBinaryData b,
                                 struct cm_uuid *ret); /* false: not 16 bytes */

/* nng's error number as ours, with its text behind what. */
enum cm_code cm_rpc_nng_err(struct cm_err *err, int rv, const char *what);

/* "127.0.0.1", or "[::1]" where nng cannot use the former: its resolver leaves out addresses of a
 * family that no other interface has. */
const char *cm_rpc_loopback(void);

/* Ends nng's threads, once the last client and server are freed: what they still hold would look
 * like a leak at the end of the process. Optional, once. */
void cm_rpc_global_done(void);
