/* An SSH client on a socket that leads to the agent's SSH server: a shell with a terminal, or a
 * command with pipes. */
#pragma once

#include "cli.h"
#include "remote/forward.h"

struct ssh_run {
    const char *command; /* NULL: a login shell */
    bool pty;
    struct cm_conf_list env;    /* "NAME=value" */
    const char *agent_socket;   /* to forward; NULL: none */
    struct forward_rule *rules; /* -R */
    size_t n_rules;
};

/* SIGWINCH must be blocked in all threads of the process. Blocks until the remote end is done; the
 * session's loop runs in a thread meanwhile. Takes fd. *ret_status is the remote's exit status, 255
 * when it gave none. */
CM_MUST_USE enum cm_code ssh_client_run(int fd, const struct ssh_run *run, int *ret_status,
                                        struct cm_err *err);
/* The terminal as it was before ssh_client_run; from any thread, and also when nothing runs. */
void ssh_client_restore(void);
