/* Following a workspace: whole, as events; or only what a connecting client waits for. Source:
 * api-behaviour reference, 5.4 and 5.6. */
#include "api/job_show.h"
#include "api/socket.h"
#include "api/workspace_load.h"
#include "api/workspaces.h"
#include "app.h"
#include "store/agents.h"

#define SHOWN_MAX ((size_t)8 * 1024 * 1024)
/* Agents come and go without news of the database when a replica dies: statuses age by themselves.
 */
#define LOOK_EVERY (15 * CM_SECOND)
#define LOOK_GAP   (CM_SECOND / 5)

/* The request that the follower once was, as far as showing needs it. */
static struct api_req as_request(struct cm_db *db, struct cm_arena *a,
                                 const struct socket_follow *f)
{
    return (struct api_req){.app = f->app, .db = db, .arena = a, .who = f->who};
}

static enum cm_code read_workspace(struct cm_db *db, struct cm_arena *a, struct socket_follow *f,
                                   struct cm_buf *frames, bool *ret_end, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    struct api_workspace *out = NULL;
    struct api_req r = as_request(db, a, f);
    if (store_workspace_by_id(db, a, f->id, &w, err) != CM_OK)
        return err->code;
    struct rbac_object o = workspace_object(&r, w);
    *ret_end = !api_may(&r, RBAC_do_read, &o); /* it is shared no longer */
    if (*ret_end)
        return CM_OK;
    if (workspaces_show(&r, w, 1, &out, err) != CM_OK)
        return err->code;
    CM_AUTOBUF struct cm_buf json = CM_BUF_INIT(SHOWN_MAX);
    cm_json_encode(&json, &api_workspace_msg, out);
    if (cm_buf_check(&json, "the workspace", err) != CM_OK)
        return err->code;
    uint64_t digest = socket_digest(0, cm_buf_view(&json));
    if (!f->first && digest == f->seen)
        return CM_OK;
    f->seen = digest;
    size_t at = socket_data_begin(frames, f);
    cm_buf_str(frames, cm_buf_view(&json));
    socket_data_end(frames, f, at);
    return CM_OK;
}

static enum cm_code watch(struct api_req *r, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    if (workspace_param_live(r, 0, &w, err) != CM_OK)
        return err->code;
    bool events = cm_str_ends(cm_str(r->route->path), CM_STR("/watch"));
    return socket_follow_start(
        r,
        &(struct socket_follow_config){.topic_fmt = TOPIC_WS_FMT,
                                       .id = w->id,
                                       .read = read_workspace,
                                       .end_reason = "",
                                       .every = LOOK_EVERY,
                                       .gap = LOOK_GAP,
                                       .form = events ? SOCKET_EVENTS : SOCKET_EVENTS_WS,
                                       .with_subject = true},
        err);
}

/* ---- for a client that connects ---- */

enum watch_error { TOO_MANY_AGENTS = 1, NAME_NOT_FOUND = 2, NO_AGENTS = 3 };

static void send_event(struct cm_buf *frames, const struct api_connection_watch_event *e)
{
    size_t at = socket_frame_begin(frames);
    cm_json_encode(frames, &api_connection_watch_event_msg, e);
    socket_frame_end(frames, at);
}

static bool send_error(struct cm_buf *frames, enum watch_error code, const char *message)
{
    struct api_watch_error e = {.code = code, .message = cm_str(message)};
    send_event(frames, &(struct api_connection_watch_event){.error = &e});
    return true;
}

/* The agent of that name, or the only one; NULL after an error frame. */
static const struct store_agent *choose(struct cm_buf *frames, const char *name,
                                        const struct store_agent *agents, size_t n)
{
    const struct store_agent *found = NULL;
    size_t n_found = 0;
    for (size_t i = 0; i < n; i++) {
        bool top = cm_uuid_is_nil(agents[i].parent_id);
        if (name ? cm_str_eq_c(agents[i].name, name) : top) {
            found = &agents[i];
            n_found++;
        }
    }
    if (n_found == 1)
        return found;
    if (n == 0)
        send_error(frames, NO_AGENTS, "The workspace has no agents.");
    else if (name)
        send_error(frames, NAME_NOT_FOUND, "The workspace has no agent of this name.");
    else
        send_error(frames, TOO_MANY_AGENTS,
                   "The workspace has several agents: name one with agent_name.");
    return NULL;
}

static enum cm_code read_connection(struct cm_db *db, struct cm_arena *a, struct socket_follow *f,
                                    struct cm_buf *frames, bool *ret_end, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    struct store_build *b = NULL;
    struct store_agent *agents = NULL;
    size_t n = 0;
    if (store_workspace_by_id(db, a, f->id, &w, err) != CM_OK ||
        store_build_by_id(db, a, w->latest_build_id, &b, err) != CM_OK)
        return err->code;
    /* after: build and its status, seen: agent and its lifecycle, as they were sent last. */
    struct cm_str build_key = cm_arena_fmt(a, "%s %d", cm_uuid_text(b->id).s, (int)b->job_status);
    int64_t build_digest = (int64_t)socket_digest(0, build_key);
    if (build_digest != f->after) {
        struct api_build_update u = {.transition = b->transition, .job_status = b->job_status};
        send_event(frames, &(struct api_connection_watch_event){.build_update = &u});
        f->after = build_digest;
    }
    if (b->transition != API_WORKSPACE_TRANSITION_START ||
        b->job_status != API_PROVISIONER_JOB_STATUS_SUCCEEDED)
        return CM_OK;
    if (store_agents_by_jobs(db, a, &b->job_id, 1, &agents, &n, err) != CM_OK)
        return err->code;
    const struct store_agent *ag = choose(frames, f->text, agents, n);
    *ret_end = !ag;
    if (!ag)
        return CM_OK;
    struct cm_str agent_key =
        cm_arena_fmt(a, "%s %d", cm_uuid_text(ag->id).s, (int)ag->lifecycle_state);
    uint64_t digest = socket_digest(0, agent_key);
    if (digest != f->seen) {
        struct api_agent_update u = {.lifecycle = ag->lifecycle_state, .id = ag->id};
        send_event(frames, &(struct api_connection_watch_event){.agent_update = &u});
        f->seen = digest;
    }
    return CM_OK;
}

static enum cm_code connection_watch(struct api_req *r, struct cm_err *err)
{
    struct store_workspace *w = NULL;
    if (workspace_param_live(r, 0, &w, err) != CM_OK)
        return err->code;
    struct cm_str name = api_query(r, "agent_name");
    return socket_follow_start(
        r,
        &(struct socket_follow_config){.topic_fmt = TOPIC_WS_FMT,
                                       .id = w->id,
                                       .read = read_connection,
                                       .end_reason = "error",
                                       .every = LOOK_EVERY,
                                       .gap = LOOK_GAP,
                                       .text = name.len ? cm_arena_cstr(r->arena, name) : NULL},
        err);
}

#define W "/api/v2/workspaces/{workspace}"
static const struct route rows[] = {
    {CM_HTTP_GET, W "/watch", AUTH_SESSION, RBAC(workspace, read), ROUTE_STREAM, watch, NULL,
     "Follow a workspace by events", LIMIT_API, 0, false},
    {CM_HTTP_GET, W "/watch-ws", AUTH_SESSION, RBAC(workspace, read), ROUTE_STREAM, watch, NULL,
     "Follow a workspace by WebSocket", LIMIT_API, 0, false},
    {CM_HTTP_GET, W "/agent-connection-watch", AUTH_SESSION, RBAC(workspace, read), ROUTE_STREAM,
     connection_watch, NULL, "Follow what a connecting client waits for", LIMIT_API, 0, false},
};

const struct route_table workspace_watch_routes = {rows, CM_COUNT_OF(rows)};
