/* Health checks of the workspace's apps. */
#pragma once

#include "context.h"

struct cm_httpc;
struct apphealth;

struct apphealth *apphealth_new(const struct agent_context *ctx, struct cm_httpc *http);
void apphealth_free(struct apphealth *h);
void apphealth_refresh(struct apphealth *h); /* the manifest is new */
