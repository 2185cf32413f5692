/* A channel joined to a stream: one forwarded connection. */
#pragma once

#include "net/stream.h"
#include "ssh/conn.h"

/* For a channel that the client opened and we accepted. Takes both. */
void ssh_bridge_accepted(struct ssh_conn *conn, ssh_channel ch, struct cm_stream *stream);

enum ssh_bridge_kind { SSH_BRIDGE_FORWARD, SSH_BRIDGE_AGENT, SSH_BRIDGE_X11 };

/* For a connection that somebody made to us: opens a channel to the client. Takes stream; the rest
 * is copied. Of FORWARD, address and port are as the client asked for them. */
void ssh_bridge_offer(struct ssh_conn *conn, enum ssh_bridge_kind kind, const char *address,
                      uint16_t port, const char *origin, uint16_t origin_port,
                      struct cm_stream *stream);
