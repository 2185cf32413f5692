#include "plugin/host.h"

static void on_shutdown(Plugin__GRPCController_Service *s, const Plugin__Empty *in CM_UNUSED,
                        Plugin__Empty_Closure closure, void *data)
{
    struct host *h = (struct host *)(void *)s;
    Plugin__Empty out = PLUGIN__EMPTY__INIT;
    h->shutdown = true;
    closure(&out, data);
}

static void on_check(Grpc__Health__V1__Health_Service *s CM_UNUSED,
                     const Grpc__Health__V1__HealthCheckRequest *in CM_UNUSED,
                     Grpc__Health__V1__HealthCheckResponse_Closure closure, void *data)
{
    Grpc__Health__V1__HealthCheckResponse out = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    out.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    closure(&out, data);
}

void host_init(struct host *h)
{
    static const Plugin__GRPCController_Service controller = PLUGIN__GRPCCONTROLLER__INIT(on_);
    static const Grpc__Health__V1__Health_Service health = GRPC__HEALTH__V1__HEALTH__INIT(on_);
    *h = (struct host){.controller = controller, .health = health};
}
