/* The ends of tunnels and sessions on the public port: an agent brings its tunnel, a client brings
 * one path of a session, and the two are joined. */
#pragma once

#include "api/request.h"

/* api_req.start of the agent's upgrade. */
void relay_tunnel_start(struct api_req *r);

struct relay_path {
    struct cm_uuid agent_id, carrier;
    uint64_t offset;
    struct cm_str ticket;
};
/* api_req.start of a client's upgrade; api_req.state is a struct relay_path. */
void relay_session_start(struct api_req *r);
