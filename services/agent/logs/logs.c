#include "logs/logs.h"

#include "agent.pb-c.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "logs/text.h"
#include "net/rpc/client.h"
#include "obs/log.h"

#define FLUSH_EVERY  (1 * CM_SECOND)
#define CALL_TIMEOUT (30 * CM_SECOND)

struct line {
    struct cm_link link;
    struct cm_time at;
    const char *level;
    size_t len;
    char text[];
};

struct source {
    struct cm_link link;
    struct logs *logs;
    struct cm_uuid id;
    struct cm_link lines;
    uint64_t first_seq; /* of the first line in the list */
    size_t in_flight;   /* how many of the first lines a call carries now */
    uint64_t call;
    bool calling;
};

struct logs {
    struct cm_loop *loop;
    struct cm_rpc_client *rpc;
    struct cm_link sources;
    size_t source_count, bytes;
    struct cm_timer timer;
    bool timer_runs, full;
    void (*when_empty)(void *ctx);
    void *when_empty_ctx;
};

static size_t cost(const struct line *l)
{
    return l->len + LOGS_LINE_COST;
}

static void drop_first(struct source *s)
{
    struct line *l = cm_container_of(cm_list_pop(&s->lines), struct line, link);
    s->logs->bytes -= cost(l);
    s->first_seq++;
    cm_free(l);
}

static void send_batch(struct source *s);

static void settle(struct logs *l)
{
    void (*fn)(void *) = l->when_empty;
    if (!fn || !logs_empty(l))
        return;
    l->when_empty = NULL;
    fn(l->when_empty_ctx);
}

static void stop_all(struct logs *l)
{
    l->full = true;
    CM_LIST_EACH(at, &l->sources)
    {
        struct source *s = cm_container_of(at, struct source, link);
        while (!cm_list_empty(&s->lines))
            drop_first(s);
        s->in_flight = 0;
    }
}

static void on_sent(void *ctx, enum cm_code code, const void *reply, const struct cm_err *err)
{
    struct source *s = ctx;
    const Coder__Agent__V1__LogsReply *r = reply;
    s->calling = false;
    if (code == CM_OK) {
        for (; s->in_flight; s->in_flight--)
            drop_first(s);
        if (r->overflowed && !s->logs->full) {
            CM_WARN("coderd takes no more logs of this agent: its space is used up");
            stop_all(s->logs);
        }
        send_batch(s);
        settle(s->logs);
        return;
    }
    s->in_flight = 0;
    if (code == CM_INVALID) { /* the same lines would be refused for ever */
        CM_WARN("log lines were refused", CM_F_ERR(err));
        while (!cm_list_empty(&s->lines))
            drop_first(s);
        settle(s->logs);
    }
}

static void send_batch(struct source *s)
{
    if (s->calling || cm_list_empty(&s->lines) || !s->logs->rpc)
        return;
    CM_AUTO(cm_arena) a = cm_arena_new();
    Coder__Agent__V1__LogsRequest q = CODER__AGENT__V1__LOGS_REQUEST__INIT;
    q.lines = CM_NEW_ARRAY(a, Coder__Agent__V1__LogLine *, LOGS_BATCH_LINES);
    size_t bytes = 0;
    CM_LIST_EACH(at, &s->lines)
    {
        struct line *l = cm_container_of(at, struct line, link);
        bytes += cost(l);
        if (q.n_lines == LOGS_BATCH_LINES || (q.n_lines && bytes > LOGS_BATCH_MAX))
            break;
        Coder__Agent__V1__LogLine *out = CM_NEW(a, Coder__Agent__V1__LogLine);
        coder__agent__v1__log_line__init(out);
        out->created_at_us = l->at.us;
        union {
            const char *in;
            char *out;
        } level = {.in = l->level};
        out->level = level.out;
        out->output = l->text;
        q.lines[q.n_lines++] = out;
    }
    q.log_source_id = (ProtobufCBinaryData){.len = sizeof(s->id.b), .data = s->id.b};
    q.first_seq = s->first_seq;
    s->in_flight = q.n_lines;
    s->calling = true;
    struct cm_rpc_call_opts opts = {.deadline = CALL_TIMEOUT};
    s->call = cm_rpc_call(s->logs->rpc, "agent.Logs", &q.base,
                          &coder__agent__v1__logs_reply__descriptor, &opts, on_sent, s);
}

void logs_flush(struct logs *l)
{
    CM_LIST_EACH(at, &l->sources)
    send_batch(cm_container_of(at, struct source, link));
}

static void on_timer(void *ctx)
{
    struct logs *l = ctx;
    l->timer_runs = false;
    logs_flush(l);
    if (!logs_empty(l)) { /* what failed is tried again */
        l->timer_runs = true;
        cm_timer_start(&l->timer, FLUSH_EVERY);
    }
}

static struct source *source_of(struct logs *l, struct cm_uuid id)
{
    CM_LIST_EACH(at, &l->sources)
    {
        struct source *s = cm_container_of(at, struct source, link);
        if (cm_uuid_eq(s->id, id))
            return s;
    }
    if (l->source_count == LOGS_SOURCES_MAX)
        return NULL;
    struct source *s = cm_xcalloc(1, sizeof(*s));
    s->logs = l;
    s->id = id;
    cm_list_init(&s->lines);
    /* Above every number of an earlier process of this agent, as long as it logged less than a line
     * in a microsecond. */
    s->first_seq = (uint64_t)cm_time_now().us;
    cm_list_push(&l->sources, &s->link);
    l->source_count++;
    return s;
}

void logs_add(struct logs *l, struct cm_uuid source, const char *level, struct cm_time at,
              struct cm_str text)
{
    if (l->full || text.len > LOGS_QUEUE_MAX)
        return;
    CM_AUTOBUF struct cm_buf clean = CM_BUF_INIT(LOGS_BATCH_MAX);
    logs_clean(&clean, text);
    if (clean.failed)
        return;
    struct source *s = source_of(l, source);
    if (!s)
        return;
    struct line *line = cm_xmalloc(sizeof(*line) + clean.len + 1);
    *line = (struct line){.at = at, .level = level, .len = clean.len};
    if (clean.len)
        memcpy(line->text, clean.ptr, clean.len);
    line->text[clean.len] = '\0';
    cm_list_push(&s->lines, &line->link);
    l->bytes += cost(line);
    /* The line that goes over is kept: it makes coderd notice and say that logs are missing. */
    if (l->bytes > LOGS_QUEUE_MAX)
        l->full = true;
    if (!l->timer_runs) {
        l->timer_runs = true;
        cm_timer_start(&l->timer, FLUSH_EVERY);
    }
}

bool logs_empty(const struct logs *l)
{
    return l->bytes == 0;
}

void logs_when_empty(struct logs *l, void (*fn)(void *ctx), void *ctx)
{
    l->when_empty = fn;
    l->when_empty_ctx = ctx;
    settle(l);
}

struct logs *logs_new(struct cm_loop *loop, struct cm_rpc_client *rpc)
{
    struct logs *l = cm_xcalloc(1, sizeof(*l));
    l->loop = loop;
    l->rpc = rpc;
    cm_list_init(&l->sources);
    cm_timer_init(&l->timer, loop, on_timer, l);
    return l;
}

void logs_free(struct logs *l)
{
    if (!l)
        return;
    CM_LIST_EACH(at, &l->sources)
    {
        struct source *s = cm_container_of(at, struct source, link);
        if (s->calling)
            cm_rpc_cancel(l->rpc, s->call);
        while (!cm_list_empty(&s->lines))
            drop_first(s);
        cm_free(s);
    }
    cm_timer_done(&l->timer);
    cm_free(l);
}
