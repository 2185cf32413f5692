/* The sftp subsystem of one session channel. libssh parses requests and writes replies; what they
 * do is ours. */
#pragma once

#include "ssh/conn.h"

struct ssh_sftp;

/* Relative paths are below directory. The channel stays the caller's. */
struct ssh_sftp *ssh_sftp_new(struct ssh_chan *chan, const char *directory);
void ssh_sftp_free(struct ssh_sftp *s);
/* The channel's events. Data stays with libssh: always 0. */
size_t ssh_sftp_data(struct ssh_sftp *s, const void *data, size_t len);
void ssh_sftp_ready(struct ssh_sftp *s);
/* The client has said its last, or something that makes no sense. */
bool ssh_sftp_ended(const struct ssh_sftp *s);
