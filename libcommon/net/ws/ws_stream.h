/* A stream of bytes carried by the binary messages of a WebSocket, either end. Closing frames mark
 * the half closes: after ours nothing more is sent, after the peer's nothing more comes, and the
 * connection ends after both. */
#pragma once

#include "net/stream.h"

/* Takes the raw stream after the handshake; its input may already hold frames. client: our end
 * masks. */
struct cm_stream *cm_ws_stream_new(struct cm_stream *raw, bool client);
