/* The form of a version's parameters while somebody fills it in: by one request, or over a
 * WebSocket that answers each state of the form. Source: api-behaviour reference, 5.7.
 *
 * A form lives on its connection's loop; each state is evaluated by a task on a worker. States that
 * arrive meanwhile replace each other: only the newest matters. */
#include "api/form_load.h"
#include "api/socket.h"
#include "api/template_load.h"
#include "app.h"
#include "domain/preview.h"
#include "net/ws/ws.h"

#define SESSION_MAX (30 * CM_MINUTE)
#define PING_EVERY  (15 * CM_SECOND)
#define STATE_MAX   ((size_t)1024 * 1024)
#define ANSWER_MAX  ((size_t)16 * 1024 * 1024)

struct form {
    struct cm_task task;
    struct followers_member member;
    struct coderd *app;
    struct cm_loop *loop;
    struct cm_ws *ws;
    struct cm_timer timer;
    struct form_request request;
    struct cm_buf next;   /* the newest state of the form that is not evaluated yet */
    struct cm_buf text;   /* of the task: the state, then the answer */
    struct cm_buf answer; /* of the task */
    bool waiting, running, gone, failed;
};

static enum cm_code evaluate(struct cm_db *db, struct cm_arena *a, const struct form_request *form,
                             const struct api_dynamic_parameters_request *q,
                             struct api_dynamic_parameters_response *out, struct cm_err *err)
{
    struct form_request here = *form;
    struct form_result f;
    here.values = q->inputs;
    here.n_values = q->n_inputs;
    if (!cm_uuid_is_nil(q->owner_id))
        here.owner_id = q->owner_id;
    enum cm_code code = form_load(db, a, &here, &f, err);
    if (code == CM_NOT_FOUND && !cm_uuid_is_nil(here.owner_id)) {
        preview_complain(a, out, "Workspace owner not found", "There is no such user.",
                         "owner_not_found");
        here.owner_id = (struct cm_uuid){0};
        code = form_load(db, a, &here, &f, err);
    }
    if (code == CM_OK)
        preview_parameters(a, f.v, f.n, q->inputs, q->n_inputs, out);
    return code;
}

/* ---- over a WebSocket ---- */

static void form_free(struct form *f)
{
    cm_buf_done(&f->next);
    cm_buf_done(&f->text);
    cm_buf_done(&f->answer);
    cm_free(f);
}

static void let_go(struct form *f)
{
    f->gone = true;
    cm_timer_done(&f->timer);
    followers_leave(f->app->followers, &f->member);
    if (!f->running)
        form_free(f);
}

static void on_stop(struct followers_member *m)
{
    struct form *f = cm_container_of(m, struct form, member);
    cm_ws_free(CM_TAKE(f->ws));
    let_go(f);
}

static void on_end(struct followers_member *m, enum followers_end why)
{
    struct form *f = cm_container_of(m, struct form, member);
    cm_ws_close(f->ws, followers_end_code(why), followers_end_text(why));
}

static void work(struct cm_task *t, void *thread_ctx)
{
    struct form *f = cm_container_of(t, struct form, task);
    struct worker *w = thread_ctx;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_err err;
    struct api_dynamic_parameters_request *q = NULL;
    struct api_dynamic_parameters_response out = {0};
    if (cm_json_decode(&api_dynamic_parameters_request_msg, a, cm_buf_view(&f->text), (void **)&q,
                       NULL, &err) != CM_OK) {
        q = CM_NEW(a, struct api_dynamic_parameters_request);
        preview_complain(a, &out, "The request cannot be read", err.text, "");
    } else if (evaluate(w->db, a, &f->request, q, &out, &err) != CM_OK) {
        f->failed = true;
        return;
    }
    out.id = q->id;
    cm_json_encode(&f->answer, &api_dynamic_parameters_response_msg, &out);
    f->failed = f->answer.failed;
}

static void turn(struct form *f);

static void done(struct cm_task *t)
{
    struct form *f = cm_container_of(t, struct form, task);
    f->running = false;
    if (f->gone) {
        form_free(f);
        return;
    }
    if (f->failed) {
        cm_ws_close(f->ws, 1011, "the form cannot be evaluated; connect again");
        return;
    }
    cm_ws_send(f->ws, true, f->answer.ptr, f->answer.len);
    turn(f);
}

static void turn(struct form *f)
{
    struct cm_err err;
    if (f->running || !f->waiting)
        return;
    f->waiting = false;
    cm_buf_reset(&f->text);
    cm_buf_reset(&f->answer);
    cm_buf_str(&f->text, cm_buf_view(&f->next));
    cm_buf_reset(&f->next);
    f->task = (struct cm_task){.work = work, .done = done, .home = f->loop};
    f->running = cm_pool_submit(f->app->workers, &f->task, &err) == CM_OK;
    if (!f->running)
        cm_ws_close(f->ws, 1013, "the server is busy; connect again");
}

static void ask(struct form *f, struct cm_str state)
{
    cm_buf_reset(&f->next);
    cm_buf_str(&f->next, state);
    f->waiting = true;
    turn(f);
}

static void on_ws(struct cm_ws *ws, enum cm_ws_event ev, struct cm_str payload, void *ctx)
{
    struct form *f = ctx;
    switch (ev) {
    case CM_WS_TEXT:
    case CM_WS_BINARY:
        ask(f, payload);
        break;
    case CM_WS_CLOSED:
    case CM_WS_FAILED:
        f->ws = NULL;
        cm_ws_free(ws);
        let_go(f);
        break;
    }
}

static void on_time(void *ctx)
{
    struct form *f = ctx;
    cm_ws_close(f->ws, 1000, "the session is over");
}

static void start(struct api_req *r)
{
    struct form *f = r->state;
    f->loop = r->http->loop;
    struct cm_stream *s = socket_join(r, &f->member);
    if (!s) {
        form_free(f);
        return;
    }
    f->ws = cm_ws_new(s, &(struct cm_ws_config){.max_message = STATE_MAX, .ping_every = PING_EVERY},
                      on_ws, f);
    cm_timer_init(&f->timer, f->loop, on_time, f);
    cm_timer_start(&f->timer, SESSION_MAX);
    ask(f, CM_STR("{\"id\":-1,\"inputs\":{}}"));
}

/* False: the reply says that it is too early. */
static bool imported(struct api_req *r, const struct version_view *v)
{
    if (v->job->status != API_PROVISIONER_JOB_STATUS_PENDING &&
        v->job->status != API_PROVISIONER_JOB_STATUS_RUNNING &&
        v->job->status != API_PROVISIONER_JOB_STATUS_CANCELING)
        return true;
    api_reply_message(r, 425, "Template version job has not finished", NULL);
    return false;
}

static enum cm_code form_open(struct api_req *r, struct cm_err *err)
{
    struct version_view v;
    struct cm_uuid owner = r->who->user_id;
    if (version_param(r, 0, &v, err) != CM_OK)
        return err->code;
    api_query_uuid(r, "user_id", &owner);
    if (api_query_check(r, err) != CM_OK)
        return err->code;
    if (!imported(r, &v))
        return CM_OK;
    if (!socket_is_upgrade(r))
        return api_reply_message(r, 426, "This endpoint is a WebSocket: send an upgrade request.",
                                 NULL);
    struct form *f = cm_xcalloc(1, sizeof(*f));
    f->app = r->app;
    f->member = (struct followers_member){.let_go = on_stop, .end = on_end, .loop = r->http->loop};
    followers_of_key(&f->member, r->who);
    f->request =
        (struct form_request){.version_id = v.v->id, .file_id = v.job->file_id, .owner_id = owner};
    f->next = CM_BUF_INIT(STATE_MAX);
    f->text = CM_BUF_INIT(STATE_MAX);
    f->answer = CM_BUF_INIT(ANSWER_MAX);
    r->state = f;
    r->start = start;
    return CM_OK;
}

/* ---- by one request ---- */

static enum cm_code form_evaluate(struct api_req *r, struct cm_err *err)
{
    const struct api_dynamic_parameters_request *q = r->body;
    struct version_view v;
    struct api_dynamic_parameters_response out = {0};
    if (version_param(r, 0, &v, err) != CM_OK)
        return err->code;
    if (!imported(r, &v))
        return CM_OK;
    const struct form_request form = {
        .version_id = v.v->id, .file_id = v.job->file_id, .owner_id = r->who->user_id};
    if (evaluate(r->db, r->arena, &form, q, &out, err) != CM_OK)
        return err->code;
    return api_reply(r, 200, &api_dynamic_parameters_response_msg, &out);
}

#define V "/api/v2/templateversions/{templateversion}"
static const struct route rows[] = {
    {CM_HTTP_GET, V "/dynamic-parameters", AUTH_SESSION, RBAC(template, read), ROUTE_STREAM,
     form_open, NULL, "Fill in the parameters' form", LIMIT_API, 0, false},
    {CM_HTTP_POST, V "/dynamic-parameters/evaluate", AUTH_SESSION, RBAC(template, read), ROUTE_CALL,
     form_evaluate, &api_dynamic_parameters_request_msg, "Evaluate the parameters' form", LIMIT_API,
     0, false},
};

const struct route_table dynamic_parameters_routes = {rows, CM_COUNT_OF(rows)};
