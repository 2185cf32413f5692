#include "terraform/run.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "terraform/process.h"

/* One of the two outputs, cut into lines. */
struct reader {
    int fd;
    bool is_stderr, open;
    bool skipping; /* in the rest of a line that was too long */
    struct cm_buf pending;
};

struct running {
    const struct tf_run *spec;
    struct tf_process *proc;
    struct reader readers[2];
    enum tf_stop obeyed;
    cm_usec kill_at; /* monotonic; 0: no stop is under way */
};

static void emit(struct running *run, struct reader *r, struct cm_str line)
{
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (run->spec->line && !r->skipping)
        run->spec->line(run->spec->ctx, r->is_stderr, line);
    r->skipping = false;
}

static void split_lines(struct running *run, struct reader *r, struct cm_str data)
{
    ptrdiff_t nl;
    while ((nl = cm_str_find(data, '\n')) >= 0) {
        struct cm_str line = cm_str_sub(data, 0, (size_t)nl);
        if (r->pending.len > 0) {
            cm_buf_str(&r->pending, line);
            line = cm_buf_view(&r->pending);
        }
        emit(run, r, line);
        cm_buf_reset(&r->pending);
        data = cm_str_sub(data, (size_t)nl + 1, data.len);
    }
    if (r->skipping)
        return;
    cm_buf_str(&r->pending, data);
    if (r->pending.failed) { /* too long: show what there is, and no more of it */
        emit(run, r, cm_buf_view(&r->pending));
        cm_buf_reset(&r->pending);
        r->skipping = true;
    }
}

static void read_some(struct running *run, struct reader *r)
{
    char chunk[65536];
    for (;;) {
        ssize_t n = read(r->fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 || (n < 0 && errno != EAGAIN))
            r->open = false;
        if (n <= 0)
            return;
        if (run->spec->out && !r->is_stderr)
            cm_buf_append(run->spec->out, chunk, (size_t)n);
        else
            split_lines(run, r, cm_str_n(chunk, (size_t)n));
    }
}

static void obey_stop(struct running *run)
{
    enum tf_stop level = tf_cancel_level(run->spec->cancel);
    tf_cancel_seen(run->spec->cancel);
    if (level == run->obeyed)
        return;
    if (level == TF_STOP_NOW) {
        tf_process_kill(run->proc);
    } else {
        tf_process_interrupt(run->proc);
        run->kill_at = cm_monotonic_now() + run->spec->grace;
    }
    run->obeyed = level;
}

static void pump(struct running *run)
{
    struct tf_cancel *cancel = run->spec->cancel;
    cm_usec next_tick = cm_monotonic_now() + TF_RUN_TICK;
    for (;;) {
        struct pollfd fds[4] = {
            {tf_process_exit_fd(run->proc), POLLIN, 0},
            {run->readers[0].open ? run->readers[0].fd : -1, POLLIN, 0},
            {run->readers[1].open ? run->readers[1].fd : -1, POLLIN, 0},
            {cancel ? cancel->event_fd : -1, POLLIN, 0},
        };
        cm_usec now = cm_monotonic_now();
        cm_usec until = CM_MAX(next_tick - now, 0);
        if (poll(fds, 4, (int)((until + CM_MSEC - 1) / CM_MSEC)) < 0 && errno != EINTR)
            cm_assert(!"poll on own descriptors");
        for (int i = 0; i < 2; i++) {
            if (fds[1 + i].revents)
                read_some(run, &run->readers[i]);
        }
        if (fds[3].revents)
            obey_stop(run);
        if (fds[0].revents)
            break;
        now = cm_monotonic_now();
        if (run->kill_at && now >= run->kill_at) {
            tf_process_kill(run->proc);
            run->kill_at = now + CM_SECOND;
        }
        if (now >= next_tick) {
            if (run->spec->tick)
                run->spec->tick(run->spec->ctx);
            next_tick = now + TF_RUN_TICK;
        }
    }
    /* What it left in the pipes. Not until their end of file: a background process may hold them
     * open. */
    for (int i = 0; i < 2; i++) {
        struct reader *r = &run->readers[i];
        if (r->open)
            read_some(run, r);
        if (r->pending.len > 0)
            emit(run, r, cm_buf_view(&r->pending));
        cm_buf_done(&r->pending);
    }
}

enum cm_code tf_run(const struct tf_run *r, struct cm_child_status *ret, bool *ret_stopped,
                    struct cm_err *err)
{
    CM_AUTO(tf_process) proc = NULL;
    const struct tf_process_spec spec = {.program = r->program,
                                         .argv = r->argv,
                                         .env = r->env,
                                         .cwd = r->cwd,
                                         .orphan_grace = r->grace};
    if (r->cancel && tf_cancel_level(r->cancel) != TF_STOP_NONE)
        return cm_err_set(err, CM_CANCELED, "canceled before terraform %s", r->argv[1]);
    if (tf_process_start(&spec, &proc, err) != CM_OK)
        return err ? err->code : CM_IO;
    struct running run = {.spec = r, .proc = proc};
    run.readers[0] = (struct reader){.fd = tf_process_stdout(proc), .open = true};
    run.readers[1] =
        (struct reader){.fd = tf_process_stderr(proc), .open = true, .is_stderr = true};
    for (int i = 0; i < 2; i++)
        cm_buf_init(&run.readers[i].pending, TF_LINE_MAX);
    pump(&run);
    tf_process_reap(proc, ret);
    if (ret_stopped)
        *ret_stopped = run.obeyed != TF_STOP_NONE;
    return r->out ? cm_buf_check(r->out, "terraform's output", err) : CM_OK;
}
