/* coder_devcontainer: a dev container beside the agent. */
#include "schema/checks.h"
#include "schema/types.h"

static const struct field fields[] = {
    FIELD_IMPLICIT_ID,
    {.name = "agent_id",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Agent that starts the container."},
    {
        .name = "workspace_folder",
        .kind = FIELD_STRING,
        .flags = F_REQUIRED,
        .about = "Folder that holds the container's configuration.",
        .check = check_not_empty,
    },
    {.name = "config_path",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "devcontainer.json, if not in its usual place."},
    {.name = "subagent_id",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED,
     .about = "Id of the agent inside the container."},
};

static void on_create(struct call *c, struct value *state)
{
    type_create_id(c, state);
    value_set(state, "subagent_id", call_new_uuid(c));
}

const struct type resource_devcontainer = {
    .name = "coder_devcontainer",
    .about = "A dev container that the agent keeps running.",
    .version = 1,
    .block = BLOCK_OF(fields),
    .create = on_create,
};
