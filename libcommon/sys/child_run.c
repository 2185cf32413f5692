/* A program run to its end, its input fed and its output collected by one poll loop. */
#include "sys/child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "sys/fd.h"

struct runner {
    struct cm_child *child;
    struct cm_str input;
    struct cm_buf *out[3]; /* by descriptor; [0] unused */
    int fd[3];
    bool cut;
};

static void close_end(struct runner *r, int which)
{
    cm_cleanup_fd(&r->fd[which]);
    r->fd[which] = -1;
}

static void feed(struct runner *r)
{
    ssize_t n = write(r->fd[0], r->input.ptr, r->input.len);
    if (n > 0) {
        r->input.ptr += n;
        r->input.len -= (size_t)n;
    } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    } else if (n < 0) {
        r->input.len = 0; /* it reads no more: its business */
    }
    if (!r->input.len)
        close_end(r, 0);
}

static void collect(struct runner *r, int which)
{
    char chunk[16384];
    ssize_t n = read(r->fd[which], chunk, sizeof(chunk));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        close_end(r, which);
        return;
    }
    struct cm_buf *b = r->out[which];
    size_t room = b->max - CM_MIN(b->max, b->len);
    if ((size_t)n > room)
        r->cut = true;
    cm_buf_append(b, chunk, CM_MIN((size_t)n, room));
}

/* One wait; false at the deadline. */
static bool turn(struct runner *r, cm_usec end)
{
    struct pollfd p[4];
    int which[4];
    nfds_t n = 0;
    for (int i = 0; i < 3; i++)
        if (r->fd[i] >= 0) {
            which[n] = i;
            p[n++] = (struct pollfd){.fd = r->fd[i], .events = i == 0 ? POLLOUT : POLLIN};
        }
    cm_usec left = end - cm_monotonic_now();
    if (left <= 0)
        return false;
    int got = poll(p, n, (int)CM_MIN((left + 999) / 1000, (cm_usec)1000000));
    for (nfds_t i = 0; got > 0 && i < n; i++) {
        if (!p[i].revents)
            continue;
        if (which[i] == 0)
            feed(r);
        else
            collect(r, which[i]);
    }
    return true;
}

static enum cm_code run_to_end(struct runner *r, cm_usec timeout, struct cm_child_status *ret,
                               struct cm_err *err)
{
    cm_usec end = cm_monotonic_now() + timeout;
    while (r->fd[0] >= 0 || r->fd[1] >= 0 || r->fd[2] >= 0)
        if (!turn(r, end))
            return cm_err_set(err, CM_TIMEOUT, "did not end within %lld ms",
                              (long long)(timeout / CM_MSEC));
    cm_usec left = end - cm_monotonic_now();
    enum cm_code code = cm_child_wait(r->child, CM_MAX(left, (cm_usec)0), ret, err);
    if (code != CM_OK)
        return cm_err_set(err, CM_TIMEOUT, "did not end within %lld ms",
                          (long long)(timeout / CM_MSEC));
    return CM_OK;
}

enum cm_code cm_child_run(const struct cm_child_spec *spec, struct cm_str input, struct cm_buf *out,
                          struct cm_buf *err_out, cm_usec timeout, struct cm_child_status *ret,
                          bool *ret_cut, struct cm_err *err)
{
    struct cm_child_spec s = *spec;
    s.std[0].kind = input.len ? CM_CHILD_PIPE : CM_CHILD_NULL;
    s.std[1].kind = out ? CM_CHILD_PIPE : CM_CHILD_NULL;
    s.std[2].kind = err_out ? CM_CHILD_PIPE : CM_CHILD_STDOUT;

    CM_AUTO(cm_child) child = NULL;
    enum cm_code code = cm_child_start(&s, &child, err);
    if (code != CM_OK)
        return code;
    struct runner r = {.child = child, .input = input, .out = {NULL, out, err_out}};
    /* A child that stops reading must not kill us: SIGPIPE is held back in this thread and taken
     * off again. */
    sigset_t pipe_set, old, pending;
    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_set, &old);
    for (int i = 0; i < 3; i++) {
        r.fd[i] = cm_child_take_fd(child, i);
        if (r.fd[i] >= 0)
            cm_fd_nonblock(r.fd[i], true);
    }
    struct cm_child_status st = {0};
    code = run_to_end(&r, timeout, &st, err);
    for (int i = 0; i < 3; i++)
        close_end(&r, i);
    if (!sigismember(&old, SIGPIPE) && sigpending(&pending) == 0 &&
        sigismember(&pending, SIGPIPE)) {
        struct timespec none = {0};
        sigtimedwait(&pipe_set, NULL, &none);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (code != CM_OK)
        return cm_err_wrap(err, "%s", spec->argv[0]);
    if (ret)
        *ret = st;
    if (ret_cut)
        *ret_cut = r.cut;
    return CM_OK;
}
