/* The process that serves one SSH connection: `coder-agent ssh-session`, started by the agent with
 * the connection as descriptor 3 and the agent's end of a socket pair as descriptor 4
 * (proto/rpc/agent_child.proto). */
#pragma once

#define SSH_CHILD_STREAM_FD  3
#define SSH_CHILD_CONTROL_FD 4
#define SSH_CHILD_COMMAND    "ssh-session"
#define SSH_CHILD_CONFIG_MAX ((size_t)1024 * 1024)

/* Never returns before the connection is over. The result is the process's exit status. */
int ssh_child_main(const char *const *environment);
