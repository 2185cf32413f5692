/* The list of everything the provider offers. */
#pragma once

#include "schema/field.h"

/* One per file of its name. */
extern const struct type data_external_auth, data_parameter, data_provisioner, data_secret,
    data_task;
extern const struct type data_workspace, data_workspace_owner, data_workspace_preset,
    data_workspace_tags;
extern const struct type resource_agent, resource_agent_instance, resource_ai_task, resource_app;
extern const struct type resource_devcontainer, resource_env, resource_external_agent,
    resource_metadata;
extern const struct type resource_script;

#define TYPES_COUNT 18
extern const struct type *const types_all[TYPES_COUNT];

/* The entry of that name and kind, or NULL. */
const struct type *types_find(struct cm_str name, bool data);

/* The provider's own block, and what Configure makes of it: the access URL, an empty text after an
 * error. */
extern const struct block provider_block;
struct cm_str provider_configure(struct call *c, const struct value *config);

/* The create hook of types that only get an id. */
void type_create_id(struct call *c, struct value *state);
