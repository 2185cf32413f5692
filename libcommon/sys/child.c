#include "sys/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "sys/child_impl.h"
#include "sys/fd.h"

extern char **environ;

struct cm_child {
    pid_t pid;
    int exit_fd; /* pidfd, or an eventfd that the waiter thread fills */
    int pipe[3]; /* our ends, or -1 */
    bool same_group;
    bool reaped;
    bool has_waiter; /* kernels without pidfd_open */
    pthread_t waiter;
    struct cm_child_status status;
};

int cm_child_status_shell(struct cm_child_status st)
{
    return st.signo ? 128 + st.signo : st.code;
}

static struct cm_str env_value(char *const *env, const char *name)
{
    size_t n = strlen(name);
    for (; *env; env++)
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
            return cm_str(*env + n + 1);
    return CM_STR_NONE;
}

static char **find_candidates(struct cm_arena *a, const char *program, char *const *env)
{
    if (strchr(program, '/')) {
        char **one = CM_NEW_ARRAY(a, char *, 2);
        one[0] = cm_arena_cstr(a, cm_str(program));
        return one;
    }
    struct cm_str path = env_value(env, "PATH");
    if (!path.ptr)
        path = CM_STR("/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
    size_t count = 1;
    for (size_t i = 0; i < path.len; i++)
        count += path.ptr[i] == ':';
    char **list = CM_NEW_ARRAY(a, char *, count + 1);
    size_t n = 0;
    while (path.ptr) {
        struct cm_str dir;
        path = cm_str_split(path, ':', &dir);
        list[n++] = dir.len ? cm_arena_printf(a, "%.*s/%s", CM_STR_ARG(dir), program)
                            : cm_arena_printf(a, "./%s", program);
    }
    return list;
}

/* Waits without reaping, so that the process id stays ours, and says so on the eventfd. */
struct waiter {
    pid_t pid;
    int fd;
};

static void *waiter_main(void *arg)
{
    struct waiter w = *(struct waiter *)arg;
    cm_free(arg);
    siginfo_t info;
    while (waitid(P_PID, (id_t)w.pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
    uint64_t one = 1;
    cm_ignore(write(w.fd, &one, sizeof(one)) < 0, "an eventfd takes a first count");
    return NULL;
}

static bool watch_exit(struct cm_child *c)
{
#ifdef SYS_pidfd_open
    c->exit_fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
    if (c->exit_fd >= 0)
        return true;
#endif
    c->exit_fd = eventfd(0, EFD_CLOEXEC);
    if (c->exit_fd < 0)
        return false;
    struct waiter *w = cm_xcalloc(1, sizeof(*w));
    w->pid = c->pid;
    w->fd = c->exit_fd;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, (size_t)64 * 1024);
    int e = pthread_create(&c->waiter, &attr, waiter_main, w);
    pthread_attr_destroy(&attr);
    c->has_waiter = e == 0;
    if (e)
        cm_free(w);
    return e == 0;
}

static const char *step_text(int step)
{
    switch ((enum cm_child_step)step) {
    case CM_CHILD_STEP_FDS:
        return "give it its descriptors";
    case CM_CHILD_STEP_SESSION:
        return "make a session";
    case CM_CHILD_STEP_TTY:
        return "take the terminal";
    case CM_CHILD_STEP_USER:
        return "change the user of";
    case CM_CHILD_STEP_CWD:
        return "enter folder";
    case CM_CHILD_STEP_EXEC:
        return "run";
    }
    return "start";
}

static enum cm_code start_error(const struct cm_child_spec *spec, const struct cm_child_report *r,
                                struct cm_err *err)
{
    const char *program = spec->program ? spec->program : spec->argv[0];
    enum cm_code code = r->sys_errno == ENOENT || r->sys_errno == ENOTDIR ? CM_NOT_FOUND
                        : r->sys_errno == EACCES || r->sys_errno == EPERM ? CM_DENIED
                                                                          : CM_IO;
    const char *object = r->step == CM_CHILD_STEP_CWD ? spec->cwd : program;
    errno = r->sys_errno;
    return cm_err_errno(err, code, "start %s: %s %s", program, step_text(r->step), object);
}

static enum cm_code open_stdio(const struct cm_child_spec *spec, struct cm_child *c, int theirs[3],
                               int opened[3], struct cm_err *err)
{
    for (int i = 0; i < 3; i++) {
        int p[2];
        switch (spec->std[i].kind) {
        case CM_CHILD_NULL:
            theirs[i] = -1;
            break;
        case CM_CHILD_INHERIT:
            theirs[i] = i;
            break;
        case CM_CHILD_FD:
            theirs[i] = spec->std[i].fd;
            break;
        case CM_CHILD_STDOUT:
            cm_assert(i == 2);
            theirs[i] = theirs[1];
            break;
        case CM_CHILD_PIPE:
            if (cm_fd_pipe(p, err) != CM_OK)
                return CM_IO;
            c->pipe[i] = p[i == 0 ? 1 : 0];
            theirs[i] = opened[i] = p[i == 0 ? 0 : 1];
            break;
        }
    }
    return CM_OK;
}

/* Everything is blocked around fork, so that no handler of ours runs in the child. */
static pid_t fork_child(const struct cm_child_plan *plan)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t pid = fork();
    if (pid == 0)
        cm_child_become(plan);
    int e = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = e;
    return pid;
}

/* The child's ends of pipes, which it has by the time that we close ours. */
struct stdio_ends {
    int fd[3];
};

static void stdio_ends_close(struct stdio_ends *e)
{
    for (int i = 0; i < 3; i++)
        cm_cleanup_fd(&e->fd[i]);
}

enum cm_code cm_child_start(const struct cm_child_spec *spec, struct cm_child **ret,
                            struct cm_err *err)
{
    cm_assert(spec->argv && spec->argv[0] && spec->extra_count <= CM_CHILD_EXTRA_MAX);
    CM_AUTO(cm_arena) arena = cm_arena_new();
    CM_AUTO(cm_child) c = cm_xcalloc(1, sizeof(*c));
    c->exit_fd = c->pipe[0] = c->pipe[1] = c->pipe[2] = -1;
    c->same_group = spec->same_group;
    c->reaped = true; /* until there is something to reap */

    union {
        const char *const *in;
        char *const *out;
    } env = {.in = spec->env};
    struct cm_child_plan plan = {.spec = spec, .parent = getpid()};
    plan.env = spec->env ? env.out : environ;
    plan.candidates =
        find_candidates(arena, spec->program ? spec->program : spec->argv[0], plan.env);

    CM_CLEANUP(stdio_ends_close) struct stdio_ends theirs = {{-1, -1, -1}};
    enum cm_code code = open_stdio(spec, c, plan.std, theirs.fd, err);
    if (code != CM_OK)
        return code;

    int report[2];
    if (cm_fd_pipe(report, err) != CM_OK)
        return CM_IO;
    CM_AUTOFD int report_in = report[0];
    CM_AUTOFD int report_out = report[1];
    plan.report = report_out;

    c->pid = fork_child(&plan);
    if (c->pid < 0)
        return cm_err_errno(err, CM_UNAVAILABLE, "start %s: fork", spec->argv[0]);
    c->reaped = false;
    cm_cleanup_fd(&report_out);
    report_out = -1;

    struct cm_child_report r;
    ssize_t n;
    do
        n = read(report_in, &r, sizeof(r));
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)sizeof(r)) {
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        c->reaped = true;
        return start_error(spec, &r, err);
    }
    if (!watch_exit(c))
        return cm_err_errno(err, CM_IO, "watch process %s", spec->argv[0]);
    *ret = CM_TAKE(c);
    return CM_OK;
}

static void free_handle(struct cm_child *c)
{
    if (c->has_waiter)
        pthread_join(c->waiter, NULL);
    for (int i = 0; i < 3; i++)
        cm_cleanup_fd(&c->pipe[i]);
    cm_cleanup_fd(&c->exit_fd);
    cm_free(c);
}

void cm_child_free(struct cm_child *c)
{
    if (!c)
        return;
    if (!c->reaped) {
        cm_child_signal(c, SIGKILL);
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        c->reaped = true;
    }
    free_handle(c);
}

void cm_child_detach(struct cm_child *c)
{
    if (!c)
        return;
    if (c->has_waiter) {
        pthread_detach(c->waiter);
        c->has_waiter = false;
        c->exit_fd = -1; /* the thread still writes to it */
    }
    free_handle(c);
}

pid_t cm_child_pid(const struct cm_child *c)
{
    return c->pid;
}

int cm_child_take_fd(struct cm_child *c, int which)
{
    return CM_TAKE_FD(c->pipe[which]);
}

/* The process id is ours until it is reaped; the group may outlive it and keeps the number taken,
 * but an empty group's number may be somebody else's by now, so nothing is sent after the reaping.
 */
void cm_child_signal(struct cm_child *c, int signo)
{
    if (c->reaped)
        return;
    kill(c->same_group ? c->pid : -c->pid, signo);
}

void cm_child_signal_one(struct cm_child *c, int signo)
{
    if (!c->reaped)
        kill(c->pid, signo);
}

int cm_child_exit_fd(const struct cm_child *c)
{
    return c->exit_fd;
}

static void note_status(struct cm_child *c, int st)
{
    c->reaped = true;
    if (WIFSIGNALED(st)) {
        c->status.signo = WTERMSIG(st);
        c->status.core_dumped = WCOREDUMP(st);
    } else {
        c->status.code = WEXITSTATUS(st);
    }
}

bool cm_child_reap(struct cm_child *c, struct cm_child_status *ret)
{
    if (!c->reaped) {
        int st;
        pid_t got;
        do
            got = waitpid(c->pid, &st, WNOHANG);
        while (got < 0 && errno == EINTR);
        if (got == 0)
            return false;
        if (got < 0)
            st = 255 << 8; /* somebody else reaped it (SIGCHLD ignored): how it ended is lost */
        note_status(c, st);
    }
    if (ret)
        *ret = c->status;
    return true;
}

enum cm_code cm_child_wait(struct cm_child *c, cm_usec timeout, struct cm_child_status *ret,
                           struct cm_err *err)
{
    if (!c->reaped && !cm_fd_wait(c->exit_fd, POLLIN, timeout))
        return cm_err_set(err, CM_TIMEOUT, "process %d still runs", (int)c->pid);
    if (!cm_child_reap(c, ret))
        return cm_err_set(err, CM_TIMEOUT, "process %d still runs", (int)c->pid);
    return CM_OK;
}

void cm_child_stop(struct cm_child *c, int signo, cm_usec grace, struct cm_child_status *ret)
{
    struct cm_err err;
    cm_child_signal(c, signo);
    if (cm_child_wait(c, grace, ret, &err) == CM_OK)
        return;
    cm_child_signal(c, SIGKILL);
    cm_ignore(cm_child_wait(c, -1, ret, &err) != CM_OK, "without a deadline it cannot time out");
}
