/* data coder_external_auth: a token of the owner for another service. */
#include "schema/types.h"

static const struct field fields[] = {
    {.name = "id",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Id of the external auth provider."},
    {.name = "optional",
     .kind = FIELD_BOOL,
     .flags = F_OPTIONAL,
     .about = "Whether the workspace can be made without it."},
    {.name = "access_token",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED | F_SENSITIVE,
     .about = "Access token for the service."},
};

static void external_auth_read(struct call *c, const struct value *config, struct value *state)
{
    struct cm_str id = value_str(config, "id");
    if (!id.len) {
        call_error(c, PATH_ROOT, "id is required");
        return;
    }
    const char *name =
        cm_arena_printf(c->arena, "CODER_EXTERNAL_AUTH_ACCESS_TOKEN_%.*s", CM_STR_ARG(id));
    value_set(state, "access_token", value_of_str(call_env(c, name, NULL)));
}

const struct type data_external_auth = {
    .name = "coder_external_auth",
    .about = "Asks the workspace's owner to log in to another service.",
    .version = 1,
    .block = BLOCK_OF(fields),
    .data = true,
    .read = external_auth_read,
};
