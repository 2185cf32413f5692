#include "remote/link.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "api/sessions.h"
#include "base/enc.h"

#define RENEW_BEFORE (30 * CM_SECOND)
#define PATH_TIMEOUT (15 * CM_SECOND)

struct remote_link {
    struct cli *cli;
    struct cm_uuid agent;
    uint32_t kinds;
    struct cm_session_identity *id;
    struct cm_session_client *session;
    uint8_t agent_sha256[CM_SHA256_LEN];
    char *ticket;
    struct cm_time expires;
    /* The path that is being opened. */
    struct cm_arena *arena;
    struct cm_httpc_call *call;
    struct cm_uuid carrier;
    uint64_t offset;
    bool chatty, was_lost;
    struct cm_err err;
    struct cm_sigwatch ending[3];
    void (*before_end)(void);
    int signo; /* that ends it */
};

static enum cm_code take_ticket(struct remote_link *l, struct cm_arena *a, struct cm_str body,
                                bool first, struct cm_err *err)
{
    struct api_session_ticket *t = NULL;
    uint8_t sha256[CM_SHA256_LEN];

    if (cm_json_decode_answer(&api_session_ticket_msg, a, body, (void **)&t, err) != CM_OK)
        return err->code;
    if (!cm_hex_decode(t->agent_cert_sha256, sha256, sizeof(sha256)) ||
        t->ticket.len > CM_TICKET_TEXT_MAX)
        return cm_err_set(err, CM_PROTOCOL, "the server's ticket is broken");
    if (!first && memcmp(sha256, l->agent_sha256, sizeof(sha256)) != 0)
        return cm_err_set(err, CM_GONE, "the workspace's agent has been started anew");
    memcpy(l->agent_sha256, sha256, sizeof(sha256));
    cm_free(l->ticket);
    l->ticket = cm_str_xdup(t->ticket);
    l->expires = t->expires_at;
    return CM_OK;
}

static void ticket_request(struct remote_link *l, struct cm_arena *a, struct cm_buf *body,
                           const char **ret_path)
{
    struct api_session_ticket_request q = {.kinds = CM_NEW_ARRAY(a, struct cm_str, 8)};
    CM_AUTOBUF struct cm_buf sum = CM_BUF_INIT(2 * CM_SHA256_LEN + 1);

    cm_hex_encode(&sum, cm_session_identity_sha256(l->id), CM_SHA256_LEN);
    q.client_cert_sha256 = cm_arena_str(a, cm_buf_view(&sum));
    for (int k = CM_KIND_UNSET + 1; k <= CM_KIND_STDIO; k++)
        if (l->kinds & cm_kind_bit((enum cm_kind)k))
            q.kinds[q.n_kinds++] = cm_str(cm_kind_name((enum cm_kind)k));
    cm_json_encode(body, &api_session_ticket_request_msg, &q);
    *ret_path =
        cm_arena_printf(a, "/api/v2/workspaceagents/%s/session-ticket", cm_uuid_text(l->agent).s);
}

static void on_path(void *ctx, struct cm_httpc_answer *answer, const struct cm_err *err)
{
    struct remote_link *l = ctx;
    CM_AUTO(cm_httpc_answer) a = answer;
    struct cm_err why;

    l->call = NULL;
    if (!a) {
        cm_session_client_path_failed(l->session, err);
        return;
    }
    if (a->status == 101 && a->stream) {
        cm_session_client_path(l->session, CM_TAKE(a->stream));
        return;
    }
    enum cm_code code = a->status == 401   ? CM_UNAUTHENTICATED
                        : a->status == 403 ? CM_DENIED
                        : a->status == 404 ? CM_NOT_FOUND
                        : a->status == 410 ? CM_GONE
                        : a->status == 400 ? CM_INVALID
                                           : CM_UNAVAILABLE;
    cm_err_set(&why, code, "the server answered %d to the connection: %.*s", a->status,
               (int)CM_MIN(a->body.len, (size_t)300), a->body.ptr ? a->body.ptr : "");
    cm_session_client_path_failed(l->session, &why);
}

static void fresh_arena(struct remote_link *l)
{
    cm_arena_free(l->arena);
    l->arena = cm_arena_new();
}

static void start_path(struct remote_link *l)
{
    struct cm_httpc_req req;

    fresh_arena(l);
    cm_sdk_request(l->cli->sdk, l->arena,
                   cm_arena_printf(l->arena,
                                   "/api/v2/workspaceagents/%s/session?carrier=%s&offset=%llu",
                                   cm_uuid_text(l->agent).s, cm_uuid_text(l->carrier).s,
                                   (unsigned long long)l->offset),
                   &req);
    struct cm_httpc_header *headers =
        CM_NEW_ARRAY(l->arena, struct cm_httpc_header, req.n_headers + 1);
    memcpy(headers, req.headers, req.n_headers * sizeof(*headers));
    headers[req.n_headers++] =
        (struct cm_httpc_header){CM_STR("Coder-Stream-Ticket"), cm_str(l->ticket)};
    req.headers = headers;
    req.upgrade = "coder-session";
    req.timeout = PATH_TIMEOUT;
    l->call = cm_httpc_start(cm_sdk_http(l->cli->sdk), &req, on_path, l);
}

static void on_ticket(void *ctx, struct cm_httpc_answer *answer, const struct cm_err *err)
{
    struct remote_link *l = ctx;
    CM_AUTO(cm_httpc_answer) a = answer;
    struct cm_err why;

    l->call = NULL;
    if (!a) {
        cm_session_client_path_failed(l->session, err);
    } else if (a->status / 100 != 2) {
        cm_err_set(&why,
                   a->status == 401   ? CM_UNAUTHENTICATED
                   : a->status == 404 ? CM_NOT_FOUND
                                      : CM_UNAVAILABLE,
                   "the server refused a ticket (%d)", a->status);
        cm_session_client_path_failed(l->session, &why);
    } else if (take_ticket(l, a->arena, a->body, false, &why) != CM_OK) {
        cm_session_client_path_failed(l->session, &why);
    } else {
        start_path(l);
    }
}

static void open_path(void *ctx, struct cm_session_client *s, struct cm_uuid carrier,
                      uint64_t offset)
{
    struct remote_link *l = ctx;
    (void)s;

    l->carrier = carrier;
    l->offset = offset;
    cm_httpc_cancel(CM_TAKE(l->call));
    if (l->expires.us - cm_time_now().us > RENEW_BEFORE) {
        start_path(l);
        return;
    }
    CM_AUTOBUF struct cm_buf body = CM_BUF_INIT(4096);
    struct cm_httpc_req req;
    const char *path;
    fresh_arena(l);
    ticket_request(l, l->arena, &body, &path);
    cm_sdk_request(l->cli->sdk, l->arena, path, &req);
    req.method = "POST";
    req.body = cm_arena_str(l->arena, cm_buf_view(&body));
    req.has_body = true;
    req.timeout = PATH_TIMEOUT;
    l->call = cm_httpc_start(cm_sdk_http(l->cli->sdk), &req, on_ticket, l);
}

static void on_state(void *ctx, struct cm_session_client *s, enum cm_session_state state,
                     const struct cm_err *why)
{
    struct remote_link *l = ctx;
    (void)s;

    switch (state) {
    case CM_SESSION_CONNECTING:
        break;
    case CM_SESSION_UP:
        if (l->was_lost && l->chatty)
            fprintf(stderr, "\r\nThe connection is back.\r\n");
        l->was_lost = false;
        break;
    case CM_SESSION_LOST:
        if (!l->was_lost && l->chatty)
            fprintf(stderr, "\r\nThe connection is lost (%s); looking for another...\r\n",
                    why ? why->text : "");
        l->was_lost = true;
        break;
    case CM_SESSION_ENDED:
        if (why)
            l->err = *why;
        else
            cm_err_set(&l->err, CM_UNAVAILABLE, "the session with the workspace has ended");
        break;
    }
}

enum cm_code remote_link_new(struct cli *cli, struct cm_uuid agent, uint32_t kinds,
                             struct remote_link **ret, struct cm_err *err)
{
    CM_AUTO(remote_link) l = cm_xcalloc(1, sizeof(*l));
    CM_AUTOBUF struct cm_buf body = CM_BUF_INIT(4096);
    const char *path;

    l->cli = cli;
    l->agent = agent;
    l->kinds = kinds;
    l->arena = cm_arena_new();
    if (cm_session_identity_new(&l->id, err) != CM_OK)
        return err->code;
    ticket_request(l, l->arena, &body, &path);
    struct cm_str text = cm_buf_view(&body), answer;
    if (cm_sdk_raw(cli->sdk, l->arena, "POST", "application/json", &text, &answer, err, "%s",
                   path) != CM_OK ||
        take_ticket(l, l->arena, answer, true, err) != CM_OK)
        return cm_err_wrap(err, "get a ticket for the workspace");
    struct cm_session_client_config cfg = {
        .id = l->id, .open_path = open_path, .state = on_state, .ctx = l};
    memcpy(cfg.agent_cert_sha256, l->agent_sha256, CM_SHA256_LEN);
    l->session = cm_session_client_new(cm_sdk_loop(cli->sdk), &cfg);
    *ret = CM_TAKE(l);
    return CM_OK;
}

static void on_gone(void *ctx)
{
    *(bool *)ctx = true;
}

/* The program often ends next: the agent must have been told before. */
static void leave(struct remote_link *l)
{
    bool gone = false;
    cm_session_client_leave(CM_TAKE(l->session), on_gone, &gone);
    while (!gone) /* a second at most */
        cm_loop_turn(cm_sdk_loop(l->cli->sdk), CM_SECOND);
}

static void exit_now(void *ctx)
{
    _exit(128 + ((struct remote_link *)ctx)->signo);
}

static void on_ending(void *ctx, int signo)
{
    struct remote_link *l = ctx;

    if (l->before_end)
        l->before_end();
    if (l->signo || !l->session)
        _exit(128 + signo);
    l->signo = signo;
    cm_httpc_cancel(CM_TAKE(l->call));
    cm_session_client_leave(CM_TAKE(l->session), exit_now, l);
}

static bool is_ignored(int signo)
{
    struct sigaction now;
    return sigaction(signo, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

void remote_link_end_by_signals(struct remote_link *l, void (*before)(void))
{
    static const int signals[CM_COUNT_OF(l->ending)] = {SIGINT, SIGTERM, SIGHUP};

    l->before_end = before;
    for (size_t i = 0; i < CM_COUNT_OF(l->ending); i++)
        if (!is_ignored(signals[i]))
            cm_sigwatch_start(&l->ending[i], cm_sdk_loop(l->cli->sdk), signals[i], on_ending, l);
}

void remote_link_free(struct remote_link *l)
{
    if (!l)
        return;
    cm_httpc_cancel(CM_TAKE(l->call));
    if (l->session)
        leave(l);
    while (l->signo) /* exit_now is near */
        cm_loop_turn(cm_sdk_loop(l->cli->sdk), CM_SECOND);
    for (size_t i = 0; i < CM_COUNT_OF(l->ending); i++)
        cm_sigwatch_stop(&l->ending[i]);
    cm_session_identity_free(l->id);
    cm_arena_free(l->arena);
    cm_free(l->ticket);
    cm_free(l);
}

struct cm_stream *remote_link_open(struct remote_link *l, enum cm_kind kind, const char *arg)
{
    return cm_session_open(l->session, kind, cm_str(arg));
}

enum cm_session_state remote_link_state(const struct remote_link *l)
{
    return l->session ? cm_session_client_state(l->session) : CM_SESSION_ENDED;
}

const struct cm_err *remote_link_err(const struct remote_link *l)
{
    return &l->err;
}

void remote_link_set_chatty(struct remote_link *l, bool chatty)
{
    l->chatty = chatty;
}
