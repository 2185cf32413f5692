#include "net/stream.h"

#include <event2/buffer.h>

struct evbuffer *cm_stream_input(struct cm_stream *s)
{
    return s->in;
}

void cm_stream_consumed(struct cm_stream *s, size_t n)
{
    if (n && !s->closed && s->ops->consumed)
        s->ops->consumed(s, n);
}

void cm_stream_send(struct cm_stream *s, struct evbuffer *data)
{
    CM_ON_LOOP(s->loop);
    cm_assert(!s->closed);
    if (s->failed || s->finished) {
        evbuffer_drain(data, evbuffer_get_length(data));
        return;
    }
    s->ops->send(s, data);
}

void cm_stream_write(struct cm_stream *s, const void *data, size_t len)
{
    struct evbuffer *b = evbuffer_new();
    cm_assert(b && evbuffer_add(b, data, len) == 0);
    cm_stream_send(s, b);
    evbuffer_free(b);
}

size_t cm_stream_unsent(const struct cm_stream *s)
{
    return s->failed || s->closed ? 0 : s->ops->unsent(s);
}

void cm_stream_finish(struct cm_stream *s)
{
    if (s->finished || s->failed || s->closed)
        return;
    s->finished = true;
    s->ops->finish(s);
}

void cm_stream_close(struct cm_stream *s)
{
    if (!s || s->closed)
        return;
    CM_ON_LOOP(s->loop);
    s->closed = true;
    s->fn = NULL;
    s->ops->close(s);
}

const struct cm_err *cm_stream_err(const struct cm_stream *s)
{
    return &s->err;
}

size_t cm_stream_read(struct cm_stream *s, void *out, size_t max)
{
    int n = evbuffer_remove(s->in, out, max);
    if (n <= 0)
        return 0;
    cm_stream_consumed(s, (size_t)n);
    return (size_t)n;
}

void cm_stream_init(struct cm_stream *s, const struct cm_stream_ops *ops, struct cm_loop *loop)
{
    *s = (struct cm_stream){.ops = ops, .loop = loop, .in = evbuffer_new()};
    cm_assert(s->in);
}

void cm_stream_done(struct cm_stream *s)
{
    evbuffer_free(s->in);
    s->in = NULL;
}

void cm_stream_notify(struct cm_stream *s, enum cm_stream_event ev)
{
    if (ev == CM_STREAM_EOF) {
        if (s->eof)
            return;
        s->eof = true;
    }
    if (s->fn && !s->closed)
        s->fn(s, ev, s->ctx);
}

void cm_stream_fail(struct cm_stream *s, const struct cm_err *err)
{
    if (s->failed || s->closed)
        return;
    s->failed = true;
    s->err = *err;
    cm_stream_notify(s, CM_STREAM_FAILED);
}

/* Splice: each side's callback moves its input to the other side unless that one has too much
 * unsent. */

struct cm_splice {
    struct cm_stream *end[2];
    uint64_t moved[2]; /* from end[i] to the other */
    bool ended[2];     /* end[i] sends no more and all of it was passed on */
    cm_splice_done_fn done;
    void *ctx;
    struct cm_loop *loop;
    struct cm_loop_guest guest;
    cm_usec linger; /* 0: for ever */
    size_t left;    /* what ended directions had still to send when the timer was started */
    struct cm_timer timer;
};

static void splice_free(void *arg)
{
    cm_free(arg);
}

static void splice_end(struct cm_splice *p, bool tell)
{
    cm_loop_guest_remove(&p->guest);
    cm_timer_done(&p->timer);
    for (int i = 0; i < 2; i++) {
        cm_stream_close(p->end[i]);
        p->end[i] = NULL;
    }
    cm_splice_done_fn done = tell ? p->done : NULL;
    p->done = NULL;
    if (done)
        done(p->ctx, p->moved[0], p->moved[1]);
    cm_loop_post(p->loop, splice_free, p);
}

static size_t splice_left(const struct cm_splice *p)
{
    size_t n = 0;
    for (int i = 0; i < 2; i++)
        n += p->ended[i] ? cm_stream_unsent(p->end[1 - i]) : 0;
    return n;
}

static void splice_linger(struct cm_splice *p)
{
    p->left = splice_left(p);
    cm_timer_start(&p->timer, p->linger);
}

static void splice_move(struct cm_splice *p, int from)
{
    struct cm_stream *a = p->end[from], *b = p->end[1 - from];
    size_t n = evbuffer_get_length(a->in);
    if (n && !b->failed && cm_stream_unsent(b) < CM_STREAM_HIGH) {
        cm_stream_send(b, a->in);
        p->moved[from] += n;
        cm_stream_consumed(a, n);
    }
    if (a->eof && !p->ended[from] && evbuffer_get_length(a->in) == 0) {
        p->ended[from] = true;
        cm_stream_finish(b);
        if (p->linger)
            splice_linger(p);
    }
}

static void on_splice(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct cm_splice *p = ctx;
    int side = s == p->end[1];
    switch (ev) {
    case CM_STREAM_DATA:
    case CM_STREAM_EOF:
        splice_move(p, side);
        break;
    case CM_STREAM_DRAINED:
        splice_move(p, 1 - side);
        break;
    case CM_STREAM_FAILED:
        splice_move(p, side); /* what came before the failure is still good */
        splice_end(p, true);
        return;
    }
    if (p->ended[0] && p->ended[1] && cm_stream_unsent(p->end[0]) == 0 &&
        cm_stream_unsent(p->end[1]) == 0)
        splice_end(p, true);
}

static void splice_kick(void *arg)
{
    struct cm_splice *p = arg;
    for (int i = 0; i < 2 && p->end[0]; i++) {
        struct cm_stream *s = p->end[i];
        if (s->failed)
            on_splice(s, CM_STREAM_FAILED, p);
        else if (s->eof || evbuffer_get_length(s->in))
            on_splice(s, s->eof ? CM_STREAM_EOF : CM_STREAM_DATA, p);
    }
}

static void splice_late(void *arg)
{
    struct cm_splice *p = arg;
    size_t left = splice_left(p);
    if (left && left < p->left)
        splice_linger(p);
    else
        splice_end(p, true);
}

static void splice_end_with_loop(struct cm_loop_guest *g)
{
    splice_end(cm_container_of(g, struct cm_splice, guest), false);
}

struct cm_splice *cm_splice_new(struct cm_stream *a, struct cm_stream *b, cm_splice_done_fn done,
                                void *ctx)
{
    cm_assert(a->loop == b->loop);
    struct cm_splice *p = cm_xcalloc(1, sizeof(*p));
    p->end[0] = a;
    p->end[1] = b;
    p->done = done;
    p->ctx = ctx;
    p->loop = a->loop;
    cm_timer_init(&p->timer, p->loop, splice_late, p);
    p->guest.end = splice_end_with_loop;
    cm_loop_guest_add(p->loop, &p->guest);
    cm_stream_set_fn(a, on_splice, p);
    cm_stream_set_fn(b, on_splice, p);
    cm_loop_post(p->loop, splice_kick, p); /* what came before we listened */
    return p;
}

void cm_splice_linger(struct cm_splice *p, cm_usec limit)
{
    p->linger = limit;
    if (p->ended[0] || p->ended[1])
        splice_linger(p);
}

void cm_splice_abort(struct cm_splice *p)
{
    if (p && p->end[0])
        splice_end(p, false);
}
