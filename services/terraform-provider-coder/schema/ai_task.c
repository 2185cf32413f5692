/* coder_ai_task: the app through which a task's agent is watched. */
#include "schema/checks.h"
#include "schema/types.h"
#include "schema/uuid_text.h"

static const struct field sidebar_fields[] = {
    {.name = "id",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Id of the app.",
     .check = check_uuid},
};
static const struct block sidebar = BLOCK_OF(sidebar_fields);

static const struct field fields[] = {
    {.name = "id",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED,
     .about = "Id of the task, or a random one outside of a task."},
    {
        .name = "app_id",
        .kind = FIELD_STRING,
        .flags = F_OPTIONAL | F_COMPUTED,
        .about = "Id of the app to show beside the task.",
        .check = check_uuid,
        .conflicts = WORDS("sidebar_app"),
    },
    {
        .name = "sidebar_app",
        .kind = FIELD_SET,
        .flags = F_OPTIONAL,
        .about = "The app to show beside the task.",
        .conflicts = WORDS("app_id"),
        .deprecated = "Use app_id instead.",
        .block = &sidebar,
        .max_items = 1,
    },
    {.name = "prompt",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED,
     .about = "What the user asked for."},
    {.name = "enabled",
     .kind = FIELD_BOOL,
     .flags = F_COMPUTED,
     .about = "Whether this build belongs to a task."},
};

static void ai_task_create(struct call *c, struct value *state)
{
    struct cm_uuid id;
    struct cm_str why;
    struct cm_str text = call_env(c, "CODER_TASK_ID", NULL);
    bool enabled = uuid_text_parse(c, text, &id, &why) && !cm_uuid_is_nil(id);
    struct cm_str canonical =
        cm_arena_str(c->arena, cm_str(cm_uuid_text(enabled ? id : cm_uuid_random()).s));
    value_set(state, "id", value_of_str(canonical));
    value_set(state, "enabled", value_of_bool(enabled));

    struct cm_str prompt = call_env(c, "CODER_TASK_PROMPT", NULL);
    value_set(state, "prompt", prompt.len ? value_of_str(prompt) : VALUE_NONE);

    const struct value *app = value_get(state, "app_id"), *side = value_get(state, "sidebar_app");
    if (!value_is_set(app) && value_count(side) > 0)
        app = value_get(&side->list.items[0], "id");
    if (value_is_set(app) && app->str.len) {
        value_set(state, "app_id", *app);
        return;
    }
    value_set(state, "enabled", value_of_bool(false));
    call_error(c, PATH_ROOT, "'app_id' must be set");
}

const struct type resource_ai_task = {
    .name = "coder_ai_task",
    .about = "Makes a template usable for tasks.",
    .version = 1,
    .block = BLOCK_OF(fields),
    .create = ai_task_create,
};
