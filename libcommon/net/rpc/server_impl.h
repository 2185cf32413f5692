/* Insides of the RPC server, shared by its sources alone. */
#pragma once

#include <pthread.h>

#include <nng/nng.h>

#include "base/list.h"
#include "base/map.h"
#include "envelope.pb-c.h"
#include "net/rpc/server.h"

#define RPC_KEYS_MAX       8
#define RPC_ADDRESS_MAX    64
#define RPC_HANDSHAKES_MAX 256
#define RPC_HANDSHAKE_LIFE (10 * CM_SECOND)

/* Headers that the public front adds; everybody else's connections lack the secret. */
#define RPC_HEADER_SECRET  "Coder-Rpc-Secret"
#define RPC_HEADER_ADDRESS "Coder-Rpc-Client"

/* Whoever calls, over whatever connections. All under the lock, but known and id, which are set
 * when it is made. */
struct rpc_caller {
    unsigned refs;     /* its connections, requests, and those of them that run */
    bool known;        /* by a ticket; otherwise it is one connection */
    struct cm_uuid id; /* known: the subject's */
    unsigned running;  /* in the pool's queue or on one of its threads */
    unsigned n_waiting;
    struct cm_link waiting; /* for one of those to end */
    unsigned refused;       /* since refused_since, for having too much unanswered */
    cm_usec refused_since;
};

/* A connection. Found by nng's pipe id, since the pipe may be gone while its requests are still in
 * work. */
struct rpc_pipe {
    uint32_t id;
    bool is_unix;
    char address[RPC_ADDRESS_MAX];
    cm_usec last_seen;
    unsigned unanswered;
    struct rpc_caller *caller;
};

enum rpc_work_state {
    WORK_UNSET,
    WORK_RECEIVING, /* nng has it: waits for a request */
    WORK_WAITING,   /* has been received, and its caller has enough with the pool */
    WORK_RUNNING,   /* in the pool's queue or on one of its threads */
    WORK_PARKED,    /* waits for cm_rpc_resume */
    WORK_DUE,       /* woken, but the pool was full: the timer tries again */
    WORK_SENDING,   /* nng has it: the reply goes out */
};

/* An nng context and the request that it holds. Whoever its state names owns it; parking goes by
 * the server's lock. */
struct rpc_work {
    struct cm_rpc_server *server;
    struct cm_link link; /* of all */
    struct cm_task task;
    nng_ctx ctx;
    bool has_ctx;
    nng_aio *aio;
    enum rpc_work_state state;

    nng_msg *msg;
    uint32_t pipe;
    struct rpc_caller *caller; /* from arrival to answer */
    bool is_unix;
    char address[RPC_ADDRESS_MAX];
    cm_usec arrived;
    struct cm_rpc_request rq;
    struct cm_rpc_ticket *ticket;
    struct cm_str method_name;
    const struct cm_rpc_method *method; /* NULL until the request has passed all checks */
    void *request, *reply;

    /* Under the lock. */
    uint64_t token; /* 0: not parked in this run */
    bool woken;     /* while the handler that parked still runs */
    enum cm_rpc_wake wake;
    struct cm_link wait; /* of parked, of due, or of its caller's */
    bool admitted;       /* one of n_admitted */
    bool closed;         /* at rest for good: the server stops */
};

struct rpc_handshake {
    struct cm_link link;
    struct cm_uuid id;
    uint32_t pipe;
    cm_usec expires;
    struct cm_psk *psk;
};

struct cm_rpc_server {
    struct cm_rpc_server_config cfg;
    struct cm_map *methods; /* name -> row; read only after start */
    nng_socket sock;
    bool has_sock;
    nng_listener private_listener;
    struct cm_rpc_private private_port; /* 0: not listening */
    struct rpc_unix *unix_socket;
    char secret[33];

    struct cm_timer sweep, tick;
    bool tick_wanted; /* under the lock: the tick runs, or was asked for */

    pthread_mutex_t
        lock; /* guards everything below; never held across a call-out but cm_pool_submit */
    pthread_cond_t idle; /* a work has been closed */
    struct cm_rpc_key keys[RPC_KEYS_MAX];
    size_t n_keys;
    struct cm_link works;
    unsigned n_works, n_parked, n_running;
    unsigned n_admitted;         /* of those running: what was not refused at once */
    unsigned n_waiting, n_tasks; /* of all callers: waiting, running */
    struct cm_map *callers;      /* 16 bytes of id -> struct rpc_caller that is known */
    struct cm_map *pipes;        /* 4 bytes of id -> struct rpc_pipe */
    struct cm_map *tokens;       /* 8 bytes -> parked struct rpc_work */
    struct cm_link parked, due;
    uint64_t next_token;
    bool draining;             /* nothing parks any more, and nothing new is admitted */
    bool stopping;             /* no context receives again */
    bool aborting;             /* and those that did are taken back */
    struct cm_link handshakes; /* oldest first */
    unsigned n_handshakes;
    /* Counts of refused Hellos since the last sweep: by address; by address and proof. */
    struct cm_map *failures, *proofs;
    unsigned n_inside; /* threads that are in a call of nng for a context */
    uint64_t requests, refused;
};

/* server.c */
size_t rpc_keys_copy(struct cm_rpc_server *s, struct cm_rpc_key out[RPC_KEYS_MAX]);

/* server_work.c */
/* Adds a context, which waits for its first request. */
enum cm_code rpc_work_start(struct cm_rpc_server *s, struct cm_err *err);
/* Of one that is at rest, and out of the list. */
void rpc_work_free(struct rpc_work *w);
/* Sends the reply that msg holds (taken), then waits for the next request. */
void rpc_work_send(struct rpc_work *w, nng_msg *msg);
/* Keeps as many contexts receiving or working as configured, whatever is parked. */
void rpc_top_up(struct cm_rpc_server *s);

/* server_pipe.c */
static inline struct cm_str rpc_pipe_key(const uint32_t *id)
{
    return cm_str_n(id, sizeof(*id));
}
/* nng's pipe callback; arg is the server. */
void rpc_pipe_event(nng_pipe np, nng_pipe_ev ev, void *arg);
/* Under the lock. */
void rpc_pipe_free(struct cm_rpc_server *s, struct rpc_pipe *p);
/* Of the timer: drops connections that have been silent for three heartbeats, and forgets refused
 * Hellos and unfinished handshakes. */
void rpc_pipe_sweep(void *server);

/* server_caller.c: all under the lock, but rpc_caller_known and rpc_caller_leave. */
struct rpc_caller *rpc_caller_new(void);
struct rpc_caller *rpc_caller_ref(struct rpc_caller *c);
void rpc_caller_unref(struct cm_rpc_server *s, struct rpc_caller *c); /* NULL is fine */
/* The request has shown whose it is, and with it its connection. */
void rpc_caller_known(struct rpc_work *w, struct cm_uuid id);
enum rpc_admission {
    RPC_ADMIT_NOW,   /* it counts as running: submit it */
    RPC_ADMIT_LATER, /* it waits, and is submitted by itself */
    RPC_ADMIT_NEVER, /* refuse it now */
};
enum rpc_admission rpc_caller_admit(struct rpc_work *w);
/* It is refused for what is unanswered. True: it is one of so many that its caller cannot be
 * waiting for answers, and the connection is to be closed. */
bool rpc_caller_refused(struct rpc_work *w);
/* Of one that was parked: now, or when its caller has fewer with the pool. */
void rpc_caller_submit(struct rpc_work *w);
/* A pool thread has done with what counted as running for c. */
void rpc_caller_leave(struct cm_rpc_server *s, struct rpc_caller *c);

/* server_park.c */
/* Under the lock: to the pool, now or when it has room. */
void rpc_hand_over(struct cm_rpc_server *s, struct rpc_work *w);
/* Hands woken requests that found the pool full to it again. */
void rpc_park_resubmit(struct cm_rpc_server *s);
void rpc_park_tick(void *server);
/* The handler has returned: true when it parked (the work is no longer the caller's). */
bool rpc_park_settle(struct rpc_work *w);
/* Wakes what is parked for a pipe, or all when pipe is 0. */
void rpc_park_wake_all(struct cm_rpc_server *s, uint32_t pipe, enum cm_rpc_wake why);

/* server_unix.c */
struct rpc_unix;
/* Takes no further caller: the path is another's from now on. NULL is fine. */
void rpc_unix_deafen(struct rpc_unix *u);
void rpc_unix_free(struct rpc_unix *u); /* NULL is fine */

/* server_request.c */
/* Of the pool: looks into the request, or lets its handler go on. */
void rpc_work_task(struct cm_task *t, void *thread_ctx);
/* Answers without having looked at the request: from nng's threads too. */
void rpc_reply_early(struct rpc_work *w, enum cm_code code, const char *text);
/* Answers; body_secret NULL: plain. payload may be NULL. */
void rpc_reply(struct rpc_work *w, unsigned wire_code, const char *text,
               const ProtobufCMessage *payload, const uint8_t *body_secret);
void rpc_reply_err(struct rpc_work *w, enum cm_code code, const struct cm_err *err,
                   const uint8_t *body_secret);
/* Frees what the request holds. */
void rpc_request_done(struct rpc_work *w);

/* server_hello.c */
void rpc_hello(struct rpc_work *w, struct cm_str payload);
void rpc_handshakes_expire(struct cm_rpc_server *s, cm_usec now);
