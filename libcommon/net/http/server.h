/* HTTP/1.1 server on event loops: framing, limits and timeouts here; what a request means is the
 * application's.
 *
 * A connection belongs to one loop. The application gets a request twice: on_head, when its head is
 * complete (there it may set the limit of the body, answer at once, or upgrade), and on_request,
 * when the body has arrived. The request and its arena then belong to the application until it
 * answers; the answer may be prepared on any thread, but every function below is called on the
 * request's loop. A request whose client went away is still answered (into nothing).
 *
 * Bounds: head 64 KiB and 100 headers (431), body as on_head says (413), all bodies that are held
 * at once 512 MiB in memory and 4 GiB on disk (503), a head within 20 s of its first byte, a body
 * or an answer that moves at least every 30 s, idle connections 75 s, connections in all as
 * configured. */
#pragma once

#include "loop/loop.h"
#include "net/http/message.h"
#include "net/stream.h"

struct cm_http_server;
struct cm_http_conn;
struct ssl_ctx_st;

struct cm_http_req {
    struct cm_arena *arena; /* lives until the answer is on its way; heads and bodies are in it */
    struct cm_http_head head;
    struct cm_str body; /* on_request: whole, unless spooled */
    int spool_fd; /* on_request: the body as an unlinked file at offset 0, when on_head asked for
                     it; or -1 */
    uint64_t body_len;
    char peer[48]; /* numeric address of the direct peer, without port */
    bool tls;
    struct cm_loop *loop;
    cm_usec started; /* monotonic */
    /* For on_head to set. */
    uint64_t body_max; /* bytes; default 1 MiB */
    bool spool;        /* write the body to a file instead of memory */
    bool hold;         /* take no byte of the body before cm_http_body_go; or answer instead */
    /* For the application's own use. */
    void *app;
    void (*on_gone)(struct cm_http_req
                        *req); /* a streamed answer's client went away; end is still to be called */
    struct cm_http_conn *conn; /* the server's; NULL once the connection is gone */
    bool answered;
};

struct cm_http_app {
    void (*on_head)(struct cm_http_req *req, void *ctx);
    void (*on_request)(struct cm_http_req *req, void *ctx);
    void *ctx;
};

struct cm_http_server_config {
    struct cm_loop **loops; /* connections go to them in turn; the first one accepts */
    size_t n_loops;
    struct ssl_ctx_st *tls; /* borrowed; NULL: plain */
    size_t max_connections;
    const char *spool_dir; /* for bodies that are spooled; must outlive the server */
    struct cm_http_app app;
};

/* address: "127.0.0.1:3000", "[::1]:3000", ":3000"; port 0 takes a free one. CM_CONFLICT when the
 * port is taken. */
enum cm_code cm_http_server_new(const struct cm_http_server_config *cfg, const char *address,
                                struct cm_http_server **ret, struct cm_err *err);
uint16_t cm_http_server_port(const struct cm_http_server *s);
/* Before a stop, on the first loop: takes no connection any more, and the port is free for another
 * when this returns. Requests that are here or arrive yet are answered, with `Connection: close`;
 * connections that wait for one are closed as soon as they have been silent for a moment. The
 * application ends its streams itself. */
void cm_http_server_drain(struct cm_http_server *s);
/* Any thread; NULL is fine. Connections that a drain still waits for; 0: all has been answered. */
size_t cm_http_server_busy(const struct cm_http_server *s);
/* After the loops have stopped: closes what is left. */
void cm_http_server_free(struct cm_http_server *s);
CM_DEFINE_CLEANUP(cm_http_server, cm_http_server_free)

/* Ends the wait that on_head asked for with hold. */
void cm_http_body_go(struct cm_http_req *req);

struct cm_http_resp {
    int status;
    const char *content_type;             /* NULL: none */
    const struct cm_http_header *headers; /* extra ones */
    size_t n_headers;
    struct cm_str body; /* in the request's arena, or static */
    bool close;         /* end the connection after this answer */
};

/* Answers and gives the request back: req is invalid afterwards. */
void cm_http_respond(struct cm_http_req *req, const struct cm_http_resp *r);

/* Answers with a body of unknown length. Write as often as wanted, then end, which gives the
 * request back. */
void cm_http_stream_begin(struct cm_http_req *req, const struct cm_http_resp *r);
void cm_http_stream_write(struct cm_http_req *req, const void *data, size_t len);
size_t cm_http_stream_unsent(const struct cm_http_req *req);
void cm_http_stream_end(struct cm_http_req *req);

/* Sends 101 with the given extra headers (Upgrade: and Connection: are added) and yields the
 * connection as a stream. NULL when the client is gone already. The request is still the
 * application's: cm_http_req_done. */
struct cm_stream *cm_http_upgrade(struct cm_http_req *req, const char *protocol,
                                  const struct cm_http_header *headers, size_t n_headers);
/* The same without a word to the client: whoever gets the stream answers. */
struct cm_stream *cm_http_take(struct cm_http_req *req);
void cm_http_req_done(struct cm_http_req *req);
