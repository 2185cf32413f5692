/* Forwarding: connections that the client opens through us, and listeners that we hold for it. */
#pragma once

#include "ssh/conn.h"

struct ssh_forwards;

struct ssh_forwards *ssh_forwards_new(struct ssh_conn *conn);
void ssh_forwards_free(struct ssh_forwards *f);
/* libssh's session exists: sees its packets first from now on. */
void ssh_forwards_attach(struct ssh_forwards *f);
/* A request for forwarding: true when it was, or will be, answered. */
bool ssh_forwards_message(struct ssh_forwards *f, ssh_message msg);
/* Answers what could not be answered inside a callback. Not from within libssh's callbacks. */
void ssh_forwards_ready(struct ssh_forwards *f);
/* The socket at which the client's agent can be reached; NULL when none can be made. Made once per
 * connection. */
const char *ssh_forwards_agent(struct ssh_forwards *f);
/* The connection is over: no more listeners, no more dials. */
void ssh_forwards_stop(struct ssh_forwards *f);
