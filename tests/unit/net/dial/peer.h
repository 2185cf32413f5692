/* Starts peer.py, or the script that PEER_SCRIPT names, for a test and tells its port. It ends when
 * the test does. */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/defs.h"

#ifndef PEER_SCRIPT
#define PEER_SCRIPT CM_SOURCE_DIR "/tests/unit/net/dial/peer.py"
#endif

struct peer {
    pid_t pid;
    int stdin_fd;
    int port;
};

static inline CM_UNUSED void peer_start(struct peer *p, const char *kind, const char *a,
                                        const char *b)
{
    int in[2], out[2];
    char line[16] = "";

    if (pipe2(in, O_CLOEXEC) != 0 ||
        pipe2(out, O_CLOEXEC) != 0) /* a second peer must not hold the first one open */
        abort();
    p->pid = fork();
    if (p->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        execlp("python3", "python3", PEER_SCRIPT, kind, a, b, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    p->stdin_fd = in[1];
    size_t n = 0;
    while (n + 1 < sizeof(line) && read(out[0], line + n, 1) == 1 && line[n] != '\n')
        n++;
    close(out[0]);
    p->port = (int)strtol(line, NULL, 10);
    if (p->port <= 0)
        abort();
}

static inline CM_UNUSED void peer_stop(struct peer *p)
{
    close(p->stdin_fd);
    waitpid(p->pid, NULL, 0);
}
