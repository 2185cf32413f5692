/* The RPC server: nng REP with many contexts on a private loopback WebSocket, which callers reach
 * through the public port (front.h) or a private unix socket. nng's threads only pass requests on;
 * handlers run on a worker pool, straight-line, and may park a request that has to wait, which then
 * costs neither thread nor connection.
 *
 * A request goes: unpack, ticket, session check, unseal, caller kind, unpack payload, handler,
 * pack, seal. What the handler returns besides CM_OK goes to the caller as code and text, so the
 * text must be fit for it; only CM_INTERNAL and CM_IO keep their text here, in the log.
 *
 * All functions may be called from any thread unless they say otherwise. The process must ignore
 * SIGPIPE. */
#pragma once

#include "loop/loop.h"
#include "loop/pool.h"
#include "net/rpc/psk.h"
#include "net/rpc/ticket.h"
#include "net/rpc/wire.h"

struct cm_rpc_server;

enum cm_rpc_wake {
    CM_RPC_FIRST,    /* the handler's first run for this request */
    CM_RPC_RESUMED,  /* cm_rpc_resume was called */
    CM_RPC_DEADLINE, /* time is up, or the server drains: answer now, parking again is refused */
    CM_RPC_GONE,     /* the caller's connection is lost: only clean up; the reply goes nowhere */
};

/* A request while its handler runs. */
struct cm_rpc_request {
    struct cm_arena *arena; /* lives until the reply is sent, over parking */
    const struct cm_rpc_identity *who;
    void *app;         /* of the server's config */
    void *thread_ctx;  /* of the pool thread that runs the handler now */
    struct cm_uuid id; /* the same when the caller sends the request again */
    cm_usec deadline;  /* of the monotonic clock; at most CM_RPC_WAIT_MAX after arrival */
    struct cm_str
        address; /* the client's, as the public front saw it; empty over the unix socket */
    enum cm_rpc_wake wake;
    void *state; /* the handler's own, kept over parking */
};

/* request: unpacked message of the method; reply: initialised message to fill, with memory of
 * rq->arena. */
typedef enum cm_code (*cm_rpc_handler_fn)(struct cm_rpc_request *rq, const void *request,
                                          void *reply, struct cm_err *err);

struct cm_rpc_method {
    const char *name; /* "agent.Manifest" */
    unsigned kinds;   /* CM_RPC_KIND_BIT()s of who may call it; 0 is refused at start */
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *reply;
    cm_rpc_handler_fn handler;
};

/* Parks the request that the handler runs for: after the handler has returned (its result does not
 * count then) the request waits, and the handler runs again exactly once for each parking, with
 * rq->wake saying why. Returns a token for cm_rpc_resume, never 0; or 0 when it may wait no longer
 * (rq->wake is CM_RPC_DEADLINE or CM_RPC_GONE, or too many are parked): then answer now.
 *
 * Park first, then register the token where news come from, then look once more, so that no news is
 * missed. */
uint64_t cm_rpc_park(struct cm_rpc_request *rq);
/* Has the handler of a parked request run again soon. Does nothing for a token that was woken
 * already, so stale tokens do no harm; may be called before the handler has returned. */
void cm_rpc_resume(struct cm_rpc_server *s, uint64_t token);

/* A caller that introduces itself, for the program to look up. How it authenticated is checked
 * already, except for tokens, which only the program can: in constant time against a stored hash.
 */
struct cm_rpc_hello {
    enum cm_rpc_kind kind;
    struct cm_str token;    /* agents, proxies; secret */
    struct cm_str key_name; /* external provisioners: the key that they have proved to hold */
    struct cm_str name, program_version, address;
    const struct cm_rpc_tag *tags;
    size_t n_tags;
    unsigned api_version; /* negotiated */
};

struct cm_rpc_server_config {
    struct cm_loop *loop; /* for timers */
    struct cm_pool *pool; /* runs handlers and the callbacks below; must outlive the server */
    void *app;            /* for handlers and callbacks */
    const struct cm_rpc_method *const
        *tables; /* each ends with a row without name; both outlive the server */
    size_t n_tables;
    unsigned contexts; /* requests in work at once, parked ones not counted: 16 to 256 */
    unsigned parked_max;
    unsigned per_pipe_max; /* unanswered requests of one connection; 0: 64 */
    /* Requests that one caller has with the pool at once, over all its connections, so that the
     * rest of the pool's threads is there for others; 0: no bound. Further ones wait, so many
     * (0: 16); beyond that they are refused with CM_RATE_LIMITED, to be asked again; and who goes
     * on asking without a pause loses the connection. */
    unsigned caller_running_max, caller_waiting_max;
    unsigned caller_refused_max; /* of that, in a second; 0: 1000 */
    cm_usec ticket_life;         /* 0: one hour */
    cm_usec
        heartbeat; /* 0: CM_RPC_HEARTBEAT; a connection that is silent for three of it is dropped */
    struct {
        unsigned min, max;
    } api[CM_RPC_PROXY + 1]; /* versions spoken, by kind; max 0: the kind is refused */
    uint8_t fake_secret[32]; /* see cm_psk_server_new */

    /* Looks the caller up and fills ret (zeroed; memory from the arena), except kind and
     * api_version. CM_UNAUTHENTICATED or CM_DENIED refuse it. */
    enum cm_code (*hello)(void *app, void *thread_ctx, struct cm_arena *a,
                          const struct cm_rpc_hello *h, struct cm_rpc_identity *ret,
                          struct cm_err *err);
    /* The handshake key called name (cm_psk_key_from_text). May be NULL when CM_RPC_EXTERNAL is
     * refused. */
    enum cm_code (*psk)(void *app, void *thread_ctx, struct cm_str name, uint8_t key[CM_PSK_KEY],
                        bool *found, struct cm_err *err);
    /* Is the caller still welcome? Before every request, so that a revoked key ends at once. May be
     * NULL. */
    enum cm_code (*check)(void *app, void *thread_ctx, const struct cm_rpc_identity *who,
                          struct cm_err *err);
};

/* keys: of tickets, newest first: the first one seals, all open. */
enum cm_code cm_rpc_server_new(const struct cm_rpc_server_config *cfg,
                               const struct cm_rpc_key *keys, size_t n_keys,
                               struct cm_rpc_server **ret, struct cm_err *err);
/* A unix socket for built-in provisioners, mode 0600; a stale file is replaced. Every caller is
 * CM_RPC_BUILTIN. */
enum cm_code cm_rpc_server_listen_unix(struct cm_rpc_server *s, const char *path,
                                       struct cm_err *err);
/* The loopback listener behind the public port: see front.h. Only connections that carry the secret
 * get in. */
struct cm_rpc_private {
    uint16_t port; /* on 127.0.0.1, or on ::1 with v6 */
    bool v6;
    char secret[33]; /* made anew for each server */
};
enum cm_code cm_rpc_server_listen_private(struct cm_rpc_server *s, struct cm_rpc_private *ret,
                                          struct cm_err *err);

/* Before a stop, on the loop's thread: wakes all that is parked, and what parks from now on, so
 * that callers get their answers; what is in work is answered as well; what comes later is refused
 * with CM_UNAVAILABLE, so that it is asked again when there is another server. The unix socket is
 * free for another process when this returns; who has connected stays connected. */
void cm_rpc_server_drain(struct cm_rpc_server *s);
/* Requests that are in work or parked: 0 soon after a drain. An answer that counts no longer may
 * still be on its way through nng for some milliseconds. */
unsigned cm_rpc_server_busy(struct cm_rpc_server *s);
/* Other keys for tickets, the first for new ones. */
void cm_rpc_server_set_keys(struct cm_rpc_server *s, const struct cm_rpc_key *keys, size_t n_keys);
/* Closes, waits for running handlers, frees. On the loop's thread or after it has ended, while the
 * pool still runs. */
void cm_rpc_server_free(struct cm_rpc_server *s);
CM_DEFINE_CLEANUP(cm_rpc_server, cm_rpc_server_free)

struct cm_rpc_stats {
    uint64_t requests, refused; /* since start */
    unsigned running, parked, connections, callers;
};
void cm_rpc_server_stats(struct cm_rpc_server *s, struct cm_rpc_stats *ret);
