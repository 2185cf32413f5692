#include "pty/pty.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "agent_tunnel.pb-c.h"
#include "base/list.h"
#include "env/environ.h"
#include "pty/ring.h"
#include "sys/child.h"
#include "sys/fd.h"
#include "sys/pty.h"

#define PTYS_MAX     128
#define CLIENTS_MAX  32 /* of one terminal */
#define KEEP         (5 * CM_MINUTE)
#define REPLAY       ((size_t)64 * 1024)
#define INPUT_MAX    ((size_t)256 * 1024) /* typed, or pasted, and not yet taken by the program */
#define FRAME_MAX    ((uint32_t)64 * 1024)
#define FRAME_INPUT  1
#define FRAME_RESIZE 2

struct client {
    struct cm_link link;
    struct pty *pty;
    struct cm_stream *stream;
    uint8_t head[4];
    size_t head_len;
    uint32_t body_left; /* of an input frame that is being passed on, or of a resize that is being
                           collected */
    uint8_t resize[64];
    size_t resize_len;
};

struct pty {
    struct cm_link link;
    struct ptys *ptys;
    struct cm_uuid id;
    struct cm_child *child;
    int master;
    struct cm_watch readable, writable, exit;
    bool reading, writing, ended;
    struct ring replay;
    struct cm_buf input;
    struct cm_link clients;
    size_t n_clients;
    struct cm_timer idle;
};

struct ptys {
    const struct agent_context *ctx;
    struct agent_counters *counters;
    struct cm_link list;
    size_t count;
};

/* Clients. */

static void client_free(struct client *c)
{
    cm_list_unlink(&c->link);
    c->pty->n_clients--;
    c->pty->ptys->counters->connections--;
    cm_stream_close(c->stream);
    cm_free(c);
}

static void resume_reading(struct pty *t);

static void client_gone(struct client *c)
{
    struct pty *t = c->pty;
    client_free(c);
    if (!t->n_clients)
        cm_timer_start(&t->idle, KEEP);
    resume_reading(t);
}

/* A client that takes nothing holds the terminal up, as a real one would: nothing is lost, and
 * memory is bounded. */
static bool clients_keep_up(const struct pty *t)
{
    CM_LIST_EACH(l, &t->clients)
    if (cm_stream_unsent(cm_container_of(l, struct client, link)->stream) >= CM_STREAM_HIGH)
        return false;
    return true;
}

/* The terminal. */

static void pty_free(struct pty *t)
{
    CM_LIST_EACH(l, &t->clients)
    client_free(cm_container_of(l, struct client, link));
    cm_list_unlink(&t->link);
    t->ptys->count--;
    t->ptys->counters->ptys--;
    cm_watch_stop(&t->readable);
    cm_watch_stop(&t->writable);
    cm_watch_stop(&t->exit);
    cm_timer_done(&t->idle);
    cm_cleanup_fd(&t->master);
    if (t->child)
        cm_child_signal(t->child, SIGHUP);
    cm_child_free(t->child);
    ring_done(&t->replay);
    cm_buf_done(&t->input);
    cm_free(t);
}

/* The program has ended, and all that it printed was read: clients see the end once they have the
 * rest. */
static void pty_end(struct pty *t)
{
    if (t->ended)
        return;
    t->ended = true;
    cm_watch_stop(&t->readable);
    t->reading = false;
    CM_LIST_EACH(l, &t->clients)
    cm_stream_finish(cm_container_of(l, struct client, link)->stream);
    cm_timer_start(&t->idle, t->n_clients ? 10 * CM_SECOND : 0);
}

static void on_readable(void *ctx, int fd)
{
    struct pty *t = ctx;
    char chunk[16384];
    ssize_t n = read(fd, chunk, sizeof(chunk));
    if (n > 0) {
        ring_add(&t->replay, chunk, (size_t)n);
        CM_LIST_EACH(l, &t->clients)
        cm_stream_write(cm_container_of(l, struct client, link)->stream, chunk, (size_t)n);
        if (!clients_keep_up(t)) {
            cm_watch_stop(&t->readable);
            t->reading = false;
        }
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        pty_end(t);
    }
}

static void resume_reading(struct pty *t)
{
    if (t->reading || t->ended || !clients_keep_up(t))
        return;
    t->reading = true;
    cm_watch_start(&t->readable, t->ptys->ctx->loop, t->master, false, on_readable, t);
}

static void write_input(struct pty *t);

static void on_writable(void *ctx, int fd)
{
    (void)fd;
    write_input(ctx);
}

static void on_client(struct cm_stream *s, enum cm_stream_event ev, void *ctx);

static void write_input(struct pty *t)
{
    bool was_full = t->input.len >= INPUT_MAX / 2;
    while (t->input.len) {
        ssize_t n = write(t->master, t->input.ptr, t->input.len);
        if (n > 0)
            cm_buf_drop_front(&t->input, (size_t)n);
        else if (n < 0 && errno == EINTR)
            continue;
        else
            break;
    }
    if (t->input.len && !t->writing)
        cm_watch_start(&t->writable, t->ptys->ctx->loop, t->master, true, on_writable, t);
    if (!t->input.len && t->writing)
        cm_watch_stop(&t->writable);
    t->writing = t->input.len > 0;
    if (was_full && t->input.len < INPUT_MAX / 2)
        CM_LIST_EACH(l, &t->clients)
    on_client(NULL, CM_STREAM_DATA, cm_container_of(l, struct client, link));
}

static void on_exit_fd(void *ctx, int fd)
{
    (void)fd;
    struct pty *t = ctx;
    if (!cm_child_reap(t->child, NULL))
        return;
    cm_watch_stop(&t->exit);
    /* Usually the end of file follows at once; a background process that keeps the terminal open
     * must not keep it. */
    if (!t->ended)
        cm_timer_start(&t->idle, CM_SECOND);
}

static void on_idle(void *ctx)
{
    struct pty *t = ctx;
    if (!t->ended && t->n_clients && cm_child_reap(t->child, NULL)) {
        pty_end(t);
        return;
    }
    pty_free(t);
}

static enum cm_code start_program(struct ptys *p, const struct pty_request *rq, int slave,
                                  const char *tty, struct cm_child **ret, struct cm_err *err)
{
    const struct agent_context *c = p->ctx;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct environ_pair vars[] = {{CM_STR("TERM"), CM_STR("xterm-256color")},
                                  {CM_STR("SSH_TTY"), cm_str(tty)}};
    struct environ_set *env =
        environ_build(a, c->environment, c->base_env, vars, CM_COUNT_OF(vars), &c->user);
    static const char *const locale[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    struct cm_str set = CM_STR_NONE;
    for (size_t i = 0; i < CM_COUNT_OF(locale) && !set.len; i++)
        set = environ_get(env, cm_str(locale[i]));
    bool utf8 = cm_str_contains(set, CM_STR("UTF-8")) || cm_str_contains(set, CM_STR("utf8"));
    if (!utf8 && !environ_get(env, CM_STR("LC_ALL")).len)
        environ_put(env, CM_STR("LC_CTYPE"), CM_STR("C.UTF-8"));
    const char *shell;
    if (environ_shell(env, &c->user, &shell, err) != CM_OK)
        return CM_NOT_FOUND;
    const char *login[] = {shell, "-l", NULL};
    const char *run[] = {shell, "-c", cm_arena_cstr(a, rq->command), NULL};
    struct cm_child_fd end = {.kind = CM_CHILD_FD, .fd = slave};
    struct cm_child_spec spec = {
        .argv = rq->command.len ? run : login,
        .env = environ_list(env),
        .cwd = environ_directory(env, a, c->environment, &c->user),
        .std = {end, end, end},
        .new_session = true,
        .controlling_tty = true,
        .set_priority = c->environment->set_priority,
        .nice = c->environment->nice,
        .oom_score_adj = c->environment->oom_score_adj,
    };
    return cm_child_start(&spec, ret, err);
}

static struct pty *find(struct ptys *p, struct cm_uuid id)
{
    CM_LIST_EACH(l, &p->list)
    {
        struct pty *t = cm_container_of(l, struct pty, link);
        if (cm_uuid_eq(t->id, id) && !t->ended)
            return t;
    }
    return NULL;
}

enum cm_code ptys_prepare(struct ptys *p, const struct pty_request *rq, struct cm_err *err)
{
    const struct pty *known = find(p, rq->id);
    if (known && known->n_clients < CLIENTS_MAX)
        return CM_OK;
    if (known || p->count >= PTYS_MAX)
        return cm_err_set(err, CM_UNAVAILABLE, "too many terminals are open in this workspace");
    if (!p->ctx->manifest)
        return cm_err_set(err, CM_UNAVAILABLE, "the agent has no manifest yet");
    CM_AUTOFD int master = -1;
    CM_AUTOFD int slave = -1;
    char name[CM_PTY_NAME_MAX];
    struct cm_child *child = NULL;
    enum cm_code code = cm_pty_open(&master, &slave, name, err);
    if (code != CM_OK)
        return code;
    cm_pty_resize(master, rq->height, rq->width, 0, 0);
    code = start_program(p, rq, slave, name, &child, err);
    if (code != CM_OK)
        return code;
    struct pty *t = cm_xcalloc(1, sizeof(*t));
    t->ptys = p;
    t->id = rq->id;
    t->child = child;
    t->master = CM_TAKE_FD(master);
    cm_fd_nonblock(t->master, true);
    ring_init(&t->replay, REPLAY);
    cm_buf_init(&t->input, INPUT_MAX);
    cm_list_init(&t->clients);
    cm_timer_init(&t->idle, p->ctx->loop, on_idle, t);
    cm_timer_start(&t->idle, KEEP);
    cm_watch_start(&t->exit, p->ctx->loop, cm_child_exit_fd(child), false, on_exit_fd, t);
    cm_list_push(&p->list, &t->link);
    p->count++;
    p->counters->ptys++;
    resume_reading(t);
    return CM_OK;
}

/* What clients send. */

static bool resize(struct client *c)
{
    Coder__Agent__V1__PtyResize *r =
        coder__agent__v1__pty_resize__unpack(NULL, c->resize_len, c->resize);
    c->resize_len = 0;
    if (!r)
        return false;
    cm_pty_resize(c->pty->master, r->height, r->width, 0, 0);
    coder__agent__v1__pty_resize__free_unpacked(r, NULL);
    return true;
}

/* False: it makes no sense. */
static bool take_head(struct client *c)
{
    uint32_t n = (uint32_t)c->head[1] << 16 | (uint32_t)c->head[2] << 8 | c->head[3];
    uint8_t type = c->head[0];
    c->body_left = n;
    return (type == FRAME_INPUT && n <= FRAME_MAX) ||
           (type == FRAME_RESIZE && n <= sizeof(c->resize));
}

/* Passes on what has come; false when the client is to go. */
static bool take_frames(struct client *c)
{
    struct pty *t = c->pty;
    for (;;) {
        if (c->head_len < sizeof(c->head)) {
            c->head_len +=
                cm_stream_read(c->stream, c->head + c->head_len, sizeof(c->head) - c->head_len);
            if (c->head_len < sizeof(c->head))
                return true;
            if (!take_head(c))
                return false;
        }
        bool is_input = c->head[0] == FRAME_INPUT;
        char chunk[4096];
        size_t want = CM_MIN((size_t)c->body_left, sizeof(chunk));
        if (is_input)
            want = CM_MIN(want, INPUT_MAX - t->input.len);
        if (c->body_left && !want)
            return true; /* the program reads slowly: on again when it has */
        size_t got = want ? cm_stream_read(c->stream, chunk, want) : 0;
        if (want && !got)
            return true;
        c->body_left -= (uint32_t)got;
        if (is_input) {
            cm_buf_append(&t->input, chunk, got);
        } else {
            memcpy(c->resize + c->resize_len, chunk, got);
            c->resize_len += got;
        }
        if (c->body_left)
            continue;
        c->head_len = 0;
        if (!is_input && !resize(c))
            return false;
    }
}

static void on_client(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    (void)s;
    struct client *c = ctx;
    struct pty *t = c->pty;
    bool stays = true;
    switch (ev) {
    case CM_STREAM_DATA:
        stays = take_frames(c);
        break;
    case CM_STREAM_DRAINED:
        stays = !t->ended || cm_stream_unsent(c->stream) > 0;
        break;
    case CM_STREAM_EOF:
        cm_ignore(!take_frames(c), "it goes either way");
        stays = false;
        break;
    case CM_STREAM_FAILED:
        stays = false;
        break;
    }
    if (!stays)
        client_gone(c);
    if (ev == CM_STREAM_DRAINED)
        resume_reading(t);
    if (t->input.len && !t->writing)
        write_input(t);
}

void ptys_attach(struct ptys *p, const struct pty_request *rq, struct cm_stream *stream)
{
    struct pty *t = find(p, rq->id);
    if (!t) {
        cm_stream_close(stream);
        return;
    }
    struct client *c = cm_xcalloc(1, sizeof(*c));
    c->pty = t;
    c->stream = stream;
    cm_list_push(&t->clients, &c->link);
    t->n_clients++;
    p->counters->connections++;
    cm_timer_stop(&t->idle);
    cm_stream_set_fn(stream, on_client, c);
    struct cm_str part[2];
    ring_view(&t->replay, part);
    for (int i = 0; i < 2; i++)
        if (part[i].len)
            cm_stream_write(stream, part[i].ptr, part[i].len);
    if (rq->height && rq->width)
        cm_pty_resize(t->master, rq->height, rq->width, 0, 0);
    resume_reading(t);
    /* What came before we listened. */
    if (!take_frames(c) || stream->eof || stream->failed)
        client_gone(c);
    if (t->input.len && !t->writing)
        write_input(t);
}

static bool take_field(struct cm_str *rest, const char *name, unsigned *ret)
{
    struct cm_str field, after = cm_str_split(*rest, '&', &field);
    int64_t v;
    if (!cm_str_starts(field, cm_str(name)))
        return false;
    size_t n = strlen(name);
    if (!cm_str_to_i64(cm_str_sub(field, n, field.len), &v) || v < 0 || v > 65535)
        return false;
    *ret = (unsigned)v;
    *rest = after;
    return true;
}

enum cm_code pty_request_parse(struct cm_str text, struct pty_request *ret, struct cm_err *err)
{
    struct cm_str id, rest = cm_str_split(text, '?', &id);
    struct pty_request rq = {.height = 0};
    if (cm_str_starts(id, CM_STR("/")))
        id = cm_str_sub(id, 1, id.len);
    if (!cm_uuid_parse(id, &rq.id))
        return cm_err_set(err, CM_INVALID, "a terminal is named by a UUID");
    while (rest.len) {
        if (cm_str_starts(rest, CM_STR("command="))) {
            rq.command = cm_str_sub(rest, 8, rest.len);
            break;
        }
        if (!take_field(&rest, "height=", &rq.height) && !take_field(&rest, "width=", &rq.width))
            return cm_err_set(err, CM_INVALID,
                              "\"%.*s\" is not height=, width= or command=", CM_STR_ARG(rest));
    }
    *ret = rq;
    return CM_OK;
}

struct ptys *ptys_new(const struct agent_context *ctx, struct agent_counters *counters)
{
    struct ptys *p = cm_xcalloc(1, sizeof(*p));
    p->ctx = ctx;
    p->counters = counters;
    cm_list_init(&p->list);
    return p;
}

void ptys_free(struct ptys *p)
{
    if (!p)
        return;
    CM_LIST_EACH(l, &p->list)
    pty_free(cm_container_of(l, struct pty, link));
    cm_free(p);
}
