/* The supervisor and its two ends. Between fork and exec or _exit only async-signal-safe calls are
 * made, since other threads may hold any lock at the moment of the fork. */
#include "terraform/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/defs.h"

struct tf_process {
    pid_t supervisor, terraform;
    int out, err_out;
    int control; /* 'i': interrupt, 'k': kill; its end of file tells the supervisor that we are gone
                  */
    int status;
    bool reaped;
    struct cm_child_status result;
};

/* What the supervisor writes, once each, in this order. */
enum report_kind { REPORT_STARTED = 1, REPORT_FAILED, REPORT_ENDED };
struct report {
    enum report_kind kind;
    int value; /* pid, errno, or a wait status */
};

/* The supervisor's descriptors, moved to fixed numbers so that all others can be closed. */
enum {
    FD_OUT_READ = 3,
    FD_ERR_READ,
    FD_CONTROL,
    FD_STATUS,
    FD_OUT_WRITE,
    FD_ERR_WRITE,
    FD_SIGNAL,
    FD_FIRST_FREE
};

struct pipes {
    int out[2], err[2], control[2], status[2];
};

static void close_pair(int fds[2])
{
    for (int i = 0; i < 2; i++)
        cm_cleanup_fd(&fds[i]);
}

static void pipes_close(struct pipes *p)
{
    close_pair(p->out);
    close_pair(p->err);
    close_pair(p->control);
    close_pair(p->status);
}

static void tell(enum report_kind kind, int value)
{
    struct report r = {kind, value};
    cm_ignore(write(FD_STATUS, &r, sizeof r) < 0, "the reader may be gone");
}

/* In terraform's process, before it is terraform. Never returns. */
static void become_terraform(const struct tf_process_spec *spec, int null_fd, pid_t supervisor)
{
    sigset_t none;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != supervisor)
        _exit(127);
    if (dup2(null_fd, 0) < 0 || dup2(FD_OUT_WRITE, 1) < 0 || dup2(FD_ERR_WRITE, 2) < 0 ||
        chdir(spec->cwd) < 0)
        goto failed;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* The status pipe must be open until the exec has worked. */
    if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        goto failed;
    /* execve does not write to the strings, its prototype merely lacks the const. */
    execve(spec->program, (char *const *)(uintptr_t)spec->argv,
           (char *const *)(uintptr_t)spec->env);
failed:
    tell(REPORT_FAILED, errno);
    _exit(127);
}

static long monotonic_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000L + ts.tv_nsec / 1000000L;
}

static void drain(int fd)
{
    char skip[4096];
    while (read(fd, skip, sizeof skip) > 0)
        ;
}

struct supervision {
    pid_t terraform;
    long deadline_ms; /* 0: none */
    long grace_ms;
    bool orphan, forced;
};

static void supervise_command(struct supervision *s)
{
    char c;
    ssize_t n = read(FD_CONTROL, &c, 1);
    if (n == 1 && c == 'i') {
        kill(s->terraform, SIGINT);
    } else if (n == 1) {
        s->forced = true;
        kill(-s->terraform, SIGKILL);
    } else if (n == 0 || errno != EINTR) {
        s->orphan = true;
        kill(s->terraform, SIGINT);
        s->deadline_ms = monotonic_ms() + s->grace_ms;
    }
}

/* True when terraform has ended; fills *ret. */
static bool supervise_reap(pid_t terraform, int *ret)
{
    struct signalfd_siginfo si;
    bool ended = false;
    int status;
    pid_t pid;
    cm_ignore(read(FD_SIGNAL, &si, sizeof si) < 0, "waitpid tells");
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == terraform) {
            *ret = status;
            ended = true;
        }
    }
    return ended;
}

/* The supervisor's life after terraform has started. Never returns. */
static void supervise(pid_t terraform, long grace_ms)
{
    struct supervision s = {.terraform = terraform, .grace_ms = grace_ms};
    int status = 0;
    for (;;) {
        /* Closed descriptors are -1, which poll skips. */
        struct pollfd fds[4] = {{FD_SIGNAL, POLLIN, 0},
                                {s.orphan ? -1 : FD_CONTROL, POLLIN, 0},
                                {s.orphan ? FD_OUT_READ : -1, POLLIN, 0},
                                {s.orphan ? FD_ERR_READ : -1, POLLIN, 0}};
        long wait_ms = -1;
        if (s.deadline_ms) {
            wait_ms = s.deadline_ms - monotonic_ms();
            if (wait_ms <= 0) {
                s.forced = true;
                kill(-terraform, SIGKILL);
                wait_ms = 1000; /* and again, until it is gone */
            }
        }
        if (poll(fds, 4, (int)wait_ms) < 0 && errno != EINTR)
            _exit(1);
        if (fds[1].revents)
            supervise_command(&s);
        if (fds[2].revents)
            drain(FD_OUT_READ);
        if (fds[3].revents)
            drain(FD_ERR_READ);
        if ((fds[0].revents & POLLIN) && supervise_reap(terraform, &status))
            break;
    }
    /* A terraform that was killed leaves its providers behind. */
    if (s.forced || s.orphan || WIFSIGNALED(status))
        kill(-terraform, SIGKILL);
    tell(REPORT_ENDED, status);
    _exit(0);
}

/* Moves a descriptor to its fixed number. The sources were made above all fixed numbers, so none is
 * overwritten. */
static bool place(int from, int to)
{
    return dup2(from, to) == to;
}

static void run_supervisor(const struct tf_process_spec *spec, const struct pipes *p)
{
    sigset_t child;
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    setsid();
    prctl(PR_SET_NAME, "tf-supervisor");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (!place(p->out[0], FD_OUT_READ) || !place(p->err[0], FD_ERR_READ) ||
        !place(p->control[0], FD_CONTROL) || !place(p->status[1], FD_STATUS) ||
        !place(p->out[1], FD_OUT_WRITE) || !place(p->err[1], FD_ERR_WRITE))
        _exit(1);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    int sfd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (sfd < 0 || !place(sfd, FD_SIGNAL) || close_range(FD_FIRST_FREE, ~0U, 0) < 0)
        _exit(1);
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    pid_t self = getpid();
    pid_t terraform = fork();
    if (terraform == 0)
        become_terraform(spec, null_fd, self);
    if (terraform < 0) {
        tell(REPORT_FAILED, errno);
        _exit(1);
    }
    setpgid(terraform, terraform); /* both sides do it, so that neither has to wait */
    tell(REPORT_STARTED, (int)terraform);
    /* Our own standard descriptors may be the ends of pipes whose readers wait for their end of
     * file. */
    dup2(null_fd, 0);
    dup2(null_fd, 1);
    dup2(null_fd, 2);
    close(FD_OUT_WRITE);
    close(FD_ERR_WRITE);
    supervise(terraform, (long)(spec->orphan_grace / CM_MSEC));
}

/* A pipe or a pair of sockets, whose ends are numbered above the supervisor's fixed numbers. */
static bool pair_high(int fds[2], bool sockets)
{
    int low[2];
    if (sockets ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, low) < 0
                : pipe2(low, O_CLOEXEC) < 0)
        return false;
    for (int i = 0; i < 2; i++) {
        fds[i] = fcntl(low[i], F_DUPFD_CLOEXEC, FD_FIRST_FREE);
        close(low[i]);
    }
    return fds[0] >= 0 && fds[1] >= 0;
}

/* False at the end of file. */
static bool read_report(int fd, struct report *ret)
{
    ssize_t n;
    do
        n = read(fd, ret, sizeof *ret);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *ret;
}

static enum cm_code wait_started(struct tf_process *p, const struct tf_process_spec *spec,
                                 struct cm_err *err)
{
    struct report r;
    if (!read_report(p->status, &r))
        return cm_err_set(err, CM_IO, "start %s: its supervisor ended", spec->program);
    if (r.kind == REPORT_STARTED) {
        p->terraform = (pid_t)r.value;
        return CM_OK;
    }
    errno = r.value;
    return cm_err_errno(err, CM_IO, "start %s", spec->program);
}

enum cm_code tf_process_start(const struct tf_process_spec *spec, struct tf_process **ret,
                              struct cm_err *err)
{
    struct pipes p = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
    if (!pair_high(p.out, false) || !pair_high(p.err, false) || !pair_high(p.control, true) ||
        !pair_high(p.status, false)) {
        enum cm_code code = cm_err_errno(err, CM_IO, "start %s: pipe", spec->program);
        pipes_close(&p);
        return code;
    }
    fcntl(p.out[0], F_SETFL, O_NONBLOCK);
    fcntl(p.err[0], F_SETFL, O_NONBLOCK);

    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        run_supervisor(spec, &p);
    int fork_errno = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) {
        pipes_close(&p);
        errno = fork_errno;
        return cm_err_errno(err, CM_IO, "start %s: fork", spec->program);
    }
    CM_AUTO(tf_process) proc = cm_xcalloc(1, sizeof *proc);
    proc->supervisor = pid;
    proc->out = CM_TAKE_FD(p.out[0]);
    proc->err_out = CM_TAKE_FD(p.err[0]);
    proc->control = CM_TAKE_FD(p.control[1]);
    proc->status = CM_TAKE_FD(p.status[0]);
    pipes_close(&p);
    if (wait_started(proc, spec, err) != CM_OK)
        return err ? err->code : CM_IO;
    *ret = CM_TAKE(proc);
    return CM_OK;
}

static void command(struct tf_process *p, char c)
{
    if (!p->reaped)
        cm_ignore(send(p->control, &c, 1, MSG_NOSIGNAL) < 0,
                  "a supervisor that is gone took terraform along");
}

void tf_process_interrupt(struct tf_process *p)
{
    command(p, 'i');
}

void tf_process_kill(struct tf_process *p)
{
    command(p, 'k');
}

static struct cm_child_status from_wait_status(int st)
{
    struct cm_child_status r = {0};
    if (WIFSIGNALED(st))
        r.signo = WTERMSIG(st);
    else
        r.code = WEXITSTATUS(st);
    return r;
}

void tf_process_reap(struct tf_process *p, struct cm_child_status *ret)
{
    if (!p->reaped) {
        struct report r;
        p->result = (struct cm_child_status){.signo = SIGKILL}; /* when the supervisor was killed */
        /* A failed exec is reported after the start: then the exit status 127 follows. */
        while (read_report(p->status, &r)) {
            if (r.kind == REPORT_ENDED) {
                p->result = from_wait_status(r.value);
                break;
            }
        }
        p->reaped = true;
        while (waitpid(p->supervisor, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (ret)
        *ret = p->result;
}

void tf_process_free(struct tf_process *p)
{
    if (!p)
        return;
    if (!p->reaped) {
        tf_process_kill(p);
        tf_process_reap(p, NULL);
    }
    cm_cleanup_fd(&p->out);
    cm_cleanup_fd(&p->err_out);
    cm_cleanup_fd(&p->control);
    cm_cleanup_fd(&p->status);
    cm_free(p);
}

int tf_process_stdout(const struct tf_process *p)
{
    return p->out;
}

int tf_process_stderr(const struct tf_process *p)
{
    return p->err_out;
}

int tf_process_exit_fd(const struct tf_process *p)
{
    return p->status;
}
