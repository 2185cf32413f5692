/* A carrier: one stream of bytes that outlives the paths it travels on.
 *
 * Each end counts the bytes it has received and keeps what it sent until the other end has
 * acknowledged it. When a path dies, a new one is attached and both go on where the other left off:
 * nothing is lost or doubled. A new path may also replace a live one. The client's end opens paths,
 * the agent's end is found by the carrier's id.
 *
 * On a path each end sends frames of a type byte, a 24-bit length and a body: HELLO (bytes received
 * so far) first; START (offset of the next DATA) before
 * its first DATA and at each leap; DATA, ACK (bytes received), FIN (all bytes
 * sent), PING and PONG, CLOSE (code and text: the carrier is over).
 *
 * The stream's DATA, DRAINED and EOF events are those of the far end, whatever path; FAILED means
 * that the carrier is over. */
#pragma once

#include "base/time.h"
#include "base/uuid.h"
#include "net/stream.h"

#define CM_CARRIER_REPLAY ((size_t)4 * 1024 * 1024)
#define CM_CARRIER_LINGER (2 * CM_MINUTE)

struct cm_carrier;

struct cm_carrier_config {
    struct cm_uuid id;
    size_t replay_max; /* bytes sent and not acknowledged; more waits. 0: CM_CARRIER_REPLAY */
    cm_usec linger;    /* without a path for so long, the carrier fails. 0: CM_CARRIER_LINGER */
    /* Silence on the path after which it is asked for a sign of life (0: 10 s; negative: never),
     * and after which it is given up (0: 5 s more). The agent's end does not ask: set only
     * idle_timeout there. */
    cm_usec ping_interval, ping_timeout;
    cm_usec idle_timeout; /* a path silent for so long is given up; 0: never */
    /* The path is gone (why), and the carrier waits for another. Not called when one replaces
     * another. */
    void (*path_lost)(void *ctx, struct cm_carrier *c, const struct cm_err *why);
    /* The other end has answered on a new path: bytes flow. */
    void (*path_up)(void *ctx, struct cm_carrier *c);
    void *ctx;
};

/* Owned by its stream: cm_stream_close(cm_carrier_stream(c)) ends it, telling the peer. */
struct cm_carrier *cm_carrier_new(struct cm_loop *loop, const struct cm_carrier_config *cfg);
struct cm_stream *cm_carrier_stream(struct cm_carrier *c);
uint64_t cm_carrier_received(const struct cm_carrier *c); /* the offset to open a path with */
bool cm_carrier_has_path(const struct cm_carrier *c);
/* Take a path, in place of the present one if there is one. On the agent's end offset is what the
 * path was opened with, for which cm_carrier_can_resume must have said yes. */
void cm_carrier_attach_client(struct cm_carrier *c, struct cm_stream *path);
void cm_carrier_attach_agent(struct cm_carrier *c, struct cm_stream *path, uint64_t offset);
/* Has this end sent that many bytes? The peer that has received them may go on here. */
bool cm_carrier_can_resume(const struct cm_carrier *c, uint64_t offset);
/* For whoever exits after closing: fn(ctx) once the goodbye to the peer has gone out, or could not.
 * Set before the close; may run within a second after it. */
void cm_carrier_on_gone(struct cm_carrier *c, void (*fn)(void *ctx), void *ctx);
/* Ends the carrier with a reason that both streams fail with; then close this one. */
void cm_carrier_abort(struct cm_carrier *c, const struct cm_err *why);
