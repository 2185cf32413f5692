/* A tunnel: HTTP/2 over any stream of bytes, and in it many streams with flow control of their own.
 *
 * The client side opens streams by extended CONNECT (RFC 8441: `:protocol` says the kind, `:path`
 * the arguments) and makes small plain requests; the server side answers both. Who dialled does not
 * matter: an agent dials out and is the server. What arrives for one stream never waits for
 * another: windows open as bytes are consumed, sending is round-robin, and little is queued in the
 * transport. A dead peer is found by PING.
 *
 * A tunnel and its streams live on the transport's loop. Callbacks keep the rules of net/stream.h:
 * never inside a call of the owner, and any object may be closed from within any of them. */
#pragma once

#include "base/buf.h"
#include "base/time.h"
#include "net/stream.h"

struct cm_tunnel;
struct cm_tunnel_call;

#define CM_TUNNEL_PING_INTERVAL (10 * CM_SECOND)
#define CM_TUNNEL_PING_TIMEOUT  (5 * CM_SECOND)
#define CM_TUNNEL_STREAMS       256
#define CM_TUNNEL_STREAM_WINDOW ((uint32_t)4 * 1024 * 1024)
#define CM_TUNNEL_QUEUE         ((size_t)128 * 1024)
#define CM_TUNNEL_BODY_MAX      ((size_t)1024 * 1024)
#define CM_TUNNEL_PATH_MAX      4096
#define CM_TUNNEL_HEADERS_MAX                                                                      \
    ((size_t)16 * 1024) /* names and values of one request or answer together */

struct cm_tunnel_header {
    struct cm_str name; /* lower case */
    struct cm_str value;
};

/* Zero in a number means its default above. Any callback may be NULL. */
struct cm_tunnel_config {
    cm_usec ping_interval;  /* after so long without a byte from the peer it is asked for one;
                               negative: never */
    cm_usec ping_timeout;   /* ... and given up when nothing comes for so long */
    unsigned max_streams;   /* that the peer may have open at once (server) */
    uint32_t stream_window; /* a stream's window starts at 256 KiB and grows to this while its
                               reader keeps up */
    size_t queue;           /* streams wait while the transport has this much unsent */
    size_t body_max;        /* of a plain request (server) */

    /* Server: the peer asks for a stream, or makes a plain request whose body is complete. Each
     * call is answered once, now or later, by one of cm_tunnel_call_accept, _respond and _refuse.
     * NULL: all are refused with 404. */
    void (*call)(void *ctx, struct cm_tunnel_call *call);
    /* The peer will take no new streams and asks us to find another tunnel (GOAWAY). Running
     * streams go on. */
    void (*draining)(void *ctx, struct cm_tunnel *t);
    /* Once: the tunnel has ended, all its streams have got CM_STREAM_FAILED. Only cm_tunnel_free is
     * left to do. CM_END: drained or ended by the peer in good order. */
    void (*closed)(void *ctx, struct cm_tunnel *t, const struct cm_err *why);
    void *ctx;
};

/* Take the transport; its unread input is the tunnel's. */
struct cm_tunnel *cm_tunnel_server_new(struct cm_stream *transport,
                                       const struct cm_tunnel_config *cfg);
struct cm_tunnel *cm_tunnel_client_new(struct cm_stream *transport,
                                       const struct cm_tunnel_config *cfg);
/* Ends the tunnel at once; closed() is not called. Streams that are still open fail (their owners
 * still close them); pending requests are answered with CM_CANCELED; pending calls may still be
 * answered, to no effect. */
void cm_tunnel_free(struct cm_tunnel *t);
CM_DEFINE_CLEANUP(cm_tunnel, cm_tunnel_free)

/* No new streams: sends GOAWAY, lets the running ones end, then ends the tunnel with CM_END. */
void cm_tunnel_drain(struct cm_tunnel *t);
bool cm_tunnel_draining(
    const struct cm_tunnel *t); /* asked by either side, or ended: opening a stream would fail */
size_t cm_tunnel_streams(const struct cm_tunnel *t); /* open now, calls and requests included */
/* Of the last PING; 0 when there was none yet. */
cm_usec cm_tunnel_rtt(const struct cm_tunnel *t);

/* Client: opens a stream. It may be written to at once. A refusal is CM_STREAM_FAILED with a code
 * made from the HTTP status and the text that the peer gave. All arguments are copied. */
struct cm_stream *cm_tunnel_open(struct cm_tunnel *t, struct cm_str protocol, struct cm_str path,
                                 const struct cm_tunnel_header *headers, size_t n_headers);
/* fn(ctx, s) once when the peer has accepted the stream, before its first event. For streams of
 * cm_tunnel_open. */
void cm_tunnel_stream_on_open(struct cm_stream *s, void (*fn)(void *ctx, struct cm_stream *s),
                              void *ctx);
/* The HTTP status that answered cm_tunnel_open; 0 as long as there is none. */
int cm_tunnel_stream_status(const struct cm_stream *s);

/* Client: a plain request with a whole-body answer. done runs exactly once unless canceled: with a
 * status and the body, or with err. timeout 0: 30 s. An answer over reply_max (0:
 * CM_TUNNEL_BODY_MAX) is CM_TOO_LARGE. */
struct cm_tunnel_request {
    struct cm_str method, path;
    const struct cm_tunnel_header *headers;
    size_t n_headers;
    struct cm_str body;
    size_t reply_max;
    cm_usec timeout;
    void (*done)(void *ctx, int status, struct cm_str body, const struct cm_err *err);
    void *ctx;
};
struct cm_tunnel_exchange;
/* Copies what r points to. The result may be given to cm_tunnel_request_cancel until done has run.
 */
struct cm_tunnel_exchange *cm_tunnel_request(struct cm_tunnel *t,
                                             const struct cm_tunnel_request *r);
void cm_tunnel_request_cancel(struct cm_tunnel_exchange *x); /* done does not run; NULL is fine */

/* Server: what was asked. Strings live until the call is answered; terminated by NUL. */
struct cm_str cm_tunnel_call_method(const struct cm_tunnel_call *c); /* CONNECT for streams */
struct cm_str cm_tunnel_call_protocol(
    const struct cm_tunnel_call *c);                               /* empty for plain requests */
struct cm_str cm_tunnel_call_path(const struct cm_tunnel_call *c); /* with query, as sent */
struct cm_str cm_tunnel_call_header(const struct cm_tunnel_call *c,
                                    const char *lower_name); /* empty when absent */
struct cm_str cm_tunnel_call_body(const struct cm_tunnel_call *c);
/* Answers a CONNECT with 200: the stream. When the peer has given up meanwhile, it is one that
 * fails at once. */
struct cm_stream *cm_tunnel_call_accept(struct cm_tunnel_call *c);
/* Answers a plain request; the body is copied. */
void cm_tunnel_call_respond(struct cm_tunnel_call *c, int status, const char *content_type,
                            struct cm_str body);
/* Refuses either: status from the code; the text reaches the peer's error. */
void cm_tunnel_call_refuse(struct cm_tunnel_call *c, const struct cm_err *why);
