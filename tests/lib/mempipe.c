#include "mempipe.h"

#include <event2/buffer.h>

struct end {
    struct cm_stream s;
    struct mempipe *p;
    struct evbuffer *out;
    bool told_eof;
    bool gone;   /* closed by its owner */
    bool hungry; /* owes a DRAINED */
};

struct mempipe {
    struct cm_loop *loop;
    struct end end[2];
    size_t chunk, delivered, cut_at;
    bool cut, silent, posted;
    unsigned refs; /* ends and a posted turn */
};

static size_t alive;

static void unref(struct mempipe *p)
{
    if (--p->refs)
        return;
    alive--;
    for (int i = 0; i < 2; i++) {
        evbuffer_free(p->end[i].out);
        cm_stream_done(&p->end[i].s);
    }
    cm_free(p);
}

static void turn(void *arg);

static void kick(struct mempipe *p)
{
    if (p->posted)
        return;
    p->posted = true;
    p->refs++;
    cm_loop_post(p->loop, turn, p);
}

static bool deliver(struct mempipe *p, struct end *from, struct end *to)
{
    size_t n = evbuffer_get_length(from->out), room = evbuffer_get_length(to->s.in);
    room = room < CM_STREAM_HIGH ? CM_STREAM_HIGH - room : 0;
    n = CM_MIN(n, p->chunk ? p->chunk : n);
    n = CM_MIN(n, room);
    if (p->cut_at)
        n = CM_MIN(n, p->cut_at - p->delivered);
    if (to->gone) {
        evbuffer_drain(from->out, evbuffer_get_length(from->out));
        return false;
    }
    if (n) {
        evbuffer_remove_buffer(from->out, to->s.in, n);
        p->delivered += n;
        from->hungry = true;
    }
    return n > 0;
}

static void turn(void *arg)
{
    struct mempipe *p = arg;
    p->posted = false;
    if (p->cut_at && p->delivered >= p->cut_at)
        p->cut = true;
    for (int i = 0; i < 2 && !p->silent; i++) {
        struct end *from = &p->end[i], *to = &p->end[1 - i];
        if (p->cut) {
            struct cm_err err;
            cm_err_set(&err, CM_IO, "the test cut the line");
            if (!from->gone)
                cm_stream_fail(&from->s, &err);
            continue;
        }
        if (deliver(p, from, to))
            cm_stream_notify(&to->s, CM_STREAM_DATA);
        if ((from->s.finished || from->gone) && evbuffer_get_length(from->out) == 0 &&
            !to->told_eof && !to->gone) {
            to->told_eof = true;
            cm_stream_notify(&to->s, CM_STREAM_EOF);
        }
        if (from->hungry && !from->gone && evbuffer_get_length(from->out) <= CM_STREAM_LOW) {
            from->hungry = false;
            cm_stream_notify(&from->s, CM_STREAM_DRAINED);
        }
        if (evbuffer_get_length(from->out) && evbuffer_get_length(to->s.in) < CM_STREAM_HIGH)
            kick(p);
    }
    if (p->cut_at && p->delivered >= p->cut_at && !p->cut)
        kick(p);
    unref(p);
}

static struct end *of(struct cm_stream *s)
{
    return cm_container_of(s, struct end, s);
}

static void end_send(struct cm_stream *s, struct evbuffer *data)
{
    evbuffer_add_buffer(of(s)->out, data);
    kick(of(s)->p);
}

static size_t end_unsent(const struct cm_stream *s)
{
    return evbuffer_get_length(((const struct end *)s)->out);
}

static void end_consumed(struct cm_stream *s, size_t n)
{
    (void)n;
    kick(of(s)->p);
}

static void end_finish(struct cm_stream *s)
{
    kick(of(s)->p);
}

static void end_close(struct cm_stream *s)
{
    struct end *e = of(s);
    e->gone = true;
    kick(e->p);
    unref(e->p);
}

static const struct cm_stream_ops ops = {end_send, end_unsent, end_consumed, end_finish, end_close};

struct mempipe *mempipe_new(struct cm_loop *loop, size_t chunk, struct cm_stream *ret_ends[2])
{
    struct mempipe *p = cm_xcalloc(1, sizeof(*p));
    alive++;
    p->loop = loop;
    p->chunk = chunk;
    p->refs = 2;
    for (int i = 0; i < 2; i++) {
        cm_stream_init(&p->end[i].s, &ops, loop);
        p->end[i].p = p;
        p->end[i].out = evbuffer_new();
        cm_assert(p->end[i].out);
        ret_ends[i] = &p->end[i].s;
    }
    return p;
}

void mempipe_cut(struct mempipe *p)
{
    p->cut = true;
    kick(p);
}

void mempipe_cut_after(struct mempipe *p, size_t n)
{
    p->cut_at = p->delivered + n;
    kick(p);
}

void mempipe_silence(struct mempipe *p, bool silent)
{
    p->silent = silent;
    kick(p);
}

size_t mempipe_delivered(const struct mempipe *p)
{
    return p->delivered;
}

struct evbuffer *mempipe_pending(struct mempipe *p, int i)
{
    return p->end[i].out;
}

size_t mempipe_alive(void)
{
    return alive;
}
