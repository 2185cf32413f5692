#include "cmd/cmd.h"
#include "schedule_text.h"

struct list_opts {
    bool all;
    const char *search;
};

static const struct cm_opt opts[] = {
    {CM_OPT_BOOL, offsetof(struct list_opts, all), "all", 'a',
     .help = "Specifies whether all workspaces will be listed or not."},
    {CM_OPT_STR, offsetof(struct list_opts, search), "search", .def = "owner:me",
     .help = "Search for a workspace with a query."},
};

/* What happens to a workspace, in the words of people. */
static const char *status_word(const struct api_workspace *w)
{
    static const char *const words[] = {
        [API_WORKSPACE_STATUS_UNSET] = "Unknown",
        [API_WORKSPACE_STATUS_PENDING] = "Pending",
        [API_WORKSPACE_STATUS_STARTING] = "Starting",
        [API_WORKSPACE_STATUS_RUNNING] = "Started",
        [API_WORKSPACE_STATUS_STOPPING] = "Stopping",
        [API_WORKSPACE_STATUS_STOPPED] = "Stopped",
        [API_WORKSPACE_STATUS_FAILED] = "Failed",
        [API_WORKSPACE_STATUS_CANCELING] = "Canceling",
        [API_WORKSPACE_STATUS_CANCELED] = "Canceled",
        [API_WORKSPACE_STATUS_DELETING] = "Deleting",
        [API_WORKSPACE_STATUS_DELETED] = "Deleted",
    };
    enum api_workspace_status s =
        w->latest_build ? w->latest_build->status : API_WORKSPACE_STATUS_UNSET;
    return (size_t)s < CM_COUNT_OF(words) ? words[s] : "Unknown";
}

static void row(struct cli *cli, struct ui_table *t, const struct api_workspace *w)
{
    const struct api_workspace_build *b = w->latest_build;
    bool has_ttl = cm_has(w->has, API_WORKSPACE_HAS_TTL_MS) && w->ttl_ms > 0;

    ui_table_row(t);
    ui_table_cell(t, w->favorite ? CM_STR("\u2605") : CM_STR(""));
    ui_table_cellf(t, "%s%.*s/%.*s", w->favorite ? "\u2605 " : "  ", CM_STR_ARG(w->owner_name),
                   CM_STR_ARG(w->name));
    ui_table_cell(t, cm_str(cm_uuid_text(w->organization_id).s));
    ui_table_cell(t, w->organization_name);
    ui_table_cell(t, w->template_name);
    ui_table_cell(t, cm_str(status_word(w)));
    ui_table_cell(t, w->latest_build && w->latest_build->status == API_WORKSPACE_STATUS_RUNNING
                         ? (w->health && w->health->healthy ? CM_STR("true") : CM_STR("false"))
                         : CM_STR(""));
    ui_table_cell(t, cm_str(b ? ui_ago(cli->arena, b->created_at) : ""));
    ui_table_cell(t, b ? b->template_version_name : CM_STR(""));
    ui_table_cell(t, w->outdated ? CM_STR("true") : CM_STR("false"));
    ui_table_cell(t, w->autostart_schedule.len
                         ? cm_str(schedule_format(cli->arena, w->autostart_schedule))
                         : CM_STR(""));
    ui_table_cell(t, w->next_start_at.us && !cm_time_is_zero(w->next_start_at)
                         ? cm_str(ui_time(cli->arena, w->next_start_at))
                         : CM_STR(""));
    ui_table_cell(t, has_ttl ? cm_str(ui_duration(cli->arena, w->ttl_ms * CM_MSEC)) : CM_STR(""));
    ui_table_cell(t, b && b->deadline.us && !cm_time_is_zero(b->deadline)
                         ? cm_str(ui_time(cli->arena, b->deadline))
                         : CM_STR(""));
    ui_table_cellf(t, "%lld", (long long)(b ? b->daily_cost : 0));
}

static enum cm_code run(struct cli *cli, struct cm_err *err)
{
    const struct list_opts *o = cli->opts;
    struct api_workspaces_response *answer = NULL;
    const char *search = o->all && !cm_conf_given(cli->conf, "search") ? "" : o->search;

    struct cm_str json;
    if (query_workspaces(cli, search, &answer, &json, err) != CM_OK)
        return err->code;
    if (ui_wants_json(cli)) {
        ui_json_print(json);
        return CM_OK;
    }
    if (!answer->n_workspaces) {
        fprintf(stderr, "No workspaces found! Create one:\n\n  coder create <name>\n\n");
        return CM_OK;
    }
    struct ui_table *t = ui_table_new(cli->arena, cli->command->columns);
    for (size_t i = 0; i < answer->n_workspaces; i++)
        row(cli, t, &answer->workspaces[i]);
    ui_table_print(t, &cli->output.columns);
    return CM_OK;
}

const struct command command_list = {
    .name = "list",
    .aliases = "ls",
    .brief = "List workspaces",
    .opts = opts,
    .n_opts = CM_COUNT_OF(opts),
    .opts_size = sizeof(struct list_opts),
    .uses = USES_OUTPUT,
    .outputs = "table|json",
    .columns = "favorite|workspace|organization id|organization name|template|status|healthy|last "
               "built|current "
               "version|outdated|starts at|starts next|stops after|stops next|daily cost",
    .default_columns = "workspace,template,status,healthy,last built,current "
                       "version,outdated,starts at,stops after",
    .run = run,
};
