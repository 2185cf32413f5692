/* port-forward: listeners here, whose connections end inside a workspace. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/dial/resolve.h"
#include "net/sock.h"
#include "remote/link.h"
#include "remote/ports.h"
#include "remote/target.h"

struct forward_opts {
    struct cm_conf_list tcp, udp;
    bool disable_autostart;
};

static const struct cm_opt opts[] = {
    {CM_OPT_LIST, offsetof(struct forward_opts, tcp), "tcp", 'p', "CODER_PORT_FORWARD_TCP",
     .help = "Forward TCP port(s) from the workspace to the local machine."},
    {CM_OPT_LIST, offsetof(struct forward_opts, udp), "udp", .env = "CODER_PORT_FORWARD_UDP",
     .help = "Forward UDP port(s) from the workspace to the local machine."},
    {CM_OPT_BOOL, offsetof(struct forward_opts, disable_autostart), "disable-autostart",
     .env = "CODER_SSH_DISABLE_AUTOSTART",
     .help = "Disable starting the workspace automatically when connecting."},
};

struct listener {
    struct forwarding *all;
    int fd;
    struct cm_watch watch;
    uint16_t remote;
    struct listener *next;
};

struct forwarding {
    struct cli *cli;
    struct remote_link *link;
    struct listener *first;
    struct cm_loop *loop;
    struct cm_timer check; /* whether the session still lives */
    struct cm_err err;
};

static void on_connection(void *ctx, int fd)
{
    struct listener *l = ctx;
    char arg[32];
    int c = cm_sock_accept(&l->watch, fd, NULL, NULL);

    if (c < 0)
        return; /* gone again, or out of descriptors: the next one tells */
    cm_sock_tune(c);
    snprintf(arg, sizeof(arg), "127.0.0.1:%u", l->remote);
    cm_splice_new(cm_sock_stream_new(l->all->loop, c, NULL, false),
                  remote_link_open(l->all->link, CM_KIND_TCP, arg), NULL, NULL);
}

static enum cm_code listen_on(struct forwarding *f, const char *ip, const struct port_pair *p,
                              struct cm_err *err)
{
    struct cm_addr addr;
    char text[CM_ADDR_TEXT];
    int one = 1;
    CM_AUTOFD int fd = -1;

    if (!cm_addr_parse(ip, p->local, &addr))
        return cm_err_set(err, CM_INVALID, "\"%s\" is not an address", ip);
    fd = socket(addr.sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (fd < 0 || bind(fd, (const struct sockaddr *)&addr.sa, addr.len) != 0 ||
        listen(fd, 128) != 0)
        return cm_err_errno(err, CM_IO, "listen on %s", cm_addr_format(&addr, text));
    struct listener *l = CM_NEW(f->cli->arena, struct listener);
    *l = (struct listener){.all = f, .fd = CM_TAKE_FD(fd), .remote = p->remote, .next = f->first};
    f->first = l;
    cm_watch_start(&l->watch, f->loop, l->fd, false, on_connection, l);
    fprintf(stderr, "Forwarding 'tcp://%s' locally to 'tcp://127.0.0.1:%u' in the workspace\n",
            cm_addr_format(&addr, text), p->remote);
    return CM_OK;
}

static enum cm_code listen_all(struct forwarding *f, const struct port_list *ports,
                               struct cm_err *err)
{
    for (size_t i = 0; i < ports->n; i++) {
        const struct port_pair *p = &ports->v[i];
        if (listen_on(f, *p->local_ip ? p->local_ip : "127.0.0.1", p, err) != CM_OK)
            return err->code;
        if (!*p->local_ip)
            cm_ignore(listen_on(f, "::1", p, NULL) != CM_OK, "a machine may have no IPv6");
    }
    return CM_OK;
}

static void on_signal(void *ctx, int signo)
{
    struct forwarding *f = ctx;
    (void)signo;
    fprintf(stderr, "\nReceived signal, closing all listeners and active connections\n");
    cm_loop_stop(f->loop);
}

static void on_check(void *ctx)
{
    struct forwarding *f = ctx;
    if (remote_link_state(f->link) != CM_SESSION_ENDED)
        return;
    f->err = *remote_link_err(f->link);
    cm_loop_stop(f->loop);
}

static enum cm_code forward(struct cli *cli, struct remote_link *link,
                            const struct port_list *ports, struct cm_err *err)
{
    struct forwarding f = {.cli = cli, .link = link, .loop = cm_sdk_loop(cli->sdk)};
    struct cm_sigwatch sigs[2];
    static const int signals[2] = {SIGINT, SIGTERM};

    remote_link_set_chatty(link, true);
    enum cm_code code = listen_all(&f, ports, err);
    if (code == CM_OK) {
        for (size_t i = 0; i < 2; i++)
            cm_sigwatch_start(&sigs[i], f.loop, signals[i], on_signal, &f);
        cm_timer_init(&f.check, f.loop, on_check, &f);
        cm_timer_every(&f.check, 500 * CM_MSEC);
        fprintf(stderr, "Ready!\n");
        cm_loop_run(f.loop);
        cm_timer_done(&f.check);
        for (size_t i = 0; i < 2; i++)
            cm_sigwatch_stop(&sigs[i]);
    }
    for (struct listener *l = f.first; l; l = l->next) {
        cm_watch_stop(&l->watch);
        close(l->fd);
    }
    if (f.err.code != CM_OK) {
        *err = f.err;
        return err->code;
    }
    return code;
}

static enum cm_code run(struct cli *cli, struct cm_err *err)
{
    const struct forward_opts *o = cli->opts;
    struct remote_wish wish = {
        .autostart = !o->disable_autostart, .wait = "no", .reason = "ssh_connection"};
    struct port_list *ports = CM_NEW(cli->arena, struct port_list);
    struct port_list *udp = CM_NEW(cli->arena, struct port_list);
    struct api_workspace *ws = NULL;
    struct api_workspace_agent *agent = NULL;
    struct remote_link *link = NULL;

    for (size_t i = 0; i < o->tcp.n; i++)
        if (ports_parse(cli->arena, o->tcp.v[i], ports, err) != CM_OK)
            return cm_err_wrap(err, "parse port-forward specs");
    for (size_t i = 0; i < o->udp.n; i++)
        if (ports_parse(cli->arena, o->udp.v[i], udp, err) != CM_OK)
            return cm_err_wrap(err, "parse port-forward specs");
    if (!ports->n && !udp->n)
        return cm_err_set(err, CM_INVALID, "no port-forwards requested");
    if (udp->n)
        return cm_err_set(err, CM_UNIMPLEMENTED, "UDP ports cannot be forwarded yet");
    if (remote_find(cli, cli_arg(cli, 0), &wish, &ws, &agent, err) != CM_OK ||
        remote_link_new(cli, agent->id, cm_kind_bit(CM_KIND_TCP), &link, err) != CM_OK)
        return err->code;
    enum cm_code code = forward(cli, link, ports, err);
    remote_link_free(link);
    cm_loop_turn(cm_sdk_loop(cli->sdk), 0);
    return code;
}

const struct command command_port_forward = {
    .name = "port-forward",
    .aliases = "tunnel",
    .args = "<workspace>",
    .brief = "Forward ports from a workspace to the local machine. Multiple comma-separated ports "
             "and ranges can be given, "
             "like --tcp 8080,9000:3000,9090-9095.",
    .opts = opts,
    .n_opts = CM_COUNT_OF(opts),
    .opts_size = sizeof(struct forward_opts),
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
