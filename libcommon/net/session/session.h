/* Client sessions: any number of streams between a client and an agent, end to end encrypted, that
 * survive the loss of the connection they travel on (net/session/carrier.h).
 *
 * From the bottom: a path (any stream of bytes, opened by the owner), the carrier, TLS 1.3 between
 * two one-time certificates that are known by their SHA-256, and a tunnel (net/tunnel) in which the
 * client opens streams:
 * `:protocol` is the kind, `:path` is "/" and the argument. Arguments: tcp and udp "host:port",
 * unix the path of the socket, ssh, echo, speedtest and stdio what their two ends agree on. On udp
 * streams each datagram follows its length in 16 bits, big-endian. */
#pragma once

#include "net/session/identity.h"
#include "net/session/ticket.h"
#include "net/stream.h"
#include "net/tunnel/tunnel.h"

/* What a path is opened with, on relays and on the agent's tunnel: `:path` is
 * /<carrier>?offset=<n>. */
#define CM_SESSION_PROTOCOL      "session"
#define CM_SESSION_TICKET_HEADER "coder-stream-ticket"
#define CM_SESSION_PATH_TEXT     80
const char *cm_session_path_format(struct cm_uuid carrier, uint64_t offset,
                                   char out[CM_SESSION_PATH_TEXT]);
/* Parses all of s, which is from outside. */
CM_MUST_USE bool cm_session_path_parse(struct cm_str s, struct cm_uuid *ret_carrier,
                                       uint64_t *ret_offset);

/* The client's end. */
struct cm_session_client;

enum cm_session_state {
    CM_SESSION_CONNECTING,
    CM_SESSION_UP,    /* also after each return from LOST */
    CM_SESSION_LOST,  /* the path is gone, another is sought; streams stay */
    CM_SESSION_ENDED, /* for good; all streams have failed */
};

struct cm_session_client_config {
    const struct cm_session_identity *id; /* borrowed as long as the session */
    uint8_t agent_cert_sha256[CM_SHA256_LEN];
    /* Opens a path for (carrier, offset): answer once, now or later, with cm_session_client_path or
     * cm_session_client_path_failed. Called again after each loss, with a growing pause. */
    void (*open_path)(void *ctx, struct cm_session_client *s, struct cm_uuid carrier,
                      uint64_t offset);
    void (*state)(void *ctx, struct cm_session_client *s, enum cm_session_state state,
                  const struct cm_err *why);
    cm_usec linger;                      /* 0: CM_CARRIER_LINGER */
    cm_usec ping_interval, ping_timeout; /* of a silent path; 0: 10 s and 5 s */
    void *ctx;
};

struct cm_session_client *cm_session_client_new(struct cm_loop *loop,
                                                const struct cm_session_client_config *cfg);
/* Tells the agent; open streams fail. An open_path that was not answered is not to be answered any
 * more. */
void cm_session_client_free(struct cm_session_client *s);
/* The same for whoever exits next: gone(ctx) once the agent has been told, at most a second later.
 */
void cm_session_client_leave(struct cm_session_client *s, void (*gone)(void *ctx), void *ctx);
CM_DEFINE_CLEANUP(cm_session_client, cm_session_client_free)
/* Takes the path. */
void cm_session_client_path(struct cm_session_client *s, struct cm_stream *path);
/* CM_UNAUTHENTICATED, CM_DENIED, CM_NOT_FOUND, CM_GONE and CM_INVALID end the session; anything
 * else is tried again. */
void cm_session_client_path_failed(struct cm_session_client *s, const struct cm_err *err);
/* Opens another path beside the one in use and changes over when it is there: for a relay that
 * drains, or when a better path is known. */
void cm_session_client_move(struct cm_session_client *s);
enum cm_session_state cm_session_client_state(const struct cm_session_client *s);
struct cm_uuid cm_session_client_carrier(const struct cm_session_client *s);
/* Never fails at once; may be called before the session is up. A refusal is CM_STREAM_FAILED. */
struct cm_stream *cm_session_open(struct cm_session_client *s, enum cm_kind kind,
                                  struct cm_str arg);

/* The agent's end. */
struct cm_session_server;

struct cm_session_server_config {
    const struct cm_session_identity *id; /* borrowed as long as the server */
    struct cm_uuid agent_id;
    unsigned max_sessions; /* 0: 128 */
    unsigned max_streams;  /* in each; 0: CM_TUNNEL_STREAMS */
    cm_usec linger;        /* of a session without a path; 0: CM_CARRIER_LINGER */
    cm_usec idle_timeout;  /* of a path without a sign of life; 0: 60 s */
    /* A stream of a kind that the ticket allows: answer with cm_tunnel_call_accept or
     * cm_tunnel_call_refuse, now or later. arg (decoded, terminated by NUL) and who (the ticket of
     * the session's latest path) are borrowed. */
    void (*accept)(void *ctx, struct cm_tunnel_call *call, enum cm_kind kind, struct cm_str arg,
                   const struct cm_ticket *who);
    void *ctx;
};

struct cm_session_server *cm_session_server_new(struct cm_loop *loop,
                                                const struct cm_session_server_config *cfg);
void cm_session_server_free(struct cm_session_server *s); /* all sessions end */
CM_DEFINE_CLEANUP(cm_session_server, cm_session_server_free)
/* The keys that sign tickets, copied, at most CM_TICKET_KEYS_MAX. Without any, no path is taken. */
void cm_session_server_set_keys(struct cm_session_server *s, const struct cm_ticket_public *keys,
                                size_t n);
/* A `session` CONNECT of the agent's tunnel: checks its path and ticket, and answers it. */
void cm_session_server_call(struct cm_session_server *s, struct cm_tunnel_call *call);
/* The same for a path that came another way. Takes the stream; on failure it is closed. */
enum cm_code cm_session_server_path(struct cm_session_server *s, struct cm_stream *path,
                                    struct cm_uuid carrier, uint64_t offset, struct cm_str ticket,
                                    struct cm_err *err);
size_t cm_session_server_count(const struct cm_session_server *s);
