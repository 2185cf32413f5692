/* Listening, accepting, draining. */
#include "net/http/server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/listener.h>

#include "net/http/listen.h"
#include "net/http/server_priv.h"
#include "net/sock.h"
#include "obs/log.h"

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *addr, int len,
                      void *ctx)
{
    (void)l;
    struct cm_http_server *s = ctx;
    if (s->n_conns >= s->cfg.max_connections) {
        static const char busy[] =
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        cm_ignore(send(fd, busy, sizeof(busy) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0,
                  "it is turned away either way");
        close(fd);
        return;
    }
    s->n_conns++;
    s->n_busy++;
    cm_sock_tune(fd);
    struct http_accepted *acc = cm_xcalloc(1, sizeof(*acc));
    acc->server = s;
    acc->fd = fd;
    if (getnameinfo(addr, (socklen_t)len, acc->peer, sizeof(acc->peer), NULL, 0, NI_NUMERICHOST) !=
        0)
        acc->peer[0] = '\0';
    if (strncmp(acc->peer, "::ffff:", 7) == 0)
        memmove(acc->peer, acc->peer + 7, strlen(acc->peer + 7) + 1);
    acc->loop = s->cfg.loops[s->next_loop++ % s->cfg.n_loops];
    cm_loop_post(acc->loop, http_conn_start, acc);
}

static void on_accept_again(void *ctx)
{
    struct cm_http_server *s = ctx;
    if (s->listener)
        evconnlistener_enable(s->listener);
}

/* Mostly for want of descriptors, of which there are no more at once: asking again on each turn of
 * the loop would only take the time of those who have a connection. */
static void on_accept_error(struct evconnlistener *l, void *ctx)
{
    struct cm_http_server *s = ctx;
    char text[128];
    CM_WARN("cannot accept a connection", CM_F_CSTR(error, strerror_r(errno, text, sizeof(text))));
    evconnlistener_disable(l);
    cm_timer_start(&s->accept_again, ACCEPT_PAUSE);
}

enum cm_code cm_http_server_new(const struct cm_http_server_config *cfg, const char *address,
                                struct cm_http_server **ret, struct cm_err *err)
{
    CM_AUTOFD int fd = -1;
    if (cm_http_listen(address, &fd, err) != CM_OK)
        return err->code;
    struct cm_http_server *s = cm_xcalloc(1, sizeof(*s));
    s->cfg = *cfg;
    cm_list_init(&s->conns);
    pthread_mutex_init(&s->lock, NULL);
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    cm_assert(getsockname(fd, (struct sockaddr *)&ss, &len) == 0);
    s->port = ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
                                             : ((struct sockaddr_in *)&ss)->sin_port);
    s->listener =
        evconnlistener_new(cm_loop_base(cfg->loops[0]), on_accept, s,
                           LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, CM_TAKE_FD(fd));
    cm_assert(s->listener);
    s->drainers = cm_xcalloc(cfg->n_loops, sizeof(struct http_drainer *));
    s->budget = cm_xcalloc(1, sizeof(*s->budget));
    s->budget->refs = 1;
    cm_timer_init(&s->accept_again, cfg->loops[0], on_accept_again, s);
    evconnlistener_set_error_cb(s->listener, on_accept_error);
    *ret = s;
    return CM_OK;
}

uint16_t cm_http_server_port(const struct cm_http_server *s)
{
    return s->port;
}

/* What the kernel has taken in our name, so that closing the listener resets nobody. */
static void take_backlog(struct cm_http_server *s)
{
    for (size_t i = 0; i < CM_HTTP_BACKLOG; i++) {
        struct sockaddr_storage sa;
        socklen_t len = sizeof(sa);
        int fd = accept4(evconnlistener_get_fd(s->listener), (struct sockaddr *)&sa, &len,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            on_accept(s->listener, fd, (struct sockaddr *)&sa, (int)len, s);
        else if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

/* Those of one loop: how much longer each may wait for a request, or for the rest of one. */
static void drain_here(void *arg)
{
    struct http_drainer *d = arg;
    struct cm_http_server *s = d->server;
    cm_usec now = cm_monotonic_now();
    if (s) {
        pthread_mutex_lock(&s->lock);
        CM_LIST_EACH(l, &s->conns)
        {
            struct cm_http_conn *c = cm_container_of(l, struct cm_http_conn, link);
            if (c->loop == d->loop)
                http_conn_drain(c, now);
        }
        for (size_t i = 0; i < s->cfg.n_loops; i++) {
            if (s->drainers[i] == d)
                s->drainers[i] = NULL;
        }
        pthread_mutex_unlock(&s->lock);
        s->n_busy--;
    }
    cm_free(d);
}

void cm_http_server_drain(struct cm_http_server *s)
{
    if (!s || s->draining)
        return;
    CM_ON_LOOP(s->cfg.loops[0]);
    cm_timer_stop(&s->accept_again);
    take_backlog(s);
    evconnlistener_free(s->listener);
    s->listener = NULL;
    s->draining = true;
    for (size_t i = 0; i < s->cfg.n_loops; i++) {
        struct http_drainer *d = cm_xcalloc(1, sizeof(*d));
        *d = (struct http_drainer){.server = s, .loop = s->cfg.loops[i]};
        s->n_busy++;
        pthread_mutex_lock(&s->lock);
        s->drainers[i] = d;
        pthread_mutex_unlock(&s->lock);
        cm_loop_post(d->loop, drain_here, d);
    }
}

size_t cm_http_server_busy(const struct cm_http_server *s)
{
    return s ? s->n_busy : 0;
}

void cm_http_server_free(struct cm_http_server *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->cfg.n_loops; i++) {
        if (s->drainers[i])
            s->drainers[i]->server = NULL;
    }
    cm_free(s->drainers);
    if (s->listener)
        evconnlistener_free(s->listener);
    CM_LIST_EACH(l, &s->conns)
    http_conn_close(cm_container_of(l, struct cm_http_conn, link));
    cm_timer_done(&s->accept_again);
    http_budget_unref(s->budget);
    pthread_mutex_destroy(&s->lock);
    /* Connections freed later on their loops still name the server's fields only before being
     * closed. */
    cm_free(s);
}
