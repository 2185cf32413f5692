/* A stream of bytes in both directions, whatever carries it: a TCP or unix socket, TLS, a
 * WebSocket, one stream of an HTTP/2 tunnel, a resumable carrier. All layers of a client session
 * are streams upon streams.
 *
 * A stream belongs to one loop. Its owner sets a callback and reads from cm_stream_input(), a
 * buffer that the stream fills; it says how much it has taken with cm_stream_consumed(), which
 * opens the window again. What is sent is queued without a copy where possible; a sender that minds
 * memory stops while cm_stream_unsent() is over its limit and goes on at CM_STREAM_DRAINED.
 *
 * The callback never runs inside a call that its owner makes, and never after cm_stream_close,
 * which may be called from within the callback. */
#pragma once

#include "base/err.h"
#include "loop/loop.h"

struct cm_stream;
struct evbuffer;

enum cm_stream_event {
    CM_STREAM_DATA,    /* input has grown */
    CM_STREAM_DRAINED, /* unsent has fallen to CM_STREAM_LOW or below, or to 0: may come more often
                          than needed */
    CM_STREAM_EOF, /* the peer sends no more; input may still hold bytes. Sending is still possible
                    */
    CM_STREAM_FAILED, /* broken: see cm_stream_err(); input may still hold bytes. Only close is left
                         to do */
};
typedef void (*cm_stream_fn)(struct cm_stream *s, enum cm_stream_event ev, void *ctx);

#define CM_STREAM_LOW ((size_t)64 * 1024)
#define CM_STREAM_HIGH                                                                             \
    ((size_t)256 * 1024) /* input is not filled beyond about this; a fair limit for unsent too */

/* What an implementation provides. Implementations embed struct cm_stream first. */
struct cm_stream_ops {
    void (*send)(struct cm_stream *s, struct evbuffer *data); /* moves all bytes out of data */
    size_t (*unsent)(const struct cm_stream *s);
    void (*consumed)(struct cm_stream *s, size_t n); /* may be NULL */
    void (*finish)(struct cm_stream *s);
    void (*close)(struct cm_stream *s); /* flushes nothing; frees later, on the loop */
};

struct cm_stream {
    const struct cm_stream_ops *ops;
    struct cm_loop *loop;
    struct evbuffer *in;
    cm_stream_fn fn;
    void *ctx;
    struct cm_err err;
    bool eof, failed, closed, finished;
};

static inline void cm_stream_set_fn(struct cm_stream *s, cm_stream_fn fn, void *ctx)
{
    s->fn = fn;
    s->ctx = ctx;
}
struct evbuffer *cm_stream_input(struct cm_stream *s);
/* n bytes were removed from input. */
void cm_stream_consumed(struct cm_stream *s, size_t n);
void cm_stream_send(struct cm_stream *s, struct evbuffer *data);
void cm_stream_write(struct cm_stream *s, const void *data, size_t len); /* copies */
size_t cm_stream_unsent(const struct cm_stream *s);
/* No more will be sent (half close) once what is queued has gone out. */
void cm_stream_finish(struct cm_stream *s);
void cm_stream_close(struct cm_stream *s); /* NULL is fine */
const struct cm_err *cm_stream_err(const struct cm_stream *s);
/* Removes up to max bytes of input into out and consumes them. */
size_t cm_stream_read(struct cm_stream *s, void *out, size_t max);

/* For implementations. */
void cm_stream_init(struct cm_stream *s, const struct cm_stream_ops *ops, struct cm_loop *loop);
void cm_stream_done(struct cm_stream *s);
void cm_stream_notify(struct cm_stream *s, enum cm_stream_event ev);
void cm_stream_fail(struct cm_stream *s,
                    const struct cm_err *err); /* sets err and notifies FAILED, once */

/* Joins two streams of the same loop: bytes flow both ways with backpressure, half closes are
 * passed on. Takes both; closes both when both directions have ended or either side fails, then
 * calls done (may be NULL) with the bytes moved. A splice that outlives its loop's last turn ends
 * with the loop, without done. */
typedef void (*cm_splice_done_fn)(void *ctx, uint64_t a_to_b, uint64_t b_to_a);
struct cm_splice;
struct cm_splice *cm_splice_new(struct cm_stream *a, struct cm_stream *b, cm_splice_done_fn done,
                                void *ctx);
/* For protocols that know no half close: once one direction has ended, the other one has that long
 * (monotonic, microseconds); then it counts as ended too, and what it has not sent is lost. What
 * came before an end still goes out, as long as some of it does within each such time. */
void cm_splice_linger(struct cm_splice *p, cm_usec limit);
/* Ends it now: closes both, done is not called. */
void cm_splice_abort(struct cm_splice *p);
