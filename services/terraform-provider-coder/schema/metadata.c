/* coder_metadata: what the dashboard says about a resource of a template. */
#include "schema/checks.h"
#include "schema/types.h"

static const struct field item_fields[] = {
    {.name = "key",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Name of the item, unique within the block."},
    {.name = "value", .kind = FIELD_STRING, .flags = F_OPTIONAL, .about = "Text of the item."},
    {.name = "sensitive",
     .kind = FIELD_BOOL,
     .flags = F_OPTIONAL,
     .about = "Hide the value until it is asked for.",
     .dflt = DEFAULT_BOOL(false)},
    {.name = "is_null",
     .kind = FIELD_BOOL,
     .flags = F_COMPUTED,
     .about = "Whether the value was null."},
};
static const struct block item = BLOCK_OF(item_fields);

static const struct field fields[] = {
    FIELD_IMPLICIT_ID,
    {.name = "resource_id",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Id of the resource this is about."},
    {.name = "hide", .kind = FIELD_BOOL, .flags = F_OPTIONAL, .about = "Do not show the resource."},
    {.name = "icon",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "URL of the resource's icon.",
     .check = check_url},
    {.name = "daily_cost",
     .kind = FIELD_INT,
     .flags = F_OPTIONAL,
     .about = "Cost of the resource in a day, against the owner's quota."},
    {.name = "item",
     .kind = FIELD_LIST,
     .flags = F_OPTIONAL,
     .about = "A line to show.",
     .block = &item},
};

static void metadata_check_plan(struct call *c, const struct value *planned)
{
    const struct value *items = value_get(planned, "item");
    for (size_t i = 0; i < value_count(items); i++) {
        const struct value *a = value_get(&items->list.items[i], "key");
        for (size_t k = 0; a->kind == VALUE_STRING && k < i; k++) {
            if (value_equal(a, value_get(&items->list.items[k], "key"))) {
                struct cm_str quoted = call_quote(c, a->str);
                call_error(c, PATH_ROOT, "duplicate resource metadata key %.*s",
                           CM_STR_ARG(quoted));
                return;
            }
        }
    }
}

static void metadata_create(struct call *c, struct value *state)
{
    type_create_id(c, state);
    const struct value *items = value_get(state, "item");
    for (size_t i = 0; i < value_count(items); i++) {
        struct value *it = &items->list.items[i];
        value_set(it, "is_null", value_of_bool(!value_is_set(value_get(it, "value"))));
    }
}

const struct type resource_metadata = {
    .name = "coder_metadata",
    .about = "Facts to show beside a resource.",
    .version = 1,
    .block = BLOCK_OF(fields),
    .check_plan = metadata_check_plan,
    .create = metadata_create,
};
