#include "link/services.h"

#include "base/list.h"
#include "link/measure.h"
#include "net/dial/dial.h"
#include "ports/ports.h"

#define DIAL_TIMEOUT (30 * CM_SECOND)
#define JOBS_MAX     1024

/* A connection into the workspace: first being dialled, then joined to the stream. */
struct job {
    struct cm_link link;
    struct services *s;
    struct cm_tunnel_call *call;
    struct cm_dial *dial;
    struct cm_splice *splice;
};

struct services {
    struct services_config cfg;
    struct cm_dialer *dialer;
    struct cm_link jobs;
    size_t job_count;
    struct measures *measures;
};

static void job_free(struct job *j)
{
    cm_list_unlink(&j->link);
    j->s->job_count--;
    cm_dial_cancel(j->dial);
    cm_splice_abort(j->splice);
    cm_free(j);
}

static void on_spliced(void *ctx, uint64_t in, uint64_t out)
{
    struct job *j = ctx;
    struct agent_counters *c = j->s->cfg.counters;
    c->rx_bytes += (int64_t)in;
    c->tx_bytes += (int64_t)out;
    c->connections--;
    j->splice = NULL;
    job_free(j);
}

static void on_dialed(void *ctx, struct cm_stream *stream, const struct cm_err *err)
{
    struct job *j = ctx;
    j->dial = NULL;
    if (!stream) {
        cm_tunnel_call_refuse(j->call, err);
        job_free(j);
        return;
    }
    j->s->cfg.counters->connections++;
    j->splice = cm_splice_new(cm_tunnel_call_accept(j->call), stream, on_spliced, j);
}

static void refuse(struct cm_tunnel_call *call, enum cm_code code, const char *text)
{
    struct cm_err err;
    cm_err_set(&err, code, "%s", text);
    cm_tunnel_call_refuse(call, &err);
}

static void dial(struct services *s, struct cm_tunnel_call *call,
                 const struct cm_dial_target *target)
{
    if (s->job_count >= JOBS_MAX) {
        refuse(call, CM_UNAVAILABLE, "the agent forwards too many connections already");
        return;
    }
    struct job *j = cm_xcalloc(1, sizeof(*j));
    j->s = s;
    j->call = call;
    cm_list_push(&s->jobs, &j->link);
    s->job_count++;
    j->dial = cm_dial_start(s->dialer, s->cfg.ctx->loop, target, DIAL_TIMEOUT, on_dialed, j);
}

/* "host:port", "[::1]:port", or ":port" for the workspace itself. */
static void open_tcp(struct services *s, struct cm_tunnel_call *call, struct cm_str arg)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    ptrdiff_t colon = cm_str_find_last(arg, ':');
    uint16_t port;
    if (colon < 0 || !cm_str_to_u16(cm_str_sub(arg, (size_t)colon + 1, arg.len), &port) ||
        port < PORT_MIN) {
        refuse(call, CM_INVALID, "the target must be host:port, with a port from 9");
        return;
    }
    struct cm_str host = cm_str_sub(arg, 0, (size_t)colon);
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = cm_str_sub(host, 1, host.len - 2);
    struct cm_dial_target target = {.host = host.len ? cm_arena_cstr(a, host) : "127.0.0.1",
                                    .port = port};
    dial(s, call, &target);
}

static void open_unix(struct services *s, struct cm_tunnel_call *call, struct cm_str arg)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    if (!arg.len || arg.ptr[0] != '/') {
        refuse(call, CM_INVALID, "the path of the socket must be absolute");
        return;
    }
    struct cm_dial_target target = {.host = "localhost", .unix_path = cm_arena_cstr(a, arg)};
    dial(s, call, &target);
}

static void open_ssh(struct services *s, struct cm_tunnel_call *call)
{
    struct cm_err err;
    if (ssh_server_check(s->cfg.ssh, &err) != CM_OK) {
        cm_tunnel_call_refuse(call, &err);
        return;
    }
    cm_ignore(ssh_server_accept(s->cfg.ssh, cm_tunnel_call_accept(call), &err) != CM_OK,
              "the stream is closed then, which is all that can be said by now");
}

static void open_pty(struct services *s, struct cm_tunnel_call *call, struct cm_str arg)
{
    struct cm_err err;
    struct pty_request rq;
    if (pty_request_parse(arg, &rq, &err) != CM_OK ||
        ptys_prepare(s->cfg.ptys, &rq, &err) != CM_OK) {
        cm_tunnel_call_refuse(call, &err);
        return;
    }
    struct cm_uuid id = rq.id;
    unsigned height = rq.height, width = rq.width;
    struct pty_request attach = {
        .id = id, .height = height, .width = width}; /* the text goes with the answer */
    ptys_attach(s->cfg.ptys, &attach, cm_tunnel_call_accept(call));
}

void services_accept(struct services *s, struct cm_tunnel_call *call, enum cm_kind kind,
                     struct cm_str arg)
{
    switch (kind) {
    case CM_KIND_SSH:
        open_ssh(s, call);
        return;
    case CM_KIND_TCP:
        open_tcp(s, call, arg);
        return;
    case CM_KIND_UNIX:
        open_unix(s, call, arg);
        return;
    case CM_KIND_PTY:
        open_pty(s, call, arg);
        return;
    case CM_KIND_ECHO:
        measure_echo(s->measures, cm_tunnel_call_accept(call));
        return;
    case CM_KIND_SPEEDTEST:
        measure_speed(s->measures, cm_tunnel_call_accept(call),
                      cm_str_contains(arg, CM_STR("direction=down")));
        return;
    case CM_KIND_UDP:
    case CM_KIND_STDIO:
    case CM_KIND_UNSET:
        refuse(call, CM_UNIMPLEMENTED, "this agent does not serve streams of that kind");
        return;
    }
}

struct services *services_new(const struct services_config *cfg, struct cm_err *err)
{
    struct cm_dialer_config direct = {0}; /* what is in the workspace is near: no proxy */
    struct services *s = cm_xcalloc(1, sizeof(*s));
    s->cfg = *cfg;
    cm_list_init(&s->jobs);
    if (cm_dialer_new(&direct, &s->dialer, err) != CM_OK) {
        cm_free(s);
        return NULL;
    }
    s->measures = measures_new(cfg->ctx->loop);
    return s;
}

void services_free(struct services *s)
{
    if (!s)
        return;
    CM_LIST_EACH(l, &s->jobs)
    job_free(cm_container_of(l, struct job, link));
    measures_free(s->measures);
    cm_dialer_free(s->dialer);
    cm_free(s);
}
