/* coder_external_agent: an agent that somebody starts by hand. */
#include "schema/types.h"

static const struct field fields[] = {
    FIELD_IMPLICIT_ID,
    {.name = "agent_id",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Agent that somebody else starts."},
};

const struct type resource_external_agent = {
    .name = "coder_external_agent",
    .about = "Marks an agent that runs outside of what this template makes.",
    .version = 1,
    .block = BLOCK_OF(fields),
    .create = type_create_id,
};
