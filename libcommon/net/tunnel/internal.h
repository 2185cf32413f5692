/* What the files of this folder share. Nothing outside includes it.
 *
 * nghttp2 must not be called back into from its own callbacks, and owners must not be called inside
 * their own calls. So callbacks of nghttp2 (frames.c) only note events on streams, and what owners
 * ask for is only submitted; the two meet in tunnel.c's run(), which tells the events, then lets
 * nghttp2 write. */
#pragma once

#include <nghttp2/nghttp2.h>

#include "base/list.h"
#include "net/tunnel/share.h"
#include "net/tunnel/tunnel.h"

#define START_WINDOW ((uint32_t)256 * 1024)
#define CONN_WINDOW  ((int32_t)16 * 1024 * 1024)
/* Once the streams of a tunnel hold so much unread input together, the connection's window opens no
 * faster than they are read: a bound for memory that one stalled reader alone never reaches. */
#define INPUT_BUDGET ((size_t)32 * 1024 * 1024)
#define FRAME_MAX    ((uint32_t)64 * 1024)
#define ERROR_TEXT   200
#define ERROR_HEADER "coder-error"

enum role {
    ROLE_CALL,     /* server: not answered yet */
    ROLE_STREAM,   /* a cm_stream that somebody holds */
    ROLE_EXCHANGE, /* client: a plain request */
    ROLE_ORPHAN,   /* nobody holds it; HTTP/2 has still to end it */
};

enum {
    EV_CALL = 1,
    EV_OPEN = 2,
    EV_DATA = 4,
    EV_EOF = 8,
    EV_DRAINED = 16,
    EV_FAILED = 32,
    EV_REPLY = 64,
};

struct cm_tunnel_call {
    struct tstream *ts;
    struct cm_buf head; /* name NUL value NUL ... */
    struct cm_buf body;
    bool is_connect;
    bool complete; /* EV_CALL is on its way or told */
    bool handed;   /* the owner has it, and will answer */
};

struct cm_tunnel_exchange {
    struct tstream *ts;
    struct cm_tunnel_request req; /* only done and ctx are valid later */
    struct cm_buf reply;
    struct cm_timer timer;
};

/* One HTTP/2 stream. Freed when HTTP/2 has ended it and nobody holds it. */
struct tstream {
    struct cm_stream s;
    struct cm_tunnel *t;
    int32_t id;
    enum role role;
    bool h2_open; /* HTTP/2 knows it */
    bool end_received, end_sent;
    bool deferred;  /* nghttp2 waits for nghttp2_session_resume_data */
    bool submitted; /* our half has its data provider */
    bool freeing;
    int status;      /* client: of the answer */
    unsigned events; /* EV_*, to be told */
    struct evbuffer *out;
    size_t unconsumed; /* bytes received whose owner has not said cm_stream_consumed */
    uint32_t window;
    size_t since_growth;
    struct cm_err why;
    char error_text[ERROR_TEXT]; /* the peer's */
    struct cm_tunnel_call *call;
    struct cm_tunnel_exchange *exchange;
    void (*on_open)(void *ctx, struct cm_stream *s);
    void *on_open_ctx;
    struct cm_link all, ready;
};

struct cm_tunnel {
    struct cm_tunnel_config cfg;
    struct cm_loop *loop;
    struct cm_stream *transport;
    nghttp2_session *h2; /* NULL once ended */
    bool server;
    bool busy, kicked;
    bool ended, told, freed;
    bool drain_sent, drain_received, tell_draining;
    bool finishing;
    unsigned refs; /* the owner, each tstream, a posted kick, a running run() */
    struct cm_link streams, ready;
    size_t n_streams; /* with h2_open */
    struct evbuffer *out;
    size_t buffered; /* sum of unconsumed */
    size_t debt;     /* received, not yet given back to the connection's window */
    struct cm_err why;
    struct share *receiving; /* the chunk that nghttp2 reads now, or NULL */
    bool fatal;              /* set in callbacks: why says it */

    struct cm_timer ping_timer;
    cm_usec heard_at, asked_at, rtt;
    bool asking;
    uint64_t ping_seq, drained_count, drained_seen;
};

/* tunnel.c */
void tunnel_mark(struct tstream *ts, unsigned events);
void tunnel_kick(struct cm_tunnel *t);
void tunnel_end(struct cm_tunnel *t, const struct cm_err *why); /* not inside nghttp2 */
void tunnel_unref(struct cm_tunnel *t);
bool tunnel_has_room(const struct cm_tunnel *t);

/* frames.c */
nghttp2_session *frames_session_new(struct cm_tunnel *t);

/* stream.c */
struct tstream *tstream_new(struct cm_tunnel *t, enum role role);
void tstream_h2_closed(struct tstream *ts, const struct cm_err *why); /* why NULL: in good order */
void tstream_fail(struct tstream *ts, const struct cm_err *why);
void tstream_release(struct tstream *ts); /* nobody holds it any more */
void tstream_reset(struct tstream *ts, uint32_t h2_code);
void tstream_received(struct tstream *ts, const uint8_t *data, size_t len);
void tstream_tell(struct tstream *ts);
void tstream_give_back(struct tstream *ts, size_t n);
nghttp2_data_provider tstream_provider(struct tstream *ts);
enum cm_code tstream_request_allowed(struct cm_tunnel *t, struct cm_err *err);
struct cm_err tstream_refusal(const struct tstream *ts);
nghttp2_nv tstream_nv(struct cm_str name, struct cm_str value);

/* call.c */
struct tstream *call_new(struct cm_tunnel *t, int32_t id);
bool call_add_header(struct cm_tunnel_call *c, struct cm_str name, struct cm_str value);
void call_head_complete(struct tstream *ts, bool end_of_stream);
void call_received(struct tstream *ts, const uint8_t *data, size_t len);
void call_tell(struct tstream *ts);
void call_free(struct cm_tunnel_call *c);

/* exchange.c */
void exchange_received(struct tstream *ts, const uint8_t *data, size_t len);
void exchange_tell(struct tstream *ts, unsigned events);
void exchange_free(struct cm_tunnel_exchange *x);

/* ping.c */
void ping_start(struct cm_tunnel *t);
void ping_acked(struct cm_tunnel *t, const uint8_t opaque[8]);
