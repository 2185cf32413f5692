#include "reaper.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

bool reaper_run(int *ret_status)
{
    if (getpid() != 1)
        return false;
    sigset_t all, old;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    pid_t agent = fork();
    if (agent <= 0) {
        /* Also when it fails: an agent that leaves zombies is better than none. */
        sigprocmask(SIG_SETMASK, &old, NULL);
        return false;
    }
    for (;;) {
        int signo = sigwaitinfo(&all, NULL);
        if (signo < 0)
            continue;
        if (signo != SIGCHLD) {
            kill(agent, signo);
            continue;
        }
        int st;
        pid_t pid;
        while ((pid = waitpid(-1, &st, WNOHANG)) > 0)
            if (pid == agent) {
                *ret_status = WIFSIGNALED(st) ? 128 + WTERMSIG(st) : WEXITSTATUS(st);
                return true;
            }
    }
}
