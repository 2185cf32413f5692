/* Insides of the RPC client, shared by its sources alone. All on the client's loop, but for nng's
 * callbacks, which only post to it. */
#pragma once

#include <nng/nng.h>

#include "base/list.h"
#include "envelope.pb-c.h"
#include "net/rpc/client.h"
#include "net/rpc/forward.h"

#define RPC_CALLS_MAX 1024

/* One request on the wire: an nng context of its own. Freed when nng is through with it. */
struct rpc_exchange {
    struct cm_rpc_client *client; /* a reference */
    struct rpc_call *call;        /* NULL once abandoned */
    nng_ctx ctx;
    nng_aio *aio;
    bool sending;
    bool posted; /* nng's callback has ended: what follows is on the loop */
    int rv;
    nng_msg *reply;
};

/* What a call ended with: payload is the reply message's bytes when code is CM_OK. */
typedef void (*rpc_raw_fn)(struct rpc_call *call, enum cm_code code, struct cm_str payload,
                           const struct cm_err *err);

struct rpc_call {
    struct cm_link link; /* of the client's calls */
    struct cm_rpc_client *client;
    uint64_t id;
    char *method;
    struct cm_uuid request_id;
    char *payload; /* packed request; wiped */
    size_t payload_len;
    cm_usec started, deadline; /* monotonic */
    struct cm_timer timer;
    bool once, hello, ping;
    bool pausing;        /* the server was busy: sent again when the timer fires */
    enum cm_code failed; /* before it was ever sent: told at the next turn */
    struct cm_err err;
    struct rpc_exchange *x;
    bool sealed; /* sent under a secret: the session's may be another one when the answer comes */
    uint8_t secret[CM_SEAL_SECRET];
    unsigned ticket_serial; /* of the ticket that it was sent with */
    unsigned wire_code;     /* of the answer */
    rpc_raw_fn done;
    /* Of cm_rpc_call. */
    const ProtobufCMessageDescriptor *reply;
    cm_rpc_reply_fn fn;
    void *ctx;
};

struct cm_rpc_client {
    struct cm_rpc_client_config cfg; /* strings are our own copies */
    unsigned refs;                   /* the owner, exchanges, posted functions; atomic */
    struct cm_arena *arena;          /* of the copies */
    char *token;
    bool closed;

    enum cm_rpc_state state;
    struct cm_err err;
    nng_socket sock;
    nng_dialer dialer;
    bool has_dialer;
    struct cm_link old_dialers; /* oldest first: see disconnect */
    uint32_t pipe;              /* 0: not connected */
    const char *unix_path;      /* or NULL */
    struct cm_str rpc_url;      /* of the public port */
    struct rpc_forward *forward;
    struct cm_timer timer; /* reconnecting, the limit of connecting, or of having ended */
    bool connecting;
    bool ended;        /* the forwarder's connection has, and nng's end is still there */
    unsigned attempts; /* since it was READY for a while */
    cm_usec ready_at;  /* 0: not READY */
    struct cm_timer heartbeat;
    cm_usec heartbeat_every, last_heard;

    /* The session. */
    bool introduced, greeting;
    struct cm_psk *psk;
    unsigned handshakes; /* begun on this connection */
    char *ticket;
    size_t ticket_len;
    cm_usec ticket_at;
    unsigned ticket_serial;
    bool has_secret;
    uint8_t secret[CM_SEAL_SECRET];
    unsigned api_version;

    struct cm_link calls;
    unsigned n_calls;
    uint64_t next_id;
};

struct cm_rpc_client *rpc_client_ref(struct cm_rpc_client *c);
void rpc_client_unref(void *client);

/* client.c */
/* Connection lost or useless: everything on the wire is taken back, and connecting starts again
 * later. */
void rpc_client_drop(struct cm_rpc_client *c, const struct cm_err *why, bool refused);
void rpc_client_ready(struct cm_rpc_client *c);

/* client_call.c */
struct rpc_call *rpc_call_new(struct cm_rpc_client *c, const char *method,
                              const struct cm_rpc_call_opts *opts, rpc_raw_fn done);
void rpc_call_set_payload(struct rpc_call *call, const ProtobufCMessage *m);
/* Sends it now if the client is ready for it, else later. */
void rpc_call_start(struct rpc_call *call);
/* Sends all that wait. */
void rpc_calls_flush(struct cm_rpc_client *c);
/* Takes all calls back from the wire. Those that may not be sent twice end with why. */
void rpc_calls_take_back(struct cm_rpc_client *c, const struct cm_err *why);
/* Ends all calls. */
void rpc_calls_fail(struct cm_rpc_client *c, const struct cm_err *why);
/* Drops what is left, without a word. */
void rpc_calls_free(struct cm_rpc_client *c);

/* client_hello.c */
void rpc_hello_start(struct cm_rpc_client *c);
/* The server wants a new Hello before it goes on. */
void rpc_ticket_refused(struct cm_rpc_client *c);
void rpc_hello_reset(struct cm_rpc_client *c);
