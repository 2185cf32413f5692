/* From what a client asked for to a running command: its environment, shell, folder, terminal and
 * greeting. */
#pragma once

#include "env/environ.h"
#include "ssh/conn.h"
#include "sys/child.h"

#define SSH_SESSION_TYPE_MAX 16

struct ssh_launch {
    struct cm_arena *arena;
    struct environ_pair *env; /* of the client, in order */
    size_t env_count, env_cap;
    bool pty;
    const char *term;
    unsigned rows, cols, xpixel, ypixel;
    /* Set by ssh_launch_prepare. */
    char type[SSH_SESSION_TYPE_MAX]; /* ssh, vscode, jetbrains, unknown */
    bool in_container;
    struct environ_set *environ;
};

struct ssh_launched {
    struct cm_child *child;
    int in_fd, out_fd, err_fd; /* with a terminal: its master twice, and -1 */
};

void ssh_launch_init(struct ssh_launch *l, struct cm_arena *a);
void ssh_launch_env(struct ssh_launch *l, struct cm_str name, struct cm_str value);
/* All requests are in: takes the magic variables out and builds the environment. */
void ssh_launch_prepare(struct ssh_launch *l, const struct ssh_conn *conn);
const char *ssh_launch_directory(struct ssh_launch *l, const struct ssh_conn *conn);
/* Is this a file transfer, and are those blocked? command NULL: a login shell. */
bool ssh_launch_blocked(const Coder__Agent__V1__SshChildConfig *cfg, const char *command);
CM_MUST_USE enum cm_code ssh_launch(struct ssh_launch *l, const struct ssh_conn *conn,
                                    const char *command, struct ssh_launched *ret,
                                    struct cm_err *err);
/* Announcements and the message of the day, with CRLF; in the arena. */
struct cm_str ssh_launch_greeting(struct ssh_launch *l, const struct ssh_conn *conn,
                                  const char *command);
