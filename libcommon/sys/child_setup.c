/* Between fork and exec. The parent may have threads, so only async-signal-safe calls are made
 * here. */
#include "sys/child_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/fd.h"

CM_NORETURN static void give_up(const struct cm_child_plan *plan, int report,
                                enum cm_child_step step)
{
    (void)plan;
    struct cm_child_report r = {.step = step, .sys_errno = errno};
    cm_ignore(write(report, &r, sizeof(r)) < 0, "the parent sees the end of the pipe either way");
    _exit(127);
}

static void reset_signals(void)
{
    struct sigaction sa = {.sa_handler = SIG_DFL};
    for (int s = 1; s < NSIG; s++)
        sigaction(s, &sa, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Decimal without stdio. */
static size_t put_int(char *out, int v)
{
    char rev[12];
    size_t n = 0, k = 0;
    unsigned u = v < 0 ? (unsigned)-v : (unsigned)v;
    do
        rev[n++] = (char)('0' + u % 10);
    while (u /= 10);
    if (v < 0)
        out[k++] = '-';
    while (n)
        out[k++] = rev[--n];
    return k;
}

static void set_priority(const struct cm_child_spec *spec)
{
    setpriority(PRIO_PROCESS, 0, spec->nice);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    char text[16];
    size_t n = put_int(text, spec->oom_score_adj);
    cm_ignore(write(fd, text, n) < 0, "a lower score than ours takes a capability");
    close(fd);
}

/* Moves every wanted descriptor above those that will be assigned, then to its number: two rounds,
 * since a source may have a number that is another one's target. */
static bool place_fds(const struct cm_child_plan *plan, int *report, int *keep, size_t *keep_count)
{
    const struct cm_child_spec *spec = plan->spec;
    enum { ABOVE = 64 };
    int src[3 + CM_CHILD_EXTRA_MAX];
    *report = fcntl(plan->report, F_DUPFD_CLOEXEC, ABOVE);
    if (*report < 0) {
        *report = plan->report;
        return false;
    }
    for (size_t i = 0; i < 3 + spec->extra_count; i++) {
        int from = i < 3 ? plan->std[i] : spec->extra[i - 3].fd;
        int opened = -1;
        if (from < 0)
            from = opened = open("/dev/null", O_RDWR | O_CLOEXEC);
        src[i] = from < 0 ? -1 : fcntl(from, F_DUPFD_CLOEXEC, ABOVE);
        if (opened >= 0)
            close(opened);
        if (src[i] < 0)
            return false;
    }
    *keep_count = 0;
    for (size_t i = 0; i < 3 + spec->extra_count; i++) {
        int to = i < 3 ? (int)i : spec->extra[i - 3].child_fd;
        if (dup2(src[i], to) < 0)
            return false;
        if (to > 2) {
            size_t at = (*keep_count)++;
            for (; at > 0 && keep[at - 1] > to; at--)
                keep[at] = keep[at - 1];
            keep[at] = to;
        }
    }
    keep[(*keep_count)++] = *report;
    return true;
}

/* Keeps the wanted ones of our capabilities through the change of user and, as ambient ones,
 * through exec. Not having one to give is no error: what is missing shows when it is needed. */
static void keep_capabilities(const struct cm_child_user *u)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    if (syscall(SYS_capget, &head, data) != 0)
        return;
    uint32_t have = data[0].permitted, want = 0;
    if (u->low_ports)
        want |= 1u << CAP_NET_BIND_SERVICE;
    /* Containers often have only the wider of the two. */
    if (u->closed_folders)
        want |=
            have & 1u << CAP_DAC_READ_SEARCH ? 1u << CAP_DAC_READ_SEARCH : 1u << CAP_DAC_OVERRIDE;
    data[0].effective = data[0].permitted = data[0].inheritable = have & want;
    data[1] = (struct __user_cap_data_struct){0};
    if (syscall(SYS_capset, &head, data) != 0)
        return;
    for (unsigned long c = 0; c < 32; c++)
        if (have & want & 1u << c)
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0);
}

/* By system calls, since glibc's own functions would look for other threads, of which there are
 * none after fork. */
static bool change_user(const struct cm_child_user *u)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    bool keep = u->low_ports || u->closed_folders;
    if (keep)
        prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, u->gid, u->gid, u->gid) < 0 ||
        syscall(SYS_setresuid, u->uid, u->uid, u->uid) < 0)
        return false;
    if (keep)
        keep_capabilities(u);
    return true;
}

void cm_child_become(const struct cm_child_plan *plan)
{
    const struct cm_child_spec *spec = plan->spec;
    int report = plan->report;
    int keep[CM_CHILD_EXTRA_MAX + 1];
    size_t keep_count = 0;

    reset_signals();
    if (!place_fds(plan, &report, keep, &keep_count))
        give_up(plan, report, CM_CHILD_STEP_FDS);
    cm_fd_close_from(3, keep, keep_count);

    if (spec->new_session) {
        if (setsid() < 0)
            give_up(plan, report, CM_CHILD_STEP_SESSION);
    } else if (!spec->same_group && setpgid(0, 0) < 0) {
        give_up(plan, report, CM_CHILD_STEP_SESSION);
    }
    if (spec->controlling_tty && ioctl(0, TIOCSCTTY, 0) < 0)
        give_up(plan, report, CM_CHILD_STEP_TTY);
    if (spec->set_priority)
        set_priority(spec);
    if (spec->user && !change_user(spec->user))
        give_up(plan, report, CM_CHILD_STEP_USER);
    /* Changing the user would clear it. */
    if (spec->die_with_parent) {
        prctl(PR_SET_PDEATHSIG, spec->die_signo ? spec->die_signo : SIGKILL);
        if (getppid() != plan->parent)
            _exit(127);
    }
    if (spec->cwd && chdir(spec->cwd) < 0)
        give_up(plan, report, CM_CHILD_STEP_CWD);

    /* As execvp does: what is there but may not be run beats what is not there. */
    int worst = ENOENT;
    for (char **c = plan->candidates; *c; c++) {
        union {
            const char *const *in;
            char *const *out;
        } argv = {.in = spec->argv};
        execve(*c, argv.out, plan->env);
        if (errno != ENOENT && errno != ENOTDIR)
            worst = errno;
    }
    errno = worst;
    give_up(plan, report, CM_CHILD_STEP_EXEC);
}
