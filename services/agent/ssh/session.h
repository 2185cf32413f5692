/* A session channel: a shell, a command or a subsystem, with or without a terminal. */
#pragma once

#include "ssh/conn.h"

/* Takes ch, which libssh is about to accept. */
void ssh_session_chan_new(struct ssh_conn *conn, ssh_channel ch);
