/* Descriptors that epoll can watch (pipes, sockets, terminals) are streams of their own. The rest,
 * files and /dev/null, never make anybody wait, and are read and written as they are. */
#include "remote/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/buffer.h>

#define CHUNK ((size_t)64 << 10)

struct pump {
    struct cm_stream *s;
    int in_fd, out_fd;
    int in_flags, out_flags;
    bool in_plain, out_plain; /* epoll does not know them */
    struct cm_watch in_watch, out_watch;
    bool in_watched, out_watched, in_ended, over;
    void (*done)(void *ctx, const struct cm_err *err);
    void *ctx;
    struct cm_loop *loop;
    uint64_t n_in, n_out;
};

static bool is_plain(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return true;
    return !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode) && !isatty(fd);
}

static void end(struct pump *p, const struct cm_err *err)
{
    if (p->over)
        return;
    p->over = true;
    p->done(p->ctx, err);
}

static void read_input(struct pump *p);

static void stop_input(struct pump *p)
{
    if (p->in_watched)
        cm_watch_stop(&p->in_watch);
    p->in_watched = false;
}

static void on_readable(void *ctx, int fd)
{
    (void)fd;
    read_input(ctx);
}

static void want_input(struct pump *p)
{
    if (p->over || p->in_ended || p->in_watched || p->s->failed)
        return;
    if (p->in_plain) {
        read_input(p);
        return;
    }
    cm_watch_start(&p->in_watch, p->loop, p->in_fd, false, on_readable, p);
    p->in_watched = true;
}

/* Until the stream has enough to do; it calls again when drained. */
static void read_input(struct pump *p)
{
    struct evbuffer *b = evbuffer_new();
    cm_assert(b);
    for (int turns = 0; turns < 4 && !p->in_ended; turns++) {
        if (cm_stream_unsent(p->s) >= CM_STREAM_HIGH) {
            stop_input(p);
            break;
        }
        struct evbuffer_iovec v;
        cm_assert(evbuffer_reserve_space(b, (ev_ssize_t)CHUNK, &v, 1) == 1);
        ssize_t n = read(p->in_fd, v.iov_base, CHUNK);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        v.iov_len = n > 0 ? (size_t)n : 0;
        cm_assert(evbuffer_commit_space(b, &v, 1) == 0);
        if (n <= 0) {
            p->in_ended = true;
            break;
        }
        p->n_in += (uint64_t)n;
        cm_stream_send(p->s, b);
    }
    evbuffer_free(b);
    if (p->in_ended) {
        stop_input(p);
        cm_stream_finish(p->s);
    }
}

static void write_output(struct pump *p);

static void on_writable(void *ctx, int fd)
{
    (void)fd;
    write_output(ctx);
}

static void write_output(struct pump *p)
{
    struct evbuffer *in = cm_stream_input(p->s);
    size_t before = evbuffer_get_length(in);

    while (!p->over && evbuffer_get_length(in)) {
        struct evbuffer_iovec v;
        cm_assert(evbuffer_peek(in, -1, NULL, &v, 1) >= 1);
        ssize_t n = write(p->out_fd, v.iov_base, v.iov_len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            struct cm_err err;
            cm_err_errno(&err, CM_IO, "write to standard output");
            end(p, errno == EPIPE ? NULL : &err);
            return;
        }
        evbuffer_drain(in, (size_t)n);
    }
    size_t left = evbuffer_get_length(in);
    cm_stream_consumed(p->s, before - left);
    p->n_out += before - left;
    if (left && !p->out_watched) {
        cm_watch_start(&p->out_watch, p->loop, p->out_fd, true, on_writable, p);
        p->out_watched = true;
    } else if (!left && p->out_watched) {
        cm_watch_stop(&p->out_watch);
        p->out_watched = false;
    }
    if (!left && p->s->failed)
        end(p, cm_stream_err(p->s));
    else if (!left && p->s->eof)
        end(p, NULL);
}

static void on_stream(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct pump *p = ctx;
    (void)s;
    if (p->over)
        return;
    if (ev == CM_STREAM_DRAINED)
        want_input(p);
    else
        write_output(p);
}

static void kick(void *arg)
{
    struct pump *p = arg;
    if (p->over)
        return;
    want_input(p);
    write_output(p);
}

struct pump *pump_new(struct cm_stream *s, int in_fd, int out_fd,
                      void (*done)(void *ctx, const struct cm_err *err), void *ctx)
{
    struct pump *p = cm_xcalloc(1, sizeof(*p));
    p->s = s;
    p->loop = s->loop;
    p->in_fd = in_fd;
    p->out_fd = out_fd;
    p->in_plain = is_plain(in_fd);
    p->out_plain = is_plain(out_fd);
    p->in_flags = fcntl(in_fd, F_GETFL);
    p->out_flags = fcntl(out_fd, F_GETFL);
    if (!p->in_plain)
        fcntl(in_fd, F_SETFL, p->in_flags | O_NONBLOCK);
    if (!p->out_plain)
        fcntl(out_fd, F_SETFL, p->out_flags | O_NONBLOCK);
    p->done = done;
    p->ctx = ctx;
    cm_stream_set_fn(s, on_stream, p);
    cm_loop_post(p->loop, kick, p);
    return p;
}

static void free_later(void *arg)
{
    cm_free(arg);
}

void pump_free(struct pump *p)
{
    if (!p)
        return;
    p->over = true;
    stop_input(p);
    if (p->out_watched)
        cm_watch_stop(&p->out_watch);
    if (!p->in_plain)
        fcntl(p->in_fd, F_SETFL, p->in_flags);
    if (!p->out_plain)
        fcntl(p->out_fd, F_SETFL, p->out_flags);
    cm_stream_close(CM_TAKE(p->s));
    cm_loop_post(p->loop, free_later, p);
}

void pump_count(const struct pump *p, uint64_t *ret_in, uint64_t *ret_out)
{
    *ret_in = p->n_in;
    *ret_out = p->n_out;
}
