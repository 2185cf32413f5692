/* coder_script: something that the agent runs at start, at stop or on a schedule. */
#include "schema/checks.h"
#include "schema/cron.h"
#include "schema/types.h"

static void check_cron(const struct check *c, const struct value *v)
{
    struct cm_str fields[CRON_FIELDS_MAX], why;
    if (cron_split(v->str, fields, CRON_FIELDS_MAX) == CRON_FIELDS_MAX - 1 &&
        cron_check(c->call, CRON_UNIX, v->str, &why))
        call_warning(c->call, c->path,
                     "The cron expression \"%.*s\" has five fields, as a Unix crontab line has, "
                     "but the first field "
                     "here is seconds (seconds minutes hours day-of-month month [day-of-week]). If "
                     "it is meant as a "
                     "Unix line, put \"0 \" in front: \"0 %.*s\"",
                     CM_STR_ARG(v->str), CM_STR_ARG(v->str));
    if (!cron_check(c->call, CRON_SCRIPT, v->str, &why))
        check_fail(c, "%.*s is not a valid cron expression: %.*s", CM_STR_ARG(v->str),
                   CM_STR_ARG(why));
}

static const struct field fields[] = {
    FIELD_IMPLICIT_ID,
    {.name = "agent_id",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Agent that runs the script."},
    {.name = "display_name",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Name that users see beside the logs."},
    {.name = "script", .kind = FIELD_STRING, .flags = F_REQUIRED, .about = "What to run."},
    {.name = "log_path",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "File in the workspace to write the output to."},
    {.name = "icon", .kind = FIELD_STRING, .flags = F_OPTIONAL, .about = "URL of an icon."},
    {.name = "cron",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "Schedule: seconds minutes hours day month [weekday].",
     .check = check_cron},
    {.name = "start_blocks_login",
     .kind = FIELD_BOOL,
     .flags = F_OPTIONAL,
     .about = "Logins wait until the script has ended.",
     .dflt = DEFAULT_BOOL(false)},
    {.name = "run_on_start",
     .kind = FIELD_BOOL,
     .flags = F_OPTIONAL,
     .about = "Run when the agent starts.",
     .dflt = DEFAULT_BOOL(false)},
    {.name = "run_on_stop",
     .kind = FIELD_BOOL,
     .flags = F_OPTIONAL,
     .about = "Run before the workspace stops.",
     .dflt = DEFAULT_BOOL(false)},
    {
        .name = "timeout",
        .kind = FIELD_INT,
        .flags = F_OPTIONAL,
        .about = "Seconds that a run may take; unset is no limit.",
        .dflt = DEFAULT_INT(0),
        .check = check_at_least,
        .min = 1,
    },
};

static void script_create(struct call *c, struct value *state)
{
    type_create_id(c, state);
    bool start = value_bool(state, "run_on_start");
    if (!start && !value_bool(state, "run_on_stop") && !value_str(state, "cron").len)
        call_error(c, PATH_ROOT,
                   "at least one of \"run_on_start\", \"run_on_stop\", or \"cron\" must be set");
    if (value_bool(state, "start_blocks_login") && !start)
        call_error(c, PATH_ROOT,
                   "\"start_blocks_login\" can only be set if \"run_on_start\" is \"true\"");
}

const struct type resource_script = {
    .name = "coder_script",
    .about = "A script of an agent.",
    .version = 1,
    .block = BLOCK_OF(fields),
    .create = script_create,
};
