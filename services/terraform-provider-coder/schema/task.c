/* data coder_task: the task that this build belongs to. */
#include "schema/types.h"
#include "schema/uuid_text.h"

static const struct field fields[] = {
    {.name = "id",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED,
     .about = "Id of the task, or a random one outside of a task."},
    {.name = "prompt",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED,
     .about = "What the user asked for."},
    {.name = "enabled",
     .kind = FIELD_BOOL,
     .flags = F_COMPUTED,
     .about = "Whether this build belongs to a task."},
};

static void task_read(struct call *c, const struct value *config CM_UNUSED, struct value *state)
{
    struct cm_str text = call_env(c, "CODER_TASK_ID", NULL), why;
    struct cm_uuid id = {.b = {0}};
    if (text.len && !uuid_text_parse(c, text, &id, &why)) {
        call_error(c, PATH_ROOT, "CODER_TASK_ID is not a UUID: %.*s", CM_STR_ARG(why));
        return;
    }
    bool enabled = !cm_uuid_is_nil(id);
    value_set(state, "id", enabled ? value_of_str(text) : call_new_uuid(c));
    value_set(state, "enabled", value_of_bool(enabled));
    value_set(state, "prompt", value_of_str(call_env(c, "CODER_TASK_PROMPT", NULL)));
}

const struct type data_task = {
    .name = "coder_task",
    .about = "The task that is being worked on.",
    .version = 0,
    .block = BLOCK_OF(fields),
    .data = true,
    .read = task_read,
};
