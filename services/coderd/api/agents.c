/* Workspace agents: how they are shown, how clients reach them, how they reach us. Source:
 * api-behaviour reference, 4.12, and docs/architecture.md for tunnels and sessions, which are our
 * own. */
#include "api/agents.h"

#include <openssl/evp.h>

#include "api/build_show.h"
#include "api/job_show.h"
#include "api/sessions.h"
#include "api/socket.h"
#include "app.h"
#include "keyring.h"
#include "base/enc.h"
#include "domain/init_script.h"
#include "net/rpc/front.h"
#include "options.h"
#include "relay/relay.h"
#include "relay/tunnels.h"
#include "store/agents.h"

#define TICKET_LIFE (5 * CM_MINUTE)

struct view {
    struct cm_uuid id;
    struct store_workspace *w;
};

static enum cm_code param(struct api_req *r, struct view *ret, struct cm_err *err)
{
    if (api_param_uuid(r, 0, &ret->id, err) != CM_OK)
        return err->code;
    enum cm_code code = store_workspace_by_agent(r->db, r->arena, ret->id, &ret->w, err);
    if (code != CM_OK)
        return code == CM_NOT_FOUND ? api_not_found(err) : code;
    struct rbac_object o = workspace_object(r, ret->w);
    return api_authorize(r, &o, err);
}

static enum cm_code agent_get(struct api_req *r, struct cm_err *err)
{
    struct view v;
    struct api_workspace_agent *out = NULL;
    if (param(r, &v, err) != CM_OK || agent_show(r, v.id, &out, err) != CM_OK)
        return err->code;
    return api_reply(r, 200, &api_workspace_agent_msg, out);
}

/* ---- logs ---- */

static enum cm_code read_logs(struct cm_db *db, struct cm_arena *a, struct socket_follow *f,
                              struct cm_buf *frames, bool *ret_end, struct cm_err *err)
{
    struct api_workspace_agent_log *rows = NULL;
    size_t n = 0;
    bool current = false;
    if (store_agent_logs(db, a, f->id, f->after, 0, 1000, &rows, &n, err) != CM_OK ||
        store_agent_current(db, a, f->id, &current, err) != CM_OK)
        return err->code;
    if (n || f->first) { /* the first array is sent at once, even when it is empty */
        size_t at = socket_frame_begin(frames);
        cm_json_encode_list(frames, &api_workspace_agent_log_msg, rows, n);
        socket_frame_end(frames, at);
    }
    if (n)
        f->after = rows[n - 1].id;
    f->again = n == 1000;
    *ret_end = !current && !f->again;
    return CM_OK;
}

/* "<time> [<level>] [agent.<name>|<source>] <output>", a line each; times without fractions. */
static enum cm_code logs_as_text(struct api_req *r, struct cm_uuid agent_id,
                                 const struct api_workspace_agent_log *rows, size_t n,
                                 struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT((size_t)16 * 1024 * 1024);
    struct store_log_label *labels = NULL;
    size_t n_labels = 0;
    char when[CM_TIME_TEXT];
    if (store_agent_log_labels(r->db, r->arena, agent_id, &labels, &n_labels, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        cm_buf_printf(&b, "%s [%s] [agent", cm_time_format(log_time(rows[i].created_at), when),
                      api_log_level_enum.texts[rows[i].level]);
        if (n_labels)
            cm_buf_printf(&b, ".%.*s", CM_STR_ARG(labels[0].agent_name));
        for (size_t k = 0; k < n_labels; k++) {
            if (cm_uuid_eq(labels[k].source_id, rows[i].source_id) && labels[k].source_name.len)
                cm_buf_printf(&b, "|%.*s", CM_STR_ARG(labels[k].source_name));
        }
        cm_buf_printf(&b, "] %.*s\n", CM_STR_ARG(rows[i].output));
    }
    return api_reply_raw(r, 200, "text/plain; charset=utf-8",
                         cm_arena_str(r->arena, cm_buf_view(&b)));
}

static enum cm_code agent_logs(struct api_req *r, struct cm_err *err)
{
    struct view v;
    int64_t after = 0, before = 0;
    struct api_workspace_agent_log *rows = NULL;
    size_t n = 0;
    if (param(r, &v, err) != CM_OK)
        return err->code;
    api_query_i64(r, "after", INT64_MIN, INT64_MAX, &after);
    api_query_i64(r, "before", INT64_MIN, INT64_MAX, &before);
    bool text = cm_str_eq_c(api_query(r, "format"), "text");
    if (text && api_query_has(r, "follow"))
        cm_violations_add(&r->violations, r->arena, CM_STR("format"), "text cannot be followed");
    if (api_query_check(r, err) != CM_OK)
        return err->code;
    if (api_query_has(r, "follow"))
        return socket_follow_start(
            r,
            &(struct socket_follow_config){.topic_fmt = TOPIC_AGENT_LOGS,
                                           .id = v.id,
                                           .after = CM_MAX(after, (int64_t)0),
                                           .read = read_logs,
                                           .end_reason = ""},
            err);
    if (store_agent_logs(r->db, r->arena, v.id, CM_MAX(after, (int64_t)0),
                         CM_MAX(before, (int64_t)0), 0, &rows, &n, err) != CM_OK)
        return err->code;
    if (!text)
        return api_reply_list(r, 200, &api_workspace_agent_log_msg, rows, n);
    return logs_as_text(r, v.id, rows, n, err);
}

/* ---- metadata ---- */

/* Sent when a value or an error has changed, and at least every so often, as ages go on. */
#define METADATA_CHECK  CM_SECOND
#define METADATA_REPEAT (5 * CM_SECOND)

static bool metadata_is_news(struct socket_follow *f, const struct store_agent_metadata_row *rows,
                             size_t n)
{
    uint64_t digest = 0;
    for (size_t i = 0; i < n; i++) {
        digest = socket_digest(digest, rows[i].key);
        digest = socket_digest(digest, rows[i].value);
        digest = socket_digest(digest, rows[i].error);
    }
    cm_usec now = cm_monotonic_now();
    if (!f->first && f->seen == digest && now - f->sent_at < METADATA_REPEAT)
        return false;
    f->seen = digest;
    f->sent_at = now;
    return true;
}

static enum cm_code read_metadata(struct cm_db *db, struct cm_arena *a, struct socket_follow *f,
                                  struct cm_buf *frames, bool *ret_end, struct cm_err *err)
{
    struct store_agent_metadata_row *rows = NULL;
    size_t n = 0;
    *ret_end = false;
    if (store_agent_metadata(db, a, f->id, &rows, &n, err) != CM_OK)
        return err->code;
    if (!metadata_is_news(f, rows, n))
        return CM_OK;
    struct api_workspace_agent_metadata *out =
        CM_NEW_ARRAY(a, struct api_workspace_agent_metadata, n);
    for (size_t i = 0; i < n; i++) {
        struct api_workspace_agent_metadata_result *res =
            CM_NEW(a, struct api_workspace_agent_metadata_result);
        struct api_workspace_agent_metadata_description *d =
            CM_NEW(a, struct api_workspace_agent_metadata_description);
        int64_t age = cm_time_is_zero(rows[i].collected_at)
                          ? 0
                          : (cm_time_now().us - rows[i].collected_at.us) / CM_SECOND;
        *res = (struct api_workspace_agent_metadata_result){rows[i].collected_at, age,
                                                            rows[i].value, rows[i].error};
        *d = (struct api_workspace_agent_metadata_description){.display_name = rows[i].display_name,
                                                               .key = rows[i].key,
                                                               .script = rows[i].script,
                                                               .interval = rows[i].interval_seconds,
                                                               .timeout = rows[i].timeout_seconds};
        out[i] = (struct api_workspace_agent_metadata){.result = res, .description = d};
    }
    size_t at = socket_data_begin(frames, f);
    cm_json_encode_list(frames, &api_workspace_agent_metadata_msg, out, n);
    socket_data_end(frames, f, at);
    return CM_OK;
}

static enum cm_code metadata_watch(struct api_req *r, struct cm_err *err)
{
    struct view v;
    if (param(r, &v, err) != CM_OK)
        return err->code;
    bool events = cm_str_ends(cm_str(r->route->path), CM_STR("watch-metadata"));
    return socket_follow_start(
        r,
        &(struct socket_follow_config){.topic_fmt = "agent_metadata:%s",
                                       .id = v.id,
                                       .read = read_metadata,
                                       .end_reason = "",
                                       .every = METADATA_CHECK,
                                       .form = events ? SOCKET_EVENTS : SOCKET_EVENTS_WS},
        err);
}

/* ---- reaching the agent ---- */

static enum cm_code connection(struct api_req *r, struct cm_err *err)
{
    struct view v;
    if (r->route->rule.kind == RULE_OBJECT && param(r, &v, err) != CM_OK)
        return err->code;
    struct api_agent_connection_info out = {.derp_map = CM_STR("{\"Regions\":{}}"),
                                            .hostname_suffix =
                                                cm_str(r->app->opt->workspace_hostname_suffix)};
    return api_reply(r, 200, &api_agent_connection_info_msg, &out);
}

static enum cm_code read_kinds(struct api_req *r, const struct api_session_ticket_request *q,
                               uint32_t *ret, struct cm_err *err)
{
    *ret = 0;
    for (size_t i = 0; i < q->n_kinds; i++) {
        enum cm_kind k = cm_kind_parse(q->kinds[i]);
        if (k == CM_KIND_UNSET)
            cm_violations_add(&r->violations, r->arena, CM_STR("kinds"),
                              "\"%.*s\" is no kind of stream", CM_STR_ARG(q->kinds[i]));
        *ret |= cm_kind_bit(k);
    }
    if (!*ret && !r->violations.n)
        cm_violations_add(&r->violations, r->arena, CM_STR("kinds"),
                          "name at least one kind of stream");
    return r->violations.n ? cm_err_set(err, CM_INVALID, "Validation failed.") : CM_OK;
}

static enum cm_code session_ticket(struct api_req *r, struct cm_err *err)
{
    const struct api_session_ticket_request *q = r->body;
    struct view v;
    struct store_agent *ag = NULL;
    if (param(r, &v, err) != CM_OK)
        return err->code;
    struct cm_ticket t = {.user_id = r->who->user_id, .agent_id = v.id, .issued_at = cm_time_now()};
    if (!cm_hex_decode(q->client_cert_sha256, t.client_cert_sha256, sizeof(t.client_cert_sha256)))
        return api_reply_invalid(r, "Validation failed.", "client_cert_sha256",
                                 "must be a SHA-256 in hex");
    if (read_kinds(r, q, &t.kinds, err) != CM_OK ||
        store_agent_by_id(r->db, r->arena, v.id, &ag, err) != CM_OK)
        return err->code;
    if (ag->session_cert_sha256.len != CM_SHA256_LEN)
        return api_reply_message(r, 409, "The workspace agent has not connected yet.",
                                 "Wait until the workspace has started, then try again.");
    memcpy(t.user_name, r->who->username.ptr,
           CM_MIN(r->who->username.len, (size_t)CM_TICKET_NAME_MAX));
    t.issued_at.us -= t.issued_at.us % CM_SECOND;
    t.expires_at = cm_time_add(t.issued_at, TICKET_LIFE);
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(CM_TICKET_TEXT_MAX),
                             sum = CM_BUF_INIT(2 * CM_SHA256_LEN);
    if (keyring_mint(r->app->keyring, &t, &text, err) != CM_OK)
        return err->code;
    cm_hex_encode(&sum, ag->session_cert_sha256.ptr, ag->session_cert_sha256.len);
    struct api_session_ticket out = {.ticket = cm_buf_view(&text),
                                     .agent_cert_sha256 = cm_buf_view(&sum),
                                     .expires_at = t.expires_at};
    return api_reply(r, 201, &api_session_ticket_msg, &out);
}

static bool wants(const struct api_req *r, const char *protocol)
{
    return r->http->head.upgrade && cm_http_header_has(&r->http->head, "upgrade", protocol);
}

static enum cm_code session_path(struct api_req *r, struct cm_err *err)
{
    struct view v;
    struct cm_ticket t;
    int64_t offset = 0;
    if (param(r, &v, err) != CM_OK)
        return err->code;
    if (!wants(r, "coder-session"))
        return api_reply_message(
            r, 426,
            "This endpoint takes the sessions of \"coder ssh\": send Upgrade: coder-session.",
            NULL);
    struct relay_path *p = CM_NEW(r->arena, struct relay_path);
    api_query_uuid(r, "carrier", &p->carrier);
    api_query_i64(r, "offset", 0, INT64_MAX, &offset);
    if (cm_uuid_is_nil(p->carrier) && !r->violations.n)
        cm_violations_add(&r->violations, r->arena, CM_STR("carrier"), "is required");
    if (api_query_check(r, err) != CM_OK)
        return err->code;
    p->ticket = cm_http_header(&r->http->head, "coder-stream-ticket");
    struct cm_ticket_public keys[CM_TICKET_KEYS_MAX];
    size_t n_keys = keyring_publics(r->app->keyring, keys);
    if (cm_ticket_verify(p->ticket, keys, n_keys, &v.id, cm_time_now(), &t, err) != CM_OK)
        return err->code;
    if (!cm_uuid_eq(t.user_id, r->who->user_id))
        return cm_err_set(err, CM_DENIED, "The stream ticket belongs to another user.");
    if (!tunnels_has(r->app->tunnels, v.id))
        return api_reply_message(
            r, 503, "The workspace agent is not connected to this server.",
            "Wait for the workspace to start, or look at its logs with \"coder logs\".");
    p->agent_id = v.id;
    p->offset = (uint64_t)offset;
    r->state = p;
    r->start = relay_session_start;
    return CM_OK;
}

/* ---- for agents ---- */

static enum cm_code tunnel(struct api_req *r, struct cm_err *err)
{
    (void)err;
    if (!wants(r, "coder-tunnel"))
        return api_reply_message(
            r, 426, "This endpoint takes the tunnels of agents: send Upgrade: coder-tunnel.", NULL);
    r->start = relay_tunnel_start;
    return CM_OK;
}

static void rpc_start(struct api_req *r)
{
    struct cm_http_req *http = r->http;
    struct cm_rpc_front_head head = {.key = cm_http_header(&http->head, "sec-websocket-key"),
                                     .protocol =
                                         cm_http_header(&http->head, "sec-websocket-protocol"),
                                     .address = cm_str(r->client_ip)};
    struct coderd *app = r->app;
    struct cm_loop *loop = http->loop;
    struct cm_stream *s = cm_http_take(http);
    struct cm_err err;
    if (s &&
        cm_rpc_front_splice(loop, s, &head, &app->rpc_private, NULL, NULL, NULL, &err) != CM_OK)
        cm_stream_close(s);
    cm_http_req_done(http);
}

static enum cm_code rpc_upgrade(struct api_req *r, struct cm_err *err)
{
    (void)err;
    if (!wants(r, "websocket") ||
        !cm_http_header_has(&r->http->head, "sec-websocket-protocol", "rep.sp.nanomsg.org"))
        return api_reply_message(r, 426, "This endpoint takes the daemons of this deployment only.",
                                 NULL);
    r->start = rpc_start;
    return CM_OK;
}

static enum cm_code get_init_script(struct api_req *r, struct cm_err *err)
{
    const char *script = init_script(r->params[0], r->params[1]);
    if (!script)
        return cm_err_set(err, CM_INVALID, "Unknown os/arch: %.32s/%.32s", r->params[0].ptr,
                          r->params[1].ptr);
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(64 * 1024);
    const struct cm_str marks[] = {CM_STR("${ACCESS_URL}"), CM_STR("${AUTH_TYPE}")};
    const struct cm_str texts[] = {cm_arena_fmt(r->arena, "%s/", r->app->access_url),
                                   CM_STR("token")};
    cm_buf_fill(&b, cm_str(script), marks, texts, CM_COUNT_OF(marks));
    struct cm_str text = cm_arena_str(r->arena, cm_buf_view(&b));
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    cm_assert(EVP_Digest(text.ptr, text.len, digest, &digest_len, EVP_sha256(), NULL) == 1);
    CM_AUTOBUF struct cm_buf base64 = CM_BUF_INIT(2 * sizeof(digest));
    cm_base64_encode(&base64, CM_BASE64_STD, digest, digest_len);
    api_reply_header(r, "Content-Digest", cm_arena_fmt(r->arena, "sha-256=:%s:", base64.ptr));
    return api_reply_raw(r, 200, "text/plain; charset=utf-8", text);
}

static enum cm_code log_source(struct api_req *r, struct cm_err *err)
{
    const struct api_post_log_source_request *q = r->body;
    struct api_workspace_agent_log_source *out = NULL;
    if (store_log_source_set(r->db, r->arena, r->agent->agent_id, q->id, q->display_name, q->icon,
                             &out, err) != CM_OK)
        return err->code;
    return api_reply(r, 201, &api_workspace_agent_log_source_msg, out);
}

#define A  "/api/v2/workspaceagents/{workspaceagent}"
#define ME "/api/v2/workspaceagents/me"
static const struct route rows[] = {
    {CM_HTTP_GET, A, AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL, agent_get, NULL,
     "Get an agent", LIMIT_API, 0, false},
    {CM_HTTP_GET, A "/logs", AUTH_SESSION, RBAC(workspace, read), ROUTE_STREAM, agent_logs, NULL,
     "Logs of an agent", LIMIT_API, 0, false},
    {CM_HTTP_GET, A "/startup-logs", AUTH_SESSION, RBAC(workspace, read), ROUTE_STREAM, agent_logs,
     NULL, "Logs of an agent, by their old name", LIMIT_API, 0, false},
    {CM_HTTP_GET, A "/watch-metadata", AUTH_SESSION, RBAC(workspace, read), ROUTE_STREAM,
     metadata_watch, NULL, "Follow metadata by events", LIMIT_API, 0, false},
    {CM_HTTP_GET, A "/watch-metadata-ws", AUTH_SESSION, RBAC(workspace, read), ROUTE_STREAM,
     metadata_watch, NULL, "Follow metadata by WebSocket", LIMIT_API, 0, false},
    {CM_HTTP_GET, A "/connection", AUTH_SESSION, RBAC(workspace, read), ROUTE_CALL, connection,
     NULL, "How to connect to an agent", LIMIT_API, 0, false},
    {CM_HTTP_GET, "/api/v2/workspaceagents/connection", AUTH_SESSION, RBAC_SELF, ROUTE_CALL,
     connection, NULL, "How to connect to any agent", LIMIT_API, 0, false},
    {CM_HTTP_POST, A "/session-ticket", AUTH_SESSION, RBAC(workspace, ssh), ROUTE_CALL,
     session_ticket, &api_session_ticket_request_msg, "A ticket for sessions with an agent",
     LIMIT_API, 0, false},
    {CM_HTTP_GET, A "/session", AUTH_SESSION, RBAC(workspace, ssh), ROUTE_STREAM, session_path,
     NULL, "One path of a session with an agent", LIMIT_NONE, 0, false},
    {CM_HTTP_GET, ME "/tunnel", AUTH_AGENT, RBAC_SELF, ROUTE_STREAM, tunnel, NULL,
     "An agent's tunnel", LIMIT_NONE, 0, false},
    {CM_HTTP_POST, ME "/log-source", AUTH_AGENT, RBAC_SELF, ROUTE_CALL, log_source,
     &api_post_log_source_request_msg, "Declare a source of logs", LIMIT_API, 0, false},
    {CM_HTTP_GET, CM_RPC_PATH, AUTH_NONE, RBAC_PUBLIC, ROUTE_LOOP, rpc_upgrade, NULL,
     "The daemons' RPC, which authenticates each caller itself", LIMIT_NONE, 0, false},
    {CM_HTTP_GET, "/api/v2/init-script/{os}/{arch}", AUTH_NONE, RBAC_PUBLIC, ROUTE_LOOP,
     get_init_script, NULL, "The script that starts an agent", LIMIT_API, 0, false},
};

const struct route_table agents_routes = {rows, CM_COUNT_OF(rows)};
