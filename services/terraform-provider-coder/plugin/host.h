/* What the plugin host asks beside the provider's own calls: to shut down, and whether we are well.
 */
#pragma once

#include "base/defs.h"
#include "goplugin.pb-c.h"
#include "health.pb-c.h"

struct host {
    Plugin__GRPCController_Service controller; /* first: protobuf-c hands it back */
    Grpc__Health__V1__Health_Service health;
    bool shutdown; /* asked for: send what is pending, then leave */
};

void host_init(struct host *h);
