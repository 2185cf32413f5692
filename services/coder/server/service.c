#include "server/service.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "obs/log.h"
#include "sys/fd.h"
#include "sys/signals.h"

#define LINE_MAX_BYTES ((size_t)16 << 10)
#define POLL_EVERY     (5 * CM_MSEC)
#define BACKOFF_FIRST  (200 * CM_MSEC)
#define BACKOFF_MAX    (30 * CM_SECOND)
/* What ran this long has recovered: its next end is a new story. */
#define BACKOFF_FORGET (30 * CM_SECOND)

enum state { STOPPED, RUNNING, WAITING, STOPPING };

/* A pipe whose lines are handled one by one; longer ones are cut. */
struct line_pipe {
    int fd;
    struct cm_watch watch;
    struct cm_buf buf;
    void (*on_line)(struct service *s, struct cm_str line);
    struct service *owner;
};

struct service {
    struct service_config cfg;
    enum state state;
    bool ready, ever_ready;
    struct cm_child *child;
    struct cm_watch exit;
    struct line_pipe ready_pipe, log_pipe;
    struct cm_timer timer; /* waiting: to start; stopping: to kill; not ready yet: to poll */
    cm_usec backoff, started_at;
};

static void start_now(struct service *s);
static void on_timer(void *ctx);

struct service *service_new(const struct service_config *cfg)
{
    struct service *s = cm_xcalloc(1, sizeof(*s));
    s->cfg = *cfg;
    s->ready_pipe = s->log_pipe = (struct line_pipe){.fd = -1, .owner = s};
    cm_buf_init(&s->ready_pipe.buf, LINE_MAX_BYTES);
    cm_buf_init(&s->log_pipe.buf, LINE_MAX_BYTES);
    cm_timer_init(&s->timer, cfg->loop, on_timer, s);
    return s;
}

static void pipe_close(struct line_pipe *p)
{
    if (p->fd < 0)
        return;
    cm_watch_stop(&p->watch);
    close(p->fd);
    p->fd = -1;
    cm_buf_reset(&p->buf);
}

void service_free(struct service *s)
{
    if (!s)
        return;
    if (s->child)
        cm_watch_stop(&s->exit);
    cm_child_free(s->child);
    pipe_close(&s->ready_pipe);
    pipe_close(&s->log_pipe);
    cm_buf_done(&s->ready_pipe.buf);
    cm_buf_done(&s->log_pipe.buf);
    cm_timer_done(&s->timer);
    cm_free(s);
}

bool service_stopped(const struct service *s)
{
    return s->state == STOPPED;
}

pid_t service_pid(const struct service *s)
{
    return s->child ? cm_child_pid(s->child) : 0;
}

static void take_lines(struct line_pipe *p)
{
    for (;;) {
        struct cm_str all = cm_buf_view(&p->buf);
        ptrdiff_t end = cm_str_find(all, '\n');
        if (end < 0)
            break;
        p->on_line(p->owner, cm_str_sub(all, 0, (size_t)end));
        if (p->fd < 0)
            return;
        cm_buf_drop_front(&p->buf, (size_t)end + 1);
    }
    if (p->buf.len >= LINE_MAX_BYTES / 2) {
        p->on_line(p->owner, cm_buf_view(&p->buf));
        cm_buf_reset(&p->buf);
    }
}

static void on_readable(void *ctx, int fd)
{
    struct line_pipe *p = ctx;
    char chunk[4096];
    ssize_t n = read(fd, chunk, sizeof(chunk));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        pipe_close(p);
        return;
    }
    cm_buf_append(&p->buf, chunk, (size_t)n);
    take_lines(p);
}

static void pipe_open(struct line_pipe *p, int fd, void (*on_line)(struct service *, struct cm_str))
{
    pipe_close(p);
    cm_fd_nonblock(fd, true);
    p->fd = fd;
    p->on_line = on_line;
    cm_watch_start(&p->watch, p->owner->cfg.loop, fd, false, on_readable, p);
}

void service_ready(struct service *s, struct cm_str text)
{
    if (s->ready || s->state != RUNNING)
        return;
    s->ready = s->ever_ready = true;
    cm_timer_stop(&s->timer);
    s->cfg.on_ready(s->cfg.ctx, s, text);
}

static void on_ready_line(struct service *s, struct cm_str line)
{
    CM_AUTOFREE char *text = cm_str_xdup(line);
    pipe_close(&s->ready_pipe);
    service_ready(s, cm_str(text));
}

static void on_log_line(struct service *s, struct cm_str line)
{
    if (s->cfg.on_line)
        s->cfg.on_line(s->cfg.ctx, s, line);
}

void service_await(struct service *s, int ready_fd)
{
    pipe_open(&s->ready_pipe, ready_fd, on_ready_line);
}

void service_read_lines(struct service *s, int fd)
{
    pipe_open(&s->log_pipe, fd, on_log_line);
}

static void log_end(const struct service *s, struct cm_child_status st)
{
    const char *signal_name = st.signo ? cm_signal_name(st.signo) : NULL;
    if (s->state == STOPPING && !st.signo && !st.code)
        CM_INFO("stopped", CM_F_CSTR(service, s->cfg.name));
    else if (st.signo)
        CM_WARN("a server was killed by a signal", CM_F_CSTR(service, s->cfg.name),
                CM_F_CSTR(signal, signal_name ? signal_name : "?"));
    else
        CM_WARN("a server ended", CM_F_CSTR(service, s->cfg.name), CM_F_INT(exit_code, st.code));
}

/* What has ended or did not start: once more later, or not. */
static void again(struct service *s)
{
    s->state = WAITING;
    if (!s->ever_ready && s->cfg.on_failure && !s->cfg.on_failure(s->cfg.ctx, s)) {
        s->state = STOPPED;
        return;
    }
    if (cm_monotonic_now() - s->started_at > BACKOFF_FORGET)
        s->backoff = 0;
    s->backoff = s->backoff ? CM_MIN(s->backoff * 2, BACKOFF_MAX) : BACKOFF_FIRST;
    cm_timer_start(&s->timer, s->backoff);
}

/* The last words are in the pipe still. */
static void drain(struct line_pipe *p)
{
    for (int i = 0; i < 64 && p->fd >= 0 && cm_fd_wait(p->fd, POLLIN, 0); i++)
        on_readable(p, p->fd);
    if (p->fd >= 0 && p->buf.len)
        p->on_line(p->owner, cm_buf_view(&p->buf));
    pipe_close(p);
}

static void on_exit_fd(void *ctx, int fd)
{
    struct service *s = ctx;
    struct cm_child_status st = {0};
    (void)fd;
    if (!cm_child_reap(s->child, &st))
        return;
    cm_watch_stop(&s->exit);
    cm_child_free(s->child);
    s->child = NULL;
    drain(&s->ready_pipe);
    drain(&s->log_pipe);
    s->ready = false;
    cm_timer_stop(&s->timer);
    log_end(s, st);
    if (s->state == STOPPING) {
        s->state = STOPPED;
        s->cfg.on_stopped(s->cfg.ctx, s);
        return;
    }
    again(s);
}

static void start_now(struct service *s)
{
    struct cm_err err;
    s->started_at = cm_monotonic_now();
    s->ready = false;
    if (s->cfg.start(s->cfg.ctx, s, &s->child, &err) != CM_OK) {
        CM_ERROR("cannot start a server", CM_F_CSTR(service, s->cfg.name), CM_F_ERR(&err));
        pipe_close(&s->ready_pipe);
        pipe_close(&s->log_pipe);
        again(s);
        return;
    }
    s->state = RUNNING;
    cm_watch_start(&s->exit, s->cfg.loop, cm_child_exit_fd(s->child), false, on_exit_fd, s);
    if (s->cfg.poll)
        cm_timer_start(&s->timer, POLL_EVERY);
}

static void on_timer(void *ctx)
{
    struct service *s = ctx;
    switch (s->state) {
    case WAITING:
        CM_INFO("starting again", CM_F_CSTR(service, s->cfg.name));
        start_now(s);
        break;
    case RUNNING:
        s->cfg.poll(s->cfg.ctx, s);
        if (s->state == RUNNING && !s->ready)
            cm_timer_start(&s->timer, POLL_EVERY);
        break;
    case STOPPING:
        CM_WARN("a server does not stop, and is killed", CM_F_CSTR(service, s->cfg.name));
        cm_child_signal(s->child, SIGKILL);
        break;
    case STOPPED:
        break;
    }
}

void service_start(struct service *s)
{
    cm_assert(s->state == STOPPED);
    s->backoff = 0;
    start_now(s);
}

void service_stop(struct service *s, int signo, cm_usec grace)
{
    cm_timer_stop(&s->timer);
    if (!s->child) {
        s->state = STOPPED;
        return;
    }
    s->state = STOPPING;
    cm_child_signal_one(s->child, signo);
    if (grace)
        cm_timer_start(&s->timer, grace);
}
