#include "sys/signals.h"

#include <signal.h>

static const struct {
    const char *name;
    int signo;
} names[] = {
    {"ABRT", SIGABRT}, {"ALRM", SIGALRM}, {"BUS", SIGBUS},   {"CHLD", SIGCHLD},
    {"CONT", SIGCONT}, {"FPE", SIGFPE},   {"HUP", SIGHUP},   {"ILL", SIGILL},
    {"INT", SIGINT},   {"KILL", SIGKILL}, {"PIPE", SIGPIPE}, {"QUIT", SIGQUIT},
    {"SEGV", SIGSEGV}, {"STOP", SIGSTOP}, {"SYS", SIGSYS},   {"TERM", SIGTERM},
    {"TRAP", SIGTRAP}, {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},
    {"URG", SIGURG},   {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"WINCH", SIGWINCH},
    {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}, {"PROF", SIGPROF}, {"VTALRM", SIGVTALRM},
};

int cm_signal_by_name(struct cm_str name)
{
    if (cm_str_starts(name, CM_STR("SIG")))
        name = cm_str_sub(name, 3, name.len - 3);
    for (size_t i = 0; i < CM_COUNT_OF(names); i++)
        if (cm_str_eq_c(name, names[i].name))
            return names[i].signo;
    return 0;
}

const char *cm_signal_name(int signo)
{
    for (size_t i = 0; i < CM_COUNT_OF(names); i++)
        if (names[i].signo == signo)
            return names[i].name;
    return NULL;
}

void cm_signal_ignore_pipe(void)
{
    struct sigaction sa = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &sa, NULL);
}
