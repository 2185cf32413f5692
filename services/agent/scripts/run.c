#include "scripts/run.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "sys/child.h"
#include "sys/fd.h"

struct run_out {
    struct run *run;
    int fd;
    struct cm_watch watch;
    bool is_stderr;
};

struct run {
    struct cm_loop *loop;
    struct run_spec spec; /* only its callbacks and times are valid after run_start */
    struct cm_child *child;
    struct run_out out[2];
    struct cm_watch exit_watch;
    struct cm_timer timer;
    enum { RUNNING, INTERRUPTED, KILLED, EXITED } state;
    bool timed_out, over;
    struct cm_child_status status;
    struct run_result result;
    struct cm_err err;
};

const char *run_status_name(enum run_status st)
{
    switch (st) {
    case RUN_OK:
        return "ok";
    case RUN_EXIT_FAILURE:
    case RUN_NOT_STARTED:
        return "exit_failure";
    case RUN_TIMED_OUT:
        return "timed_out";
    case RUN_PIPES_LEFT_OPEN:
        return "pipes_left_open";
    }
    return "exit_failure";
}

static void run_free(struct run *r)
{
    for (int i = 0; i < 2; i++) {
        cm_watch_stop(&r->out[i].watch);
        cm_cleanup_fd(&r->out[i].fd);
    }
    cm_watch_stop(&r->exit_watch);
    cm_timer_done(&r->timer);
    cm_child_free(r->child);
    cm_free(r);
}

static void finish(struct run *r, enum run_status status)
{
    if (r->over)
        return;
    r->over = true;
    r->result.status = status;
    r->result.ended_at = cm_time_now();
    bool code_known = r->state == EXITED && !r->status.signo;
    r->result.exit_code = code_known ? r->status.code : 255;
    r->spec.done(r->spec.ctx, &r->result, &r->err);
    run_free(r);
}

static enum run_status verdict(const struct run *r)
{
    if (r->timed_out)
        return RUN_TIMED_OUT;
    return r->status.signo || r->status.code ? RUN_EXIT_FAILURE : RUN_OK;
}

static void settle(struct run *r)
{
    if (r->state == EXITED && r->out[0].fd < 0 && r->out[1].fd < 0)
        finish(r, verdict(r));
}

static void on_output(void *ctx, int fd)
{
    struct run_out *o = ctx;
    struct run *r = o->run;
    char chunk[16384];
    ssize_t n = read(fd, chunk, sizeof(chunk));
    if (n > 0) {
        r->spec.output(r->spec.ctx, cm_str_n(chunk, (size_t)n), o->is_stderr);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        cm_watch_stop(&o->watch);
        cm_cleanup_fd(&o->fd);
        o->fd = -1;
        settle(r);
    }
}

static void on_exit_fd(void *ctx, int fd)
{
    (void)fd;
    struct run *r = ctx;
    if (!cm_child_reap(r->child, &r->status))
        return;
    cm_watch_stop(&r->exit_watch);
    r->state = EXITED;
    cm_timer_start(&r->timer, r->spec.pipe_grace);
    settle(r);
}

static void on_timer(void *ctx)
{
    struct run *r = ctx;
    switch (r->state) {
    case RUNNING:
        r->timed_out = true;
        run_interrupt(r);
        break;
    case INTERRUPTED:
        cm_child_signal(r->child, SIGKILL);
        r->state = KILLED;
        break;
    case KILLED:
        break;
    case EXITED:
        finish(r, r->timed_out ? RUN_TIMED_OUT : RUN_PIPES_LEFT_OPEN);
        break;
    }
}

static void finish_unstarted(void *ctx)
{
    struct run *r = ctx;
    finish(r, RUN_NOT_STARTED);
}

static enum cm_code start(struct run *r, const struct run_spec *spec, struct cm_err *err)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct environ_set *env =
        environ_build(a, spec->environment, spec->base_env, NULL, 0, spec->user);
    for (size_t i = 0; i < spec->extra_count; i++)
        environ_put(env, spec->extra[i].name, spec->extra[i].value);
    const char *shell;
    if (environ_shell(env, spec->user, &shell, err) != CM_OK)
        return CM_NOT_FOUND;
    struct cm_child_spec child = {
        .argv = environ_script_argv(a, shell, spec->script),
        .env = environ_list(env),
        .cwd = environ_directory(env, a, spec->environment, spec->user),
        .std = {[1] = {.kind = CM_CHILD_PIPE}, [2] = {.kind = CM_CHILD_PIPE}},
        .new_session = true,
        .set_priority = spec->environment->set_priority,
        .nice = spec->environment->nice,
        .oom_score_adj = spec->environment->oom_score_adj,
    };
    return cm_child_start(&child, &r->child, err);
}

struct run *run_start(struct cm_loop *loop, const struct run_spec *spec)
{
    struct run *r = cm_xcalloc(1, sizeof(*r));
    r->loop = loop;
    r->result.started_at = cm_time_now();
    cm_timer_init(&r->timer, loop, on_timer, r);
    for (int i = 0; i < 2; i++)
        r->out[i] = (struct run_out){.run = r, .fd = -1, .is_stderr = i == 1};
    enum cm_code code = start(r, spec, &r->err);
    r->spec = (struct run_spec){.timeout = spec->timeout,
                                .kill_after = spec->kill_after,
                                .pipe_grace = spec->pipe_grace,
                                .output = spec->output,
                                .done = spec->done,
                                .ctx = spec->ctx};
    if (code != CM_OK) {
        cm_loop_post(loop, finish_unstarted, r);
        return r;
    }
    for (int i = 0; i < 2; i++) {
        r->out[i].fd = cm_child_take_fd(r->child, i + 1);
        cm_fd_nonblock(r->out[i].fd, true);
        cm_watch_start(&r->out[i].watch, loop, r->out[i].fd, false, on_output, &r->out[i]);
    }
    cm_watch_start(&r->exit_watch, loop, cm_child_exit_fd(r->child), false, on_exit_fd, r);
    if (spec->timeout > 0)
        cm_timer_start(&r->timer, spec->timeout);
    return r;
}

void run_interrupt(struct run *r)
{
    if (!r->child || r->state != RUNNING)
        return;
    r->state = INTERRUPTED;
    cm_child_signal(r->child, SIGINT);
    cm_timer_start(&r->timer, r->spec.kill_after);
}

static void free_later(void *ctx)
{
    run_free(ctx);
}

void run_abort(struct run *r)
{
    r->over = true;
    if (r->child)
        run_free(r);
    else
        cm_loop_post(r->loop, free_later, r); /* after the post that is under way */
}
