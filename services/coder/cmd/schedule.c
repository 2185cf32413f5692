/* schedule: when workspaces start and stop by themselves. */
#include "schedule_text.h"

#include "cmd/cmd.h"

struct show_opts {
    bool all;
    const char *search;
};

static const struct cm_opt show_opts[] = {
    {CM_OPT_BOOL, offsetof(struct show_opts, all), "all", 'a',
     .help = "Specifies whether all workspaces will be listed or not."},
    {CM_OPT_STR, offsetof(struct show_opts, search), "search", .def = "owner:me",
     .help = "Search for a workspace with a query."},
};

#define COLUMNS "workspace|starts at|starts next|stops after|stops next"

static const char *time_or_empty(struct cm_arena *a, struct cm_time t)
{
    return t.us && !cm_time_is_zero(t) ? ui_time(a, t) : "";
}

/* mark: with room for a star, as in the list of workspaces. */
static void add_row(struct cli *cli, struct ui_table *t, const struct api_workspace *w, bool mark)
{
    bool has_ttl = cm_has(w->has, API_WORKSPACE_HAS_TTL_MS) && w->ttl_ms > 0;

    ui_table_row(t);
    ui_table_cellf(t, "%s%.*s/%.*s",
                   !mark         ? ""
                   : w->favorite ? "\u2605 "
                                 : "  ",
                   CM_STR_ARG(w->owner_name), CM_STR_ARG(w->name));
    ui_table_cell(t, cm_str(w->autostart_schedule.len
                                ? schedule_format(cli->arena, w->autostart_schedule)
                                : ""));
    ui_table_cell(t, cm_str(time_or_empty(cli->arena, w->next_start_at)));
    ui_table_cell(t, cm_str(has_ttl ? ui_duration(cli->arena, w->ttl_ms * CM_MSEC) : ""));
    ui_table_cell(t, cm_str(time_or_empty(cli->arena, w->latest_build ? w->latest_build->deadline
                                                                      : CM_TIME_ZERO)));
}

static const struct cm_conf_list all_columns = {
    (const char *const[]){"workspace", "starts at", "starts next", "stops after", "stops next"}, 5};

/* What a change has led to. */
static enum cm_code print_one(struct cli *cli, struct cm_uuid id, struct cm_err *err)
{
    struct api_workspace *w = NULL;
    struct ui_table *t = ui_table_new(cli->arena, COLUMNS);

    if (cm_sdk_get(cli->sdk, cli->arena, &api_workspace_msg, &w, err, "/api/v2/workspaces/%s",
                   cm_uuid_text(id).s) != CM_OK)
        return cm_err_wrap(err, "get workspace");
    add_row(cli, t, w, true);
    ui_table_print(t, &all_columns);
    return CM_OK;
}

static enum cm_code run_show(struct cli *cli, struct cm_err *err)
{
    const struct show_opts *o = cli->opts;
    const char *search = o->all && !cm_conf_given(cli->conf, "search") ? "" : o->search;
    struct api_workspaces_response *answer = NULL;
    struct cm_str name, owner = CM_STR("");

    if (cli_arg(cli, 0)) {
        name = cm_str_split(cm_str(cli_arg(cli, 0)), '/', &owner);
        if (!name.ptr) {
            name = owner;
            owner = CM_STR("me");
        }
        search = cm_arena_printf(cli->arena, "owner:%.*s name:%.*s", CM_STR_ARG(owner),
                                 CM_STR_ARG(name));
    }
    if (query_workspaces(cli, search, &answer, NULL, err) != CM_OK)
        return err->code;
    struct ui_table *t = ui_table_new(cli->arena, COLUMNS);
    for (size_t i = 0; i < answer->n_workspaces; i++)
        add_row(cli, t, &answer->workspaces[i], false);
    if (ui_wants_json(cli))
        ui_table_print_json(t);
    else
        ui_table_print(t, &cli->output.columns);
    return CM_OK;
}

static enum cm_code run_start(struct cli *cli, struct cm_err *err)
{
    struct api_workspace *w = NULL;
    struct api_update_workspace_autostart_request req = {.schedule = {NULL, 0}};
    const char *schedule = NULL;

    if (strcmp(cli_arg(cli, 1), "manual") != 0) {
        if (schedule_parse(cli->arena, cli->args + 1, cli->n_args - 1, &schedule, err) != CM_OK)
            return err->code;
        req.schedule = cm_str(schedule);
        cm_set_has(req.has, API_UPDATE_WORKSPACE_AUTOSTART_REQUEST_HAS_SCHEDULE);
    }
    if (cli_session(cli, err) != CM_OK || find_workspace(cli, cli_arg(cli, 0), &w, err) != CM_OK)
        return err->code;
    if (cm_sdk_send(cli->sdk, cli->arena, "PUT", &api_update_workspace_autostart_request_msg, &req,
                    NULL, NULL, err, "/api/v2/workspaces/%s/autostart",
                    cm_uuid_text(w->id).s) != CM_OK)
        return cm_err_wrap(err, "update workspace autostart");
    return print_one(cli, w->id, err);
}

static enum cm_code run_stop(struct cli *cli, struct cm_err *err)
{
    struct api_workspace *w = NULL;
    struct api_update_workspace_ttl_request req = {.ttl_ms = 0};
    cm_usec after = 0;

    if (strcmp(cli_arg(cli, 1), "manual") != 0) {
        if (schedule_parse_duration(cli_arg(cli, 1), &after, err) != CM_OK)
            return err->code;
        req.ttl_ms = after / CM_MSEC;
        cm_set_has(req.has, API_UPDATE_WORKSPACE_TTL_REQUEST_HAS_TTL_MS);
    }
    if (cli_session(cli, err) != CM_OK || find_workspace(cli, cli_arg(cli, 0), &w, err) != CM_OK)
        return err->code;
    if (cm_sdk_send(cli->sdk, cli->arena, "PUT", &api_update_workspace_ttl_request_msg, &req, NULL,
                    NULL, err, "/api/v2/workspaces/%s/ttl", cm_uuid_text(w->id).s) != CM_OK)
        return cm_err_wrap(err, "update workspace ttl");
    return print_one(cli, w->id, err);
}

static enum cm_code run_extend(struct cli *cli, struct cm_err *err)
{
    struct api_workspace *w = NULL;
    cm_usec more = 0;

    if (schedule_parse_duration(cli_arg(cli, 1), &more, err) != CM_OK ||
        cli_session(cli, err) != CM_OK || find_workspace(cli, cli_arg(cli, 0), &w, err) != CM_OK)
        return err->code;
    struct api_put_extend_workspace_request req = {.deadline = cm_time_add(cm_time_now(), more)};
    if (cm_sdk_send(cli->sdk, cli->arena, "PUT", &api_put_extend_workspace_request_msg, &req, NULL,
                    NULL, err, "/api/v2/workspaces/%s/extend", cm_uuid_text(w->id).s) != CM_OK)
        return cm_err_wrap(err, "extend workspace deadline");
    return print_one(cli, w->id, err);
}

static const struct command show = {
    .name = "show",
    .args = "[workspace]",
    .brief = "Show workspace schedules",
    .opts = show_opts,
    .n_opts = CM_COUNT_OF(show_opts),
    .opts_size = sizeof(struct show_opts),
    .uses = USES_OUTPUT,
    .outputs = "table|json",
    .columns = COLUMNS,
    .default_columns = "workspace,starts at,starts next,stops after,stops next",
    .max_args = 1,
    .run = run_show,
};
static const struct command start = {
    .name = "start",
    .args = "<workspace> { <time> [days] [location] | manual }",
    .brief = "Edit the start schedule of a workspace",
    .about = "  $ coder schedule start my-workspace 9:30AM Mon-Fri Europe/Dublin",
    .min_args = 2,
    .max_args = 4,
    .run = run_start,
};
static const struct command stop = {
    .name = "stop",
    .args = "<workspace> { <duration> | manual }",
    .brief = "Edit the stop schedule of a workspace",
    .about = "  $ coder schedule stop my-workspace 2h30m",
    .min_args = 2,
    .max_args = 2,
    .run = run_stop,
};
static const struct command extend = {
    .name = "extend",
    .aliases = "override-stop",
    .args = "<workspace> <duration from now>",
    .brief = "Extend the stop time of a currently running workspace instance.",
    .about = "  $ coder schedule extend my-workspace 90m",
    .min_args = 2,
    .max_args = 2,
    .run = run_extend,
};
static const struct command *const subs[] = {&show, &start, &stop, &extend, NULL};

const struct command command_schedule = {
    .name = "schedule",
    .brief = "Schedule automated start and stop times for workspaces",
    .sub = subs,
};
