/* One c-ares channel per query: its sockets are watched on the loop, and it is destroyed from a
 * posted function, never inside one of its own callbacks. */
#include "net/dial/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/un.h>

#include <ares.h>

#include "base/str.h"

#define SOCKETS_MAX 16 /* c-ares opens one or two per server */

struct watched {
    int fd;
    bool reading, writing;
    struct cm_watch read, write;
};

struct cm_resolve {
    struct cm_loop *loop;
    ares_channel channel;
    bool has_channel, finished, canceled;
    struct watched socks[SOCKETS_MAX];
    struct cm_timer tick;     /* c-ares's own retry timer */
    struct cm_timer deadline; /* ours */
    struct cm_addr addrs[CM_ADDRS_MAX];
    size_t n;
    uint16_t port;
    struct cm_err err;
    char *host;
    cm_resolve_fn fn;
    void *ctx;
};

const char *cm_addr_format(const struct cm_addr *a, char out[CM_ADDR_TEXT])
{
    char ip[INET6_ADDRSTRLEN] = "";

    if (a->sa.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&a->sa;
        inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
        snprintf(out, CM_ADDR_TEXT, "%s:%u", ip, ntohs(in->sin_port));
    } else if (a->sa.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->sa;
        inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip));
        snprintf(out, CM_ADDR_TEXT, "[%s]:%u", ip, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_un *un = (const struct sockaddr_un *)&a->sa;
        snprintf(out, CM_ADDR_TEXT, "%s", un->sun_path);
    }
    return out;
}

bool cm_addr_parse(const char *host, uint16_t port, struct cm_addr *ret)
{
    struct cm_addr a = {.len = 0};
    struct sockaddr_in *in = (struct sockaddr_in *)&a.sa;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a.sa;

    if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        a.len = sizeof(*in);
    } else if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        a.len = sizeof(*in6);
    } else {
        return false;
    }
    *ret = a;
    return true;
}

static void destroy(void *arg)
{
    struct cm_resolve *q = arg;
    q->finished = true; /* what ares_destroy reports is of no interest */
    if (q->has_channel)
        ares_destroy(q->channel);
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        if (q->socks[i].reading)
            cm_watch_stop(&q->socks[i].read);
        if (q->socks[i].writing)
            cm_watch_stop(&q->socks[i].write);
    }
    cm_timer_done(&q->tick);
    cm_timer_done(&q->deadline);
    cm_free(q->host);
    cm_free(q);
}

static void deliver(void *arg)
{
    struct cm_resolve *q = arg;
    if (!q->canceled)
        q->fn(q->ctx, q->addrs, q->n, q->n ? NULL : &q->err);
    destroy(q);
}

static void finish(struct cm_resolve *q)
{
    if (q->finished)
        return;
    q->finished = true;
    cm_timer_stop(&q->tick);
    cm_timer_stop(&q->deadline);
    cm_loop_post(q->loop, deliver, q);
}

static void schedule_tick(struct cm_resolve *q)
{
    struct timeval max = {1, 0}, tv;
    if (q->finished)
        return;
    struct timeval *t = ares_timeout(q->channel, &max, &tv);
    cm_timer_start(&q->tick, t ? (cm_usec)t->tv_sec * CM_SECOND + t->tv_usec : CM_SECOND);
}

static void process(struct cm_resolve *q, int readable, int writable)
{
    if (q->finished)
        return;
    ares_process_fd(q->channel, readable, writable);
    schedule_tick(q);
}

static void on_readable(void *ctx, int fd)
{
    process(ctx, fd, ARES_SOCKET_BAD);
}

static void on_writable(void *ctx, int fd)
{
    process(ctx, ARES_SOCKET_BAD, fd);
}

static void on_tick(void *ctx)
{
    process(ctx, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void on_deadline(void *ctx)
{
    struct cm_resolve *q = ctx;
    cm_err_set(&q->err, CM_TIMEOUT, "look up %s: no name server answered in time", q->host);
    q->n = 0;
    finish(q);
}

static void on_socket_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
    struct cm_resolve *q = ctx;
    struct watched *w = NULL;

    for (size_t i = 0; i < SOCKETS_MAX && !w; i++)
        if ((q->socks[i].reading || q->socks[i].writing) && q->socks[i].fd == fd)
            w = &q->socks[i];
    for (size_t i = 0; i < SOCKETS_MAX && !w; i++)
        if (!q->socks[i].reading && !q->socks[i].writing)
            w = &q->socks[i];
    if (!w)
        return; /* more servers than we watch: those queries run into c-ares's timeout */
    w->fd = fd;
    if (w->reading && !readable)
        cm_watch_stop(&w->read);
    if (w->writing && !writable)
        cm_watch_stop(&w->write);
    if (!w->reading && readable)
        cm_watch_start(&w->read, q->loop, fd, false, on_readable, q);
    if (!w->writing && writable)
        cm_watch_start(&w->write, q->loop, fd, true, on_writable, q);
    w->reading = readable;
    w->writing = writable;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct cm_resolve *q = arg;
    (void)timeouts;

    if (q->finished) {
        if (info)
            ares_freeaddrinfo(info);
        return;
    }
    for (struct ares_addrinfo_node *n = info ? info->nodes : NULL; n && q->n < CM_ADDRS_MAX;
         n = n->ai_next) {
        if (n->ai_addrlen > sizeof(q->addrs[0].sa))
            continue;
        struct cm_addr *a = &q->addrs[q->n++];
        memcpy(&a->sa, n->ai_addr, n->ai_addrlen);
        a->len = n->ai_addrlen;
    }
    if (info)
        ares_freeaddrinfo(info);
    if (!q->n) {
        if (status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_SUCCESS)
            cm_err_set(&q->err, CM_UNAVAILABLE, "look up %s: no such host", q->host);
        else if (status == ARES_EBADNAME)
            cm_err_set(&q->err, CM_INVALID, "look up %s: not a host name", q->host);
        else
            cm_err_set(&q->err, CM_UNAVAILABLE, "look up %s: %s", q->host, ares_strerror(status));
    }
    finish(q);
}

static bool is_localhost(struct cm_str host)
{
    return cm_str_eq_nocase(host, CM_STR("localhost")) ||
           (host.len > 10 &&
            cm_str_eq_nocase(cm_str_sub(host, host.len - 10, 10), CM_STR(".localhost")));
}

static void library_init(void)
{
    cm_assert(ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS);
}

static void ask(struct cm_resolve *q, cm_usec timeout)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char lookups[] = "fb"; /* the hosts file first */
    struct ares_options options = {
        .timeout = 2000,
        .tries = 3,
        .lookups = lookups,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = q,
    };
    pthread_once(&once, library_init);
    int status = ares_init_options(&q->channel, &options,
                                   ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                                       ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) {
        cm_err_set(&q->err, CM_UNAVAILABLE, "look up %s: %s", q->host, ares_strerror(status));
        finish(q);
        return;
    }
    q->has_channel = true;
    cm_timer_start(&q->deadline, timeout);
    struct ares_addrinfo_hints hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NUMERICSERV};
    char service[8];
    snprintf(service, sizeof(service), "%u", q->port);
    ares_getaddrinfo(q->channel, q->host, service, &hints, on_answer, q);
    schedule_tick(q);
}

struct cm_resolve *cm_resolve_start(struct cm_loop *loop, const char *host, uint16_t port,
                                    cm_usec timeout, cm_resolve_fn fn, void *ctx)
{
    CM_ON_LOOP(loop);
    struct cm_resolve *q = cm_xcalloc(1, sizeof(*q));
    q->loop = loop;
    q->host = cm_xstrdup(host);
    q->port = port;
    q->fn = fn;
    q->ctx = ctx;
    cm_timer_init(&q->tick, loop, on_tick, q);
    cm_timer_init(&q->deadline, loop, on_deadline, q);
    if (cm_addr_parse(host, port, &q->addrs[0])) {
        q->n = 1;
        finish(q);
    } else if (is_localhost(cm_str(host))) {
        /* IPv4 first: servers made for this machine more often listen there only. */
        cm_assert(cm_addr_parse("127.0.0.1", port, &q->addrs[0]));
        cm_assert(cm_addr_parse("::1", port, &q->addrs[1]));
        q->n = 2;
        finish(q);
    } else {
        ask(q, timeout);
    }
    return q;
}

void cm_resolve_cancel(struct cm_resolve *q)
{
    if (!q || q->canceled)
        return;
    q->canceled = true;
    if (!q->finished) {
        q->finished = true;
        cm_timer_stop(&q->tick);
        cm_timer_stop(&q->deadline);
        cm_loop_post(q->loop, destroy, q);
    }
}
