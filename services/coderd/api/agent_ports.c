/* Which ports of a workspace something listens on: asked of the agent, over its tunnel. And what
 * this system does not offer for agents. Source: api-behaviour reference, 4.12.
 *
 * The handler authorises and loads on a worker; the question goes out on the loop of the agent's
 * tunnel; the answer is given on the request's own loop. */
#include "api/agents.h"
#include "api/build_show.h"
#include "api/front.h"
#include "agent_tunnel.pb-c.h"
#include "app.h"
#include "relay/tunnels.h"
#include "store/agents.h"

#define PORT_MIN   9
#define ASK_MAX    (10 * CM_SECOND)
#define ANSWER_MAX ((size_t)256 * 1024)
#define APPS_MAX   64

/* Ports of well-known services, which nobody means to open in a browser. */
static const uint16_t hidden[] = {20,  21,   22,   23,   25,    53,    110,   143,
                                  179, 389,  465,  587,  636,   989,   990,   993,
                                  995, 3306, 3389, 5432, 27017, 27018, 27019, 28017};

struct question {
    struct api_req *r;
    struct cm_loop *home;
    struct cm_uuid agent_id;
    uint16_t apps[APPS_MAX]; /* ports that have an application of their own */
    size_t n_apps;
    struct cm_buf answer;
    struct cm_err err; /* code is CM_OK when answer holds one */
};

static bool is_hidden(const struct question *q, uint32_t port)
{
    if (port < PORT_MIN || port > UINT16_MAX)
        return true;
    for (size_t i = 0; i < CM_COUNT_OF(hidden); i++) {
        if (hidden[i] == port)
            return true;
    }
    for (size_t i = 0; i < q->n_apps; i++) {
        if (q->apps[i] == port)
            return true;
    }
    return false;
}

static void show(struct question *q)
{
    struct api_req *r = q->r;
    Coder__Agent__V1__ListeningPorts *m = coder__agent__v1__listening_ports__unpack(
        NULL, q->answer.len, (const uint8_t *)(q->answer.ptr ? q->answer.ptr : ""));
    if (!m) {
        api_reply_message(r, 502, "The agent's answer cannot be read.", NULL);
        return;
    }
    struct api_workspace_agent_listening_ports_response out = {
        .ports = CM_NEW_ARRAY(r->arena, struct api_workspace_agent_listening_port, m->n_ports)};
    for (size_t i = 0; i < m->n_ports; i++) {
        if (!is_hidden(q, m->ports[i]->port))
            out.ports[out.n_ports++] = (struct api_workspace_agent_listening_port){
                .process_name = cm_arena_str(
                    r->arena, cm_str(m->ports[i]->process_name ? m->ports[i]->process_name : "")),
                .network = CM_STR("tcp"),
                .port = m->ports[i]->port};
    }
    coder__agent__v1__listening_ports__free_unpacked(m, NULL);
    api_reply(r, 200, &api_workspace_agent_listening_ports_response_msg, &out);
}

static void answer(void *arg)
{
    struct question *q = arg;
    if (q->err.code == CM_OK)
        show(q);
    else
        api_reply_message(q->r, 502, "The agent did not answer.", q->err.text);
    struct api_req *r = q->r;
    cm_buf_done(&q->answer);
    cm_free(q);
    api_front_answer(r);
}

static void on_answer(void *ctx, int status, struct cm_str body, const struct cm_err *err)
{
    struct question *q = ctx;
    if (err)
        q->err = *err;
    else if (status != 200)
        cm_err_set(&q->err, CM_IO, "it answered with status %d", status);
    else
        cm_buf_str(&q->answer, body);
    cm_loop_post(q->home, answer, q);
}

static void ask(struct cm_tunnel *tunnel, struct cm_loop *loop, void *arg)
{
    (void)loop;
    struct question *q = arg;
    if (!tunnel) {
        cm_err_set(&q->err, CM_UNAVAILABLE, "its tunnel has ended");
        cm_loop_post(q->home, answer, q);
        return;
    }
    cm_tunnel_request(tunnel, &(struct cm_tunnel_request){.method = CM_STR("GET"),
                                                          .path = CM_STR("/listening-ports"),
                                                          .reply_max = ANSWER_MAX,
                                                          .timeout = ASK_MAX,
                                                          .done = on_answer,
                                                          .ctx = q});
}

static void start(struct api_req *r)
{
    struct question *q = r->state;
    q->home = r->http->loop;
    if (tunnels_use(r->app->tunnels, q->agent_id, ask, q))
        return;
    cm_err_set(&q->err, CM_UNAVAILABLE, "it is not connected to this server");
    answer(q);
}

/* Of http://localhost:8080/x and the like: 8080. */
static bool app_port(struct cm_str url, uint16_t *ret)
{
    struct cm_str scheme, host, host_port, path_rest;
    struct cm_str rest = cm_str_split(url, ':', &scheme);
    int64_t port;
    if (!cm_str_starts(rest, CM_STR("//")))
        return false;
    path_rest = cm_str_split(cm_str_sub(rest, 2, rest.len), '/', &host_port);
    (void)path_rest;
    struct cm_str port_text = cm_str_split(host_port, ':', &host);
    if (!cm_str_to_i64(port_text, &port) || port < 1 || port > UINT16_MAX)
        return false;
    *ret = (uint16_t)port;
    return true;
}

struct view {
    struct cm_uuid id;
    struct store_agent *ag;
};

static enum cm_code param(struct api_req *r, struct view *ret, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    if (api_param_uuid(r, 0, &ret->id, err) != CM_OK)
        return err->code;
    enum cm_code code = store_workspace_by_agent(r->db, r->arena, ret->id, &w, err);
    if (code == CM_OK)
        code = store_agent_by_id(r->db, r->arena, ret->id, &ret->ag, err);
    if (code != CM_OK)
        return code == CM_NOT_FOUND ? api_not_found(err) : code;
    struct rbac_object o = workspace_object(r, w);
    return api_authorize(r, &o, err);
}

/* False: the reply says so. */
static bool is_connected(struct api_req *r, const struct store_agent *ag)
{
    if (ag->status == API_WORKSPACE_AGENT_STATUS_CONNECTED)
        return true;
    api_reply_message(
        r, 400,
        cm_arena_printf(r->arena, "Agent state is \"%s\", it must be in the \"connected\" state.",
                        api_workspace_agent_status_enum.texts[ag->status]),
        NULL);
    return false;
}

static enum cm_code listening_ports(struct api_req *r, struct cm_err *err)
{
    struct view v;
    struct store_app *apps = NULL;
    size_t n = 0;
    if (param(r, &v, err) != CM_OK ||
        store_apps_by_agent(r->db, r->arena, v.id, &apps, &n, err) != CM_OK)
        return err->code;
    if (!is_connected(r, v.ag))
        return CM_OK;
    struct question *q = cm_xcalloc(1, sizeof(*q));
    q->r = r;
    q->agent_id = v.id;
    q->answer = CM_BUF_INIT(ANSWER_MAX);
    for (size_t i = 0; i < n && q->n_apps < APPS_MAX; i++)
        q->n_apps += app_port(apps[i].url, &q->apps[q->n_apps]);
    r->state = q;
    r->start = start;
    return CM_OK;
}

/* ---- what there is none of ---- */

static enum cm_code containers(struct api_req *r, struct cm_err *err)
{
    struct view v;
    struct api_workspace_agent_list_containers_response out = {0};
    if (param(r, &v, err) != CM_OK)
        return err->code;
    if (!is_connected(r, v.ag))
        return CM_OK;
    return api_reply(r, 200, &api_workspace_agent_list_containers_response_msg, &out);
}

static enum cm_code no_containers(struct api_req *r, struct cm_err *err)
{
    struct view v;
    if (param(r, &v, err) != CM_OK)
        return err->code;
    return api_reply_message(r, 501, "Dev containers are not offered by this deployment.", NULL);
}

static enum cm_code coordinate(struct api_req *r, struct cm_err *err)
{
    struct view v;
    if (r->route->rule.kind == RULE_OBJECT && param(r, &v, err) != CM_OK)
        return err->code == CM_DENIED ? api_not_found(err) : err->code;
    /* Clients of tailnet give up on a conflict, and show what it says; on a 501 they would ask for
     * ever. */
    return api_reply_message(
        r, 409, "This deployment does not coordinate tailnet connections.",
        "Use the coder command of this deployment (see /install.sh), which has a tunnel of its "
        "own for ssh and port forwarding.");
}

#define A "/api/v2/workspaceagents/{workspaceagent}"
static const struct route rows[] = {
    {CM_HTTP_GET, A "/listening-ports", AUTH_SESSION, RBAC(workspace, read), ROUTE_STREAM,
     listening_ports, NULL, "Ports that are listened on", LIMIT_API, 0, false},
    {CM_HTTP_GET, A "/containers", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL, containers,
     NULL, "Containers in a workspace", LIMIT_API, 0, false},
    {CM_HTTP_GET, A "/containers/watch", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL,
     no_containers, NULL, "Not offered: follow containers", LIMIT_API, 0, false},
    {CM_HTTP_POST, A "/containers/devcontainers/{devcontainer}/recreate", AUTH_SESSION,
     RBAC(workspace, update), ROUTE_CALL, no_containers, NULL, "Not offered: dev containers",
     LIMIT_API, 0, false},
    {CM_HTTP_DELETE, A "/containers/devcontainers/{devcontainer}", AUTH_SESSION,
     RBAC(workspace, update), ROUTE_CALL, no_containers, NULL, "Not offered: dev containers",
     LIMIT_API, 0, false},
    {CM_HTTP_GET, A "/coordinate", AUTH_SESSION, RBAC(workspace, ssh), ROUTE_CALL, coordinate, NULL,
     "Not offered: tailnet", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/tailnet", AUTH_SESSION, RBAC_SELF, ROUTE_CALL, coordinate, NULL,
     "Not offered: tailnet", LIMIT_API, 0, false},
};

const struct route_table agent_ports_routes = {rows, CM_COUNT_OF(rows)};
