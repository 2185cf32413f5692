/* The RPC client of agents, provisioner daemons and proxies: keeps one connection to coderd, says
 * Hello, and carries calls over it. Reconnects with backoff and jitter; a call that was on its way
 * when the connection broke is sent again under the same request id, until its deadline.
 *
 * Lives on one loop; only cm_rpc_call_wait may be called from other threads. Everything is bounded:
 * calls (1024), message sizes (CM_RPC_PAYLOAD_MAX), time (every call has a deadline). */
#pragma once

#include "loop/loop.h"
#include "net/rpc/psk.h"
#include "net/rpc/wire.h"

struct cm_dialer;
struct cm_rpc_client;

enum cm_rpc_state {
    CM_RPC_OFFLINE, /* not connected: err says why; trying again by itself */
    CM_RPC_READY,   /* connected and introduced */
    CM_RPC_REFUSED, /* the server does not want this caller (wrong token or key, too old): err says
                     * why. Tries again, but seldom: every 30 s */
};

struct cm_rpc_client_config {
    struct cm_loop *loop;
    struct cm_str url; /* ipc:///path, or http(s)://host[:port][/base] of the deployment; copied */
    struct cm_dialer *dialer; /* required, for unix sockets too; borrowed */
    enum cm_rpc_kind kind;
    struct cm_str token;                 /* agents, proxies; copied, wiped */
    struct cm_str psk_name;              /* external provisioners; copied */
    uint8_t psk_key[CM_PSK_KEY];         /* cm_psk_key_from_text */
    struct cm_str name, program_version; /* copied */
    const struct cm_rpc_tag *tags;       /* copied */
    size_t n_tags;
    unsigned api_min, api_max;
    cm_usec backoff_min, backoff_max; /* 0: 100 ms, 10 s */
    void (*on_state)(void *ctx, enum cm_rpc_state state,
                     const struct cm_err *err); /* on changes; may be NULL */
    void *ctx;
};

/* Connecting starts at the loop's next turn. */
enum cm_code cm_rpc_client_new(const struct cm_rpc_client_config *cfg, struct cm_rpc_client **ret,
                               struct cm_err *err);
/* Calls under way end with CM_CANCELED, before this returns; what these callbacks call in turn is
 * dropped. Not from within a callback of the client. */
void cm_rpc_client_free(struct cm_rpc_client *c);
CM_DEFINE_CLEANUP(cm_rpc_client, cm_rpc_client_free)

enum cm_rpc_state cm_rpc_client_state(const struct cm_rpc_client *c);
unsigned cm_rpc_client_api_version(
    const struct cm_rpc_client *c); /* 0 until READY for the first time */
/* Changes the agent's or proxy's token for the next Hello. */
void cm_rpc_client_set_token(struct cm_rpc_client *c, struct cm_str token);
/* Drops the connection and makes a new one without backoff: after a change of network, or of
 * addresses. */
void cm_rpc_client_reconnect(struct cm_rpc_client *c);

struct cm_rpc_call_opts {
    cm_usec deadline;          /* from now; required. Includes the time of reconnecting */
    struct cm_uuid request_id; /* nil: a new one */
    bool once; /* not to be sent again when the connection breaks: the caller copes with not knowing
                */
};

/* code CM_OK: reply is the unpacked message, valid during the callback. Otherwise err says what
 * went wrong: the server's own words, or why there is no connection. Exactly once per call, on the
 * loop, never inside cm_rpc_call. */
typedef void (*cm_rpc_reply_fn)(void *ctx, enum cm_code code, const void *reply,
                                const struct cm_err *err);

/* The message is packed before this returns. The id is for cm_rpc_cancel. */
uint64_t cm_rpc_call(struct cm_rpc_client *c, const char *method, const ProtobufCMessage *request,
                     const ProtobufCMessageDescriptor *reply, const struct cm_rpc_call_opts *opts,
                     cm_rpc_reply_fn fn, void *ctx);
/* The callback does not run any more. The server may still do what was asked. */
void cm_rpc_cancel(struct cm_rpc_client *c, uint64_t id);

/* Any thread but the loop's: waits for the reply, which is unpacked into the arena. */
CM_MUST_USE enum cm_code cm_rpc_call_wait(struct cm_rpc_client *c, const char *method,
                                          const ProtobufCMessage *request,
                                          const ProtobufCMessageDescriptor *reply,
                                          const struct cm_rpc_call_opts *opts, struct cm_arena *a,
                                          const void **ret, struct cm_err *err);
