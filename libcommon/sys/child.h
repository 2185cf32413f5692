/* Child processes: start one with an argument array, its own environment, folder, session and
 * descriptors; signal its whole process group; wait for it with a deadline or watch for its end on
 * a loop.
 *
 * No shell is ever involved. The child begins with default signal handlers, an empty signal mask
 * and no descriptor but 0, 1, 2 and those listed. A failure to start (no such program, no
 * permission, no such folder) is an error of cm_child_start, not an exit status. A struct cm_child
 * belongs to one thread; different ones are independent. */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/time.h"

enum cm_child_stdio {
    CM_CHILD_NULL,    /* /dev/null */
    CM_CHILD_INHERIT, /* ours */
    CM_CHILD_PIPE,    /* a pipe, whose other end cm_child_take_fd yields */
    CM_CHILD_FD,      /* the descriptor in .fd, borrowed: it is duplicated */
    CM_CHILD_STDOUT,  /* for stderr: where stdout goes */
};

struct cm_child_fd {
    enum cm_child_stdio kind;
    int fd; /* for CM_CHILD_FD */
};

/* Another descriptor that the child gets: fd, borrowed, as number child_fd (3 to 63). */
struct cm_child_extra_fd {
    int fd, child_fd;
};

#define CM_CHILD_EXTRA_MAX 8

/* Another user to run as, for which ours must be root. It has no supplementary groups, cannot gain
 * privileges by running something (no_new_privs), and keeps of our capabilities only those named
 * here, as far as we have them. */
struct cm_child_user {
    uid_t uid;
    gid_t gid;
    bool low_ports;      /* to bind ports below 1024 */
    bool closed_folders; /* to enter folders and read files that their modes close to it */
};

struct cm_child_spec {
    const char *const *argv;   /* required, NULL at the end */
    const char *program;       /* what to run; NULL: argv[0]. Without a slash it is looked up in the
                                  child's PATH */
    const char *const *env;    /* "NAME=value", NULL at the end; NULL: ours */
    const char *cwd;           /* NULL: ours */
    struct cm_child_fd std[3]; /* stdin, stdout, stderr; zero: /dev/null */
    struct cm_child_extra_fd extra[CM_CHILD_EXTRA_MAX];
    size_t extra_count;
    bool new_session;     /* setsid; otherwise the child gets a process group of its own */
    bool same_group;      /* stay in our process group, e.g. to share the terminal's Ctrl-C */
    bool controlling_tty; /* descriptor 0 becomes the new session's terminal */
    bool die_with_parent; /* SIGKILL when the starting thread's process ends */
    int die_signo;        /* with die_with_parent: this signal instead; 0: SIGKILL */
    const struct cm_child_user *user; /* NULL: ours */
    bool set_priority;                /* apply the two below; failing to is no error */
    int nice;                         /* absolute */
    int oom_score_adj;
};

struct cm_child;

struct cm_child_status {
    int code;  /* exit status when signo is 0 */
    int signo; /* the signal that ended it, or 0 */
    bool core_dumped;
};
/* As a shell would say it: the exit status, or 128 + the signal's number. */
int cm_child_status_shell(struct cm_child_status st);

CM_MUST_USE enum cm_code cm_child_start(const struct cm_child_spec *spec, struct cm_child **ret,
                                        struct cm_err *err);
/* Kills the process group if the child still runs, reaps it, closes what is left open. */
void cm_child_free(struct cm_child *c);
CM_DEFINE_CLEANUP(cm_child, cm_child_free)
/* Frees c and lets the process go on; the caller does not wait for it. Some reaper must exist
 * (init, or SIGCHLD ignored): for programs that end soon. */
void cm_child_detach(struct cm_child *c);

pid_t cm_child_pid(const struct cm_child *c);
/* The parent's end of pipe 0, 1 or 2: owned by the caller from now on, close-on-exec, blocking; -1
 * when there is none (any more). */
int cm_child_take_fd(struct cm_child *c, int which);

/* To the whole process group (with same_group: to the process alone). Fine after the end as well.
 */
void cm_child_signal(struct cm_child *c, int signo);
/* To the process alone. */
void cm_child_signal_one(struct cm_child *c, int signo);

/* A descriptor that becomes readable when the process has ended; borrowed, never read from. For
 * cm_watch_start or poll; then call cm_child_reap. */
int cm_child_exit_fd(const struct cm_child *c);
/* Has it ended? True fills *ret (may be NULL); once true, always the same answer. */
CM_MUST_USE bool cm_child_reap(struct cm_child *c, struct cm_child_status *ret);
/* Waits at most timeout (< 0: without end). CM_TIMEOUT when it still runs. */
CM_MUST_USE enum cm_code cm_child_wait(struct cm_child *c, cm_usec timeout,
                                       struct cm_child_status *ret, struct cm_err *err);
/* Signals the group with signo, waits at most grace, then kills. Always ends with the child reaped.
 */
void cm_child_stop(struct cm_child *c, int signo, cm_usec grace, struct cm_child_status *ret);

/* Runs a program to its end, feeding input and collecting output; for callers that may block. std[]
 * of the spec is not used. out and err_out take at most their max: more is read and dropped, and
 * *ret_cut (may be NULL) set. err_out NULL: stderr goes where stdout goes. At the deadline the
 * group is killed and the result is CM_TIMEOUT. A non-zero exit status is no error. */
CM_MUST_USE enum cm_code cm_child_run(const struct cm_child_spec *spec, struct cm_str input,
                                      struct cm_buf *out, struct cm_buf *err_out, cm_usec timeout,
                                      struct cm_child_status *ret, bool *ret_cut,
                                      struct cm_err *err);
