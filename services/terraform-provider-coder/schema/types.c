#include "schema/types.h"

const struct type *const types_all[TYPES_COUNT] = {
    &data_external_auth,
    &data_parameter,
    &data_provisioner,
    &data_secret,
    &data_task,
    &data_workspace,
    &data_workspace_owner,
    &data_workspace_preset,
    &data_workspace_tags,
    &resource_agent,
    &resource_agent_instance,
    &resource_ai_task,
    &resource_app,
    &resource_devcontainer,
    &resource_env,
    &resource_external_agent,
    &resource_metadata,
    &resource_script,
};

const struct type *types_find(struct cm_str name, bool data)
{
    for (size_t i = 0; i < TYPES_COUNT; i++)
        if (types_all[i]->data == data && cm_str_eq_c(name, types_all[i]->name))
            return types_all[i];
    return NULL;
}

void type_create_id(struct call *c, struct value *state)
{
    value_set(state, "id", call_new_uuid(c));
}
