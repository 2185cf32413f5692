/* Agent metadata: the manifest's little scripts, run now and then, their output reported. */
#pragma once

#include "context.h"

struct metadata;

struct metadata *metadata_new(const struct agent_context *ctx);
void metadata_free(struct metadata *m);
/* The manifest is new: what is described in it, and nothing else, is collected from now on. */
void metadata_refresh(struct metadata *m);
