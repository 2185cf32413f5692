/* The provider service: tfplugin5's calls answered from the tables in schema/. */
#pragma once

#include "plugin/dispatch.h"
#include "schema/call.h"
#include "tfplugin5.pb-c.h"

/* One per process. Not thread-safe: calls are answered one at a time. */
struct provider {
    Tfplugin5__Provider_Service service; /* first: protobuf-c hands this back to the handlers */
    struct environment env;
    struct cm_arena *arena;   /* of the call being answered, lent by the dispatcher */
    struct cm_arena *config;  /* holds access_url; owned */
    struct cm_str access_url; /* empty until Configure has succeeded */
};

/* vars is the process's environment, borrowed. */
void provider_init(struct provider *p, const char *const *vars);
void provider_done(struct provider *p);
