/* data coder_workspace_tags: which provisioners may run the builds. The server reads the tags;
 * nothing is done here. */
#include "schema/types.h"

static const struct field fields[] = {
    FIELD_IMPLICIT_ID,
    {.name = "tags",
     .kind = FIELD_MAP,
     .flags = F_OPTIONAL,
     .about = "Tags that a provisioner must have."},
};

static void tags_read(struct call *c, const struct value *config CM_UNUSED, struct value *state)
{
    type_create_id(c, state);
}

const struct type data_workspace_tags = {
    .name = "coder_workspace_tags",
    .about = "Provisioner tags of the workspace's builds.",
    .version = 1,
    .block = BLOCK_OF(fields),
    .data = true,
    .read = tags_read,
};
