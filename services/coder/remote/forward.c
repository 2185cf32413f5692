#include "remote/forward.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "sys/fd.h"

#define CHUNK        32768
#define RESOLVE_TIME (10 * CM_SECOND)

/* One connection. */
struct forward {
    ssh_channel channel;
    const struct forward_rule *rule; /* NULL: to the key agent */
    int fd;                          /* non-blocking; may still be connecting */
    char rest[CHUNK];                /* what fd has not taken yet */
    size_t rest_at, rest_len;
    bool fd_ended, channel_ended; /* will send no more, and the other side knows */
};

struct forwards {
    ssh_session session;
    struct forward *v[FORWARDS_MAX]; /* NULL: free */
    const struct forward_rule *rules[FORWARD_RULES_MAX];
    size_t n_rules;
};

enum cm_code forward_rule_parse(struct cm_arena *a, const char *text, struct forward_rule *ret,
                                struct cm_err *err)
{
    struct cm_str port, rest = cm_str_split(cm_str(text), ':', &port), host = rest;
    ptrdiff_t last = -1;

    for (size_t i = 0; i < rest.len; i++)
        if (rest.ptr[i] == ':')
            last = (ptrdiff_t)i;
    if (last > 0)
        host = cm_str_sub(rest, 0, (size_t)last);
    *ret = (struct forward_rule){.port = 0};
    if (last <= 0 || !cm_str_to_u16(port, &ret->port) || !ret->port ||
        !cm_str_to_u16(cm_str_sub(rest, (size_t)last + 1, rest.len), &ret->local_port) ||
        !ret->local_port)
        return cm_err_set(err, CM_INVALID,
                          "invalid format of remote-forward \"%s\", expected: "
                          "remote_port:local_address:local_port",
                          text);
    if (cm_str_starts(host, CM_STR("[")) && cm_str_ends(host, CM_STR("]")))
        host = cm_str_sub(host, 1, host.len - 2);
    ret->host = cm_arena_cstr(a, host);
    return CM_OK;
}

struct lookup {
    struct forward_rule *remote;
    struct cm_err err;
    bool done;
};

static void on_resolved(void *ctx, const struct cm_addr *addrs, size_t n, const struct cm_err *err)
{
    struct lookup *l = ctx;
    l->done = true;
    if (n)
        l->remote->to = addrs[0];
    else
        l->err = *err;
}

enum cm_code forward_rules_resolve(struct cm_loop *loop, struct forward_rule *v, size_t n,
                                   struct cm_err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct lookup l = {.remote = &v[i], .err = {.code = CM_OK}};
        cm_resolve_start(loop, v[i].host, v[i].local_port, RESOLVE_TIME, on_resolved, &l);
        while (!l.done)
            cm_loop_turn(loop, CM_SECOND);
        if (l.err.code != CM_OK) {
            *err = l.err;
            return cm_err_wrap(err, "--remote-forward to %s", v[i].host);
        }
    }
    return CM_OK;
}

struct forwards *forwards_new(ssh_session session)
{
    struct forwards *f = cm_xcalloc(1, sizeof(*f));
    f->session = session;
    return f;
}

static void forward_close(struct forward *w)
{
    ssh_channel_close(w->channel);
    ssh_channel_free(w->channel);
    close(w->fd);
    cm_free(w);
}

void forwards_free(struct forwards *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < FORWARDS_MAX; i++)
        if (f->v[i])
            forward_close(f->v[i]);
    cm_free(f);
}

enum cm_code forwards_listen(struct forwards *f, const struct forward_rule *r, struct cm_err *err)
{
    if (f->n_rules == FORWARD_RULES_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "more than %d remote forwards", FORWARD_RULES_MAX);
    if (ssh_channel_listen_forward(f->session, "127.0.0.1", r->port, NULL) != SSH_OK)
        return cm_err_set(err, CM_CONFLICT,
                          "the workspace does not listen on port %u for --remote-forward: the port "
                          "is in use there, or forwarding is switched off",
                          r->port);
    f->rules[f->n_rules++] = r;
    return CM_OK;
}

/* Takes fd. NULL: there are too many. */
static struct forward *forward_new(struct forwards *f, ssh_channel channel,
                                   const struct forward_rule *rule, int fd)
{
    for (size_t i = 0; i < FORWARDS_MAX; i++) {
        if (f->v[i])
            continue;
        cm_fd_nonblock(fd, true);
        f->v[i] = cm_xcalloc(1, sizeof(*f->v[i]));
        f->v[i]->channel = channel;
        f->v[i]->rule = rule;
        f->v[i]->fd = fd;
        return f->v[i];
    }
    close(fd);
    return NULL;
}

ssh_channel forwards_open(struct forwards *f, const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(un.sun_path))
        return NULL;
    memcpy(un.sun_path, path, strlen(path) + 1);
    CM_AUTOFD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&un, sizeof(un)) != 0)
        return NULL;
    ssh_channel channel = ssh_channel_new(f->session);
    if (channel && !forward_new(f, channel, NULL, CM_TAKE_FD(fd))) {
        ssh_channel_free(channel);
        channel = NULL;
    }
    return channel;
}

static int connect_to(const struct cm_addr *to)
{
    CM_AUTOFD int fd = socket(to->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 ||
        (connect(fd, (const struct sockaddr *)&to->sa, to->len) != 0 && errno != EINPROGRESS))
        return -1;
    return CM_TAKE_FD(fd);
}

/* The terminal may be raw. */
static void say(int port, const char *why)
{
    fprintf(stderr, "A connection to port %d of the workspace is not forwarded: %s.%s\n", port, why,
            isatty(2) ? "\r" : "");
}

/* e: what fd ended with. Only how an attempt to connect ends is news. */
static void say_refused(const struct forward *w, int e)
{
    if (w->rule && (e == ECONNREFUSED || e == ETIMEDOUT || e == EHOSTUNREACH || e == ENETUNREACH))
        say(w->rule->port, strerror(e));
}

static void take_new(struct forwards *f)
{
    ssh_channel channel;
    int port = 0;

    while (f->n_rules &&
           (channel = ssh_channel_open_forward_port(f->session, 0, &port, NULL, NULL))) {
        const struct forward_rule *r = NULL;
        for (size_t i = 0; i < f->n_rules; i++)
            if (f->rules[i]->port == port)
                r = f->rules[i];
        int fd = r ? connect_to(&r->to) : -1;
        if (fd >= 0 && forward_new(f, channel, r, fd))
            continue;
        say(port, !r       ? "nobody asked for that port"
                  : fd < 0 ? strerror(errno)
                           : "there are too many already");
        ssh_channel_close(channel);
        ssh_channel_free(channel);
    }
}

/* Shutting down a socket that still connects would end the attempt. */
static bool is_connected(const struct forward *w)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    return getpeername(w->fd, (struct sockaddr *)&peer, &len) == 0;
}

static void move_here(struct forward *w)
{
    while (w->rest_at < w->rest_len || !w->channel_ended) {
        if (w->rest_at == w->rest_len) {
            int n = ssh_channel_read_nonblocking(w->channel, w->rest, sizeof(w->rest), 0);
            if (n <= 0)
                break;
            w->rest_at = 0;
            w->rest_len = (size_t)n;
        }
        ssize_t n = send(w->fd, w->rest + w->rest_at, w->rest_len - w->rest_at,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) {
            say_refused(w, errno);
            /* It takes no more, but what it has said may still be read. */
            w->channel_ended = true;
            w->rest_at = w->rest_len;
            return;
        }
        w->rest_at += (size_t)n;
    }
    if (!w->channel_ended && ssh_channel_is_eof(w->channel) && is_connected(w)) {
        w->channel_ended = true;
        cm_ignore(shutdown(w->fd, SHUT_WR) != 0, "it has ended by itself");
    }
}

static bool can_send(const struct forward *w)
{
    return !w->fd_ended && ssh_channel_window_size(w->channel) > 0;
}

/* False: this end is broken. */
static bool move_there(struct forward *w)
{
    char buf[CHUNK];
    if (!can_send(w))
        return true;
    size_t room = CM_MIN((size_t)ssh_channel_window_size(w->channel), sizeof(buf));
    ssize_t n = read(w->fd, buf, room);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n < 0) {
        say_refused(w, errno);
        return false;
    }
    /* A channel that the remote end has closed takes nothing; what came from there is still passed
     * on. */
    w->fd_ended = n == 0 || ssh_channel_write(w->channel, buf, (uint32_t)n) != n;
    if (n == 0)
        cm_ignore(ssh_channel_send_eof(w->channel) != SSH_OK, "the remote end has closed it");
    return true;
}

/* Whether there is nothing left to do for it. libssh calls a channel closed when its own buffer is
 * empty, without knowing of rest. */
static bool is_over(const struct forward *w)
{
    bool passed = w->rest_at == w->rest_len;
    return passed && w->channel_ended && (w->fd_ended || ssh_channel_is_closed(w->channel));
}

void forwards_pass(struct forwards *f)
{
    take_new(f);
    for (size_t i = 0; i < FORWARDS_MAX; i++) {
        struct forward *w = f->v[i];
        if (!w)
            continue;
        move_here(w);
        if (move_there(w) && !is_over(w))
            continue;
        forward_close(w);
        f->v[i] = NULL;
    }
}

size_t forwards_poll(struct forwards *f, struct pollfd *fds)
{
    size_t n = 0;
    for (size_t i = 0; i < FORWARDS_MAX; i++) {
        const struct forward *w = f->v[i];
        if (!w)
            continue;
        bool connects = !w->channel_ended && ssh_channel_is_eof(w->channel);
        bool waits = w->rest_at < w->rest_len || connects;
        int events = (can_send(w) ? POLLIN : 0) | (waits ? POLLOUT : 0);
        if (events)
            fds[n++] = (struct pollfd){.fd = w->fd, .events = (short)events};
    }
    return n;
}
