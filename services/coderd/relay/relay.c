#include "relay/relay.h"

#include <stdio.h>

#include "api/followers.h"
#include "app.h"
#include "obs/log.h"
#include "net/session/ticket.h"
#include "net/sock.h"
#include "relay/tunnels.h"

static const struct cm_http_header no_store[] = {{{"Cache-Control", 13}, {"no-store", 8}}};

void relay_tunnel_start(struct api_req *r)
{
    struct coderd *app = r->app;
    struct cm_uuid agent_id = r->agent->agent_id;
    struct cm_stream *s = cm_http_upgrade(r->http, "coder-tunnel", no_store, CM_COUNT_OF(no_store));
    if (s)
        tunnels_add(app->tunnels, agent_id, s);
    cm_http_req_done(r->http);
}

/* A client's stream on its way to the loop of the agent's tunnel, and then through it. */
struct crossing {
    struct coderd *app;
    struct followers_member member; /* since there is a splice */
    struct cm_splice *splice;
    struct relay_path path;
    char ticket[CM_TICKET_TEXT_MAX + 1];
    struct cm_stream *client;
};

static void crossing_free(struct crossing *x)
{
    cm_stream_close(x->client);
    cm_free(x);
}

static void on_spliced(void *ctx, uint64_t from_client, uint64_t from_agent)
{
    (void)from_client, (void)from_agent;
    struct crossing *x = ctx;
    followers_leave(x->app->followers, &x->member);
    crossing_free(x);
}

/* The client takes another path, and finds that its key opens none. */
static void on_end(struct followers_member *m, enum followers_end why)
{
    (void)why; /* it is there to the last */
    struct crossing *x = cm_container_of(m, struct crossing, member);
    CM_INFO("a session was ended: its user's key is gone", CM_F_UUID(agent_id, x->path.agent_id),
            CM_F_CSTR(key_id, m->key_id));
    cm_splice_abort(x->splice);
    on_spliced(x, 0, 0);
}

static void on_stop(struct followers_member *m)
{
    struct crossing *x = cm_container_of(m, struct crossing, member);
    cm_splice_abort(x->splice);
    crossing_free(x);
}

static void join(struct cm_tunnel *tunnel, struct cm_loop *loop, void *arg)
{
    struct crossing *x = arg;
    if (!tunnel || loop != x->client->loop) {
        /* The tunnel went, or another took its place on another loop: the client tries again at its
         * offset. */
        crossing_free(x);
        return;
    }
    char path[128];
    int n = snprintf(path, sizeof(path), "/%s?offset=%llu", cm_uuid_text(x->path.carrier).s,
                     (unsigned long long)x->path.offset);
    struct cm_tunnel_header h[] = {{CM_STR("coder-stream-ticket"), cm_str(x->ticket)}};
    struct cm_stream *agent =
        cm_tunnel_open(tunnel, CM_STR("session"), cm_str_n(path, (size_t)n), h, CM_COUNT_OF(h));
    x->member.let_go = on_stop;
    x->member.end = on_end;
    x->member.to_the_last = true; /* a session resumes elsewhere, or after the restart */
    x->member.loop = loop;
    bool joined = followers_join(x->app->followers, &x->member);
    x->splice = cm_splice_new(CM_TAKE(x->client), agent, joined ? on_spliced : NULL, x);
    if (!joined)
        crossing_free(x);
}

static void on_moved(struct cm_stream *s, void *ctx)
{
    struct crossing *x = ctx;
    x->client = s;
    if (!tunnels_use(x->app->tunnels, x->path.agent_id, join, x))
        crossing_free(x);
}

void relay_session_start(struct api_req *r)
{
    const struct relay_path *p = r->state;
    struct cm_loop *loop = tunnels_loop(r->app->tunnels, p->agent_id);
    if (!loop) {
        api_reply_message(
            r, 503, "The workspace agent is not connected to this server.",
            "Wait for the workspace to start, or look at its logs with \"coder logs\".");
        cm_http_respond(r->http, &(struct cm_http_resp){.status = r->reply.status,
                                                        .content_type = r->reply.content_type,
                                                        .body = r->reply.body});
        return;
    }
    struct crossing *x = cm_xcalloc(1, sizeof(*x));
    x->app = r->app;
    x->path = *p;
    followers_of_key(&x->member, r->who);
    cm_assert(p->ticket.len <= CM_TICKET_TEXT_MAX);
    memcpy(x->ticket, p->ticket.ptr, p->ticket.len);
    struct cm_stream *s =
        cm_http_upgrade(r->http, "coder-session", no_store, CM_COUNT_OF(no_store));
    cm_http_req_done(r->http);
    if (!s) {
        cm_free(x);
        return;
    }
    if (s->loop == loop)
        on_moved(s, x);
    else
        cm_sock_stream_move(s, loop, on_moved, x);
}
