/* The agent's states, reported to coderd in order, none left out. */
#pragma once

#include "agent.pb-c.h"
#include "loop/loop.h"

struct cm_rpc_client;
struct lifecycle;

struct lifecycle *lifecycle_new(struct cm_loop *loop, struct cm_rpc_client *rpc);
void lifecycle_free(struct lifecycle *l);
/* Only forwards: a state that is not after the present one is dropped. */
void lifecycle_set(struct lifecycle *l, Coder__Agent__V1__LifecycleState state);
bool lifecycle_reported(const struct lifecycle *l); /* coderd knows all of them */
