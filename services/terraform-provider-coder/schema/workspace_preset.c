/* data coder_workspace_preset: parameter values under a name, and how many workspaces to keep ready
 * with them. */
#include "schema/checks.h"
#include "schema/cron.h"
#include "schema/preset_schedule.h"
#include "schema/types.h"
#include "schema/zone.h"

#define DESCRIPTION_MAX_BYTES 128
#define ICON_MAX_BYTES        256
#define TTL_MIN_SECONDS       3600
#define TTL_MAX_SECONDS       31536000

static void check_icon(const struct check *c, const struct value *v)
{
    check_url(c, v);
    check_length(c, v);
}

static void check_ttl(const struct check *c, const struct value *v)
{
    if (v->integer != 0 && (v->integer < TTL_MIN_SECONDS || v->integer > TTL_MAX_SECONDS))
        check_fail(c, "\"%.*s\" must be 0 or between %d and %d, got %lld", CM_STR_ARG(c->key),
                   TTL_MIN_SECONDS, TTL_MAX_SECONDS, (long long)v->integer);
}

static void check_timezone(const struct check *c, const struct value *v)
{
    struct cm_str why;
    if (zone_exists(c->call, v->str, &why))
        return;
    struct cm_str quoted = call_quote(c->call, v->str);
    check_fail(c, "failed to load timezone %.*s: %.*s", CM_STR_ARG(quoted), CM_STR_ARG(why));
}

static void check_schedule_cron(const struct check *c, const struct value *v)
{
    struct cm_str parts[CRON_FIELDS_MAX], why;
    size_t n = cron_split(v->str, parts, CRON_FIELDS_MAX);
    if (n != CRON_FIELDS_MAX - 1)
        check_fail(c, "cron spec failed validation: expected 5 fields, found %zu in \"%.*s\"", n,
                   CM_STR_ARG(v->str));
    else if (!cm_str_eq_c(parts[0], "*"))
        check_fail(c, "cron spec failed validation: minute field should be *, got \"%.*s\"",
                   CM_STR_ARG(parts[0]));
    else if (!cron_check(c->call, CRON_UNIX, v->str, &why))
        check_fail(c, "failed to parse cron spec: %.*s", CM_STR_ARG(why));
}

static const struct field schedule_fields[] = {
    {.name = "cron",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Hours in which the count holds, as a cron line whose minute is *.",
     .check = check_schedule_cron},
    {.name = "instances",
     .kind = FIELD_INT,
     .flags = F_REQUIRED,
     .about = "Workspaces to keep ready in these hours."},
};
static const struct block schedule = BLOCK_OF(schedule_fields);

static const struct field scheduling_fields[] = {
    {.name = "timezone",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Time zone of the schedules.",
     .check = check_timezone},
    {.name = "schedule",
     .kind = FIELD_LIST,
     .flags = F_REQUIRED,
     .about = "A count for some hours.",
     .block = &schedule,
     .min_items = 1},
};
static const struct block scheduling = BLOCK_OF(scheduling_fields);

static const struct field expiration_fields[] = {
    {.name = "ttl",
     .kind = FIELD_INT,
     .flags = F_REQUIRED,
     .about = "Seconds until an unclaimed workspace is replaced; 0 is never.",
     .check = check_ttl},
};
static const struct block expiration = BLOCK_OF(expiration_fields);

static const struct field prebuilds_fields[] = {
    {.name = "instances",
     .kind = FIELD_INT,
     .flags = F_REQUIRED,
     .about = "Workspaces to keep ready.",
     .check = check_at_least},
    {.name = "expiration_policy",
     .kind = FIELD_SET,
     .flags = F_OPTIONAL,
     .about = "When to replace unclaimed workspaces.",
     .block = &expiration,
     .max_items = 1},
    {.name = "scheduling",
     .kind = FIELD_LIST,
     .flags = F_OPTIONAL,
     .about = "Counts by time of day.",
     .block = &scheduling,
     .max_items = 1},
};
static const struct block prebuilds = BLOCK_OF(prebuilds_fields);

static const struct field fields[] = {
    {.name = "id", .kind = FIELD_STRING, .flags = F_COMPUTED, .about = "The name again."},
    {.name = "name",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Name of the preset.",
     .check = check_not_empty},
    {.name = "description",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "Text to show with the preset.",
     .check = check_length,
     .max = DESCRIPTION_MAX_BYTES},
    {.name = "icon",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "URL of an icon.",
     .check = check_icon,
     .max = ICON_MAX_BYTES},
    {.name = "default",
     .kind = FIELD_BOOL,
     .flags = F_OPTIONAL,
     .about = "Whether this preset is chosen to begin with.",
     .dflt = DEFAULT_BOOL(false)},
    {.name = "parameters",
     .kind = FIELD_MAP,
     .flags = F_OPTIONAL,
     .about = "Parameter values by name."},
    {.name = "prebuilds",
     .kind = FIELD_SET,
     .flags = F_OPTIONAL,
     .about = "Workspaces to keep ready for this preset.",
     .block = &prebuilds,
     .max_items = 1},
};

static void preset_read(struct call *c, const struct value *config, struct value *state)
{
    value_set(state, "id", value_of_str(value_str(config, "name")));
    const struct value *pre = value_get(config, "prebuilds");
    if (!value_count(pre))
        return;
    const struct value *plans = value_get(&pre->list.items[0], "scheduling");
    if (value_count(plans))
        preset_schedule_check(c, value_get(&plans->list.items[0], "schedule"));
}

const struct type data_workspace_preset = {
    .name = "coder_workspace_preset",
    .about = "Parameter values that users can pick by one name.",
    .version = 1,
    .block = BLOCK_OF(fields),
    .data = true,
    .read = preset_read,
};
