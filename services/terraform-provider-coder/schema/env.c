/* coder_env: an environment variable for everything that an agent starts. */
#include "schema/checks.h"
#include "schema/types.h"

/* ^[a-zA-Z_][a-zA-Z0-9_]*$ */
static void check_name(const struct check *c, const struct value *v)
{
    bool ok = v->str.len > 0;
    for (size_t i = 0; ok && i < v->str.len; i++) {
        char ch = v->str.ptr[i];
        bool digit = ch >= '0' && ch <= '9';
        ok = ch == '_' || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (digit && i > 0);
    }
    if (!ok)
        check_fail(c, "invalid value for %.*s (must be a valid environment variable name)",
                   CM_STR_ARG(c->key));
}

static const struct field fields[] = {
    FIELD_IMPLICIT_ID,
    {.name = "agent_id",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Agent that gets the variable."},
    {.name = "name",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Name of the variable.",
     .check = check_name},
    {.name = "value", .kind = FIELD_STRING, .flags = F_OPTIONAL, .about = "Value of the variable."},
    {
        .name = "merge_strategy",
        .kind = FIELD_STRING,
        .flags = F_OPTIONAL,
        .about = "What happens when another resource sets the same variable.",
        .dflt = DEFAULT_STR("replace"),
        .check = check_one_of,
        .words = WORDS("replace", "append", "prepend", "error"),
    },
};

const struct type resource_env = {
    .name = "coder_env",
    .about = "An environment variable of an agent.",
    .version = 1,
    .block = BLOCK_OF(fields),
    .create = type_create_id,
};
