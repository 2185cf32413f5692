/* coder_agent_instance: the cloud instance whose identity an agent proves. */
#include "schema/types.h"

static const struct field fields[] = {
    FIELD_IMPLICIT_ID,
    {.name = "agent_id",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Agent that runs on the instance."},
    {.name = "instance_id",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "The cloud's id of the instance."},
};

const struct type resource_agent_instance = {
    .name = "coder_agent_instance",
    .about = "Lets an agent prove itself by the identity of its cloud instance.",
    .version = 0,
    .block = BLOCK_OF(fields),
    .create = type_create_id,
};
