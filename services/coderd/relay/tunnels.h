/* The agents' tunnels that end at this replica, by agent. */
#pragma once

#include "base/uuid.h"
#include "loop/loop.h"
#include "net/stream.h"
#include "net/tunnel/tunnel.h"

struct tunnels;

struct tunnels_config {
    /* On the tunnel's loop, when an agent's last tunnel here has ended. */
    void (*on_lost)(void *ctx, struct cm_uuid agent_id);
    void *ctx;
};

struct tunnels *tunnels_new(const struct tunnels_config *cfg);
/* Before a stop: asks the agents to bring another tunnel, to wherever they get. What runs through
 * those that are here goes on until they are closed; nobody is told any more of their end. */
void tunnels_drain(struct tunnels *t);
/* Ends all tunnels, once the loops have stopped. Workers and what is still posted to the loops may
 * go on asking, and find none. */
void tunnels_close(struct tunnels *t);
void tunnels_free(struct tunnels *t); /* after the workers and the loops are gone */
CM_DEFINE_CLEANUP(tunnels, tunnels_free)

/* Takes the stream and makes it the agent's tunnel, on the stream's loop. An older one of the same
 * agent is drained. After tunnels_close the stream is closed. */
void tunnels_add(struct tunnels *t, struct cm_uuid agent_id, struct cm_stream *stream);
bool tunnels_has(struct tunnels *t, struct cm_uuid agent_id);

/* Runs fn on the loop of the agent's tunnel, where it may use it; tunnel is NULL when it has ended
 * meanwhile. False (and fn never runs) when the agent has none here. Any thread. */
CM_MUST_USE bool tunnels_use(struct tunnels *t, struct cm_uuid agent_id,
                             void (*fn)(struct cm_tunnel *tunnel, struct cm_loop *loop, void *arg),
                             void *arg);
/* Makes a request, POST path, of each agent that has a tunnel here; what they answer is not waited
 * for. Any thread. */
void tunnels_tell(struct tunnels *t, struct cm_str path);
/* The loop of the agent's tunnel, to move a stream to; NULL when there is none. */
struct cm_loop *tunnels_loop(struct tunnels *t, struct cm_uuid agent_id);
